//! Masks in a stream of events while it passes. A text arrives in pieces, one in each event, so a match
//! can span events: the end of a text, of [`WINDOW`] at most, is held back where a match may begin in it,
//! until what follows is known. A piece belongs to the text of the pieces that stood at the same place of earlier events.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use regex::Regex;
use serde_json::Value;

use super::{MASK, Redactor, Rules};

/// Matches of up to so many bytes are found wherever they are cut; longer ones may be masked in part.
pub(super) const WINDOW: usize = 1024;
/// No more than this is held back, whatever the events are like.
const MAX_HELD: usize = 256 * 1024;

/// Of so many texts it is known with what they ended.
const MAX_PLACES: usize = 256;

/// What ends a stream; no JSON, though it begins like some.
const DONE: &[u8] = b"[DONE]";

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
    data: Value,
    /// Where texts stand in the data.
    places: Vec<String>,
    size: usize,
}

/// The pieces of one text: which event, and the range of the whole text that it holds.
type Pieces = Vec<(usize, Range<usize>)>;

/// One text of what is held, and what was found in it.
struct Text {
    place: String,
    pieces: Pieces,
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
            self.hold(&event);
            self.goes_on = true;
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
        let event = if self.goes_on && !rules.pointers.is_empty() {
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

    /// The texts of what is held, by place.
    fn texts(&self) -> BTreeMap<String, Pieces> {
        let mut texts: BTreeMap<String, Pieces> = BTreeMap::new();
        for (index, event) in self.held.iter().enumerate() {
            for place in &event.places {
                let length = event.text(place).map_or(0, str::len);
                let pieces = texts.entry(place.clone()).or_default();
                let before = self.before.get(place).map_or(0, |before| before.len_utf8());
                let start = pieces.last().map_or(before, |(_, range)| range.end);
                pieces.push((index, start..start + length));
            }
        }
        texts
    }

    /// Looks for matches in one text.
    fn search(&self, rules: &Rules, (place, pieces): (String, Pieces), all: bool) -> Text {
        let mut text: String = self.before.get(&place).into_iter().collect();
        text.extend(pieces.iter().filter_map(|(index, _)| self.held.get(*index)?.text(&place)));
        let start = pieces.first().map_or(0, |(_, range)| range.start);
        let from = text.len().saturating_sub(WINDOW).max(start);
        let settled = if all { text.len() } else { rules.settled(&text, from) };
        // What begins later may go on.
        let found = rules.patterns.iter().flat_map(|pattern| matches(pattern, &text, start));
        let matches = found.filter(|found| found.start < settled).collect();
        Text { place, pieces, settled, matches }
    }

    /// Masks what is released of a text, and notes with what it ended before that.
    fn mask_text(&mut self, text: &Text, keep_from: usize) {
        for (index, range) in text.pieces.iter().filter(|(index, _)| *index < keep_from) {
            let Some(event) = self.held.get_mut(*index) else { continue };
            if let Some(last) = event.text(&text.place).and_then(|piece| piece.chars().next_back()) {
                // Of places nobody knows how many there are, so not of all of them.
                if self.before.len() >= MAX_PLACES {
                    self.before.clear();
                }
                self.before.insert(text.place.clone(), last);
            }
            event.mask(&text.place, range, &text.matches);
        }
    }
}

impl Text {
    /// The first event that must be held.
    fn first_unsettled(&self) -> Option<usize> {
        let unsettled = |(_, range): &&(usize, Range<usize>)| range.end > self.settled && !range.is_empty();
        self.pieces.iter().find(unsettled).map(|(index, _)| *index)
    }

    /// The event in which a match begins that goes on in one that is held.
    fn first_parted(&self, keep_from: usize) -> Option<usize> {
        let parted = self.matches.iter().filter_map(|found| {
            let mut touched =
                self.pieces.iter().filter(|(_, piece)| piece.start < found.end && found.start < piece.end);
            let (first, _) = touched.next()?;
            let (last, _) = touched.next_back()?;
            (*first < keep_from && *last >= keep_from).then_some(*first)
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
    /// What is shown of data that is not JSON.
    fn unread(&self, data: &[u8]) -> String {
        if data != DONE && self.may_point_into(data, false) {
            return MASK.to_owned();
        }
        self.text(&String::from_utf8_lossy(data)).into_owned()
    }
}

impl Event {
    fn read(event: &[u8], rules: &Rules) -> Self {
        let (before, data) = split_data(event);
        let parsed = serde_json::from_slice::<Value>(&data).ok().filter(|value| !value.is_string());
        let mut data = parsed.map_or_else(
            // Not JSON: masked by itself, as a text that is no piece of anything.
            || Value::from(rules.unread(&data)),
            |mut data| {
                rules.pointed(&mut data);
                data
            },
        );
        let mut places = Vec::new();
        if !data.is_string() {
            collect_places(&data, &mut String::new(), &mut places);
        }
        places.retain(|place| !mask_whole(&mut data, place, rules));
        Self { before, data, places, size: event.len() }
    }

    /// Stands for what must not be shown.
    fn hidden(size: usize) -> Self {
        Self { before: Vec::new(), data: Value::from(MASK), places: Vec::new(), size }
    }

    fn text(&self, place: &str) -> Option<&str> {
        self.data.pointer(place)?.as_str()
    }

    /// Masks the part of matches that lies in this piece. The mask stands in the piece where a match begins.
    fn mask(&mut self, place: &str, piece: &Range<usize>, matches: &[Range<usize>]) {
        let Some(Value::String(text)) = self.data.pointer_mut(place) else { return };
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
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => text.lines().for_each(|line| write_line(output, line)),
            data => write_line(output, &data.to_string()),
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

/// Pointers to every text in a value.
fn collect_places(value: &Value, path: &mut String, places: &mut Vec<String>) {
    let length = path.len();
    let mut descend = |segment: &str, value: &Value| {
        path.push('/');
        path.push_str(segment);
        collect_places(value, path, places);
        path.truncate(length);
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| descend(&index.to_string(), item));
        }
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, field)| descend(&name.replace('~', "~0").replace('/', "~1"), field)),
        Value::String(_) => places.push(path.clone()),
        _ => {}
    }
}
