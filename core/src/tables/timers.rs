//! One deadline per connection in a binary heap, so that the next is known at once and a change costs O(log n).

use super::{Count, NIL, Short};
use crate::time::Instant;

/// A place of the heap, and where the connection of the same number stands in it.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    at: Count,
    owner: Short,
    position: Short,
}

impl Timer {
    /// Of nobody.
    pub const EMPTY: Self = Self {
        at: Count::ZERO,
        owner: Short::NIL,
        position: Short::NIL,
    };
}

impl Default for Timer {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A heap of deadlines.
pub struct Timers<'a> {
    heap: &'a mut [Timer],
    len: usize,
}

impl<'a> Timers<'a> {
    pub(crate) fn new(heap: &'a mut [Timer]) -> Self {
        Self { heap, len: 0 }
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        (self.len > 0).then(|| self.at(0))
    }

    /// Takes one that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<u32> {
        if self.next()? > now {
            return None;
        }
        let owner = self.heap[0].owner.get();
        self.clear(owner);
        Some(owner)
    }

    /// Sets the one deadline of `owner`.
    pub(crate) fn set(&mut self, owner: u32, at: Instant) {
        let mut place = self.heap[owner as usize].position.get() as usize;
        if place == NIL as usize {
            place = self.len;
            self.len += 1;
        }
        self.put(place, at, owner);
        let place = self.up(place);
        self.down(place);
    }

    pub(crate) fn clear(&mut self, owner: u32) {
        let place = self.heap[owner as usize].position.get();
        if place == NIL {
            return;
        }
        self.heap[owner as usize].position = Short::NIL;
        self.len -= 1;
        let place = place as usize;
        if place < self.len {
            let (at, owner) = (self.at(self.len), self.heap[self.len].owner);
            self.put(place, at, owner.get());
            let place = self.up(place);
            self.down(place);
        }
    }

    fn put(&mut self, place: usize, at: Instant, owner: u32) {
        self.heap[place].at = Count::new(at.0);
        self.heap[place].owner = Short::new(owner);
        self.heap[owner as usize].position = Short::new(place as u32);
    }

    fn at(&self, place: usize) -> Instant {
        Instant(self.heap[place].at.get())
    }

    fn swap(&mut self, a: usize, b: usize) {
        let (x, y) = (self.heap[a], self.heap[b]);
        self.put(a, Instant(y.at.get()), y.owner.get());
        self.put(b, Instant(x.at.get()), x.owner.get());
    }

    fn up(&mut self, mut place: usize) -> usize {
        while place > 0 && self.at(place) < self.at((place - 1) / 2) {
            self.swap(place, (place - 1) / 2);
            place = (place - 1) / 2;
        }
        place
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.len && self.at(child) < self.at(least) {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn pops_in_order(ops in proptest::collection::vec((0u32..8, proptest::option::of(0u64..50)), 1..100)) {
            let mut heap = [Timer::default(); 8];
            let mut timers = Timers::new(&mut heap);
            let mut model = [None; 8];
            for (owner, at) in ops {
                match at {
                    Some(at) => timers.set(owner, Instant(at)),
                    None => timers.clear(owner),
                }
                model[owner as usize] = at;
                proptest::prop_assert_eq!(timers.next(), model.iter().flatten().min().map(|at| Instant(*at)));
            }
            let mut last = 0;
            while let Some(owner) = timers.pop(Instant(100)) {
                let at = model[owner as usize].take().unwrap();
                proptest::prop_assert!(at >= last);
                last = at;
            }
            proptest::prop_assert!(model.iter().all(Option::is_none));
        }
    }
}
