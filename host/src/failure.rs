//! What went wrong, in the words of whoever typed the command, ending in what to do next.

use std::fmt;

/// A failure that ends the program: shown as it is, without a backtrace.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure with its whole text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
