//! `cargo xtask firmware`: the images for boards, and the emulator that runs them.

use std::process::ExitCode;

use crate::steps::exit;
use crate::tools::{self, BOARD};

/// Builds, runs or measures.
pub fn run(words: &[&str]) -> ExitCode {
    if let Err(advice) = tools::install_board_target() {
        eprintln!("{advice}");
        return ExitCode::FAILURE;
    }
    match *words {
        ["build", "--board", board] => exit(build(&["--bin", board])),
        ["build"] => exit(build(&["--bins"])),
        ["run" | "size", ..] => {
            if let Err(advice) = tools::install_emulator() {
                eprintln!("{advice}");
                return ExitCode::FAILURE;
            }
            let program = [
                "run",
                "--quiet",
                "--package",
                "soqet-tests",
                "--bin",
                "soqet-board",
                "--",
            ];
            exit(tools::cargo(&[&program[..], words].concat()))
        }
        _ => {
            eprintln!("{}", crate::USAGE);
            ExitCode::from(2)
        }
    }
}

/// Builds images.
pub fn build(which: &[&str]) -> bool {
    let build = [
        "build",
        "--package",
        "soqet-firmware",
        "--features",
        "board",
        "--profile",
        "firmware",
        "--target",
        BOARD,
    ];
    tools::cargo(&[&build[..], which].concat())
}

/// Lints the code that only boards have.
pub fn clippy() -> bool {
    let clippy = [
        "clippy",
        "--package",
        "soqet-firmware",
        "--features",
        "board",
        "--profile",
        "firmware",
        "--target",
        BOARD,
    ];
    tools::cargo(
        &[
            &clippy[..],
            &["--bins", "--lib", "--", "--deny", "warnings"],
        ]
        .concat(),
    )
}
