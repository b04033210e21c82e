//! The firmware's boards as QEMU emulates them: their images, built by cargo, and the emulator around them.

pub mod cable;
pub mod elf;
pub mod emulator;
pub mod storage;
mod world;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub use cable::Cable;
pub use emulator::{Emulator, Network, Options};
pub use world::BoardWorld;

/// The compiler's target of all boards that can be emulated.
const TARGET: &str = "thumbv7m-none-eabi";

/// What a board's storage is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// NOR flash.
    Nor,
    /// The blocks of a memory card.
    Card,
}

/// A board that can be emulated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Board {
    /// Its name: of the image, and of QEMU's machine.
    pub name: &'static str,
    /// QEMU's model of its network interface.
    network: &'static str,
    /// QEMU's interface of its storage.
    drive: &'static str,
    /// Bytes of its storage.
    storage: u64,
    /// What that is.
    medium: Medium,
    /// Where it looks for what the emulator tells it; see the firmware's `emulator.rs`.
    handover: u32,
}

/// All boards that can be emulated.
pub const BOARDS: &[Board] = &[
    Board {
        name: "emcraft-sf2",
        network: "msf2-emac",
        drive: "mtd",
        storage: 16 << 20,
        medium: Medium::Nor,
        handover: 0x2000_ff80,
    },
    Board {
        name: "lm3s6965evb",
        network: "stellaris",
        drive: "sd",
        storage: 64 << 20,
        medium: Medium::Card,
        handover: 0x2000_ff80,
    },
];

impl Board {
    /// The board of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        BOARDS.iter().find(|board| board.name == name)
    }

    /// Its image, built by cargo once a process.
    pub fn image(&self) -> Result<PathBuf, String> {
        static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let folder = FOLDER.get_or_init(|| build("board", TARGET)).clone()?;
        Ok(folder.join(self.name))
    }

    /// Makes the file of its storage if there is none.
    pub fn make_storage(&self, path: &Path) -> io::Result<()> {
        let mut file = match File::options().write(true).create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            file => file?,
        };
        if self.medium == Medium::Card {
            // A new card reads as zeroes, and so does a hole in a file.
            return file.set_len(self.storage);
        }
        let sector = [0xff; 64 << 10];
        for _ in 0..self.storage / sector.len() as u64 {
            file.write_all(&sector)?;
        }
        Ok(())
    }
}

/// Builds all images that a feature of the firmware has, for a target of the compiler; gives the folder they are in.
pub fn build(feature: &str, compiled_for: &str) -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    // <target>/<profile>/deps/<test> or <target>/<profile>/<program>
    let target = this
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file() || folder.ends_with("target"))
        .ok_or("this program is not in cargo's target folder")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "soqet-firmware", "--bins"])
        .args(["--features", feature, "--profile", "firmware"])
        .args(["--target", compiled_for, "--target-dir"])
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    match cargo.status() {
        Ok(status) if status.success() => Ok(target.join(compiled_for).join("firmware")),
        Ok(_) => Err("the firmware does not build".to_owned()),
        Err(error) => Err(format!("cargo: {error}")),
    }
}
