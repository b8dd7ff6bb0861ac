//! What can go wrong in a run, with what was being done.

use std::error::Error;

/// The result of most functions here.
pub type Result<T> = std::result::Result<T, Failure>;

/// A failure, as a sentence for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(String);

impl Failure {
    /// A failure without an underlying error.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Fails unless something is right.
///
/// # Errors
/// What is wrong `otherwise`.
pub fn demand(right: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if right { Ok(()) } else { Err(Failure::new(otherwise())) }
}

/// Says what was being done when an error came up.
pub trait Context<T> {
    /// Puts `what` before the error.
    ///
    /// # Errors
    /// If `self` is one.
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Error> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure(format!("{}: {error}", what())))
    }
}
