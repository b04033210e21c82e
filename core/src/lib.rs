//! soQet's core: a whole chat server as one `no_std`, allocation-free, sans-IO state machine.
#![cfg_attr(not(test), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod adapters;
pub mod auth;
pub mod config;
pub mod history;
pub mod id;
pub mod irc;
pub mod memory;
pub mod name;
pub mod server;
pub mod store;
pub mod tables;
pub mod text;
pub mod time;
