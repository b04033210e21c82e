//! Runs and measures the firmware's boards under QEMU, and measures the image of the one that QEMU does not emulate. `cargo xtask firmware` is the way to call it.

mod run;
mod silicon;
mod size;

use std::process::ExitCode;

use soqet_tests::board::{BOARDS, Board};

const USAGE: &str = "\
usage: cargo xtask firmware run  --board NAME [--irc ADDR:PORT] [--http ADDR:PORT] [--storage FILE]
       cargo xtask firmware size --board NAME [--json]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match *words.as_slice() {
        [command, ref flags @ ..] if flags.contains(&silicon::NAME) => {
            silicon::handle(command, flags)
        }
        ["run", ref flags @ ..] => run::run(flags),
        ["size", ref flags @ ..] => size::size(flags),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The board of a `--board` flag.
fn board(name: &str) -> Result<&'static Board, String> {
    Board::named(name).ok_or_else(|| {
        let names: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
        format!("there is no board {name:?}; there are {}", names.join(", "))
    })
}
