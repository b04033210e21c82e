//! Gets many people in fast: registration by verifier and login by SCRAM cost the client no PBKDF2.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem;
use soqet_tests::scram::{self, Salted, Scram, ServerFirst};

use crate::swarm::Swarm;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(120);
const SALT: [u8; 16] = *b"sixteen bytes ok";
const ITERATIONS: u32 = 10_000;
/// How many log in or register at the same time: fewer than the server's logins under way.
const AT_ONCE: usize = 100;

/// What everybody's password would become. Any 32 bytes do: only who derives needs the password.
fn salted() -> Salted {
    scram::hash(b"the same for everybody")
}

/// Whether a line ends the welcome.
fn ends_welcome(line: &[u8]) -> bool {
    // The second word: a count of users may be 376 too.
    let numeric = line.split(|byte| *byte == b' ').nth(1);
    matches!(numeric, Some(b"376" | b"422"))
}

/// Runs the swarm until a count is reached.
pub fn run_until(
    swarm: &mut Swarm,
    what: &str,
    wanted: usize,
    mut on_line: impl FnMut(usize, &[u8], &mut Vec<u8>) -> usize,
) {
    let deadline = Instant::now() + PATIENCE;
    let mut count = 0;
    while count < wanted {
        swarm.turn(Duration::from_millis(100), |number, line, answer| {
            count += on_line(number, line, answer);
        });
        assert!(
            Instant::now() < deadline && swarm.closed() == 0,
            "{what}: {count} of {wanted}, {} closed",
            swarm.closed()
        );
    }
}

/// Connects and registers accounts `{prefix}{n}`, a hundred at a time; gives the number of the first.
pub fn register(swarm: &mut Swarm, address: SocketAddr, prefix: &str, count: usize) -> usize {
    let verifier = scram::verifier(&salted(), &SALT, ITERATIONS);
    register_with(swarm, address, prefix, count, &verifier)
}

/// The same with that credential: a password or a verifier.
pub fn register_with(
    swarm: &mut Swarm,
    address: SocketAddr,
    prefix: &str,
    count: usize,
    credential: &str,
) -> usize {
    let first = swarm.len();
    for from in (0..count).step_by(AT_ONCE) {
        let batch = from..count.min(from + AT_ONCE);
        for n in batch.clone() {
            let number = swarm.connect(address);
            let name = format!("{prefix}{n:02}");
            let lines =
                format!("NICK {name}\r\nUSER {name} 0 * :{name}\r\nREGISTER * * :{credential}\r\n");
            swarm.send(number, lines.as_bytes());
        }
        run_until(swarm, "registration", batch.len(), |_, line, _| {
            usize::from(ends_welcome(line))
        });
    }
    first
}

/// Connects and logs in accounts `{prefix}{n}` by SCRAM, so many at a time.
pub fn log_in(swarm: &mut Swarm, address: SocketAddr, prefix: &str, count: usize) {
    let salted = salted();
    let mut done = 0;
    while done < count {
        let now = AT_ONCE.min(count - done);
        let first = swarm.len();
        for n in done..done + now {
            let number = swarm.connect(address);
            let name = format!("{prefix}{n:02}");
            let lines = format!(
                "CAP REQ sasl\r\nNICK {name}\r\nUSER {name} 0 * :{name}\r\nAUTHENTICATE SCRAM-SHA-256\r\n"
            );
            swarm.send(number, lines.as_bytes());
        }
        let mut steps = vec![0; now];
        run_until(swarm, "login", now, |number, line, answer| {
            if let Some(payload) = line.strip_prefix(b"AUTHENTICATE ") {
                let name = format!("{prefix}{:02}", done + number - first);
                let scram = Scram::new(&name, "nonce");
                let text = match steps[number - first] {
                    0 => scram::encode(scram.first().as_bytes()),
                    1 => {
                        let payload = std::str::from_utf8(payload).expect("base64");
                        let raw = String::from_utf8(scram::decode(payload)).expect("UTF-8");
                        let last = scram.last(&ServerFirst::parse(&raw), &salted).0;
                        scram::encode(last.as_bytes())
                    }
                    _ => "+\r\nCAP END".to_owned(),
                };
                steps[number - first] += 1;
                answer.extend_from_slice(format!("AUTHENTICATE {text}\r\n").as_bytes());
            }
            usize::from(ends_welcome(line))
        });
        done += now;
    }
}

/// Has members `numbers` join a room, and waits until all of them are in.
pub fn join(swarm: &mut Swarm, numbers: std::ops::Range<usize>, room: &str) {
    let line = format!("JOIN {room}\r\n");
    let count = numbers.len();
    for number in numbers {
        swarm.send(number, line.as_bytes());
    }
    run_until(swarm, "joining", count, |_, line, _| {
        usize::from(memmem::find(line, b" 366 ").is_some())
    });
}
