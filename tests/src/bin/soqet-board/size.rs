//! `size`: what an image takes of its board's flash and RAM, and how much stack it used under load.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use soqet_tests::board::elf::Sizes;
use soqet_tests::board::{Emulator, Network, Options};
use soqet_tests::host::TempDir;

/// What start-up paints the stack with.
const PAINT: u8 = 0xcc;

/// Prints the sizes of a board's image.
pub fn size(flags: &[&str]) -> Result<(), String> {
    let (name, json) = match *flags {
        ["--board", name] => (name, false),
        ["--board", name, "--json"] | ["--json", "--board", name] => (name, true),
        _ => return Err(super::USAGE.to_owned()),
    };
    let board = super::board(name)?;
    let image = board.image()?;
    let sizes = Sizes::of(&image)?;
    let folder = TempDir::new();
    let storage = folder.path().join("storage");
    board
        .make_storage(&storage)
        .map_err(|error| error.to_string())?;
    let options = Options {
        image,
        storage,
        network: Network::LOCAL,
    };
    let mut emulator = Emulator::start(board, &options, Stdio::null())?;
    emulator.wait_until_it_answers()?;
    load(&emulator).map_err(|error| format!("under load: {error}"))?;
    let (lowest, end) = sizes.stack;
    let painted = emulator
        .memory(lowest, end)?
        .iter()
        .take_while(|byte| **byte == PAINT)
        .count() as u64;
    let stack = end - lowest - painted;
    let Sizes { flash, ram, .. } = sizes;
    if json {
        println!("{{\"flash\":{flash},\"ram\":{ram},\"stack\":{stack}}}");
    } else {
        println!("flash  {flash:>7} bytes");
        println!("ram    {ram:>7} bytes of variables");
        println!("stack  {stack:>7} bytes at the peak, of {}", end - lowest);
    }
    Ok(())
}

/// Keeps the board busy for a while.
fn load(emulator: &Emulator) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(emulator.irc)?;
    let mut echo = [0; 512];
    for _ in 0..64 {
        stream.write_all(&[b'x'; 512])?;
        stream.read_exact(&mut echo)?;
    }
    Ok(())
}
