//! `ai.keys`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::model::{Key, Pattern};
use crate::ai::ledger::KeyIdentity;
use crate::config::cursor::Cursor;
use crate::config::error::Place;
use crate::config::mapping::Mapping;
use crate::config::value::{number_in, quoted};

const KEYS: &[&str] = &["id", "sha256", "expires", "labels", "models", "limits"];
const MOST: u32 = 100_000_000;

pub(super) fn read(map: &Mapping<'_>) -> Vec<Arc<Key>> {
    let mut ids = HashMap::new();
    let mut digests = HashMap::new();
    let items = map.list("keys");
    items.iter().filter_map(|item| key(item, &mut ids, &mut digests).map(Arc::new)).collect()
}

fn key(
    item: &Cursor<'_>,
    ids: &mut HashMap<String, Place>,
    digests: &mut HashMap<[u8; 32], Place>,
) -> Option<Key> {
    let map = item.mapping(&[KEYS]);
    let id = map.required("id").and_then(|at| unused(&at, at.parse(id)?, ids));
    let sha256 = map.required("sha256").and_then(|at| unused(&at, at.parse(digest)?, digests));
    let expires = map.get("expires").map(|at| at.parse(moment));
    let labels = map.get("labels").map(|at| labels(&at)).unwrap_or_default();
    let models = match map.get("models") {
        Some(at) => at.items().iter().filter_map(|at| Some(Pattern::new(at.text()?))).collect(),
        None => vec![Pattern::new("*")],
    };
    let limits = map.section("limits", &[&["requests_per_minute", "concurrent"]]);
    let limit = |key| limits.get(key).and_then(|at| at.parse(number_in(1..=MOST)));
    Some(Key {
        requests_per_minute: limit("requests_per_minute"),
        concurrent: limit("concurrent"),
        identity: Arc::new(KeyIdentity { id: id?, labels }),
        sha256: sha256?,
        // One that can't be read is noted, and no configuration comes out.
        expires: expires.flatten(),
        models,
    })
}

fn unused<T: std::hash::Hash + Eq + Clone>(
    at: &Cursor<'_>,
    value: T,
    known: &mut HashMap<T, Place>,
) -> Option<T> {
    if let Some(other) = known.get(&value) {
        at.error(format!("is that of another key, at {other}"));
        return None;
    }
    known.insert(value.clone(), at.place());
    Some(value)
}

fn id(text: &str) -> Result<String, String> {
    let valid = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    valid
        .then(|| text.to_owned())
        .ok_or_else(|| format!("{} is not an id; write 1 to 63 of A-Z a-z 0-9 . _ -", quoted(text)))
}

/// What stands there may be the key itself by mistake, so that nothing of it is shown.
fn digest(text: &str) -> Result<[u8; 32], &'static str> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map(|()| digest)
        .map_err(|_| "is not a SHA-256 in 64 hexadecimal digits; `lockstep keys new` prints one")
}

/// A moment, or the end of a day in UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    let end_of = |date: Date| TimeZone::UTC.to_timestamp(date.checked_add(1.day()).ok()?.at(0, 0, 0, 0)).ok();
    // A date with a time would be read as the date alone.
    let is_day = text.len() == "2027-06-30".len();
    let end = || text.parse::<Date>().ok().filter(|_| is_day).and_then(end_of);
    text.parse::<Timestamp>().ok().or_else(end).ok_or_else(|| {
        format!(
            "{} is not a date; write the last day on which it is valid, such as 2027-06-30, or a moment such as 2027-06-30T12:00:00Z",
            quoted(text)
        )
    })
}

fn labels(at: &Cursor<'_>) -> BTreeMap<String, String> {
    let entries = at.named().into_iter();
    entries.filter_map(|(name, at)| Some((name.to_owned(), at.text()?.to_owned()))).collect()
}
