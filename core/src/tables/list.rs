//! Doubly linked lists through the slots of a pool: O(1) everything, no memory of their own.

use core::ops::IndexMut;

use super::NIL;

const APART: u32 = NIL - 1;

/// One slot's place in one list.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    next: u32,
    prev: u32,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            next: APART,
            prev: APART,
        }
    }
}

impl Link {
    /// Whether the slot is in the list of this link.
    pub(crate) const fn is_linked(&self) -> bool {
        self.next != APART
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

/// A list of the `K`th kind.
#[derive(Clone, Copy, Debug)]
pub struct List<const K: usize> {
    head: u32,
    tail: u32,
}

impl<const K: usize> Default for List<K> {
    fn default() -> Self {
        Self {
            head: NIL,
            tail: NIL,
        }
    }
}

impl<const K: usize> List<K> {
    #[inline]
    pub(crate) const fn front(&self) -> Option<u32> {
        if self.head == NIL {
            None
        } else {
            Some(self.head)
        }
    }

    #[inline]
    pub(crate) const fn back(&self) -> Option<u32> {
        if self.tail == NIL {
            None
        } else {
            Some(self.tail)
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NIL
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
            next: NIL,
            prev: self.tail,
        };
        match self.tail {
            NIL => self.head = index,
            tail => slots[tail].link_mut().next = index,
        }
        self.tail = index;
    }

    /// Takes a slot out; nothing when it is not in the list.
    pub(crate) fn remove<T: Linked<K>>(
        &mut self,
        slots: &mut impl IndexMut<u32, Output = T>,
        index: u32,
    ) {
        let Link { next, prev } = *slots[index].link();
        if next == APART {
            return;
        }
        match prev {
            NIL => self.head = next,
            prev => slots[prev].link_mut().next = next,
        }
        match next {
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
        let next = slots[index].link().next;
        (next < APART).then_some(next)
    }

    /// The slot before `index` in its list.
    #[inline]
    pub(crate) fn prev<T: Linked<K>>(
        slots: &impl IndexMut<u32, Output = T>,
        index: u32,
    ) -> Option<u32> {
        let prev = slots[index].link().prev;
        (prev < APART).then_some(prev)
    }
}
