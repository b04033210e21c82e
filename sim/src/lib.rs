//! A simulated world for soQet: one server and many clients over byte pipes on virtual time, every fault drawn from one seed, and an
//! oracle that knows what was acknowledged.

pub mod client;
pub mod draw;
pub mod ether;
pub mod line;
pub mod media;
pub mod oracle;
pub mod pipe;
pub mod plan;
pub mod report;
pub mod store;
pub mod trace;
pub mod world;

pub use report::{Report, run};
pub use store::Sabotage;
pub use world::{Net, Options};
