//! Reads the tree section by section. What is wrong is noted with its place and reading goes on
//! with a stand-in, so that one run finds every mistake; no [`Config`] comes out of a run that noted
//! one.
//!
//! [`Config`]: super::Config

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use super::Environment;
use super::context::Context;
use super::error::Place;
use super::mapping::{self, Mapping};
use super::tree::{Kind, Node};

/// One value, and the way to it.
#[derive(Clone)]
pub(super) struct Cursor<'c> {
    context: &'c Context<'c>,
    node: &'c Node,
    path: String,
}

impl<'c> Cursor<'c> {
    pub(super) fn new(context: &'c Context<'c>, node: &'c Node, path: String) -> Self {
        Self { context, node, path }
    }

    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    /// Whether it comes from elsewhere than the file: whoever wrote it may not name files or variables
    /// of ours.
    pub(super) fn is_foreign(&self) -> bool {
        self.place() == Place::ELSEWHERE
    }

    /// The value itself.
    pub(super) fn node(&self) -> &'c Node {
        self.node
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::Sequence(_))
    }

    pub(super) fn is_scalar(&self) -> bool {
        matches!(self.node.kind, Kind::Scalar(_))
    }

    /// The text of a key, if this is a mapping that has it; whatever is wrong is not noted here.
    pub(super) fn entry(&self, key: &str) -> Option<&'c str> {
        let Kind::Mapping(entries) = &self.node.kind else { return None };
        let entry = entries.iter().find(|entry| entry.key == key)?;
        match &entry.value.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// Whether this is an empty text.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.node.kind, Kind::Scalar(text) if text.is_empty())
    }

    /// Whether this is a mapping that has no other keys.
    pub(super) fn is_mapping_of(&self, keys: &[&str]) -> bool {
        let Kind::Mapping(entries) = &self.node.kind else { return false };
        entries.iter().all(|entry| keys.contains(&entry.key.as_str()))
    }

    pub(super) fn environment(&self) -> &'c dyn Environment {
        self.context.environment()
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
        if self.is_foreign() {
            self.error("files can be named in the configuration only");
            return None;
        }
        if text.is_empty() || text.contains('\0') {
            self.error("must be the path of a file");
            return None;
        }
        let path = self.context.file(text);
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
        let item = |(index, node): (usize, &'c Arc<Node>)| {
            Self::new(self.context, node, format!("{}[{index}]", self.path))
        };
        items.iter().enumerate().map(item).collect()
    }

    /// The entries of a mapping whose keys are names.
    pub(super) fn named(&self) -> Vec<(&'c str, Self)> {
        let Kind::Mapping(entries) = &self.node.kind else {
            self.error("must be a mapping from names to values");
            return Vec::new();
        };
        let mut named: Vec<(&'c str, Self)> = Vec::new();
        for entry in entries {
            let key = entry.key.as_str();
            let path = format!("{}.{}", self.path, mapping::key_text(key));
            if let Some((_, first)) = named.iter().find(|(known, _)| *known == key) {
                let message = format!("is given twice; the first value is at {}", first.place());
                self.context.note(entry.place, &path, message);
                continue;
            }
            named.push((key, Self::new(self.context, &entry.value, path)));
        }
        named
    }

    /// A mapping in which these keys are allowed.
    pub(super) fn mapping(&self, keys: &[&[&str]]) -> Mapping<'c> {
        let mut mapping = Mapping::empty(self.context, self.path.clone(), self.place());
        match &self.node.kind {
            Kind::Null => {}
            Kind::Mapping(entries) => {
                for entry in entries {
                    mapping.insert(entry, keys);
                }
            }
            Kind::Scalar(_) | Kind::Sequence(_) => mapping.refuse(keys),
        }
        mapping
    }
}
