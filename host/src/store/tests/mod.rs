//! What a store promises, tested over an interface so that every store can be held to it, and what is SQLite's own.

mod appends;
mod behind_threads;
mod contract;
mod damage;
mod failures;
mod pages;
mod rig;
