//! Tells whether what was shipped is all there and unchanged.
//!
//! A [`Verifier`] walks the objects of an [`Archive`] in the order of their keys, one at a time, and
//! compares the numbers in their names and the hashes in their lines. What can't be told: whether the
//! newest lines of a node are missing, and, without signatures, whether somebody wrote all of it anew.

use std::collections::BTreeMap;
use std::io::{BufReader, Cursor};
use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use super::hash::Hash;
use super::key::ObjectName;
use super::sign::{CheckSignature, Signature, Statement};
use super::sink::Cause;

mod lines;
#[cfg(test)]
mod tests;

use lines::{Line, Lines};

/// A place from which objects can be read.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Some of the keys that begin with a prefix and come after a key, in order; none at the end.
    ///
    /// # Errors
    /// If they can't be listed.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<String>, ArchiveError>;

    /// One object.
    ///
    /// # Errors
    /// If it can't be read.
    async fn get(&self, key: &str) -> Result<Found, ArchiveError>;
}

/// An object as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its contents.
    pub bytes: Bytes,
    /// Hexadecimal digits of its signature, if it has one.
    pub signature: Option<String>,
}

/// An archive can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveError(#[source] Cause);

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The name is none of a shipper.
    Foreign,
    /// Records between the object before it and this one are missing.
    Missing {
        /// Their numbers.
        records: Range<u64>,
    },
    /// Another object has records with the same numbers.
    Duplicate {
        /// Their numbers.
        records: Range<u64>,
    },
    /// It went beside another object that had its key.
    Conflict,
    /// The line before this one was changed, removed or added: its hash is not what this line says.
    Edited {
        /// Number of the line in the object, from 1.
        line: u64,
    },
    /// A line has no hash of the line before it.
    Unchained {
        /// Number of the line in the object, from 1.
        line: u64,
    },
    /// There are not as many lines as the name says.
    Lines {
        /// By the name.
        expected: u64,
        /// In the object.
        found: u64,
    },
    /// It can't be decompressed.
    Unreadable(String),
    /// It has no signature.
    Unsigned,
    /// The signature is not one of this object.
    BadSignature,
}

/// An object that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its key.
    pub key: String,
    /// What is wrong with it; nothing if all is well.
    pub findings: Vec<Finding>,
}

/// What was looked at so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects.
    pub objects: u64,
    /// Lines in them.
    pub lines: u64,
    /// Findings.
    pub findings: u64,
    /// For each node the numbers from the first record found to the last.
    pub nodes: BTreeMap<String, Range<u64>>,
}

/// Walks an archive. Memory: one object as it is stored, and a few words for each node.
pub struct Verifier<'a> {
    archive: &'a dyn Archive,
    prefix: String,
    signatures: Option<&'a dyn CheckSignature>,
    page: std::vec::IntoIter<String>,
    last_key: Option<String>,
    heads: BTreeMap<String, Hash>,
    summary: Summary,
}

impl ArchiveError {
    /// An error with this cause.
    pub fn new(cause: impl Into<Cause>) -> Self {
        Self(cause.into())
    }
}

impl<'a> Verifier<'a> {
    /// A verifier of the objects whose keys begin with a prefix. With `signatures`, each must have one
    /// that is valid.
    #[must_use]
    pub fn new(
        archive: &'a dyn Archive,
        prefix: impl Into<String>,
        signatures: Option<&'a dyn CheckSignature>,
    ) -> Self {
        Self {
            archive,
            prefix: prefix.into(),
            signatures,
            page: Vec::new().into_iter(),
            last_key: None,
            heads: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    /// Looks at the next object.
    ///
    /// # Errors
    /// If the archive can't be read; the object is tried again next time.
    pub async fn next(&mut self) -> Result<Option<Checked>, ArchiveError> {
        let Some(key) = self.next_key().await? else { return Ok(None) };
        let findings = match ObjectName::parse(&key) {
            Some(name) => {
                let found = self.archive.get(&key).await?;
                self.object(&key, &name, found)
            }
            None => vec![Finding::Foreign],
        };
        self.page.next();
        self.summary.objects += 1;
        self.summary.findings += u64::try_from(findings.len()).unwrap_or(u64::MAX);
        self.last_key = Some(key.clone());
        Ok(Some(Checked { key, findings }))
    }

    /// The key that comes next. One that ends in a slash is no object's: clients of S3 make a directory so.
    async fn next_key(&mut self) -> Result<Option<String>, ArchiveError> {
        loop {
            match self.page.as_slice().first() {
                Some(key) if key.ends_with('/') => self.last_key = self.page.next(),
                Some(key) => return Ok(Some(key.clone())),
                None => {
                    let page = self.archive.list(&self.prefix, self.last_key.as_deref()).await?;
                    if page.is_empty() {
                        return Ok(None);
                    }
                    self.page = page.into_iter();
                }
            }
        }
    }

    /// What was looked at so far.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    fn object(&mut self, key: &str, name: &ObjectName, found: Found) -> Vec<Finding> {
        let mut findings = Vec::new();
        let end = name.last.saturating_add(1);
        let expected = self.summary.nodes.get(&name.node).map(|range| range.end);
        if name.conflict {
            findings.push(Finding::Conflict);
        }
        match expected {
            Some(expected) if name.first > expected => {
                findings.push(Finding::Missing { records: expected..name.first });
            }
            Some(expected) if name.first < expected => {
                findings.push(Finding::Duplicate { records: name.first..end.min(expected) });
            }
            _ => {}
        }
        let duplicate = expected.is_some_and(|expected| name.first < expected);
        let before = match expected {
            Some(expected) if expected == name.first => self.heads.get(&name.node).copied(),
            None if name.first == 0 => Some(Hash::NONE),
            _ => None,
        };
        let head = self.lines(name, found.bytes, before, &mut findings);
        if let (Some(signatures), Some(head)) = (self.signatures, head) {
            let statement = Statement { key, first: name.first, last: name.last, head };
            findings.extend(check_signature(signatures, &statement, found.signature.as_deref()));
        }
        if !duplicate {
            let range = self.summary.nodes.entry(name.node.clone()).or_insert(name.first..end);
            range.end = end;
            // What follows an object that can't be read to its end can't be held against it.
            match head {
                Some(head) => drop(self.heads.insert(name.node.clone(), head)),
                None => drop(self.heads.remove(&name.node)),
            }
        }
        findings
    }

    /// Follows the chain through an object; gives the hash of its last line.
    fn lines(
        &mut self,
        name: &ObjectName,
        bytes: Bytes,
        before: Option<Hash>,
        findings: &mut Vec<Finding>,
    ) -> Option<Hash> {
        let decoder = name.compression.decoder(Cursor::new(bytes));
        let mut lines = match decoder {
            Ok(decoder) => Lines::new(BufReader::with_capacity(64 * 1024, decoder)),
            Err(error) => {
                findings.push(Finding::Unreadable(error.to_string()));
                return None;
            }
        };
        let (mut head, mut line) = (before, 0);
        loop {
            match lines.next() {
                Ok(Some(Line { hash, prev })) => {
                    line += 1;
                    match prev {
                        None => findings.push(Finding::Unchained { line }),
                        Some(prev) if head.is_some_and(|head| head != prev) => {
                            findings.push(Finding::Edited { line });
                        }
                        Some(_) => {}
                    }
                    head = Some(hash);
                }
                Ok(None) => break,
                Err(error) => {
                    findings.push(Finding::Unreadable(error.to_string()));
                    return None;
                }
            }
        }
        self.summary.lines += line;
        let expected = (name.last - name.first).saturating_add(1);
        if line != expected {
            findings.push(Finding::Lines { expected, found: line });
        }
        head
    }
}

fn check_signature(
    signatures: &dyn CheckSignature,
    statement: &Statement<'_>,
    found: Option<&str>,
) -> Option<Finding> {
    let Some(found) = found else { return Some(Finding::Unsigned) };
    let valid = Signature::from_hex(found).is_some_and(|found| signatures.is_valid(statement, &found));
    (!valid).then_some(Finding::BadSignature)
}
