//! What a request asks for, and the right answer to it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::script::{Head, Step, whole};
use super::{anthropic, files, openai, responses};
use crate::http1::Message;

/// What every model says.
pub const CONTENT: &str =
    "The quick brown fox – größer, 日本語, 😀 – jumps over \"the\" lazy dog\\ and again.";

/// In how many events it says so.
pub const PIECES: usize = 16;

/// What a request asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) endpoint: Endpoint,
    pub(super) model: Option<String>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) body: Value,
}

/// Part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
    Models,
    Files,
    Speech,
    Transcriptions,
    Moderations,
    Images,
    Other,
}

/// A request with what its answer is made of.
#[derive(Debug)]
pub(super) struct Answer<'r> {
    pub(super) provider: &'r str,
    pub(super) number: usize,
    pub(super) asked: &'r Asked,
    pub(super) request: &'r Message,
}

/// The events of a stream.
#[derive(Debug)]
pub(super) struct Events {
    /// Those that carry the text, one for each piece, and what comes before them.
    pub(super) parts: Vec<Bytes>,
    /// Those that say why it is over.
    pub(super) finish: Vec<Bytes>,
    /// The usage, where it has an event of its own.
    pub(super) usage: Option<Bytes>,
    /// The last one, where the API has one.
    pub(super) done: Option<Bytes>,
}

impl Asked {
    pub(super) fn of(request: &Message) -> Self {
        let path = request.target().split('?').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let named = body["model"].as_str().map(str::to_owned);
        Self {
            endpoint: Endpoint::of(request.method(), &path),
            model: named.or_else(|| files::field(request, "model")).or_else(|| deployment(&path)),
            stream: body["stream"] == true,
            include_usage: body["stream_options"]["include_usage"] == true,
            body,
        }
    }

    /// The tool to call: the first one, unless it was called already.
    pub(super) fn tool(&self) -> Option<String> {
        let tool = self.body["tools"].get(0)?;
        let name = tool["function"]["name"].as_str().or(tool["name"].as_str())?;
        let turns = self.body["messages"].as_array().or(self.body["input"].as_array());
        let last = turns.and_then(|turns| turns.last());
        let called = last.is_some_and(|last| {
            last["role"] == "tool"
                || last["type"] == "function_call_output"
                || last["content"][0]["type"] == "tool_result"
        });
        (!called).then(|| name.to_owned())
    }

    /// What is left to say: without what the assistant's last message says already.
    pub(super) fn text(&self) -> &'static str {
        let last = self.body["messages"].as_array().and_then(|messages| messages.last());
        let begun = last.filter(|last| last["role"] == "assistant").and_then(|last| match &last["content"] {
            Value::String(text) => Some(text.as_str()),
            parts => parts[0]["text"].as_str(),
        });
        begun.and_then(|begun| CONTENT.strip_prefix(begun)).unwrap_or(CONTENT)
    }

    /// The model in the answer: a dated name, as providers have them.
    pub(super) fn answering_model(&self) -> String {
        format!("{}-2026-11-01", self.model.as_deref().unwrap_or("default"))
    }
}

impl Endpoint {
    fn of(method: &str, path: &str) -> Self {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match (method, segments.as_slice()) {
            ("POST", [.., "chat", "completions"]) => Self::Chat,
            ("POST", [.., "completions"]) => Self::Completions,
            ("POST", [.., "embeddings"]) => Self::Embeddings,
            ("POST", [.., "responses"]) => Self::Responses,
            ("POST", [.., "messages"]) => Self::Messages,
            ("POST", [.., "messages", "count_tokens"]) => Self::CountTokens,
            ("GET", [.., "models"]) => Self::Models,
            ("POST", [.., "audio", "speech"]) => Self::Speech,
            ("POST", [.., "audio", "transcriptions" | "translations"]) => Self::Transcriptions,
            ("POST", [.., "moderations"]) => Self::Moderations,
            ("POST", [.., "images", _]) => Self::Images,
            _ if segments.contains(&"files") => Self::Files,
            _ => Self::Other,
        }
    }

    /// Whether errors have Anthropic's shape.
    pub(super) fn is_anthropic(self) -> bool {
        matches!(self, Self::Messages | Self::CountTokens)
    }

    pub(super) fn can_stream(self) -> bool {
        matches!(self, Self::Chat | Self::Completions | Self::Responses | Self::Messages)
    }
}

/// The model in a path of Azure's.
fn deployment(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/deployments/")?;
    Some(rest.split('/').next()?.to_owned())
}

impl Answer<'_> {
    /// Whether it is a stream of events.
    pub(super) fn streams(&self) -> bool {
        self.asked.stream && self.asked.endpoint.can_stream()
    }

    /// A head with the headers that providers send.
    pub(super) fn head(&self, status: u16, content_type: &str) -> Head {
        let id = format!("req_{}_{}", self.provider, self.number);
        let head = Head::new(status, content_type).header("x-provider", self.provider);
        if self.asked.endpoint.is_anthropic() {
            return head.header("request-id", &id);
        }
        head.header("x-request-id", &id)
            .header("openai-organization", "org-test")
            .header("openai-processing-ms", "7")
            .header("openai-version", "2020-10-01")
            .header("x-ratelimit-limit-requests", "10000")
            .header("x-ratelimit-remaining-requests", "9999")
            .header("x-ratelimit-reset-requests", "6ms")
    }

    pub(super) fn stream_head(&self) -> Head {
        self.head(200, "text/event-stream; charset=utf-8")
    }

    /// The answer that is no stream, saying `text`.
    pub(super) fn plain(&self, text: &str) -> (Head, Bytes) {
        let json = |value: Value| (self.head(200, "application/json"), Bytes::from(value.to_string()));
        match self.asked.endpoint {
            Endpoint::Chat => json(openai::chat(self, text)),
            Endpoint::Completions => json(openai::completion(self, text)),
            Endpoint::Embeddings => json(openai::embeddings(self)),
            Endpoint::Responses => json(responses::response(self, text, "completed")),
            Endpoint::Messages => json(anthropic::message(self, text)),
            Endpoint::CountTokens => json(json!({"input_tokens": 11})),
            Endpoint::Models => json(openai::models(self)),
            Endpoint::Moderations => json(openai::moderations(self)),
            Endpoint::Images => json(openai::images()),
            Endpoint::Files => files::answer(self),
            Endpoint::Speech => (self.head(200, "audio/mpeg"), files::binary()),
            Endpoint::Transcriptions => json(files::transcription(self)),
            Endpoint::Other => json(self.description()),
        }
    }

    /// The answer to a request that is right, as it should be.
    pub(super) fn right(&self) -> Vec<Step> {
        if self.streams() {
            return self.events(self.asked.text()).script(self.stream_head());
        }
        let (head, body) = self.plain(self.asked.text());
        whole(head, body)
    }

    /// The events of a stream that says `text`.
    pub(super) fn events(&self, text: &str) -> Events {
        match self.asked.endpoint {
            Endpoint::Completions => openai::completion_events(self, text),
            Endpoint::Responses => responses::events(self, text),
            Endpoint::Messages => anthropic::events(self, text),
            _ => openai::chat_events(self, text),
        }
    }

    fn description(&self) -> Value {
        json!({
            "object": "echo",
            "provider": self.provider,
            "method": self.request.method(),
            "target": self.request.target(),
            "bytes": self.request.body.len(),
        })
    }
}

impl Events {
    /// All of them in order.
    pub(super) fn all(&self) -> Vec<Bytes> {
        let end = self.finish.iter().chain(&self.usage).chain(&self.done);
        self.parts.iter().chain(end).cloned().collect()
    }

    fn script(&self, head: Head) -> Vec<Step> {
        let events = self.all().into_iter().map(Step::Data);
        std::iter::once(Step::Head(head)).chain(events).chain([Step::End]).collect()
    }
}

/// The pieces of a text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// An event without a name.
pub(super) fn unnamed(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

/// An event named after its type.
pub(super) fn named(data: &Value) -> Bytes {
    Bytes::from(format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_its_pieces() {
        assert_eq!(pieces(CONTENT).count(), PIECES);
    }

    #[test]
    fn an_answer_goes_on_where_the_assistant_has_stopped() {
        let asked = |body: Value| {
            let request = Message {
                start: "POST /v1/chat/completions HTTP/1.1".to_owned(),
                body: body.to_string().into_bytes(),
                ..Message::default()
            };
            Asked::of(&request).text()
        };
        let prefill = |text: &str| asked(json!({"messages": [{"role": "assistant", "content": text}]}));
        assert!(prefill("The quick brown ").starts_with("fox"));
        assert!(prefill("The quick brown").starts_with(" fox"));
        assert_eq!(prefill("Something else"), CONTENT);
        assert_eq!(asked(json!({"messages": [{"role": "user", "content": "The"}]})), CONTENT);
    }
}
