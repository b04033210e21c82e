//! The soQet chat server on a microcontroller: [`boards`] say what a chip has, the rest is the same on each of them.
//!
//! On a computer only what has tests there is compiled; the images are built for microcontrollers by
//! `cargo xtask firmware build`.
#![cfg_attr(not(test), no_std)]

pub mod mdns;

#[cfg(target_os = "none")]
pub mod boards;
#[cfg(target_os = "none")]
pub mod clock;
#[cfg(target_os = "none")]
mod faults;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
pub mod log;
#[cfg(target_os = "none")]
mod network;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
pub mod stack;

#[cfg(target_os = "none")]
pub use run::run;
