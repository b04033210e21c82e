//! Slots with generations. A slot never used before costs nothing but its place: the free list covers only what was used.

use core::ops;

use super::{Generation, NIL, Short};
use crate::id::Handle;

const IN_USE: u32 = NIL - 1;

/// A slot of a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub struct Slot<T> {
    generation: Generation,
    /// `IN_USE`, or the next free slot.
    next: Short,
    value: T,
}

impl<T> Slot<T> {
    /// A free slot.
    pub(crate) const fn new(value: T) -> Self {
        Self {
            generation: 0,
            next: Short::NIL,
            value,
        }
    }
}

impl<T: Default> Default for Slot<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// A table of slots. Indexing with the index of a slot that is not in use yields its stale value, never another's slot.
pub struct Pool<'a, T> {
    slots: &'a mut [Slot<T>],
    free: u32,
    /// How many slots were ever used.
    fresh: u32,
    used: u32,
}

impl<'a, T: Default> Pool<'a, T> {
    pub(crate) fn new(slots: &'a mut [Slot<T>]) -> Self {
        Self {
            slots,
            free: NIL,
            fresh: 0,
            used: 0,
        }
    }

    /// Takes a slot, with the default in it; `None` when all are in use.
    pub(crate) fn insert(&mut self) -> Option<(u32, &mut T)> {
        let index = if self.free == NIL {
            self.fresh
        } else {
            self.free
        };
        let slot = self.slots.get_mut(index as usize)?;
        if self.free == NIL {
            self.fresh += 1;
        } else {
            self.free = slot.next.get();
        }
        slot.next = Short::new(IN_USE);
        self.used += 1;
        Some((index, &mut slot.value))
    }

    /// Gives a slot back. Its handles are dead from now on.
    pub(crate) fn remove(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        debug_assert_eq!(slot.next.get(), IN_USE);
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = Short::new(self.free);
        slot.value = T::default();
        self.free = index;
        self.used -= 1;
    }

    pub(crate) fn handle(&self, index: u32) -> Handle {
        Handle {
            index: Short::new(index),
            generation: self.slots[index as usize].generation,
        }
    }

    /// The slot a handle means, if it is still the same occupant's.
    pub(crate) fn resolve(&self, handle: Handle) -> Option<u32> {
        let index = handle.index.get();
        let slot = self.slots.get(index as usize)?;
        (slot.generation == handle.generation && slot.next.get() == IN_USE).then_some(index)
    }

    pub(crate) fn in_use(&self, index: u32) -> bool {
        self.slots
            .get(index as usize)
            .is_some_and(|slot| slot.next.get() == IN_USE)
    }

    pub(crate) fn len(&self) -> usize {
        self.used as usize
    }

    pub(crate) fn is_full(&self) -> bool {
        self.used as usize == self.slots.len()
    }

    /// How many slots were ever used: an upper bound for a walk over all.
    pub(crate) fn high_water(&self) -> u32 {
        self.fresh
    }
}

impl<T> ops::Index<u32> for Pool<'_, T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.slots[index as usize].value
    }
}

impl<T> ops::IndexMut<u32> for Pool<'_, T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.slots[index as usize].value
    }
}
