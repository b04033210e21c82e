//! How the one task learns what woke it: every connection has a waker of its own that notes the connection's slot in a shared list,
//! so a pass looks only at connections that something happened to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// The list of woken slots, the task to wake, and the wish to stop. Shared with the store's thread and the signal thread.
#[derive(Debug, Default)]
pub struct Wakes {
    inner: Mutex<Inner>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    woken: Vec<Arc<Slot>>,
    task: Option<Waker>,
}

impl Wakes {
    /// Wakes the task without naming a connection, e.g. because the store has answered.
    pub fn wake(&self) {
        let task = self.lock().task.clone();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Asks the driver to stop.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether [`Self::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Sets the task to be woken. Whoever woke before is found by the task's next pass.
    pub(super) fn set_task(&self, task: &Waker) {
        let mut inner = self.lock();
        if !inner.task.as_ref().is_some_and(|old| old.will_wake(task)) {
            inner.task = Some(task.clone());
        }
    }

    /// The waker of the connection in slot `index`.
    pub(super) fn slot(self: &Arc<Self>, index: u32) -> Waker {
        Waker::from(Arc::new(Slot {
            wakes: Arc::clone(self),
            index,
            listed: AtomicBool::new(false),
        }))
    }

    /// Moves the woken slots to the end of `slots`; each may be woken again from here on.
    pub(super) fn take(&self, slots: &mut impl Extend<u32>) {
        let mut inner = self.lock();
        slots.extend(inner.woken.drain(..).map(|slot| {
            slot.listed.store(false, Ordering::Release);
            slot.index
        }));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way, so a poisoned list is still a good one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's waker.
#[derive(Debug)]
struct Slot {
    wakes: Arc<Wakes>,
    index: u32,
    /// Whether it is in the list already: reading and writing may wake it at once.
    listed: AtomicBool,
}

impl Wake for Slot {
    fn wake(self: Arc<Self>) {
        if self.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let wakes = Arc::clone(&self.wakes);
        let mut inner = wakes.lock();
        inner.woken.push(self);
        // One wake of the task is enough until the list has been taken.
        let task = (inner.woken.len() == 1)
            .then(|| inner.task.clone())
            .flatten();
        drop(inner);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn lists_each_slot_once_and_wakes_the_task_once_until_taken() {
        let wakes = Arc::new(Wakes::default());
        let count = Arc::new(Count::default());
        wakes.set_task(&Waker::from(Arc::clone(&count)));
        let (a, b) = (wakes.slot(3), wakes.slot(5));
        a.wake_by_ref();
        a.wake_by_ref();
        b.wake_by_ref();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);

        let mut slots = Vec::new();
        wakes.take(&mut slots);
        assert_eq!(slots, [3, 5]);

        a.wake_by_ref();
        wakes.take(&mut slots);
        assert_eq!(slots, [3, 5, 3]);
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn stopping_wakes_the_task() {
        let wakes = Arc::new(Wakes::default());
        let count = Arc::new(Count::default());
        wakes.set_task(&Waker::from(Arc::clone(&count)));
        assert!(!wakes.is_stopping());
        wakes.stop();
        assert!(wakes.is_stopping());
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
