//! `cargo xtask test`: everything that must hold before a change lands. A failed step does not keep the others from running.

use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};

use crate::firmware;
use crate::steps::{Outcome, Steps, exit};
use crate::tools::{self, BOARD};

/// Built together, a board's smoltcp and the simulator's would be one, with the sizes of both; the firmware has steps of its own.
const WITHOUT_FIRMWARE: &str = "--exclude=soqet-firmware";

/// Runs it. `quick` leaves out what is slow or needs more than Rust.
pub fn run(quick: bool) -> ExitCode {
    let mut steps = Steps::default();
    let mut clients = Err("left out by --quick".to_owned());
    if !quick {
        steps.run("WeeChat, irssi, tmux", || {
            clients = tools::install_clients();
            match &clients {
                Ok(said) => {
                    println!("{said}");
                    Outcome::Passed
                }
                Err(advice) => Outcome::Skipped(advice.clone()),
            }
        });
    }
    if !quick {
        // Tests that need it are skipped without it, and say so.
        steps.run("QEMU", || match tools::install_emulator() {
            Ok(said) => {
                println!("{said}");
                Outcome::Passed
            }
            Err(advice) => Outcome::Skipped(advice),
        });
    }
    steps.run("format", || {
        tools::cargo(&["fmt", "--all", "--check"]).into()
    });
    steps.run("clippy", || {
        tools::cargo(&[
            "clippy",
            "--workspace",
            WITHOUT_FIRMWARE,
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ])
        .into()
    });
    if !quick {
        steps.run("documentation", documentation);
        steps.run("core without allocator", no_alloc);
        steps.run("core of a board", small);
        steps.run("firmware for boards", || {
            (firmware::build() && firmware::clippy()).into()
        });
        steps.run("licences and sources", deny);
    }
    steps.run("simulated worlds", || {
        let seeds = if quick { "0..20" } else { "0..300" };
        let swarm = ["run", "--quiet", "--package", "soqet-sim", "--", "swarm"];
        tools::cargo(&[&swarm[..], &["--seeds", seeds]].concat()).into()
    });
    let mut summary = Vec::new();
    steps.run("tests", || test(clients.is_ok(), &mut summary));
    let passed = steps.finish();
    println!();
    summary.iter().for_each(|line| println!("{line}"));
    exit(passed)
}

fn documentation() -> Outcome {
    let mut cargo = tools::cargo_command();
    cargo
        .args([
            "doc",
            "--workspace",
            WITHOUT_FIRMWARE,
            "--no-deps",
            "--document-private-items",
            "--quiet",
        ])
        .env("RUSTDOCFLAGS", "--deny warnings");
    tools::succeeds(&mut cargo).into()
}

/// Links the core into a static library for a microcontroller, where `alloc` does not link.
fn no_alloc() -> Outcome {
    if let Err(advice) = tools::install_target(BOARD) {
        eprintln!("{advice}");
        return Outcome::Failed;
    }
    tools::cargo(&[
        "build",
        "--quiet",
        "--package",
        "soqet-no-alloc",
        "--features",
        "small",
        "--target",
        BOARD,
    ])
    .into()
}

/// The core's own tests, with the narrow tables of a board.
fn small() -> Outcome {
    tools::cargo(&[
        "test",
        "--quiet",
        "--package",
        "soqet-core",
        "--features",
        "alloc,small",
    ])
    .into()
}

fn deny() -> Outcome {
    if !tools::exists("cargo-deny") {
        return Outcome::Skipped(
            "type: cargo install --locked cargo-deny (it builds for some minutes)".to_owned(),
        );
    }
    tools::cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]).into()
}

/// Runs all tests, shows what they print as they go, and keeps their summary lines.
fn test(with_clients: bool, summary: &mut Vec<String>) -> Outcome {
    let mut cargo = tools::cargo_command();
    cargo
        .args(["test", "--workspace", WITHOUT_FIRMWARE, "--no-fail-fast"])
        .stdout(Stdio::piped());
    if !with_clients {
        cargo.args(["--", "--skip", "real_clients"]);
    }
    let Ok(mut child) = cargo.spawn() else {
        return Outcome::Failed;
    };
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            println!("{line}");
            if line.starts_with("test result:") {
                summary.push(line);
            }
        }
    }
    child.wait().is_ok_and(|status| status.success()).into()
}
