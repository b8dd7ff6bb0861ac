//! Reads what a provider says went wrong, out of an answer's body or an event of a stream.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error_kind::{ErrorKind, Words, status_of_name};
use super::lenient::{Lenient, Text};

/// An error that a provider reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// The HTTP status: of the answer, else the one that the error names.
    pub status: Option<u16>,
    /// What it means to the gateway.
    pub kind: ErrorKind,
    /// The provider's text; may be empty.
    pub message: String,
    /// Its `type`.
    pub error_type: Option<String>,
    /// Its `code`, a number as text; of Anthropic's errors the `details.error_code`.
    pub code: Option<String>,
    /// The field of the request that is at fault.
    pub param: Option<String>,
}

/// The shapes around an error: `{"error": …}` with an object or a text (OpenAI, Azure, Anthropic),
/// the error at the top (`object` or `type` is `error`), Azure's front door (`statusCode`), and
/// `response.failed`.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    response: Lenient<Failed<'a>>,
    #[serde(default)]
    object: Lenient<Text>,
    #[serde(default, rename = "type")]
    kind: Lenient<Text>,
    #[serde(default, rename = "statusCode")]
    status_code: Lenient<u16>,
}

#[derive(Deserialize)]
struct Failed<'a> {
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Fields {
    #[serde(default)]
    message: Lenient<Text>,
    #[serde(default, rename = "type")]
    error_type: Lenient<Text>,
    #[serde(default)]
    code: Lenient<Code>,
    #[serde(default)]
    param: Lenient<Text>,
    #[serde(default)]
    status: Lenient<u16>,
    #[serde(default, rename = "statusCode")]
    status_code: Lenient<u16>,
    #[serde(default)]
    detail: Lenient<Text>,
    #[serde(default)]
    innererror: Lenient<Inner>,
    #[serde(default)]
    details: Lenient<Inner>,
}

/// The more exact code: Azure's `innererror.code`, Anthropic's `details.error_code`.
#[derive(Deserialize)]
struct Inner {
    #[serde(default, alias = "error_code")]
    code: Lenient<Text>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Number(u64),
    Text(String),
}

impl ProviderError {
    /// Reads the body of an answer whose `status` says that it is an error. Always tells something.
    #[must_use]
    pub fn read(status: u16, body: &[u8]) -> Self {
        let fields = Fields::of_error(body).or_else(|| serde_json::from_slice(body).ok()).unwrap_or_default();
        Self::new(Some(status), fields)
    }

    /// Looks for an error in an answer that came with a good status, or in the data of an event.
    #[must_use]
    pub fn in_answer(body: &[u8]) -> Option<Self> {
        Fields::of_error(body).map(|fields| Self::new(None, fields))
    }

    /// Looks for an error in an event of a stream, by its name and data. What is named `error` is
    /// one, whatever its data.
    #[must_use]
    pub fn in_event(name: Option<&str>, data: &[u8]) -> Option<Self> {
        Self::in_answer(data).or_else(|| {
            (name == Some("error")).then(|| {
                let message = || String::from_utf8_lossy(data).into_owned();
                let fields = serde_json::from_slice(data).unwrap_or_else(|_| Fields::with_message(message()));
                Self::new(None, fields)
            })
        })
    }

    fn new(status: Option<u16>, fields: Fields) -> Self {
        let inner = fields.innererror.0.and_then(|inner| inner.code.string());
        let details = fields.details.0.and_then(|details| details.code.string());
        let error_type = fields.error_type.string().filter(|name| name != "error");
        let (number, code) = match fields.code.0 {
            Some(Code::Number(number)) => (u16::try_from(number).ok(), Some(number.to_string())),
            Some(Code::Text(text)) => (text.parse().ok(), Some(text)),
            None => (None, None),
        };
        let code = code.or(details);
        let message = fields.message.string().or(fields.detail.string()).unwrap_or_default();
        let names: Vec<String> = [&inner, &code, &error_type]
            .into_iter()
            .flatten()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        let numbers = [status, fields.status.0, fields.status_code.0, number];
        let status = numbers
            .into_iter()
            .flatten()
            .find(|number| (400..600).contains(number))
            .or_else(|| names.iter().find_map(|name| status_of_name(name)));
        let words = Words { names: &names, message: &message.to_lowercase() };
        Self {
            status,
            kind: ErrorKind::of(status, &words),
            message,
            error_type,
            code,
            param: fields.param.string(),
        }
    }
}

impl Fields {
    /// The error within `body`, if it has one.
    fn of_error(body: &[u8]) -> Option<Self> {
        let envelope: Envelope<'_> = serde_json::from_slice(body).ok()?;
        let failed = envelope.response.0.and_then(|response| response.error);
        let nested = envelope.error.or(failed).and_then(Self::of_value);
        let at_top = envelope.kind.text() == Some("error")
            || envelope.object.text() == Some("error")
            || envelope.status_code.0.is_some_and(|status| status >= 400);
        let failed = envelope.kind.text() == Some("response.failed");
        nested
            .or_else(|| at_top.then(|| serde_json::from_slice(body).ok()).flatten())
            .or_else(|| failed.then(Self::default))
    }

    /// The value of `error`: an object or a text. Empty ones are none.
    fn of_value(error: &RawValue) -> Option<Self> {
        if let Ok(Text(message)) = serde_json::from_str(error.get()) {
            return (!message.is_empty()).then(|| Self::with_message(message));
        }
        let fields: Self = serde_json::from_str(error.get()).ok()?;
        let known = fields.message.0.is_some() || fields.error_type.0.is_some() || fields.code.0.is_some();
        known.then_some(fields)
    }

    fn with_message(message: String) -> Self {
        Self { message: Lenient(Some(Text(message))), ..Self::default() }
    }
}

#[cfg(test)]
#[path = "provider_error_tests.rs"]
mod tests;
