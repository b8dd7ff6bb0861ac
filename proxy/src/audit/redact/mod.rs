//! Masks what must not enter a record, before anything is written: values that JSON pointers name, and
//! whatever regular expressions find, in whole bodies and in the texts that streams deliver in pieces.

mod ahead;
mod pointer;
mod stream;
mod unique;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use regex::Regex;
use serde_json::{Number, Value};

use super::contents::Headers;

use ahead::Ahead;
pub use pointer::Pointer;
pub use stream::StreamMask;
use stream::WINDOW;

/// What stands in the place of what was masked.
pub const MASK: &str = "[redacted]";
/// Integers below it are read digit by digit.
const TOO_LARGE: f64 = 9_223_372_036_854_775_808.0;
/// What some put before JSON, where it must not be, and others before events.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What is masked. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    rules: Option<Arc<Rules>>,
}

/// What masking made of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Masked {
    /// Nothing was to be masked.
    Same,
    /// This.
    Changed(Bytes),
    /// It must not be shown: pointers name values in JSON, and this is some that can't be read, because it is
    /// nested too deeply, cut or malformed.
    Hidden,
}

#[derive(Debug)]
struct Rules {
    pointers: Vec<Pointer>,
    patterns: Vec<Regex>,
    ahead: Vec<Ahead>,
}

impl Redactor {
    /// Masks the values at `pointers` and what `patterns` match.
    #[must_use]
    pub fn new(pointers: Vec<Pointer>, patterns: Vec<Regex>) -> Self {
        let any = !pointers.is_empty() || !patterns.is_empty();
        Self { rules: any.then(|| Arc::new(Rules::new(pointers, patterns))) }
    }

    /// Whether it masks nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_none()
    }

    /// A whole body with everything masked. `is_json` says that it claims to be JSON.
    #[must_use]
    pub fn body(&self, body: &Bytes, is_json: bool) -> Masked {
        let Some(rules) = self.rules.as_deref() else { return Masked::Same };
        if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
            // Of a name that comes twice only the last value was looked at, and only that is shown.
            let masked = rules.value(&mut value) | !unique::are_names(body);
            return if masked { Masked::Changed(Bytes::from(value.to_string())) } else { Masked::Same };
        }
        if rules.may_hide(body, is_json) {
            return Masked::Hidden;
        }
        match rules.text(&String::from_utf8_lossy(body)) {
            Cow::Borrowed(_) => Masked::Same,
            Cow::Owned(masked) => Masked::Changed(Bytes::from(masked)),
        }
    }

    /// The beginning of a body that was cut, with everything masked. `is_json` as in [`body`](Self::body).
    #[must_use]
    pub fn beginning(&self, body: &Bytes, is_json: bool) -> Masked {
        let Some(rules) = self.rules.as_deref() else { return Masked::Same };
        if rules.may_hide(body, is_json) {
            return Masked::Hidden;
        }
        // The cut may have gone through a character.
        let text = body.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        Masked::Changed(Bytes::from(rules.beginning(text)))
    }

    /// A text with everything masked.
    #[must_use]
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.rules.as_deref().map_or(Cow::Borrowed(text), |rules| rules.text(text))
    }

    /// Headers with everything masked in their values.
    #[must_use]
    pub fn headers(&self, headers: Headers) -> Headers {
        let masked = |(name, value): (Cow<'static, str>, String)| (name, self.text(&value).into_owned());
        if self.is_empty() { headers } else { headers.into_iter().map(masked).collect() }
    }

    /// Its pointers and patterns as they are written.
    #[must_use]
    pub fn shown(&self) -> (Vec<String>, Vec<&str>) {
        self.rules.as_deref().map(Rules::shown).unwrap_or_default()
    }

    /// Masks in a value; whether anything was.
    pub fn value(&self, value: &mut Value) -> bool {
        self.rules.as_deref().is_some_and(|rules| rules.value(value))
    }
}

impl PartialEq for Redactor {
    fn eq(&self, other: &Self) -> bool {
        self.shown() == other.shown()
    }
}

impl Rules {
    fn new(pointers: Vec<Pointer>, patterns: Vec<Regex>) -> Self {
        let ahead = patterns.iter().map(Ahead::new).collect();
        Self { pointers, patterns, ahead }
    }

    /// The beginning of a text that goes on somewhere else, with everything masked: without what may be the beginning of
    /// a match.
    fn beginning(&self, text: &str) -> String {
        let settled = self.settled(text, text.len().saturating_sub(WINDOW));
        let (mut shown, mut at) = (String::new(), 0);
        for found in self.found(text, 0..settled) {
            shown.extend([text.get(at..found.start).unwrap_or_default(), MASK]);
            at = found.end;
        }
        shown.push_str(text.get(at..settled).unwrap_or_default());
        shown
    }

    /// Up to where no match in a text can begin that takes more than there is; only looked for from `from` on.
    fn settled(&self, text: &str, from: usize) -> usize {
        self.ahead.iter().map(|ahead| ahead.settled(text, from)).min().unwrap_or(text.len())
    }

    fn shown(&self) -> (Vec<String>, Vec<&str>) {
        let pointers = self.pointers.iter().map(ToString::to_string).collect();
        (pointers, self.patterns.iter().map(Regex::as_str).collect())
    }

    /// Masks the values that pointers name; whether any was.
    fn pointed(&self, value: &mut Value) -> bool {
        self.pointers.iter().fold(false, |masked, pointer| pointer.mask(value) | masked)
    }

    /// Whether text that can't be read as JSON, but is some in part, may hide what is to be masked: pointers can't be
    /// followed in it, and patterns don't see what is written in escapes.
    fn may_hide(&self, text: &[u8], is_json: bool) -> bool {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).trim_ascii_start();
        (!self.pointers.is_empty() || text.contains(&b'\\'))
            && !text.is_empty()
            && (is_json || text.starts_with(b"{") || text.starts_with(b"["))
    }

    fn value(&self, value: &mut Value) -> bool {
        self.pointed(value) | self.names_and_numbers(value) | self.texts(value)
    }

    /// Masks matches in every text; whether there was one.
    fn texts(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.text(text) {
                Cow::Borrowed(_) => false,
                Cow::Owned(masked) => {
                    *text = masked;
                    true
                }
            },
            Value::Array(items) => items.iter_mut().fold(false, |masked, item| self.texts(item) | masked),
            Value::Object(fields) => {
                fields.values_mut().fold(false, |masked, field| self.texts(field) | masked)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Masks matches in every number, and in every name of a field; whether there was one.
    fn names_and_numbers(&self, value: &mut Value) -> bool {
        if self.patterns.is_empty() {
            return false;
        }
        match value {
            Value::Number(number) => {
                let found = self.matches(number);
                if found {
                    *value = Value::from(MASK);
                }
                found
            }
            Value::Array(items) => {
                items.iter_mut().fold(false, |masked, item| self.names_and_numbers(item) | masked)
            }
            Value::Object(fields) => {
                let inside =
                    fields.values_mut().fold(false, |masked, field| self.names_and_numbers(field) | masked);
                let named = fields.keys().any(|name| matches!(self.name(name), Cow::Owned(_)));
                if named {
                    for (name, field) in std::mem::take(fields) {
                        let name = self.name(&name).into_owned();
                        // Those that look alike now are still several.
                        let free = (2..).map(|number| format!("{name} {number}"));
                        let name =
                            std::iter::once(name.clone()).chain(free).find(|name| !fields.contains_key(name));
                        fields.extend(name.map(|name| (name, field)));
                    }
                }
                inside | named
            }
            Value::Null | Value::Bool(_) | Value::String(_) => false,
        }
    }

    /// The name of a field. One of letters is what an API calls its fields, not what somebody entered.
    fn name<'t>(&self, name: &'t str) -> Cow<'t, str> {
        let is_of_api = name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if is_of_api { Cow::Borrowed(name) } else { self.text(name) }
    }

    fn matches(&self, number: &Number) -> bool {
        // The digits of one that is too large for them are lost: nobody can say what they were.
        let is_unknown = number.as_f64().is_some_and(|number| number.abs() >= TOO_LARGE) && !number.is_u64();
        is_unknown || self.patterns.iter().any(|pattern| pattern.is_match(&number.to_string()))
    }

    fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.patterns.iter().fold(Cow::Borrowed(text), |text, pattern| match text {
            Cow::Borrowed(text) => pattern.replace_all(text, MASK),
            Cow::Owned(text) => Cow::Owned(pattern.replace_all(&text, MASK).into_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
