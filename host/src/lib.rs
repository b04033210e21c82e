//! The parts of the soQet server on a computer: what is at the edges of the core's state machine.

pub mod account;
pub mod cli;
pub mod control;
pub mod driver;
pub mod failure;
pub mod files;
pub mod logging;
pub mod serve;
pub mod settings;
pub mod store;
