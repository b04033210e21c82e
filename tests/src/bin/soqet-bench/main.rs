//! Measures a release build of the server on this machine, the way the peers in docs/benchmarks.md were measured: the server on
//! core 0, this single-threaded client on core 1, over loopback, every delivery checked once and in order.
//!
//! Run it with `cargo xtask bench`. `--only NAME` measures one thing and writes nothing.

mod login;
mod measures;
mod report;
mod server;
mod swarm;

use std::process::ExitCode;

/// A thing to measure.
pub struct Measure {
    /// What `--only` takes.
    name: &'static str,
    /// Row of the table.
    row: &'static str,
    /// Measures it; the cell's text.
    run: fn() -> String,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let only = match words.as_slice() {
        [] => None,
        [flag, name] if flag == "--only" => Some(name.as_str()),
        _ => {
            eprintln!("usage: soqet-bench [--only NAME]");
            return ExitCode::from(2);
        }
    };
    if cfg!(debug_assertions) {
        eprintln!("measure a release build: cargo xtask bench");
        return ExitCode::from(2);
    }
    let busy = report::load();
    server::pin_self(1);
    let mut rows = Vec::new();
    for measure in measures::ALL {
        if only.is_none_or(|name| name == measure.name) {
            let result = (measure.run)();
            println!("{:<16} {result}", measure.name);
            rows.push((measure.row, result));
        }
    }
    if rows.is_empty() {
        let names: Vec<_> = measures::ALL.iter().map(|m| m.name).collect();
        eprintln!("there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    if only.is_none() {
        report::write(&rows, &busy);
    }
    ExitCode::SUCCESS
}
