//! The names by which applications and versions are known everywhere: in the configuration, in
//! pins, in headers, logs and metric labels. Only valid ones can be made.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest label value and the longest name that we accept.
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>
const MAX_LENGTH: usize = 63;

/// The id of a version: a Kubernetes label value that is not empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionId(Arc<str>);

/// The identity of an application: its namespace, which may be empty, and its name. Serialised as
/// it is written: `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AppId {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// A name that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{given:?} is not a valid {kind}: at most {MAX_LENGTH} of A-Z a-z 0-9 . _ -, a letter or digit at both ends"
)]
pub struct InvalidId {
    kind: &'static str,
    given: String,
}

impl VersionId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VersionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        check("version id", text).map(|()| Self(text.into()))
    }
}

impl TryFrom<String> for VersionId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<VersionId> for String {
    fn from(id: VersionId) -> Self {
        id.as_str().to_owned()
    }
}

impl Borrow<str> for VersionId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AppId {
    /// The identity of `name` in `namespace`, which may be empty.
    ///
    /// # Errors
    /// If one of them is no name.
    pub fn new(namespace: &str, name: &str) -> Result<Self, InvalidId> {
        if !namespace.is_empty() {
            check("namespace", namespace)?;
        }
        check("app name", name)?;
        Ok(Self { namespace: namespace.into(), name: name.into() })
    }

    /// The namespace; empty outside Kubernetes.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for AppId {
    type Err = InvalidId;

    /// Reads `namespace/name` or `name`.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let (namespace, name) = text.split_once('/').unwrap_or(("", text));
        Self::new(namespace, name)
    }
}

impl TryFrom<String> for AppId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<AppId> for String {
    fn from(id: AppId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

fn check(kind: &'static str, text: &str) -> Result<(), InvalidId> {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let valid = bytes.len() <= MAX_LENGTH
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte));
    if valid { Ok(()) } else { Err(InvalidId { kind, given: text.chars().take(80).collect() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ids_are_label_values() {
        let longest = "v".repeat(63);
        for valid in ["v1", "1", "2026.11.23-rc_1", longest.as_str()] {
            assert_eq!(valid.parse::<VersionId>().unwrap().as_str(), valid);
        }
        let too_long = "v".repeat(64);
        for invalid in ["", "-v1", "v1.", "v 1", "v1;", "v/1", "ü", too_long.as_str()] {
            assert!(invalid.parse::<VersionId>().is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn apps_are_read_as_they_are_written() {
        for text in ["shop", "web/shop"] {
            assert_eq!(text.parse::<AppId>().unwrap().to_string(), text);
        }
        for invalid in ["", "/shop", "a/b/c", "web/"] {
            assert_eq!(invalid.parse::<AppId>().is_err(), invalid != "/shop", "{invalid:?}");
        }
    }
}
