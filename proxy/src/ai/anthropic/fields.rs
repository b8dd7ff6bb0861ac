//! The fields of a client's request, read one by one, so that a bad one can be named.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A request that has no counterpart in Anthropic's API, or is none at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Untranslatable {
    /// The field at fault, as in `messages[2].content[0].image_url`.
    pub param: String,
    /// What is wrong, for the caller to read.
    pub message: String,
    /// OpenAI's code for it.
    pub code: Option<&'static str>,
}

/// The fields that were not taken yet.
pub(super) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl Untranslatable {
    /// A field, or a value of it, that Anthropic has no counterpart for.
    pub(super) fn unsupported(param: impl Into<String>, what: &str) -> Self {
        let param = param.into();
        let message = format!("'{param}' can't be passed to this model: {what}");
        Self { param, message, code: Some("unsupported_parameter") }
    }

    /// A field with a wrong type or value.
    pub(super) fn invalid(param: impl Into<String>, what: impl std::fmt::Display) -> Self {
        let param = param.into();
        let message = format!("Invalid value for '{param}': {what}");
        Self { param, message, code: None }
    }
}

impl<'a> Fields<'a> {
    /// Reads a JSON object.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Untranslatable> {
        serde_json::from_slice(body).map(Self).map_err(|error| Untranslatable {
            param: "body".to_owned(),
            message: format!("The body is no JSON object: {error}"),
            code: None,
        })
    }

    /// Takes a field; `None` if it is absent or null.
    pub(super) fn take<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, Untranslatable> {
        let Some(raw) = self.0.remove(name) else { return Ok(None) };
        read(raw, || name.to_owned())
    }

    /// The names of the fields that were not taken and are not null.
    pub(super) fn rest(self) -> impl Iterator<Item = String> {
        self.0.into_iter().filter(|(_, value)| value.get() != "null").map(|(name, _)| name)
    }
}

/// Reads a value, whose place in the request `param` tells.
pub(super) fn read<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    param: impl Fn() -> String,
) -> Result<Option<T>, Untranslatable> {
    serde_json::from_str(raw.get()).map_err(|error| Untranslatable::invalid(param(), error))
}
