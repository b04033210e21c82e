//! What an image takes of its board's memory.

use std::path::Path;

use object::read::elf::ElfFile32;
use object::{Object, ObjectSegment, ObjectSymbol};

/// Where RAM begins on every Cortex-M.
const RAM: u64 = 0x2000_0000;

/// What the image says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Bytes of flash: code, constants, and what variables start with.
    pub flash: u64,
    /// Bytes of RAM that variables take, without the stack.
    pub ram: u64,
    /// The stack's lowest address and the one past its highest.
    pub stack: (u64, u64),
}

impl Sizes {
    /// Reads an image.
    pub fn of(image: &Path) -> Result<Self, String> {
        let bytes =
            std::fs::read(image).map_err(|error| format!("{}: {error}", image.display()))?;
        let elf = ElfFile32::<object::Endianness>::parse(bytes.as_slice())
            .map_err(|error| format!("{}: {error}", image.display()))?;
        let symbol = |name| {
            elf.symbols()
                .find(|symbol| symbol.name() == Ok(name))
                .map(|symbol| symbol.address())
                .ok_or(format!("{} has no {name}", image.display()))
        };
        let segments = || elf.segments();
        Ok(Self {
            flash: segments().map(|segment| segment.file_range().1).sum(),
            ram: segments()
                .filter(|segment| segment.address() >= RAM)
                .map(|segment| segment.size())
                .sum(),
            stack: (symbol("_stack_end")?, symbol("_stack_start")?),
        })
    }
}
