//! The project's chores, in Rust so that they run wherever cargo does:
//!
//! - `cargo xtask test [--quick]`: everything that must hold before a change lands;
//! - `cargo xtask bench`: the figures of docs/benchmarks.md;
//! - `cargo xtask firmware`: builds, runs and measures the images for boards;
//! - `cargo xtask screens`: the pictures of real clients in docs/screens.

mod firmware;
mod steps;
mod test;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [--quick]   format, lints, documentation, the proof without allocator, simulated
                   worlds, all tests, real clients
                   --quick leaves out what is slow or needs more than Rust
  bench [FLAGS]    build with optimisations, measure, and write docs/benchmarks.md
                   --only NAME measures one thing and writes nothing
  firmware build [--board NAME]
                   build the images for all boards, or one
  firmware run --board NAME [--irc ADDR:PORT] [--http ADDR:PORT] [--storage FILE]
                   run a board under QEMU and say where to connect; port 0 means any
  firmware size --board NAME [--json]
                   bytes of flash and RAM, and of stack under load
  screens          chat from WeeChat and irssi in tmux and keep the screens in docs/screens";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["test"] => test::run(false),
        ["test", "--quick"] => test::run(true),
        ["bench", ref flags @ ..] => steps::exit(
            tools::cargo(&["build", "--release", "--package", "soqet"])
                && tools::cargo(
                    &[
                        &[
                            "run",
                            "--release",
                            "--package",
                            "soqet-tests",
                            "--bin",
                            "soqet-bench",
                            "--",
                        ],
                        flags,
                    ]
                    .concat(),
                ),
        ),
        ["firmware", ref words @ ..] => firmware::run(words),
        ["screens"] => {
            println!("{}", tools::install_clients().unwrap_or_default());
            let mut cargo = tools::cargo_command();
            cargo
                .args(["test", "--package", "soqet-tests", "--test", "real_clients"])
                .args(["--", "--nocapture"])
                .env("SOQET_SCREENS", tools::root().join("docs/screens"));
            steps::exit(tools::succeeds(&mut cargo))
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
