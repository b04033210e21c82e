//! What a channel remembers in memory: a bounded ring of entries in wire form, read by any number of cursors.
//!
//! To publish is to [`push`](History::push) once; everybody else's work is to [`read`](History::read) on from a [`Cursor`] and
//! [`render`](render()) what is there. [`Select`] finds the bounds of a CHATHISTORY page, the same way in memory and in every store.

pub mod entry;
pub mod render;
pub mod ring;
pub mod select;

mod payers;
mod recall;

#[cfg(test)]
mod tests;

pub use entry::{Flags, View, write_line};
pub use payers::Payer;
pub use recall::Covered;
pub use render::{Extra, TITLES_TAG, TagSet, render};
pub use ring::{Block, Cursor, History, Log, TooLong};
pub use select::{Row, Select, Source, Visit};
