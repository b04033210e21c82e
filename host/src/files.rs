//! File descriptors: every client needs one, and systems are sparing with them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is needed beside clients: standard streams, database files and their locks, listeners, the reactor, the spare descriptor, and some
/// for connections that are turned away in words.
const RESERVED: usize = 32;

/// Raises the limit of this process as far as it may, and tells how many clients it allows: `wanted` or fewer.
pub fn make_room(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let needed = u64::try_from(wanted.saturating_add(RESERVED)).unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < needed) {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        // Not allowed in some sandboxes; then what there is must do.
        let _ = setrlimit(Resource::Nofile, raised);
    }
    match getrlimit(Resource::Nofile).current {
        Some(current) => wanted.min(clients(current)),
        None => wanted,
    }
}

/// How many clients a limit allows; at least one, so that there is something to try.
fn clients(limit: u64) -> usize {
    usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(RESERVED)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_back() {
        assert_eq!(clients(64), 64 - RESERVED);
        assert_eq!(clients(3), 1);
        assert_eq!(clients(u64::MAX), usize::MAX - RESERVED);
    }

    #[test]
    fn no_more_is_promised_than_wanted() {
        assert_eq!(make_room(1), 1);
        assert!(make_room(usize::MAX) >= 1);
    }
}
