//! What is wrong with a configuration, and where.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A place in the file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The configuration file.
    pub file: String,
    /// Where in it; absent if the file as a whole can't be used.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// Which key, such as `apps[0].versions[1].id`; empty for a mistake in the YAML itself.
    pub path: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// All mistakes of one configuration, in the order of their places. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
    omitted: usize,
    files: BTreeSet<PathBuf>,
}

// === impl Place ===

impl Place {
    /// The place of what does not stand in the file.
    pub(super) const ELSEWHERE: Self = Self { line: 0, column: 0 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

// === impl ConfigError ===

impl ConfigError {
    pub(super) fn at(file: &Path, place: Place, path: &str, message: String) -> Self {
        Self { file: file.display().to_string(), place: Some(place), path: path.to_owned(), message }
    }

    pub(super) fn whole_file(file: &Path, message: String) -> Self {
        Self { file: file.display().to_string(), place: None, path: String::new(), message }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{place}")?;
        }
        if self.path.is_empty() {
            write!(f, ": {}", self.message)
        } else {
            write!(f, " {}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for ConfigError {}

// === impl ConfigErrors ===

impl ConfigErrors {
    pub(super) fn new(mut errors: Vec<ConfigError>, omitted: usize, files: BTreeSet<PathBuf>) -> Self {
        errors.sort_by_key(|error| error.place);
        Self { errors, omitted, files }
    }

    pub(super) fn single(error: ConfigError) -> Self {
        Self::new(vec![error], 0, BTreeSet::new())
    }

    /// The mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }

    /// How many mistakes there are, those beyond the thousandth included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.errors.len().saturating_add(self.omitted)
    }

    /// The files that the configuration names, broken ones included: mending one of them may mend
    /// the configuration.
    #[must_use]
    pub fn files(&self) -> &BTreeSet<PathBuf> {
        &self.files
    }
}

impl<'e> IntoIterator for &'e ConfigErrors {
    type Item = &'e ConfigError;
    type IntoIter = std::slice::Iter<'e, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
