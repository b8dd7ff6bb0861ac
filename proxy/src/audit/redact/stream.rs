//! Masks in a stream of events while it passes. A text arrives in pieces, one in each event, so a match
//! can span events: the end of a text, of [`WINDOW`] at most, is held back where a match may begin in it,
//! until what follows is known. A piece belongs to the text of the pieces that stood at the same place of earlier events.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use regex::Regex;
use serde_json::Value;

use super::{BYTE_ORDER_MARK, MASK, Redactor, Rules};

/// Matches of up to so many bytes are found wherever they are cut; longer ones may be masked in part.
pub(super) const WINDOW: usize = 1024;
/// No more than this is held back, whatever the events are like.
const MAX_HELD: usize = 256 * 1024;

/// Of so many texts it is known with what they ended.
const MAX_PLACES: usize = 256;

/// How lines begin that are no data.
const FIELDS: [&str; 4] = ["event:", "id:", "retry:", ":"];

/// What ends a stream; no JSON, though it begins like some.
const DONE: &[u8] = b"[DONE]";

/// Where fields of an object say which of several texts a piece is of, in every format that providers speak.
const INDEXES: [&str; 4] = ["index", "output_index", "content_index", "summary_index"];

/// Fields that are whole in every event, in every format that providers speak: they continue nothing.
const WHOLE: [&str; 12] = [
    "id",
    "object",
    "model",
    "role",
    "type",
    "name",
    "system_fingerprint",
    "service_tier",
    "finish_reason",
    "stop_reason",
    "item_id",
    "obfuscation",
];

/// Masks one stream.
#[derive(Debug)]
pub struct StreamMask {
    redactor: Redactor,
    /// The beginning of an event whose end has not come.
    partial: BytesMut,
    /// Whether that event was so long that some of it went ahead.
    goes_on: bool,
    held: VecDeque<Event>,
    held_bytes: usize,
    /// With what the texts ended that were given back: a pattern may ask what comes before its match.
    before: BTreeMap<String, char>,
}

/// One event that is held back.
#[derive(Debug)]
struct Event {
    /// The lines before the data, with their breaks.
    before: Vec<u8>,
    data: Data,
    /// The texts in the data.
    places: Vec<Place>,
    size: usize,
}

/// The data of an event.
#[derive(Debug)]
enum Data {
    Json(Value),
    /// Anything else, masked by itself, as a text that is no piece of anything.
    Text(String),
}

/// A text, or a piece of one, in an event.
#[derive(Debug)]
struct Place {
    /// The same for all pieces of a text.
    text: String,
    /// Where it stands in this event.
    pointer: String,
}

/// A piece of a text.
#[derive(Debug)]
struct Piece {
    /// Which of the events that are held has it.
    event: usize,
    /// Which of its places.
    place: usize,
    /// What it holds of the whole text.
    range: Range<usize>,
}

/// One text of what is held, and what was found in it.
struct Text {
    name: String,
    pieces: Vec<Piece>,
    /// Up to here it is known whether a match begins.
    settled: usize,
    matches: Vec<Range<usize>>,
}

impl StreamMask {
    /// Masks what `redactor` says.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        let (partial, held) = (BytesMut::new(), VecDeque::new());
        Self { redactor, partial, goes_on: false, held, held_bytes: 0, before: BTreeMap::new() }
    }

    /// Takes bytes of the stream.
    pub fn push(&mut self, bytes: &Bytes) {
        self.partial.extend_from_slice(bytes);
        while let Some(end) = event_end(&self.partial) {
            let event = self.partial.split_to(end);
            self.hold(&event);
            self.goes_on = false;
        }
        if self.partial.len() > MAX_HELD {
            let event = self.partial.split();
            self.goes_on = true;
            self.hold(&event);
        }
    }

    /// Gives back what can be kept by now. Looks at everything that is held, so not to be called for each piece.
    pub fn release(&mut self) -> Bytes {
        self.give(false)
    }

    /// Gives back the rest.
    pub fn finish(&mut self) -> Bytes {
        if !self.partial.is_empty() {
            let event = self.partial.split();
            self.hold(&event);
        }
        self.give(true)
    }

    fn hold(&mut self, event: &[u8]) {
        let Some(rules) = self.redactor.rules.as_deref() else { return };
        let event = if self.goes_on {
            // Nobody can say what is where in it.
            Event::hidden(event.len())
        } else {
            Event::read(event, rules)
        };
        self.held_bytes += event.size;
        self.held.push_back(event);
    }

    fn give(&mut self, all: bool) -> Bytes {
        let Some(rules) = self.redactor.rules.clone() else { return Bytes::new() };
        let all = all || self.held_bytes > MAX_HELD;
        let texts: Vec<_> = self.texts().into_iter().map(|text| self.search(&rules, text, all)).collect();
        let unsettled = texts.iter().filter_map(Text::first_unsettled).min();
        let keep_from = unsettled.filter(|_| !all).map_or(self.held.len(), |first| hold_whole(&texts, first));
        for text in &texts {
            self.mask_text(text, keep_from);
        }
        let mut released = BytesMut::new();
        for event in self.held.drain(..keep_from) {
            self.held_bytes = self.held_bytes.saturating_sub(event.size);
            event.write(&mut released);
        }
        released.freeze()
    }

    /// The texts of what is held.
    fn texts(&self) -> BTreeMap<String, Vec<Piece>> {
        let mut texts: BTreeMap<String, Vec<Piece>> = BTreeMap::new();
        for (index, event) in self.held.iter().enumerate() {
            for (place, at) in event.places.iter().enumerate() {
                let length = event.text(place).map_or(0, str::len);
                let pieces = texts.entry(at.text.clone()).or_default();
                let before = self.before.get(&at.text).map_or(0, |before| before.len_utf8());
                let start = pieces.last().map_or(before, |piece| piece.range.end);
                pieces.push(Piece { event: index, place, range: start..start + length });
            }
        }
        texts
    }

    fn piece(&self, piece: &Piece) -> Option<&str> {
        self.held.get(piece.event)?.text(piece.place)
    }

    /// Looks for matches in one text.
    fn search(&self, rules: &Rules, (name, pieces): (String, Vec<Piece>), all: bool) -> Text {
        let mut text: String = self.before.get(&name).into_iter().collect();
        text.extend(pieces.iter().filter_map(|piece| self.piece(piece)));
        let start = pieces.first().map_or(0, |piece| piece.range.start);
        let from = text.len().saturating_sub(WINDOW).max(start);
        let settled = if all { text.len() } else { rules.settled(&text, from) };
        let matches = rules.found(&text, start..settled);
        Text { name, pieces, settled, matches }
    }

    /// Masks what is released of a text, and notes with what it ended before that.
    fn mask_text(&mut self, text: &Text, keep_from: usize) {
        for piece in text.pieces.iter().filter(|piece| piece.event < keep_from) {
            let Some(event) = self.held.get_mut(piece.event) else { continue };
            if let Some(last) = event.text(piece.place).and_then(|piece| piece.chars().next_back()) {
                // Of places nobody knows how many there are, so not of all of them.
                if self.before.len() >= MAX_PLACES {
                    self.before.clear();
                }
                self.before.insert(text.name.clone(), last);
            }
            event.mask(piece.place, &piece.range, &text.matches);
        }
    }
}

impl Text {
    /// The first event that must be held.
    fn first_unsettled(&self) -> Option<usize> {
        let unsettled = |piece: &&Piece| piece.range.end > self.settled && !piece.range.is_empty();
        self.pieces.iter().find(unsettled).map(|piece| piece.event)
    }

    /// The event in which a match begins that goes on in one that is held.
    fn first_parted(&self, keep_from: usize) -> Option<usize> {
        let parted = self.matches.iter().filter_map(|found| {
            let touches = |piece: &&Piece| piece.range.start < found.end && found.start < piece.range.end;
            let mut touched = self.pieces.iter().filter(touches);
            let first = touched.next()?.event;
            let last = touched.next_back()?.event;
            (first < keep_from && last >= keep_from).then_some(first)
        });
        parted.min()
    }
}

/// From which event on is held, so that no match is released in part: what follows would not be known for one then.
fn hold_whole(texts: &[Text], mut keep_from: usize) -> usize {
    while let Some(earlier) = texts.iter().filter_map(|text| text.first_parted(keep_from)).min() {
        keep_from = earlier;
    }
    keep_from
}

impl Rules {
    /// What is shown of a line that is no data. One that has no place in an event may be what pointers point into.
    fn line<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let is_field = !line.contains('\r') && FIELDS.iter().any(|field| line.starts_with(field));
        if is_field || self.pointers.is_empty() { self.text(line) } else { Cow::Borrowed(MASK) }
    }

    /// The matches in a text that begin in a part of it. What begins behind that may go on.
    pub(super) fn found(&self, text: &str, within: Range<usize>) -> Vec<Range<usize>> {
        let found = self.patterns.iter().flat_map(|pattern| matches(pattern, text, within.start));
        in_order(found.filter(|found| found.start < within.end).collect())
    }

    /// What is shown of data that is not JSON.
    fn unread(&self, data: &[u8]) -> String {
        // Others may take a carriage return for the end of a line, and find more events in it.
        let is_several = !self.pointers.is_empty() && data.contains(&b'\r');
        if data != DONE && (is_several || self.may_hide(data, false)) {
            return MASK.to_owned();
        }
        self.text(&String::from_utf8_lossy(data)).into_owned()
    }
}

impl Event {
    fn read(event: &[u8], rules: &Rules) -> Self {
        let (before, data) = split_data(event);
        let mut places = Vec::new();
        let data = match serde_json::from_slice::<Value>(&data) {
            Err(_) => Data::Text(rules.unread(&data)),
            Ok(mut data) => {
                rules.pointed(&mut data);
                rules.names_and_numbers(&mut data);
                let is_typed = data.get("type").is_some_and(Value::is_string);
                collect_places(&data, is_typed, &mut String::new(), &mut String::new(), &mut places);
                places.retain(|place| !mask_whole(&mut data, &place.pointer, rules));
                Data::Json(data)
            }
        };
        let before = String::from_utf8_lossy(&before);
        let before =
            before.lines().flat_map(|line| [rules.line(line), Cow::Borrowed("\n")]).collect::<String>();
        let before = before.into_bytes();
        Self { before, data, places, size: event.len() }
    }

    /// Stands for what must not be shown.
    fn hidden(size: usize) -> Self {
        Self { before: Vec::new(), data: Data::Text(MASK.to_owned()), places: Vec::new(), size }
    }

    fn text(&self, place: usize) -> Option<&str> {
        let Data::Json(data) = &self.data else { return None };
        data.pointer(&self.places.get(place)?.pointer)?.as_str()
    }

    /// Masks the part of matches that lies in this piece. The mask stands in the piece where a match begins.
    fn mask(&mut self, place: usize, piece: &Range<usize>, matches: &[Range<usize>]) {
        let (Some(place), Data::Json(data)) = (self.places.get(place), &mut self.data) else { return };
        let Some(Value::String(text)) = data.pointer_mut(&place.pointer) else { return };
        for found in matches.iter().rev().filter(|found| found.start < piece.end && piece.start < found.end) {
            let from = found.start.max(piece.start) - piece.start;
            let to = (found.end.min(piece.end) - piece.start).min(text.len());
            let mask = if found.start >= piece.start { MASK } else { "" };
            if from <= to && text.is_char_boundary(from) && text.is_char_boundary(to) {
                text.replace_range(from..to, mask);
            }
        }
    }

    fn write(&self, output: &mut BytesMut) {
        output.extend_from_slice(&self.before);
        match &self.data {
            Data::Text(text) => text.lines().for_each(|line| write_line(output, line)),
            Data::Json(data) => write_line(output, &data.to_string()),
        }
        output.extend_from_slice(b"\n");
    }
}

fn write_line(output: &mut BytesMut, line: &str) {
    output.extend_from_slice(b"data: ");
    output.extend_from_slice(line.as_bytes());
    output.extend_from_slice(b"\n");
}

/// Where the first event ends: after an empty line.
fn event_end(bytes: &[u8]) -> Option<usize> {
    let mut line_start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        let line = bytes.get(line_start..index).unwrap_or_default();
        if line.is_empty() || line == b"\r" {
            return Some(index + 1);
        }
        line_start = index + 1;
    }
    None
}

/// The lines of an event that are no data, and its data.
fn split_data(event: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut before, mut data) = (Vec::new(), Vec::new());
    let event = event.strip_prefix(BYTE_ORDER_MARK).unwrap_or(event);
    for line in event.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(value) = line.strip_prefix(b"data:") {
            if !data.is_empty() {
                data.push(b'\n');
            }
            data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        } else if !line.is_empty() {
            before.extend_from_slice(line);
            before.push(b'\n');
        }
    }
    (before, data)
}

/// Masks a text that is no piece of anything; says whether it is one.
fn mask_whole(data: &mut Value, place: &str, rules: &Rules) -> bool {
    let is_whole = WHOLE.iter().any(|field| place.rsplit('/').next() == Some(*field));
    if let Some(Value::String(text)) = data.pointer_mut(place).filter(|_| is_whole) {
        *text = rules.text(text).into_owned();
    }
    is_whole
}

/// What several patterns found, in order; what overlaps is one match.
fn in_order(mut matches: Vec<Range<usize>>) -> Vec<Range<usize>> {
    matches.sort_by_key(|found| found.start);
    matches.dedup_by(|next, last| {
        let overlaps = next.start < last.end;
        if overlaps {
            last.end = last.end.max(next.end);
        }
        overlaps
    });
    matches
}

/// Matches in a text that begin at a place or behind it.
fn matches(pattern: &Regex, text: &str, mut at: usize) -> Vec<Range<usize>> {
    let mut matches = Vec::new();
    while let Some(found) = pattern.find_at(text, at) {
        let next = text.get(found.end()..).and_then(|rest| rest.chars().next());
        match (found.is_empty(), next) {
            (false, _) => matches.push(found.range()),
            (true, None) => break,
            (true, Some(_)) => {}
        }
        let step = next.filter(|_| found.is_empty()).map_or(0, char::len_utf8);
        at = found.end() + step;
    }
    matches
}

/// Every text in a value. An item that says which one it is, is that one wherever it stands; so is what an event with a
/// type is about. Others may have numbers that only count them.
fn collect_places(
    value: &Value,
    says_which: bool,
    pointer: &mut String,
    text: &mut String,
    places: &mut Vec<Place>,
) {
    let lengths = (pointer.len(), text.len());
    match value {
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                let named = item.get("index").is_some_and(Value::is_u64);
                push(pointer, &position.to_string());
                push(text, &if named { "*".to_owned() } else { position.to_string() });
                collect_places(item, true, pointer, text, places);
                pointer.truncate(lengths.0);
                text.truncate(lengths.1);
            }
        }
        Value::Object(fields) => {
            let indexes = INDEXES.iter().filter(|_| says_which);
            for index in indexes.filter_map(|name| fields.get(*name)?.as_u64()) {
                text.push('#');
                text.push_str(&index.to_string());
            }
            let own = text.len();
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                push(pointer, &name);
                push(text, &name);
                collect_places(field, false, pointer, text, places);
                pointer.truncate(lengths.0);
                text.truncate(own);
            }
            text.truncate(lengths.1);
        }
        Value::String(_) => places.push(Place { text: text.clone(), pointer: pointer.clone() }),
        _ => {}
    }
}

fn push(path: &mut String, segment: &str) {
    path.push('/');
    path.push_str(segment);
}
