//! A world whose server is a board in an emulator.

use std::io;
use std::process::Stdio;

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

    fn resume(&mut self) {
        let options = Options {
            image: self.board.image().expect("an image"),
            storage: self.folder.path().join("storage"),
            network: Network::LOCAL,
        };
        let mut emulator =
            Emulator::start(self.board, &options, Stdio::null()).expect("an emulator");
        emulator.wait_until_it_answers().expect("an answer");
        self.emulator = Some(emulator);
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
        // Dropped, an emulator is killed with SIGKILL.
        self.emulator = None;
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
