//! `run`: a board under QEMU, for people to chat on.

use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use soqet_tests::board::{Emulator, Network, Options};

/// Runs a board until it is interrupted.
pub fn run(flags: &[&str]) -> Result<(), String> {
    let mut board = None;
    let mut irc = SocketAddrV4::new([127, 0, 0, 1].into(), 6667);
    let mut http = SocketAddrV4::new([127, 0, 0, 1].into(), 8080);
    let mut storage = None;
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let value = flags.next().ok_or(format!("{flag} needs a value"))?;
        let address = || {
            value.parse().map_err(|_| {
                format!("{flag} {value}: expected an IPv4 address and a port, as 127.0.0.1:6667")
            })
        };
        match *flag {
            "--board" => board = Some(super::board(value)?),
            "--irc" => irc = address()?,
            "--http" => http = address()?,
            "--storage" => storage = Some(PathBuf::from(value)),
            _ => return Err(super::USAGE.to_owned()),
        }
    }
    let board = board.ok_or(super::USAGE)?;
    let image = board.image()?;
    let storage = storage.unwrap_or_else(|| PathBuf::from(format!("{}.img", board.name)));
    board
        .make_storage(&storage)
        .map_err(|error| format!("{}: {error}", storage.display()))?;
    let options = Options {
        image,
        storage,
        network: Network::Forwarded { irc, http },
    };
    let mut emulator = Emulator::start(board, &options, Stdio::piped())?;
    let mut decoder = decode(&mut emulator, &options)?;
    emulator.wait_until_it_answers()?;
    println!("board: {}", board.name);
    println!("storage: {}", options.storage.display());
    println!("irc: {}", emulator.irc);
    println!("http: {}", emulator.http);
    println!("Ctrl-C ends it.");
    emulator.wait();
    if let Some(decoder) = &mut decoder {
        let _ = decoder.wait();
    }
    Ok(())
}

/// Shows the board's log, if the program for it is there.
fn decode(emulator: &mut Emulator, options: &Options) -> Result<Option<Child>, String> {
    let Some(mut serial) = emulator.serial() else {
        return Ok(None);
    };
    let decoder = Command::new("defmt-print")
        .arg("-e")
        .arg(&options.image)
        .stdin(Stdio::piped())
        .spawn();
    match decoder {
        Ok(mut decoder) => {
            let mut input = decoder.stdin.take().ok_or("no pipe")?;
            std::thread::spawn(move || std::io::copy(&mut serial, &mut input));
            Ok(Some(decoder))
        }
        Err(_) => {
            println!("its log is not shown; type: cargo install --locked defmt-print");
            std::thread::spawn(move || std::io::copy(&mut serial, &mut std::io::sink()));
            Ok(None)
        }
    }
}
