//! Ethernet: stations, which are smoltcp stacks, joined by a switch that delays, loses, doubles, reorders and damages frames.

mod nic;
pub mod pcap;
mod station;
mod switch;
mod terrain;

pub use nic::Nic;
pub use station::{Station, ip_of};
pub use switch::{Switch, Weather};
pub use terrain::Terrain;
