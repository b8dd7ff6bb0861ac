//! Secrets. They are compared and used, but never shown.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::cursor::Cursor;

/// The longest secret, so that a wrong path does not read a disk.
const MAX_SECRET: u64 = 64 << 10;

const KEYS: &[&str] = &["env", "file", "value"];

/// A secret with where it came from. Shown as `***` by everything.
#[derive(Clone)]
pub struct Secret {
    source: Source,
    value: String,
    /// Compared in place of the value, so that not even its length shows in the time it takes.
    digest: [u8; 32],
}

/// Where a secret came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A variable of the environment.
    Env(String),
    /// A file, less the line break at its end.
    File(PathBuf),
    /// The configuration itself.
    Value,
}

impl Secret {
    /// A secret that is written in the configuration.
    #[must_use]
    pub fn from_value(value: String) -> Self {
        Self::new(Source::Value, value)
    }

    fn new(source: Source, value: String) -> Self {
        let digest = Sha256::digest(value.as_bytes()).into();
        Self { source, value, digest }
    }

    /// Whether `given` is the secret, in a time that tells nothing about it.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        let given: [u8; 32] = Sha256::digest(given).into();
        self.digest.ct_eq(&given).into()
    }

    /// The secret in clear, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && bool::from(self.digest.ct_eq(&other.digest))
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads a secret that clients send in a header. Its value appears in no message.
pub(super) fn token(cursor: &Cursor<'_>) -> Option<Secret> {
    let secret = read(cursor)?;
    let sendable = secret.value.bytes().all(|byte| byte.is_ascii_graphic());
    if !sendable {
        cursor.error("holds what a token can't: blanks, control characters or letters beyond ASCII");
    }
    sendable.then_some(secret)
}

fn read(cursor: &Cursor<'_>) -> Option<Secret> {
    if !cursor.is_mapping_of(KEYS) {
        // What stands there may be the secret, so nothing of it is shown.
        cursor.error("must be a mapping: {env: NAME}, {file: PATH} or {value: TEXT}");
        return None;
    }
    let map = cursor.mapping(&[KEYS]);
    let mut given = KEYS.iter().filter_map(|key| Some((*key, map.get(key)?)));
    let (Some((kind, at)), None) = (given.next(), given.next()) else {
        cursor.error("needs exactly one of env, file and value");
        return None;
    };
    let (source, value) = match kind {
        "env" => from_environment(&at)?,
        "file" => from_file(&at)?,
        _ => (Source::Value, at.text()?.to_owned()),
    };
    if value.is_empty() {
        at.error("gives an empty secret");
        return None;
    }
    Some(Secret::new(source, value))
}

fn from_environment(at: &Cursor<'_>) -> Option<(Source, String)> {
    let name = at.text()?;
    if at.is_foreign() {
        at.error("environment variables can be named in the configuration only");
        return None;
    }
    if name.is_empty() || name.contains(['=', '\0']) {
        at.error("must be the name of an environment variable");
        return None;
    }
    let value = at.environment().variable(name);
    if value.is_none() {
        at.error(format!(
            "the environment variable {} is not set, or not UTF-8",
            super::value::shortened(name)
        ));
    }
    Some((Source::Env(name.to_owned()), value?))
}

fn from_file(at: &Cursor<'_>) -> Option<(Source, String)> {
    let path = at.file()?;
    let mut text = contents(&path).map_err(|why| at.error(format!("{} {why}", path.display()))).ok()?;
    // Editors and `echo` leave one.
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Some((Source::File(path), text))
}

fn contents(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_SECRET {
        return Err(format!("is larger than {}", super::value::size_text(MAX_SECRET)));
    }
    String::from_utf8(bytes).map_err(|_| String::from("is not UTF-8"))
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
