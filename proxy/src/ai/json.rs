//! Looks into JSON objects without building them: checks the whole text, and finds the values of a
//! few keys of the outermost object as they are written, so that edits can leave all else alone.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Why a text is not what was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRead {
    /// It is no JSON, or no object.
    Malformed,
    /// The key with this index is given twice.
    Twice(usize),
}

/// The values of some keys of an object, in the order of the names.
pub type Values<'t, const N: usize> = [Option<&'t RawValue>; N];

/// Finds the values of `names` in an object.
///
/// # Errors
/// If the text is not one JSON object in UTF-8 (RFC 8259, 8.1), or gives one of the names twice.
pub fn find<'t, const N: usize>(text: &'t [u8], names: [&'static str; N]) -> Result<Values<'t, N>, NotRead> {
    // All at once: otherwise each value that is found is checked by itself, and what is skipped is not.
    let text = simdutf8::basic::from_utf8(text).map_err(|_| NotRead::Malformed)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut twice = None;
    let values = Object { names, twice: &mut twice }.deserialize(&mut reader);
    let values = values.and_then(|values| reader.end().map(|()| values)).map_err(|_| NotRead::Malformed)?;
    twice.map_or(Ok(values), |index| Err(NotRead::Twice(index)))
}

/// Why a text in which nothing can be found is no JSON object, without anything that it says.
#[must_use]
pub fn fault(text: &[u8]) -> String {
    if text.trim_ascii().is_empty() {
        return "it is empty".to_owned();
    }
    match std::str::from_utf8(text) {
        Err(error) => format!("it is not UTF-8 at byte {}", error.valid_up_to()),
        Ok(text) => match serde_json::from_str::<IgnoredAny>(text) {
            Err(error) => error.to_string(),
            Ok(_) => "it is another value, or nested too deeply".to_owned(),
        },
    }
}

/// Where a value found in `text` stands.
#[must_use]
pub fn span(text: &[u8], value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start.saturating_add(value.get().len())
}

/// The text of a JSON string.
#[must_use]
pub fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Whether a value is a list without items.
#[must_use]
pub fn is_empty_array(value: &RawValue) -> bool {
    let inner = value.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Whether a value is a list.
#[must_use]
pub fn is_array(value: &RawValue) -> bool {
    value.get().starts_with('[')
}

/// How many items a list has. `None` if it is no list.
#[must_use]
pub fn length(value: &RawValue) -> Option<usize> {
    // They take no room.
    serde_json::from_str(value.get()).ok().map(|items: Vec<IgnoredAny>| items.len())
}

/// Whether a value is `null`.
#[must_use]
pub fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

struct Object<'o, const N: usize> {
    names: [&'static str; N],
    twice: &'o mut Option<usize>,
}

/// The index of a key among the names.
struct Key<'o, const N: usize>(&'o [&'static str; N]);

impl<'t, const N: usize> DeserializeSeed<'t> for Object<'_, N> {
    type Value = Values<'t, N>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'t, const N: usize> Visitor<'t> for Object<'_, N> {
    type Value = Values<'t, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; N];
        while let Some(index) = map.next_key_seed(Key(&self.names))? {
            match index.and_then(|index| Some((index, values.get_mut(index)?))) {
                Some((index, slot)) => {
                    if slot.is_some() {
                        *self.twice = Some(index);
                    }
                    *slot = Some(map.next_value()?);
                }
                None => {
                    let _skipped: IgnoredAny = map.next_value()?;
                }
            }
        }
        Ok(values)
    }
}

impl<'t, const N: usize> DeserializeSeed<'t> for Key<'_, N> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<const N: usize> Visitor<'_> for Key<'_, N> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_as_they_are_written() {
        let text = br#" {"a" : "x\u0041" ,"skip":{"a":1,"b":[{"a":2}]}, "b":[ ], "n":null} "#;
        let [a, b, n, none] = find(text, ["a", "b", "n", "z"]).unwrap();
        assert_eq!(a.unwrap().get(), r#""x\u0041""#);
        assert_eq!(string(a.unwrap()).unwrap(), "xA");
        assert_eq!(&text[span(text, a.unwrap())], br#""x\u0041""#);
        assert!(is_empty_array(b.unwrap()) && is_array(b.unwrap()) && is_null(n.unwrap()));
        assert!(none.is_none());
    }

    #[test]
    fn items_of_the_outermost_list_are_counted() {
        let values = find(br#"{"a":[ 1,"b,c" ,[2,3]],"b":[ ],"n":null,"s":"[1]"}"#, ["a", "b", "n", "s"]);
        assert_eq!(values.unwrap().map(|value| length(value.unwrap())), [Some(3), Some(0), None, None]);
    }

    #[test]
    fn keys_are_recognized_however_they_are_written() {
        let [model] = find(br#"{"mod\u0065l": "m"}"#, ["model"]).unwrap();
        assert!(model.is_some());
        assert_eq!(find(br#"{"a":1,"mod\u0065l":1,"model":2}"#, ["model"]).unwrap_err(), NotRead::Twice(0));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = [b"{\"a\":".as_slice(), &b"[".repeat(100_000)].concat();
        for text in [
            b"".as_slice(),
            b"[]",
            b"{",
            b"{}x",
            b"{\"a\":01}",
            b"{\"a\":\"\xff\"}",
            b"{\"b\":\"\xff\"}",
            &deep,
        ] {
            assert_eq!(find(text, ["a"]).unwrap_err(), NotRead::Malformed);
        }
    }

    #[test]
    fn it_is_said_what_is_wrong_and_where() {
        for (text, said) in [
            (b" ".as_slice(), "it is empty"),
            (b"{\"a\":\"\xff\"}", "it is not UTF-8 at byte 6"),
            (b"{\"secret\":1,}", "key must be a string at line 1 column 13"),
            (b"hello", "expected value at line 1 column 1"),
            (b"[]", "it is another value, or nested too deeply"),
        ] {
            assert_eq!(fault(text), said);
        }
    }
}
