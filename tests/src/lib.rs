//! Scenarios of people chatting, written against a small interface ([`World`]) so that the same ones run against the host's
//! real binary, the simulator and an emulated board; and what they need: a client that waits on conditions, never on time.
//!
//! `cargo test -p soqet-tests` runs them against the host. `SOQET_BIN` names the binary to test; without it, cargo builds it.

pub mod board;
pub mod client;
pub mod host;
pub mod line;
pub mod person;
pub mod scenarios;
pub mod scram;
pub mod terminal;
pub mod world;

pub use client::Client;
pub use host::HostWorld;
pub use line::Line;
pub use world::{Wire, World};
