//! What the gateway must know of a request's JSON body, and how it edits one: by splicing the
//! bytes that the client sent, so that all that no rule touches stays as it was.

use std::ops::Range;

use bytes::Bytes;

use super::errors::ApiError;
use super::json::{self, NotRead, Values};
use super::route::Endpoint;

const NAMES: [&str; 9] =
    ["model", "stream", "stream_options", "messages", "n", "tools", "functions", "prompt", "input"];

/// What the gateway knows of a body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The model that it names.
    pub model: Option<String>,
    /// Where the value of `model` stands.
    model_at: Option<Range<usize>>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Where `stream_options` stands, and what it says of usage.
    options: Option<Options>,
    /// How many choices are asked for, of all prompts together.
    pub choices: u32,
    /// Whether tools are offered.
    pub tools: bool,
    /// Where the value of `messages` stands.
    messages_at: Option<Range<usize>>,
    /// Where the outermost object begins: behind its brace.
    open: usize,
    /// Whether that object has no keys.
    empty: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    at: Range<usize>,
    /// Whether `include_usage` is wanted, if it is said, and where.
    usage: Option<(bool, Range<usize>)>,
    /// Whether there is an object, and something in it.
    holds: Holds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// `null`
    Null,
    /// `{}`
    Nothing,
    Something,
}

/// Replacements in a body, in any order, none within another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits(Vec<(Range<usize>, Bytes)>);

impl Scan {
    /// Looks into the body of a request to `endpoint`.
    ///
    /// # Errors
    /// What the client is told of a body that can't be right.
    pub fn of(endpoint: Endpoint, body: &[u8]) -> Result<Self, ApiError> {
        let values = json::find(body, NAMES).map_err(|error| match error {
            NotRead::Malformed => ApiError::not_json(&json::fault(body)),
            NotRead::Twice(index) => ApiError::duplicate(NAMES.get(index).copied().unwrap_or_default()),
        })?;
        let [model, stream, options, messages, n, tools, functions, prompt, _] = values;
        required(endpoint, &values)?;
        let stream = match stream.map(serde_json::value::RawValue::get) {
            None | Some("false" | "null") => false,
            Some("true") => true,
            Some(_) => return Err(ApiError::invalid_type("stream", "a boolean")),
        };
        let name = model.filter(|model| !json::is_null(model));
        let name =
            name.map(|model| json::string(model).ok_or_else(|| ApiError::invalid_type("model", "a string")));
        let prompts = prompt.filter(|_| endpoint == Endpoint::Completions).map_or(1, prompts);
        let open = body.iter().position(|byte| *byte == b'{').map_or(0, |at| at + 1);
        let behind = body.get(open..).unwrap_or_default().trim_ascii_start();
        Ok(Self {
            model: name.transpose()?.filter(|name| !name.is_empty()),
            model_at: model.map(|model| json::span(body, model)),
            stream,
            options: options.map(|value| Options::of(body, value)).transpose()?,
            choices: n.and_then(|n| n.get().parse().ok()).unwrap_or(1_u32).saturating_mul(prompts),
            tools: [tools, functions].into_iter().flatten().any(|tools| !json::is_empty_array(tools)),
            messages_at: messages.map(|messages| json::span(body, messages)),
            open,
            empty: behind.starts_with(b"}"),
        })
    }

    /// Whether the client asked for the usage of its stream.
    #[must_use]
    pub fn wants_usage(&self) -> bool {
        let usage = self.options.as_ref().and_then(|options| options.usage.as_ref());
        usage.is_some_and(|(wanted, _)| *wanted)
    }

    /// Whether the provider is to be asked for the usage of a stream, which the client does not want.
    #[must_use]
    pub fn needs_usage(&self) -> bool {
        self.stream && !self.wants_usage()
    }

    /// Names another model.
    pub fn set_model(&self, model: &str, edits: &mut Edits) {
        let name = serde_json::Value::from(model).to_string();
        match &self.model_at {
            Some(at) => edits.0.push((at.clone(), name.into())),
            None => self.add(&format!("\"model\":{name}"), edits),
        }
    }

    /// Asks the provider for the usage of the stream.
    pub fn include_usage(&self, edits: &mut Edits) {
        const OPTION: &str = "\"include_usage\":true";
        match &self.options {
            Some(Options { usage: Some((_, at)), .. }) => edits.replace(at.clone(), "true"),
            Some(Options { at, holds: Holds::Null, .. }) => {
                edits.replace(at.clone(), format!("{{{OPTION}}}"));
            }
            Some(Options { at, holds, .. }) => {
                let at = at.start + 1;
                let comma = if *holds == Holds::Nothing { "" } else { "," };
                edits.replace(at..at, format!("{OPTION}{comma}"));
            }
            None => self.add(&format!("\"stream_options\":{{{OPTION}}}"), edits),
        }
    }

    /// Gives the model the beginning of its answer, as the last message.
    pub fn begin_answer(&self, text: &str, edits: &mut Edits) {
        if let Some(at) = &self.messages_at {
            let message = serde_json::json!({"role": "assistant", "content": text});
            let end = at.end.saturating_sub(1);
            edits.0.push((end..end, format!(",{message}").into()));
        }
    }

    /// Adds a key at the beginning of the object.
    fn add(&self, entry: &str, edits: &mut Edits) {
        let text = match (self.empty, edits.0.is_empty()) {
            (false, _) => format!("{entry},"),
            (true, true) => entry.to_owned(),
            (true, false) => format!(",{entry}"),
        };
        edits.0.push((self.open..self.open, text.into()));
    }
}

/// How many prompts a `prompt` is: a list has one in each item, unless it lists the tokens of one.
fn prompts(prompt: &serde_json::value::RawValue) -> u32 {
    let items = prompt.get().strip_prefix('[').unwrap_or_default().trim_ascii_start();
    if items.starts_with(|first: char| first.is_ascii_digit()) {
        return 1;
    }
    json::length(prompt).map_or(1, |length| u32::try_from(length).unwrap_or(u32::MAX)).max(1)
}

fn required(endpoint: Endpoint, values: &Values<'_, 9>) -> Result<(), ApiError> {
    let [_, _, _, messages, _, _, _, prompt, input] = values;
    match endpoint {
        Endpoint::Chat | Endpoint::Messages => match messages {
            None => Err(ApiError::missing("messages")),
            Some(messages) if !json::is_array(messages) => {
                Err(ApiError::invalid_type("messages", "an array"))
            }
            Some(messages) if json::is_empty_array(messages) => Err(ApiError::empty_array("messages")),
            Some(_) => Ok(()),
        },
        Endpoint::Embeddings if input.is_none() => Err(ApiError::missing("input")),
        Endpoint::Completions if prompt.is_none() => Err(ApiError::missing("prompt")),
        _ => Ok(()),
    }
}

impl Options {
    fn of(body: &[u8], value: &serde_json::value::RawValue) -> Result<Self, ApiError> {
        let (text, at) = (value.get(), json::span(body, value));
        if json::is_null(value) {
            return Ok(Self { at, usage: None, holds: Holds::Null });
        }
        let empty = text.get(1..).unwrap_or_default().trim_ascii_start().starts_with('}');
        let found = json::find(text.as_bytes(), ["include_usage"]);
        let [usage] = found.map_err(|_| ApiError::invalid_type("stream_options", "an object"))?;
        Ok(Self {
            at,
            // What is no boolean is the provider's to refuse.
            usage: usage.map(|usage| (!matches!(usage.get(), "false" | "null"), json::span(body, usage))),
            holds: if empty { Holds::Nothing } else { Holds::Something },
        })
    }
}

impl Edits {
    /// An edit that puts `with` in the place of `range`.
    pub fn replace(&mut self, range: Range<usize>, with: impl Into<Bytes>) {
        self.0.push((range, with.into()));
    }

    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body with all edits made, in pieces that share the bytes of the original.
    #[must_use]
    pub fn apply(&self, body: &Bytes) -> Vec<Bytes> {
        let mut edits = self.0.clone();
        // Stable: insertions at one place stay in their order.
        edits.sort_by_key(|(range, _)| range.start);
        let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
        let mut from = 0;
        for (range, with) in edits {
            let (start, end) = (range.start.clamp(from, body.len()), range.end.clamp(from, body.len()));
            pieces.push(body.slice(from..start));
            pieces.push(with);
            from = end.max(start);
        }
        pieces.push(body.slice(from..));
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
