//! A board's storage as a file of this computer, written by the very store the board runs: how a test gives a board its settings.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use embedded_storage_async::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use soqet_core::adapters::blocks::{BLOCK, BlockDevice, Blocks};
use soqet_core::adapters::flash::{FlashStore, SCRATCH};
use soqet_core::config::{Config, Setting};
use soqet_core::store::{Operation, Outcome};

use super::{Board, Medium};

/// Bytes that the NOR flash erases at once.
const SECTOR: usize = 64 << 10;

/// Writes into a board's storage what differs between a configuration and the board's own.
pub fn configure(board: &Board, path: &Path, config: &Config<'_>, own: &Config<'_>) {
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("open the storage");
    let settings: Vec<_> = Setting::all()
        .map(|setting| (setting, value(config, setting)))
        .filter(|(setting, value)| *value != self::value(own, *setting))
        .collect();
    match board.medium {
        Medium::Nor => write(Nor(file), &settings),
        Medium::Card => write(Blocks::new(Card(file)), &settings),
    }
}

fn value(config: &Config<'_>, setting: Setting) -> String {
    let mut text = String::new();
    config
        .write(setting, &mut text)
        .expect("a string takes all");
    text
}

fn write<F: NorFlash>(flash: F, settings: &[(Setting, String)]) {
    futures_lite::future::block_on(async {
        let mut store = FlashStore::<F>::new(flash);
        let mut scratch = [0; SCRATCH];
        store.open(&mut scratch).await.expect("open the store");
        for (setting, value) in settings {
            let operation = Operation::PutConfig {
                name: setting.name(),
                value,
            };
            let outcome = store.execute(&operation, &mut scratch).await;
            assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
        }
    });
}

/// What went wrong with the file.
#[derive(Debug)]
struct Failed(#[expect(dead_code, reason = "shown by Debug")] io::Error);

impl NorFlashError for Failed {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// NOR flash: a written bit stays 0 until its sector is erased.
struct Nor(File);

impl ErrorType for Nor {
    type Error = Failed;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Failed> {
        self.0.read_exact_at(bytes, offset.into()).map_err(Failed)
    }

    fn capacity(&self) -> usize {
        self.0.metadata().map_or(0, |file| file.len() as usize)
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = SECTOR;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), Failed> {
        let blank = vec![0xff; (to - from) as usize];
        self.0.write_all_at(&blank, from.into()).map_err(Failed)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Failed> {
        let mut old = vec![0; bytes.len()];
        self.read(offset, &mut old).await?;
        old.iter_mut().zip(bytes).for_each(|(old, new)| *old &= new);
        self.0.write_all_at(&old, offset.into()).map_err(Failed)
    }
}

/// A memory card.
struct Card(File);

impl BlockDevice for Card {
    type Error = io::Error;

    fn blocks(&self) -> u32 {
        self.0
            .metadata()
            .map_or(0, |file| (file.len() / BLOCK as u64) as u32)
    }

    async fn read(&mut self, block: u32, into: &mut [u8; BLOCK]) -> io::Result<()> {
        self.0.read_exact_at(into, u64::from(block) * BLOCK as u64)
    }

    async fn write(&mut self, block: u32, from: &[u8; BLOCK]) -> io::Result<()> {
        self.0.write_all_at(from, u64::from(block) * BLOCK as u64)
    }
}
