//! The store of a computer: the core's [`Operation`](soqet_core::store::Operation)s on an SQLite database.
//!
//! [`Sqlite::open`] opens the database of a data folder, with [`Sqlite::execute`] for one operation at a time; a server takes
//! [`Handle::start`], which does them on threads of its own. docs/store.md shows the tables.

mod answer;
mod error;
mod history;
mod lock;
mod packed;
mod reader;
mod reads;
mod rows;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;
mod thread;
mod writer;
mod writes;

pub use answer::Answer;
pub use error::OpenError;
pub use sqlite::{FILE, Sqlite};
pub use thread::{Died, Handle};
