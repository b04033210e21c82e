//! Byte buffers of one size, lent by number: lines being received, replies, half-sent lines, staged pages.

use super::NIL;

/// A pool of equal buffers. The number of the next free buffer is kept in the first bytes of a free one.
pub struct Buffers<'a> {
    bytes: &'a mut [u8],
    size: usize,
    free: u32,
    fresh: u32,
    used: u32,
}

impl<'a> Buffers<'a> {
    /// As many buffers of `size` bytes (at least 4) as fit.
    pub(crate) fn new(bytes: &'a mut [u8], size: usize) -> Self {
        Self {
            bytes,
            size: size.max(4),
            free: NIL,
            fresh: 0,
            used: 0,
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len() / self.size
    }

    pub(crate) fn available(&self) -> usize {
        self.capacity() - self.used as usize
    }

    pub(crate) fn take(&mut self) -> Option<u32> {
        let number = if self.free != NIL {
            let number = self.free;
            let mut next = [0; 4];
            next.copy_from_slice(&self.get(number)[..4]);
            self.free = u32::from_le_bytes(next);
            number
        } else if (self.fresh as usize) < self.capacity() {
            self.fresh += 1;
            self.fresh - 1
        } else {
            return None;
        };
        self.used += 1;
        Some(number)
    }

    pub(crate) fn give(&mut self, number: u32) {
        let next = self.free.to_le_bytes();
        self.get_mut(number)[..4].copy_from_slice(&next);
        self.free = number;
        self.used -= 1;
    }

    pub(crate) fn get(&self, number: u32) -> &[u8] {
        let start = number as usize * self.size;
        &self.bytes[start..start + self.size]
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> &mut [u8] {
        let start = number as usize * self.size;
        &mut self.bytes[start..start + self.size]
    }

    /// Lends all buffers' bytes while `self` stays usable for nothing but [`Self::restore`]; see there.
    pub(crate) fn lend(&mut self) -> &'a mut [u8] {
        core::mem::take(&mut self.bytes)
    }

    /// Ends a loan. In between the server reads a line or page in place while it changes everything else.
    pub(crate) fn restore(&mut self, bytes: &'a mut [u8]) {
        self.bytes = bytes;
    }
}
