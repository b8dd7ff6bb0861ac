//! JSON pointers (RFC 6901), with `*` for every item of a list or every field of an object.

use std::fmt;

use serde_json::Value;
use thiserror::Error;

use super::MASK;

/// Names values in a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    segments: Vec<String>,
}

/// A text that is no pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a JSON pointer such as /user or /messages/*/content")]
pub struct PointerError;

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// If it does not begin with a slash, or a tilde in it escapes nothing.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let segments = text.strip_prefix('/').ok_or(PointerError)?.split('/').map(unescaped);
        Ok(Self { segments: segments.collect::<Option<_>>().ok_or(PointerError)? })
    }

    /// Masks what it names; whether there is such a thing.
    pub(super) fn mask(&self, value: &mut Value) -> bool {
        mask(value, &self.segments)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments
            .iter()
            .try_for_each(|segment| write!(f, "/{}", segment.replace('~', "~0").replace('/', "~1")))
    }
}

fn unescaped(segment: &str) -> Option<String> {
    let well_formed = segment.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    well_formed.then(|| segment.replace("~1", "/").replace("~0", "~"))
}

fn mask(value: &mut Value, segments: &[String]) -> bool {
    let Some((first, rest)) = segments.split_first() else {
        *value = Value::from(MASK);
        return true;
    };
    match value {
        Value::Array(items) if first == "*" => {
            items.iter_mut().fold(false, |masked, item| mask(item, rest) | masked)
        }
        Value::Object(fields) if first == "*" => {
            fields.values_mut().fold(false, |masked, field| mask(field, rest) | masked)
        }
        Value::Array(items) => {
            let item = first.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            item.is_some_and(|item| mask(item, rest))
        }
        Value::Object(fields) => fields.get_mut(first).is_some_and(|field| mask(field, rest)),
        _ => false,
    }
}
