//! What needs no operating system but does need a library, each behind a feature: the simulator runs the very code a board runs.

#[cfg(feature = "flash")]
pub mod blocks;
#[cfg(feature = "flash")]
pub mod flash;
#[cfg(feature = "smoltcp")]
pub mod smoltcp;
