//! Finds a slot by a key. Open addressing over a borrowed slice; the caller hashes (with a secret seed where strangers choose the
//! keys) and compares, so one type serves every table.

use super::Short;

/// A cell of an [`Index`].
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    hash: Hash,
    slot: Short,
}

/// The upper bits of a hash, as many as are kept.
#[cfg(not(feature = "small"))]
type Hash = u32;
#[cfg(feature = "small")]
type Hash = u8;

const fn upper(hash: u32) -> Hash {
    (hash >> (32 - Hash::BITS)) as Hash
}

impl Cell {
    /// A free cell.
    pub const EMPTY: Self = Self {
        hash: 0,
        slot: Short::NIL,
    };
}

impl Default for Cell {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A multimap from hashes to slots. Needs more cells than entries; twice as many keep it fast.
pub struct Index<'a> {
    cells: &'a mut [Cell],
}

impl<'a> Index<'a> {
    pub(crate) fn new(cells: &'a mut [Cell]) -> Self {
        Self { cells }
    }

    fn start(&self, hash: Hash) -> usize {
        // Multiply-shift spreads the hash over any number of cells.
        ((u64::from(hash) * self.cells.len() as u64) >> Hash::BITS) as usize
    }

    /// The first slot under that hash that `is` the one sought.
    pub(crate) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut probes = 0;
        while let Some(slot) = self.next_under(upper(hash), &mut probes) {
            if is(slot) {
                return Some(slot);
            }
        }
        None
    }

    /// The next slot under that hash, after so many cells were looked at.
    fn next_under(&self, hash: Hash, probes: &mut usize) -> Option<u32> {
        let start = self.start(hash);
        while *probes < self.cells.len() {
            let at = start + *probes;
            let cell = self
                .cells
                .get(at)
                .or(self.cells.get(at.wrapping_sub(self.cells.len())))?;
            if cell.slot == Short::NIL {
                return None;
            }
            *probes += 1;
            if cell.hash == hash {
                return Some(cell.slot.get());
            }
        }
        None
    }

    /// Enters a slot. There is always room when there are more cells than slots.
    pub(crate) fn insert(&mut self, hash: u32, slot: u32) {
        let (hash, slot) = (upper(hash), Short::new(slot));
        let mut at = self.start(hash);
        for _ in 0..self.cells.len() {
            if self.cells[at].slot == Short::NIL {
                self.cells[at] = Cell { hash, slot };
                return;
            }
            at = (at + 1) % self.cells.len();
        }
        debug_assert!(false, "index full");
    }

    /// Removes a slot that was entered under that hash.
    pub(crate) fn remove(&mut self, hash: u32, slot: u32) {
        let (hash, slot) = (upper(hash), Short::new(slot));
        let n = self.cells.len();
        let mut at = self.start(hash);
        let mut probes = 0;
        while self.cells[at].slot != slot || self.cells[at].hash != hash {
            if self.cells[at].slot == Short::NIL || probes == n {
                return;
            }
            probes += 1;
            at = (at + 1) % n;
        }
        // Close the gap: an entry may move back when the gap lies between its start and its place.
        let mut gap = at;
        loop {
            at = (at + 1) % n;
            let cell = self.cells[at];
            if cell.slot == Short::NIL || at == gap {
                break;
            }
            let home = self.start(cell.hash);
            if (at + n - home) % n >= (at + n - gap) % n {
                self.cells[gap] = cell;
                gap = at;
            }
        }
        self.cells[gap] = Cell::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn behaves_like_a_multimap(ops in proptest::collection::vec((proptest::bool::ANY, 0u32..6, 0u32..12), 1..200)) {
            let mut cells = [Cell::default(); 25];
            let mut index = Index::new(&mut cells);
            let mut model: Vec<(u32, u32)> = Vec::new();
            for (add, hash, slot) in ops {
                // Few distinct hashes, spread over the range, so that runs collide and wrap.
                let hash = hash.wrapping_mul(0x2fff_ffff);
                if add && model.len() < 24 && !model.contains(&(hash, slot)) {
                    index.insert(hash, slot);
                    model.push((hash, slot));
                } else {
                    index.remove(hash, slot);
                    model.retain(|entry| *entry != (hash, slot));
                }
                for hash in (0..6u32).map(|h| h.wrapping_mul(0x2fff_ffff)) {
                    for slot in 0..12 {
                        proptest::prop_assert_eq!(index.find(hash, |s| s == slot).is_some(), model.contains(&(hash, slot)));
                    }
                }
            }
        }
    }
}
