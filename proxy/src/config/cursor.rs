//! Reads the tree section by section. What is wrong is noted with its place and reading goes on
//! with a stand-in, so that one run finds every mistake; no [`Config`] comes out of a run that noted
//! one.
//!
//! [`Config`]: super::Config

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use super::error::{ConfigError, ConfigErrors, Place};
use super::tree::{Kind, Node};
use super::value;
use super::Environment;

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

/// One value, and the way to it.
#[derive(Clone)]
pub(super) struct Cursor<'c> {
    context: &'c Context<'c>,
    node: &'c Node,
    path: String,
}

/// A mapping whose keys are known; an absent one has none.
pub(super) struct Mapping<'c> {
    context: &'c Context<'c>,
    path: String,
    place: Place,
    entries: Vec<(&'c str, &'c Node)>,
    /// Something else stood in its place, which was noted; what it lacks is not.
    broken: bool,
}

// === impl Context ===

impl<'c> Context<'c> {
    pub(super) fn new(file: &'c Path, environment: &'c dyn Environment) -> Self {
        Self { file, environment, found: RefCell::default() }
    }

    pub(super) fn root(&'c self, node: &'c Node) -> Cursor<'c> {
        Cursor { context: self, node, path: String::new() }
    }

    /// The outcome, unless a mistake was noted.
    pub(super) fn finish<T>(&self, value: Option<T>) -> Result<T, ConfigErrors> {
        let Found { errors, omitted, files } = self.found.take();
        match value {
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(ConfigErrors::new(errors, omitted, files)),
        }
    }

    fn note(&self, place: Place, path: &str, message: String) {
        let mut found = self.found.borrow_mut();
        if found.errors.len() < MAX_ERRORS {
            found.errors.push(ConfigError::at(self.file, place, path, message));
        } else {
            found.omitted += 1;
        }
    }
}

// === impl Cursor ===

impl<'c> Cursor<'c> {
    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar(_))
    }

    pub(super) fn environment(&self) -> &'c dyn Environment {
        self.context.environment
    }

    /// Notes a mistake in this value.
    pub(super) fn error(&self, message: impl Display) {
        self.context.note(self.place(), &self.path, message.to_string());
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&'c str> {
        match &self.node.kind {
            Kind::Scalar(text) => return Some(text),
            Kind::Null => self.error("has no value"),
            Kind::Sequence(_) => self.error("must be a single value, not a list"),
            Kind::Mapping(_) => self.error("must be a single value, not a mapping"),
        }
        None
    }

    /// The value that a text stands for.
    pub(super) fn parse<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.text()?).map_err(|error| self.error(error)).ok()
    }

    /// The path of an existing file that this names, relative to the configuration's directory.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') {
            self.error("must be the path of a file");
            return None;
        }
        let path = self.context.file.parent().unwrap_or(Path::new("")).join(text);
        self.context.found.borrow_mut().files.insert(path.clone());
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => return Some(path),
            // Reading a pipe or a device might never end.
            Ok(_) => self.error(format!("{} is not a file", path.display())),
            Err(error) => self.error(format!("{} cannot be read: {error}", path.display())),
        }
        None
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        let Kind::Sequence(items) = &self.node.kind else {
            self.error("must be a list");
            return Vec::new();
        };
        let item = |(index, node): (usize, &'c std::rc::Rc<Node>)| Cursor {
            context: self.context,
            node,
            path: format!("{}[{index}]", self.path),
        };
        items.iter().enumerate().map(item).collect()
    }

    /// A mapping in which these keys are allowed.
    pub(super) fn mapping(&self, keys: &[&[&str]]) -> Mapping<'c> {
        let mut mapping = Mapping {
            context: self.context,
            path: self.path.clone(),
            place: self.place(),
            entries: Vec::new(),
            broken: false,
        };
        match &self.node.kind {
            Kind::Null => {}
            Kind::Mapping(entries) => {
                for entry in entries {
                    mapping.insert(&entry.key, entry.place, &entry.value, keys);
                }
            }
            Kind::Scalar(_) | Kind::Sequence(_) => {
                mapping.broken = true;
                self.error(format!("must be a mapping with the keys {}", keys.concat().join(", ")));
            }
        }
        mapping
    }
}

// === impl Mapping ===

impl<'c> Mapping<'c> {
    fn insert(&mut self, key: &'c str, place: Place, value: &'c Node, keys: &[&[&str]]) {
        let note = |message| self.context.note(place, &self.path_of(key), message);
        if !keys.iter().any(|keys| keys.contains(&key)) {
            note(unknown(key, &keys.concat()));
        } else if let Some((_, first)) = self.entries.iter().find(|(known, _)| *known == key) {
            note(format!("is given twice; the first value is at {}", first.place));
        } else {
            self.entries.push((key, value));
        }
    }

    /// Notes a mistake of the mapping as a whole.
    pub(super) fn error(&self, message: impl Display) {
        self.context.note(self.place, &self.path, message.to_string());
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The value of a key, unless it is absent or null.
    pub(super) fn get(&self, key: &str) -> Option<Cursor<'c>> {
        let (_, node) = self.entries.iter().find(|(known, _)| *known == key)?;
        let cursor = Cursor { context: self.context, node, path: self.path_of(key) };
        (!matches!(node.kind, Kind::Null)).then_some(cursor)
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
        self.get(key).map_or_else(
            || Self {
                context: self.context,
                path: self.path_of(key),
                place: self.place,
                entries: Vec::new(),
                broken: self.broken,
            },
            |cursor| cursor.mapping(keys),
        )
    }

    /// The items of a key's list; without it, none.
    pub(super) fn list(&self, key: &str) -> Vec<Cursor<'c>> {
        self.get(key).map(|cursor| cursor.items()).unwrap_or_default()
    }

    /// What the text of a key stands for; without it, or if it is wrong, `default`.
    pub(super) fn or<T, E: Display>(&self, key: &str, default: T, parse: impl FnOnce(&str) -> Result<T, E>) -> T {
        self.get(key).and_then(|cursor| cursor.parse(parse)).unwrap_or(default)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.or(key, default, value::choice(&[("true", true), ("false", false)]))
    }

    fn path_of(&self, key: &str) -> String {
        let key = value::shortened(key);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }
}

/// What to say about a key that is not known.
fn unknown(key: &str, allowed: &[&str]) -> String {
    /// Below this similarity a suggestion is a guess.
    const SIMILAR: f64 = 0.85;
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
