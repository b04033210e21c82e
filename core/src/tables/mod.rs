//! Fixed-size containers over borrowed slices. All state of the server lives in them: slots named by index, chained by links
//! inside the slots, found through a seeded index, woken by a heap of deadlines.

mod buffers;
mod index;
mod list;
mod narrow;
mod pool;
mod timers;

pub use buffers::Buffers;
pub use index::{Cell, Index};
pub(crate) use list::linked;
pub use list::{Link, Linked, Links, List};
pub(crate) use narrow::{Count, Generation, Near, Offset, Tally, Time};
pub use narrow::{SLOTS_MAX, Short};
pub use pool::{Pool, Slot};
pub use timers::{Timer, Timers};

/// No slot.
pub const NIL: u32 = u32::MAX;
