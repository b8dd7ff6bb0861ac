//! Names of objects: where they are found, and which records are in them.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::encoding::Compression;
use super::hash::Hash;

const HOUR: u64 = 3_600_000;
const CONFLICT: &str = ".conflict-";
/// Digits of the largest number, so that order by name is order by number.
const DIGITS: usize = 20;

/// What the name of an object says.
///
/// `<prefix>year=2026/month=11/day=23/hour=17/<node>-<first seq>-<last seq>.jsonl.gz`, with the numbers
/// padded with zeros to 20 digits. An object that went beside another because of a conflict has
/// `.conflict-` and digits of its hash before the suffix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    /// Who shipped it.
    pub node: String,
    /// The number of its first record.
    pub first: u64,
    /// The number of its last record.
    pub last: u64,
    /// Whether it went beside another object that had its key.
    pub conflict: bool,
    /// How it is compressed.
    pub compression: Compression,
}

/// A node or a prefix that can't be part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The node.
    #[error("node `{0}` must be 1 to 128 letters, digits, `.`, `_` or `-`, and not begin with `.`")]
    Node(String),
    /// The prefix.
    #[error(
        "prefix `{0}` must be at most 512 characters, not begin with `/`, have no empty, `.` or `..` part and no control character"
    )]
    Prefix(String),
}

impl ObjectName {
    /// What a key says; nothing if it is not one of a shipper.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let name = key.rsplit('/').next()?;
        let (name, compression) = Compression::ALL
            .into_iter()
            .find_map(|compression| Some((name.strip_suffix(compression.suffix())?, compression)))?;
        let (name, conflict) = match name.rsplit_once(CONFLICT) {
            Some((name, digits)) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => (name, true),
            _ => (name, false),
        };
        let (name, last) = name.rsplit_once('-')?;
        let (node, first) = name.rsplit_once('-')?;
        let number = |digits: &str| (digits.len() == DIGITS).then(|| digits.parse().ok())?;
        let (first, last) = (number(first)?, number(last)?);
        (first <= last && is_node(node)).then(|| Self {
            node: node.to_owned(),
            first,
            last,
            conflict,
            compression,
        })
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, first, last, compression, .. } = self;
        write!(f, "{node}-{first:0DIGITS$}-{last:0DIGITS$}{}", compression.suffix())
    }
}

/// The hour of a moment, counted since 1970.
pub(crate) const fn hour_of(at_millis: u64) -> u64 {
    at_millis / HOUR
}

/// The key of an object with records of an hour.
pub(crate) fn key(prefix: &str, hour: u64, name: &ObjectName) -> String {
    format!("{prefix}{}/{name}", directory(hour))
}

/// Where the objects of an hour are, below the prefix.
pub(crate) fn directory(hour: u64) -> String {
    let at = i64::try_from(hour.saturating_mul(HOUR)).ok();
    let at = at.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX);
    let at = TimeZone::UTC.to_datetime(at);
    let (year, month, day, hour) = (at.year(), at.month(), at.day(), at.hour());
    format!("year={year:04}/month={month:02}/day={day:02}/hour={hour:02}")
}

/// Where an object goes whose key is taken: the same place every time.
pub(crate) fn beside(key: &str, sha256: Hash) -> String {
    let digits: String = sha256.to_string().chars().take(16).collect();
    for compression in Compression::ALL {
        if let Some(name) = key.strip_suffix(compression.suffix()) {
            return format!("{name}{CONFLICT}{digits}{}", compression.suffix());
        }
    }
    format!("{key}{CONFLICT}{digits}")
}

pub(crate) fn check_node(node: &str) -> Result<(), NameError> {
    if is_node(node) { Ok(()) } else { Err(NameError::Node(node.to_owned())) }
}

fn is_node(node: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&node.len()) && !node.starts_with('.') && node.bytes().all(allowed)
}

/// Whether all keys may begin with a prefix, as [`Options::prefix`](super::Options::prefix) wants it.
///
/// # Errors
/// If they may not.
pub fn check_prefix(prefix: &str) -> Result<(), NameError> {
    let good = |part: &str| !matches!(part, "" | "." | "..");
    let whole = prefix.strip_suffix('/').unwrap_or(prefix);
    let clean = prefix.is_empty() || whole.split('/').all(good);
    if clean && prefix.len() <= 512 && !prefix.chars().any(char::is_control) {
        return Ok(());
    }
    Err(NameError::Prefix(prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_what_is_in_the_object_and_sort_by_number() {
        let name = |first, last| ObjectName {
            node: "edge-1-a8".to_owned(),
            first,
            last,
            conflict: false,
            compression: Compression::Gzip,
        };
        // 2026-11-23 17:59:59.999
        let key = |first, last| key("audit/", hour_of(1_795_456_799_999), &name(first, last));
        assert_eq!(
            key(7, 106),
            "audit/year=2026/month=11/day=23/hour=17/\
             edge-1-a8-00000000000000000007-00000000000000000106.jsonl.gz"
        );
        assert_eq!(ObjectName::parse(&key(7, 106)), Some(name(7, 106)));
        assert!(key(9, 9) < key(10, 10) && key(10, 10) < key(u64::MAX, u64::MAX));
        let beside = beside(&key(7, 106), Hash::of(b""));
        assert!(beside.ends_with("106.conflict-e3b0c44298fc1c14.jsonl.gz"), "{beside}");
        assert_eq!(ObjectName::parse(&beside), Some(ObjectName { conflict: true, ..name(7, 106) }));
        for foreign in
            ["", "a", "a.jsonl.gz", "a-1-2.jsonl.gz", "a-00000000000000000002-00000000000000000001.jsonl"]
        {
            assert_eq!(ObjectName::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn nodes_and_prefixes_stay_in_their_place() {
        for node in ["a", "edge-1.example_2"] {
            assert_eq!(check_node(node), Ok(()));
        }
        for node in ["", "a/b", "..", ".a", "a b", "é"] {
            assert!(check_node(node).is_err(), "{node}");
        }
        for prefix in ["", "a/", "a/b", "a b/"] {
            assert_eq!(check_prefix(prefix), Ok(()));
        }
        for prefix in ["/", "/a", "a//b/", "../", "a/./", "a\n/"] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
