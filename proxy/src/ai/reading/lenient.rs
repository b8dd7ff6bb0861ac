//! Fields that are read if they have the expected type, and are unknown if they don't.
//!
//! A provider that sends a number for a string must not hide the rest of its answer.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

/// A value that may be absent, null or of another type: all the same to us.
#[derive(Debug)]
pub(crate) struct Lenient<T>(pub(crate) Option<T>);

/// A string, also one with halves of surrogate pairs, which JSON allows and Rust's `String` does
/// not: they become replacement characters.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

/// A list that leaves out what has the wrong type.
pub(crate) type List<T> = Lenient<Vec<Lenient<T>>>;

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Lenient<Vec<Lenient<T>>> {
    /// The members that could be read.
    pub(crate) fn members(self) -> impl Iterator<Item = T> {
        self.0.unwrap_or_default().into_iter().filter_map(|member| member.0)
    }
}

impl Lenient<Text> {
    /// The string.
    pub(crate) fn string(self) -> Option<String> {
        self.0.map(|text| text.0)
    }

    /// The string, borrowed.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_ref().map(|text| text.0.as_str())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).ok()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Sample {
        #[serde(default)]
        text: Lenient<Text>,
        #[serde(default)]
        count: Lenient<u64>,
        #[serde(default)]
        list: List<u64>,
    }

    #[test]
    fn what_has_the_wrong_type_is_unknown() {
        let cases = [
            (r#"{}"#, None, None, vec![]),
            (r#"{"text":"a","count":1,"list":[1,2]}"#, Some("a"), Some(1), vec![1, 2]),
            (r#"{"text":5,"count":"1","list":[1,null,"x",-1,2],"more":[{}]}"#, None, None, vec![1, 2]),
            (r#"{"text":null,"count":null,"list":null}"#, None, None, vec![]),
            (r#"{"text":[7],"count":1.5,"list":{}}"#, None, None, vec![]),
            (
                r#"{"text":"\ud83d|\ud83d\ude00","count":18446744073709551616,"list":[]}"#,
                Some("\u{fffd}\u{fffd}\u{fffd}|😀"),
                None,
                vec![],
            ),
        ];
        for (json, text, count, list) in cases {
            let sample: Sample = serde_json::from_str(json).unwrap();
            assert_eq!(sample.text.text(), text, "{json}");
            assert_eq!(sample.count.0, count, "{json}");
            assert_eq!(sample.list.members().collect::<Vec<_>>(), list, "{json}");
        }
    }
}
