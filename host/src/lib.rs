//! The parts of the soQet server on a computer: what is at the edges of the core's state machine.

pub mod store;
