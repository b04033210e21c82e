//! Doubly linked lists through the slots of a pool: O(1) everything, no memory of their own.

use core::ops::IndexMut;

use super::{NIL, Short};

const APART: u32 = NIL - 1;

/// One slot's place in one list.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    next: Short,
    prev: Short,
}

impl Default for Link {
    fn default() -> Self {
        Self::NEW
    }
}

impl Link {
    /// In no list.
    pub const NEW: Self = Self {
        next: Short::new(APART),
        prev: Short::new(APART),
    };

    /// Whether the slot is in the list of this link.
    pub(crate) const fn is_linked(&self) -> bool {
        self.next.get() != APART
    }
}

/// A slot type that can be in the `K`th kind of list.
pub trait Linked<const K: usize> {
    /// The slot's place in that list.
    fn link(&self) -> &Link;
    /// The same, to be changed.
    fn link_mut(&mut self) -> &mut Link;
}

/// Implements [`Linked`]: `linked!(Conn { 0: runnable, 1: ready })`.
macro_rules! linked {
    ($type:ty { $($k:literal: $field:ident),* $(,)? }) => {
        $(impl $crate::tables::Linked<$k> for $type {
            #[inline]
            fn link(&self) -> &$crate::tables::Link { &self.$field }
            #[inline]
            fn link_mut(&mut self) -> &mut $crate::tables::Link { &mut self.$field }
        })*
    };
}
pub(crate) use linked;

const fn some(slot: Short) -> Option<u32> {
    match slot.get() {
        NIL => None,
        slot => Some(slot),
    }
}

/// A list of the `K`th kind.
#[derive(Clone, Copy, Debug)]
pub struct List<const K: usize> {
    head: Short,
    tail: Short,
}

impl<const K: usize> Default for List<K> {
    fn default() -> Self {
        Self::NEW
    }
}

impl<const K: usize> List<K> {
    /// Without slots.
    pub const NEW: Self = Self {
        head: Short::NIL,
        tail: Short::NIL,
    };

    #[inline]
    pub(crate) const fn front(&self) -> Option<u32> {
        some(self.head)
    }

    #[inline]
    pub(crate) const fn back(&self) -> Option<u32> {
        some(self.tail)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head.get() == NIL
    }

    /// Adds a slot at the end; nothing when it is in the list already.
    pub(crate) fn push_back<T: Linked<K>>(
        &mut self,
        slots: &mut impl IndexMut<u32, Output = T>,
        index: u32,
    ) {
        if slots[index].link().is_linked() {
            return;
        }
        *slots[index].link_mut() = Link {
            next: Short::NIL,
            prev: self.tail,
        };
        match self.tail.get() {
            NIL => self.head = Short::new(index),
            tail => slots[tail].link_mut().next = Short::new(index),
        }
        self.tail = Short::new(index);
    }

    /// Takes a slot out; nothing when it is not in the list.
    pub(crate) fn remove<T: Linked<K>>(
        &mut self,
        slots: &mut impl IndexMut<u32, Output = T>,
        index: u32,
    ) {
        let Link { next, prev } = *slots[index].link();
        if next.get() == APART {
            return;
        }
        match prev.get() {
            NIL => self.head = next,
            prev => slots[prev].link_mut().next = next,
        }
        match next.get() {
            NIL => self.tail = prev,
            next => slots[next].link_mut().prev = prev,
        }
        *slots[index].link_mut() = Link::default();
    }

    pub(crate) fn pop_front<T: Linked<K>>(
        &mut self,
        slots: &mut impl IndexMut<u32, Output = T>,
    ) -> Option<u32> {
        let index = self.front()?;
        self.remove(slots, index);
        Some(index)
    }

    /// The slot after `index` in its list.
    #[inline]
    pub(crate) fn next<T: Linked<K>>(
        slots: &impl IndexMut<u32, Output = T>,
        index: u32,
    ) -> Option<u32> {
        let next = slots[index].link().next.get();
        (next < APART).then_some(next)
    }

    /// The slot before `index` in its list.
    #[inline]
    pub(crate) fn prev<T: Linked<K>>(
        slots: &impl IndexMut<u32, Output = T>,
        index: u32,
    ) -> Option<u32> {
        let prev = slots[index].link().prev.get();
        (prev < APART).then_some(prev)
    }
}
