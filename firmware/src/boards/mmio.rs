//! Registers of peripherals.

/// A 32-bit register.
#[derive(Clone, Copy)]
pub struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    ///
    /// It must be a peripheral's register whose reads and writes (DMA it starts included) cannot break what Rust promises of memory.
    #[expect(unsafe_code, reason = "the promise that makes reads and writes safe")]
    pub const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    /// Reads it.
    pub fn read(self) -> u32 {
        #[expect(unsafe_code, reason = "promised by who called `at`")]
        unsafe {
            core::ptr::read_volatile(self.0 as *const u32)
        }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        #[expect(unsafe_code, reason = "promised by who called `at`")]
        unsafe {
            core::ptr::write_volatile(self.0 as *mut u32, value);
        }
    }
}
