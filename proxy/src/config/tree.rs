//! A YAML document as a tree in which every key and value knows its place. Aliases share what they
//! name; how much they expand to is bounded before anything walks it.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::error::Place;

/// Most values of a document, with every alias counted as all that it stands for.
const MAX_NODES: usize = 4_000_000;

/// Deepest nesting, through aliases too. The schema needs six.
const MAX_HEIGHT: usize = 32;

/// One value of the document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: Kind,
    /// Values in it, itself included, aliases expanded.
    size: usize,
    height: usize,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// No value at all, `null` or `~`.
    Null,
    /// A text, as it is written.
    Scalar(String),
    /// A list.
    Sequence(Vec<Arc<Node>>),
    /// Keys and values, in order, duplicates included.
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Arc<Node>,
}

/// Why a text is no document.
#[derive(Debug)]
pub(super) struct TreeError {
    pub(super) place: Place,
    pub(super) message: String,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    nodes: usize,
    root: Option<Arc<Node>>,
}

/// A sequence or mapping whose end is still to come.
struct Open {
    place: Place,
    anchor: usize,
    size: usize,
    height: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Arc<Node>>),
    Mapping(Vec<Entry>, Option<(String, Place)>),
}

/// Reads a text that holds one document; an empty one is null.
pub(super) fn parse(text: &str) -> Result<Arc<Node>, TreeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event
            .map_err(|error| fail(place(*error.marker()), format!("is not valid YAML: {}", error.info())))?;
        builder.event(event, span)?;
    }
    let start = Place { line: 1, column: 1 };
    Ok(builder.root.unwrap_or_else(|| Arc::new(Node { place: start, kind: Kind::Null, size: 1, height: 1 })))
}

impl Node {
    /// A value that comes from elsewhere than the file.
    pub(super) fn foreign(kind: Kind) -> Arc<Self> {
        Arc::new(Self { place: Place::ELSEWHERE, kind, size: 1, height: 1 })
    }
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn fail(place: Place, message: impl Into<String>) -> TreeError {
    TreeError { place, message: message.into() }
}

// === impl Builder ===

impl Builder {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), TreeError> {
        let place = place(span.start);
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err(fail(place, "tags have no meaning here; remove it")),
            Event::Scalar(text, style, anchor, None) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let kind = if null { Kind::Null } else { Kind::Scalar(text.into_owned()) };
                self.add(Node { place, kind, size: 1, height: 1 }, anchor)
            }
            Event::Alias(anchor) => self.alias(place, anchor),
            Event::SequenceStart(anchor, None) => self.open(place, anchor, Content::Sequence(Vec::new())),
            Event::MappingStart(anchor, None) => self.open(place, anchor, Content::Mapping(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(fail(place, "a second document begins here; one is allowed"))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, place: Place, anchor: usize, content: Content) -> Result<(), TreeError> {
        if let Some(Open { content: Content::Mapping(_, None), .. }) = self.open.last() {
            return Err(fail(place, "a key must be a text"));
        }
        if self.open.len() >= MAX_HEIGHT {
            return Err(fail(place, format!("is nested deeper than {MAX_HEIGHT} levels")));
        }
        self.open.push(Open { place, anchor, size: 1, height: 1, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), TreeError> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping(entries, _) => Kind::Mapping(entries),
        };
        // Its children were counted when they came.
        self.add(Node { place: open.place, kind, size: open.size, height: open.height }, open.anchor)
    }

    fn alias(&mut self, place: Place, anchor: usize) -> Result<(), TreeError> {
        let Some(target) = self.anchors.get(&anchor).cloned() else {
            return Err(fail(place, "an alias can't stand in what it names"));
        };
        self.count(place, target.size)?;
        self.attach(place, target)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), TreeError> {
        let place = node.place;
        self.count(place, 1)?;
        let node = Arc::new(node);
        // The parser numbers anchors from 1.
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.attach(place, node)
    }

    fn count(&mut self, place: Place, more: usize) -> Result<(), TreeError> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(fail(
                place,
                format!("the file holds more than {MAX_NODES} values, aliases expanded"),
            ));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs; `place` is where it is used.
    fn attach(&mut self, place: Place, node: Arc<Node>) -> Result<(), TreeError> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size = parent.size.saturating_add(node.size);
        parent.height = parent.height.max(node.height + 1);
        if parent.height > MAX_HEIGHT {
            return Err(fail(place, format!("is nested deeper than {MAX_HEIGHT} levels")));
        }
        match &mut parent.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping(entries, key) => match (key.take(), &node.kind) {
                (Some((key, place)), _) => entries.push(Entry { key, place, value: node }),
                (None, Kind::Scalar(text)) => *key = Some((text.clone(), place)),
                (None, Kind::Null) => *key = Some((String::from("null"), place)),
                (None, _) => return Err(fail(place, "a key must be a text")),
            },
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
