//! A world whose server is a board in an emulator.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use soqet_core::config::Config;

use super::{Board, Emulator, Network, Options, storage};
use crate::host::{TempDir, dial};
use crate::world::{Wire, World};

/// A world of one emulator after another over one storage.
pub struct BoardWorld {
    board: &'static Board,
    folder: TempDir,
    emulator: Option<Emulator>,
}

impl BoardWorld {
    /// A world without an emulator yet.
    pub fn new(board: &'static Board) -> Self {
        Self {
            board,
            folder: TempDir::new(),
            emulator: None,
        }
    }

    /// The running emulator.
    pub fn running(&mut self) -> &mut Emulator {
        self.emulator.as_mut().expect("the board runs")
    }

    /// Where the board's log goes.
    fn serial(&self) -> PathBuf {
        self.folder.path().join("serial")
    }

    fn resume(&mut self) {
        let options = Options {
            image: self.board.image().expect("an image"),
            storage: self.folder.path().join("storage"),
            network: Network::LOCAL,
        };
        let serial = File::create(self.serial()).expect("a file");
        let mut emulator =
            Emulator::start(self.board, &options, serial.into()).expect("an emulator");
        emulator.wait_until_it_answers().expect("an answer");
        self.emulator = Some(emulator);
    }
}

impl Drop for BoardWorld {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (Ok(image), Ok(serial)) = (self.board.image(), File::open(self.serial())) else {
            return;
        };
        let decoded = Command::new("defmt-print")
            .arg("-e")
            .arg(image)
            .stdin(serial)
            .output();
        match decoded {
            Ok(log) => {
                let log = String::from_utf8_lossy(&log.stdout);
                let tail = log.lines().rev().take(20).collect::<Vec<_>>();
                eprintln!("the board's log, its last lines:");
                tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            }
            Err(_) => eprintln!("to see the board's log: cargo install --locked defmt-print"),
        }
    }
}

impl World for BoardWorld {
    fn start(&mut self, config: &Config<'static>) {
        let path = self.folder.path().join("storage");
        self.board.make_storage(&path).expect("storage");
        storage::configure(self.board, &path, config, &Config::BOARD);
        self.resume();
    }

    /// A board's memory is small anyway.
    fn start_small(&mut self, config: &Config<'static>) {
        self.start(config);
    }

    /// A board knows no other end than loss of power.
    fn restart(&mut self) {
        self.crash();
    }

    fn crash(&mut self) {
        if let Some(emulator) = self.emulator.take() {
            emulator.cut_power();
        }
        self.resume();
    }

    fn dial(&mut self, window: Option<usize>) -> io::Result<Box<dyn Wire>> {
        dial(self.running().irc, window)
    }

    fn dial_console(&mut self) -> io::Result<Box<dyn Wire>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a board has no console",
        ))
    }
}
