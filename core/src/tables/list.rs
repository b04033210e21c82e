//! Doubly linked lists through the slots of a pool: O(1) everything, no memory of their own.

use super::{NIL, Pool, Short};

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

/// A slot type that can be in lists.
pub trait Links {
    /// The slot's place in a list of that kind.
    fn link(&self, kind: usize) -> &Link;
    /// The same, to be changed.
    fn link_mut(&mut self, kind: usize) -> &mut Link;
}

/// A slot type that can be in the `K`th kind of list.
pub trait Linked<const K: usize>: Links {}

/// Implements [`Linked`]: `linked!(Conn { 0: runnable, 1: ready })`.
macro_rules! linked {
    ($type:ty { $first:literal: $default:ident $(, $k:literal: $field:ident)* $(,)? }) => {
        impl $crate::tables::Linked<$first> for $type {}
        $(impl $crate::tables::Linked<$k> for $type {})*

        impl $crate::tables::Links for $type {
            #[inline]
            fn link(&self, kind: usize) -> &$crate::tables::Link {
                match kind {
                    $($k => &self.$field,)*
                    _ => &self.$default,
                }
            }
            #[inline]
            fn link_mut(&mut self, kind: usize) -> &mut $crate::tables::Link {
                match kind {
                    $($k => &mut self.$field,)*
                    _ => &mut self.$default,
                }
            }
        }
    };
}
pub(crate) use linked;

/// A table of slots in lists. What links them is compiled once, not for each type of slot.
pub(crate) trait Table {
    fn link_of(&mut self, index: u32, kind: usize) -> &mut Link;
}

impl<T: Links> Table for Pool<'_, T> {
    #[inline]
    fn link_of(&mut self, index: u32, kind: usize) -> &mut Link {
        self[index].link_mut(kind)
    }
}

const fn some(slot: Short) -> Option<u32> {
    match slot.get() {
        NIL => None,
        slot => Some(slot),
    }
}

/// The ends of a list.
#[derive(Clone, Copy, Debug)]
struct Ends {
    head: Short,
    tail: Short,
}

impl Ends {
    #[inline]
    fn push_back(&mut self, slots: &mut dyn Table, kind: usize, index: u32) {
        let link = slots.link_of(index, kind);
        if link.is_linked() {
            return;
        }
        *link = Link {
            next: Short::NIL,
            prev: self.tail,
        };
        let index = Short::new(index);
        match self.tail.get() {
            NIL => self.head = index,
            tail => slots.link_of(tail, kind).next = index,
        }
        self.tail = index;
    }

    #[inline]
    fn remove(&mut self, slots: &mut dyn Table, kind: usize, index: u32) {
        let Link { next, prev } = core::mem::take(slots.link_of(index, kind));
        if next.get() == APART {
            return;
        }
        match prev.get() {
            NIL => self.head = next,
            prev => slots.link_of(prev, kind).next = next,
        }
        match next.get() {
            NIL => self.tail = prev,
            next => slots.link_of(next, kind).prev = prev,
        }
    }
}

/// A list of the `K`th kind.
#[derive(Clone, Copy, Debug)]
pub struct List<const K: usize>(Ends);

impl<const K: usize> Default for List<K> {
    fn default() -> Self {
        Self::NEW
    }
}

impl<const K: usize> List<K> {
    /// Without slots.
    pub const NEW: Self = Self(Ends {
        head: Short::NIL,
        tail: Short::NIL,
    });

    #[inline]
    pub(crate) const fn front(&self) -> Option<u32> {
        some(self.0.head)
    }

    #[inline]
    pub(crate) const fn back(&self) -> Option<u32> {
        some(self.0.tail)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.head.get() == NIL
    }

    /// Adds a slot at the end; nothing when it is in the list already.
    pub(crate) fn push_back<T: Linked<K>>(&mut self, slots: &mut Pool<'_, T>, index: u32) {
        self.0.push_back(slots, K, index);
    }

    /// Takes a slot out; nothing when it is not in the list.
    pub(crate) fn remove<T: Linked<K>>(&mut self, slots: &mut Pool<'_, T>, index: u32) {
        self.0.remove(slots, K, index);
    }

    /// Takes the first slot out.
    pub(crate) fn pop_front<T: Linked<K>>(&mut self, slots: &mut Pool<'_, T>) -> Option<u32> {
        let index = self.front()?;
        self.remove(slots, index);
        Some(index)
    }

    /// The slot after `index` in its list.
    #[inline]
    pub(crate) fn next<T: Linked<K>>(slots: &Pool<'_, T>, index: u32) -> Option<u32> {
        let next = slots[index].link(K).next.get();
        (next < APART).then_some(next)
    }

    /// The slot before `index` in its list.
    #[inline]
    pub(crate) fn prev<T: Linked<K>>(slots: &Pool<'_, T>, index: u32) -> Option<u32> {
        let prev = slots[index].link(K).prev.get();
        (prev < APART).then_some(prev)
    }
}
