//! What all readers of one file share: where it is, and what was found wrong with it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Environment;
use super::cursor::Cursor;
use super::error::{ConfigError, ConfigErrors, Place};
use super::tree::Node;

/// Most mistakes that are kept; more are counted.
const MAX_ERRORS: usize = 1000;

/// What all readers of one file share.
pub(super) struct Context<'c> {
    file: &'c Path,
    environment: &'c dyn Environment,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    errors: Vec<ConfigError>,
    omitted: usize,
    files: BTreeSet<PathBuf>,
}

impl<'c> Context<'c> {
    pub(super) fn new(file: &'c Path, environment: &'c dyn Environment) -> Self {
        Self { file, environment, found: RefCell::default() }
    }

    pub(super) fn root(&'c self, node: &'c Node) -> Cursor<'c> {
        self.at(node, "")
    }

    /// A value that is known by the name of what it stands in.
    pub(super) fn at(&'c self, node: &'c Node, path: &str) -> Cursor<'c> {
        Cursor::new(self, node, path.to_owned())
    }

    /// The outcome, unless a mistake was noted.
    pub(super) fn finish<T>(&self, value: Option<T>) -> Result<T, ConfigErrors> {
        let Found { errors, omitted, files } = self.found.take();
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(ConfigErrors::new(errors, omitted, files)),
        }
    }

    pub(super) fn environment(&self) -> &'c dyn Environment {
        self.environment
    }

    /// The path of a file that the configuration names; remembered, whatever becomes of it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let path = self.file.parent().unwrap_or(Path::new("")).join(name);
        self.found.borrow_mut().files.insert(path.clone());
        path
    }

    /// Notes a mistake.
    pub(super) fn note(&self, place: Place, path: &str, message: String) {
        let mut found = self.found.borrow_mut();
        if found.errors.len() < MAX_ERRORS {
            found.errors.push(ConfigError::at(self.file, place, path, message));
        } else {
            found.omitted += 1;
        }
    }
}
