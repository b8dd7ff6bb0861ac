//! Reads a mapping key by key.

use std::fmt::Display;

use super::Environment;
use super::context::Context;
use super::cursor::Cursor;
use super::error::Place;
use super::tree::{Entry, Kind, Node};
use super::value;

/// A mapping whose keys are known; an absent one has none.
pub(super) struct Mapping<'c> {
    context: &'c Context<'c>,
    path: String,
    place: Place,
    entries: Vec<(&'c str, &'c Node)>,
    /// Something else stood in its place, which was noted; what it lacks is not.
    broken: bool,
}

impl<'c> Mapping<'c> {
    pub(super) fn empty(context: &'c Context<'c>, path: String, place: Place) -> Self {
        Self { context, path, place, entries: Vec::new(), broken: false }
    }

    /// Takes a key that is allowed and new, notes any other.
    pub(super) fn insert(&mut self, entry: &'c Entry, keys: &[&[&str]]) {
        let key = entry.key.as_str();
        let note = |message| self.context.note(entry.place, &self.path_of(key), message);
        if !keys.iter().any(|keys| keys.contains(&key)) {
            note(unknown(key, &keys.concat()));
        } else if let Some((_, first)) = self.entries.iter().find(|(known, _)| *known == key) {
            note(format!("is given twice; the first value is at {}", first.place));
        } else {
            self.entries.push((key, &entry.value));
        }
    }

    /// Notes that something else stands in the place of the mapping.
    pub(super) fn refuse(&mut self, keys: &[&[&str]]) {
        self.broken = true;
        self.error(format!("must be a mapping with the keys {}", keys.concat().join(", ")));
    }

    /// Notes a mistake of the mapping as a whole.
    pub(super) fn error(&self, message: impl Display) {
        self.context.note(self.place, &self.path, message.to_string());
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn environment(&self) -> &'c dyn Environment {
        self.context.environment()
    }

    /// Whether something else stands in its place, which was noted.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Cursor<'c>> {
        let (_, node) = self.entries.iter().find(|(known, _)| *known == key)?;
        let is_null = matches!(node.kind, Kind::Null);
        (!is_null).then(|| Cursor::new(self.context, node, self.path_of(key)))
    }

    /// The value of a key that must be there.
    pub(super) fn required(&self, key: &str) -> Option<Cursor<'c>> {
        let cursor = self.get(key);
        if cursor.is_none() && !self.broken {
            self.context.note(self.place, &self.path_of(key), String::from("is missing"));
        }
        cursor
    }

    /// The mapping of a key; without it, an empty one.
    pub(super) fn section(&self, key: &str, keys: &[&[&str]]) -> Self {
        let absent =
            || Self { broken: self.broken, ..Self::empty(self.context, self.path_of(key), self.place) };
        self.get(key).map_or_else(absent, |cursor| cursor.mapping(keys))
    }

    /// The items of a key's list; without it, none.
    pub(super) fn list(&self, key: &str) -> Vec<Cursor<'c>> {
        self.get(key).map(|cursor| cursor.items()).unwrap_or_default()
    }

    /// What the text of a key stands for; without it, or if it is wrong, `default`.
    pub(super) fn or<T, E: Display>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        self.get(key).and_then(|cursor| cursor.parse(parse)).unwrap_or(default)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.or(key, default, value::choice(&[("true", true), ("false", false)]))
    }

    fn path_of(&self, key: &str) -> String {
        let key = key_text(key);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

/// A key as it is shown in paths.
pub(super) fn key_text(key: &str) -> String {
    let plain =
        key.len() <= 80 && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if plain { key.to_owned() } else { value::quoted(key) }
}

/// What to say about a key that is not known.
fn unknown(key: &str, allowed: &[&str]) -> String {
    /// Below this similarity a suggestion is a guess.
    const SIMILAR: f64 = 0.8;
    let best = allowed
        .iter()
        .map(|known| (strsim::jaro_winkler(&value::shortened(key), known), known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .filter(|(similarity, _)| *similarity >= SIMILAR);
    match best {
        Some((_, known)) => format!("unknown key; did you mean {known}?"),
        None => format!("unknown key; allowed are {}", allowed.join(", ")),
    }
}
