//! Answers that look other than they should.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Shape, errors};
use crate::provider::answer::{Answer, Endpoint, Events, named, unnamed};
use crate::provider::openai;
use crate::provider::script::{Head, Step, whole};
use crate::provider::text::gzip;

/// The place of what is wrong among the events of a stream.
const PLACE: usize = 4;
const PIECE: usize = 1 << 16;
const PAGE: &[u8] = b"<html><body>Please sign in to the network.</body></html>";

/// What is sent.
pub(super) fn script(answer: &Answer<'_>, shape: &Shape) -> Vec<Step> {
    match shape {
        Shape::Drip => drip(answer.right()),
        Shape::Gzip => compressed(answer),
        Shape::NotJson => whole(answer.head(200, "text/html"), PAGE),
        Shape::TooShort => misstated(answer, 10),
        Shape::TooLong => misstated(answer, -10),
        Shape::Huge(size) => sized(answer, *size, *size),
        Shape::Large(size) => sized(answer, *size, PIECE),
        _ if answer.streams() => stream(answer, shape),
        _ => plain(answer, shape),
    }
}

fn stream(answer: &Answer<'_>, shape: &Shape) -> Vec<Step> {
    let head = Step::Head(answer.stream_head());
    let mut events = answer.events(answer.asked.text());
    match shape {
        Shape::Malformed => events.parts.insert(PLACE, Bytes::from_static(b"data: {\"id\": \"chatcmpl-\n\n")),
        Shape::ErrorFirst(status) => {
            return vec![head, Step::Data(error_event(answer, *status)), Step::End];
        }
        Shape::ErrorMid => {
            events.parts.truncate(PLACE);
            let parts = events.parts.into_iter().map(Step::Data);
            let end = [Step::Data(error_event(answer, None)), Step::End];
            return std::iter::once(head).chain(parts).chain(end).collect();
        }
        Shape::Endless => {
            let again = events.parts.last().cloned().unwrap_or_default();
            let again = Bytes::from(again.repeat(PIECE / again.len().max(1)));
            return vec![head, Step::Data(events.parts[0].clone()), Step::Repeat(again, usize::MAX)];
        }
        Shape::WrongType => {
            let (head, body) = answer.plain(answer.asked.text());
            return whole(head, body);
        }
        Shape::UsageAlways => events.usage = Some(openai::usage_event(answer)),
        Shape::UsageNever => events.usage = None,
        _ => {}
    }
    sent(head, &events)
}

fn sent(head: Step, events: &Events) -> Vec<Step> {
    std::iter::once(head).chain(events.all().into_iter().map(Step::Data)).chain([Step::End]).collect()
}

fn plain(answer: &Answer<'_>, shape: &Shape) -> Vec<Step> {
    let (head, body) = answer.plain(answer.asked.text());
    match shape {
        Shape::Malformed => whole(head, body.slice(..body.len() / 2)),
        Shape::ErrorFirst(status) => {
            whole(head, json!({"error": errors::of_status(status.unwrap_or(500))}).to_string())
        }
        Shape::Endless => {
            let spaces = Bytes::from(vec![b' '; PIECE]);
            vec![Step::Head(head), Step::Data(Bytes::from_static(b"{")), Step::Repeat(spaces, usize::MAX)]
        }
        Shape::WrongType => whole(head.replaced("content-type", "text/plain"), body),
        _ => whole(head, body),
    }
}

/// An error as an event; its status in words and, where given, in figures.
fn error_event(answer: &Answer<'_>, status: Option<u16>) -> Bytes {
    let error = errors::of_status(status.unwrap_or(500));
    match answer.asked.endpoint {
        Endpoint::Messages => {
            let kind = if status == Some(429) { "rate_limit_error" } else { "overloaded_error" };
            named(&json!({"type": "error", "error": {"type": kind, "message": error["message"]}}))
        }
        Endpoint::Responses => {
            let code = error["code"].as_str().unwrap_or("server_error");
            named(&json!({"type": "error", "code": code, "message": error["message"],
                "param": null, "sequence_number": 0}))
        }
        _ => {
            let mut error = error;
            if let (Some(status), Value::Null) = (status, &error["code"]) {
                error["code"] = json!(status);
            }
            unnamed(&json!({ "error": error }))
        }
    }
}

/// The same answer, one byte at a time.
fn drip(script: Vec<Step>) -> Vec<Step> {
    let split = |step| match step {
        Step::Data(bytes) => (0..bytes.len()).map(|at| Step::Data(bytes.slice(at..=at))).collect(),
        other => vec![other],
    };
    script.into_iter().flat_map(split).collect()
}

fn compressed(answer: &Answer<'_>) -> Vec<Step> {
    let encoded = |head: Head| head.header("content-encoding", "gzip");
    if answer.streams() {
        let events = answer.events(answer.asked.text()).all().concat();
        let head = Step::Head(encoded(answer.stream_head()));
        return vec![head, Step::Data(gzip(&events)), Step::End];
    }
    let (head, body) = answer.plain(answer.asked.text());
    whole(encoded(head), gzip(&body))
}

/// Says that the body is longer by `more` than it is.
fn misstated(answer: &Answer<'_>, more: isize) -> Vec<Step> {
    let (head, body) = if answer.streams() {
        (answer.stream_head(), answer.events(answer.asked.text()).all().concat().into())
    } else {
        answer.plain(answer.asked.text())
    };
    let length = body.len().saturating_add_signed(more);
    vec![Step::Head(head.length(length)), Step::Data(body), Step::Cut]
}

/// An answer of a size, in events of a size.
fn sized(answer: &Answer<'_>, size: usize, piece: usize) -> Vec<Step> {
    let mut text = String::with_capacity(size + piece);
    while text.len() < size {
        // A piece ends with its space.
        text.push_str(&"x".repeat(piece - 1));
        text.push(' ');
    }
    if answer.streams() {
        return sent(Step::Head(answer.stream_head()), &answer.events(&text));
    }
    let (head, body) = answer.plain(&text);
    whole(head, body)
}
