//! `cargo xtask firmware`: the images for boards, and the emulator that runs them.

use std::process::ExitCode;

use crate::steps::exit;
use crate::tools::{self, BOARD};

/// Boards whose images are built alike.
struct Family {
    boards: &'static [&'static str],
    /// The firmware's feature that has them.
    feature: &'static str,
    /// The compiler's target.
    target: &'static str,
    emulated: bool,
}

const FAMILIES: [Family; 2] = [
    Family {
        boards: &["emcraft-sf2", "lm3s6965evb"],
        feature: "board",
        target: BOARD,
        emulated: true,
    },
    Family {
        boards: &["w5500-evb-pico2"],
        feature: "w5500-evb-pico2",
        target: "thumbv8m.main-none-eabihf",
        emulated: false,
    },
];

/// Builds, runs or measures.
pub fn run(words: &[&str]) -> ExitCode {
    match *words {
        ["build", "--board", board] => match family(board) {
            Ok(family) => exit(family.cargo("build", &["--bin", board])),
            Err(advice) => fail(&advice),
        },
        ["build"] => exit(build()),
        ["run" | "size", ..] => {
            let board = words.iter().skip_while(|word| **word != "--board").nth(1);
            let installed = match board.map(|board| family(board)) {
                Some(Ok(family)) => family.install(),
                Some(Err(advice)) => Err(advice),
                // That program says what is missing.
                None => Ok(()),
            };
            if let Err(advice) = installed {
                return fail(&advice);
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

/// Builds all images.
pub fn build() -> bool {
    FAMILIES
        .iter()
        .all(|family| family.cargo("build", &["--bins"]))
}

/// Lints the code that only boards have.
pub fn clippy() -> bool {
    let lint = ["--bins", "--lib", "--", "--deny", "warnings"];
    FAMILIES.iter().all(|family| family.cargo("clippy", &lint))
}

impl Family {
    /// Installs what running or measuring its boards needs, where it is missing.
    fn install(&self) -> Result<(), String> {
        tools::install_target(self.target)?;
        if self.emulated {
            tools::install_emulator()?;
        }
        Ok(())
    }

    /// Runs a command of cargo's on the firmware for these boards; whether it succeeded.
    fn cargo(&self, command: &str, more: &[&str]) -> bool {
        if let Err(advice) = tools::install_target(self.target) {
            eprintln!("{advice}");
            return false;
        }
        let words = [
            command,
            "--package",
            "soqet-firmware",
            "--features",
            self.feature,
            "--profile",
            "firmware",
            "--target",
            self.target,
        ];
        tools::cargo(&[&words[..], more].concat())
    }
}

fn family(board: &str) -> Result<&'static Family, String> {
    let mut families = FAMILIES.iter();
    families
        .find(|family| family.boards.contains(&board))
        .ok_or_else(|| {
            let boards = FAMILIES.iter().flat_map(|family| family.boards);
            let boards: Vec<_> = boards.copied().collect();
            format!(
                "there is no board {board:?}; there are {}",
                boards.join(", ")
            )
        })
}

fn fail(advice: &str) -> ExitCode {
    eprintln!("{advice}");
    ExitCode::FAILURE
}
