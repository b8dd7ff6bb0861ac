//! The requests of the clients, made ahead.

use std::fmt::Write as _;

use super::model::Model;
use crate::layout::host;

/// Different prompts of each size, so that a compressor cannot make too little of them.
const PROMPTS: usize = 8;
/// Some English words, so that the text looks like text to whoever parses or compresses it.
const WORDS: [&str; 32] = [
    "the", "of", "and", "to", "in", "that", "is", "was", "he", "for", "it", "with", "as", "his", "on", "be",
    "at", "by", "had", "not", "are", "but", "from", "or", "have", "an", "they", "which", "one", "you",
    "were", "history",
];

/// Requests that ask for one thing with prompts of one size.
pub struct Prompts(Vec<Prompt>);

/// A request.
pub struct Prompt {
    /// The bytes of the request on HTTP/1.1.
    pub request: Vec<u8>,
    /// Its body.
    pub body: String,
}

impl Prompts {
    /// Requests with prompts of so many bytes, and with some headers beside the usual ones.
    pub fn new(model: Model, bytes: usize, headers: &[(String, String)]) -> Self {
        Self((1..=PROMPTS).map(|seed| Prompt::new(model, bytes, seed, headers)).collect())
    }

    /// The requests in the order of one client, without end.
    pub fn walk(&self, client: usize) -> impl Iterator<Item = &Prompt> {
        self.0.iter().cycle().skip(client % PROMPTS)
    }
}

impl Prompt {
    fn new(model: Model, bytes: usize, seed: usize, headers: &[(String, String)]) -> Self {
        let body = format!(
            "{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}],\"stream\":{}}}",
            model.name(),
            text(bytes, seed),
            model.streams(),
        );
        let mut request = head(body.len(), headers).into_bytes();
        request.extend_from_slice(body.as_bytes());
        Self { request, body }
    }
}

/// As an SDK sends it.
fn head(length: usize, headers: &[(String, String)]) -> String {
    let mut head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\n", host(0));
    for (name, value) in HEADERS {
        // Writing to a string cannot fail.
        let _written = write!(head, "{name}: {value}\r\n");
    }
    for (name, value) in headers {
        let _written = write!(head, "{name}: {value}\r\n");
    }
    let _written = write!(head, "content-length: {length}\r\n\r\n");
    head
}

/// The headers of every request but host and length.
pub const HEADERS: [(&str, &str); 6] = [
    ("accept", "application/json"),
    ("content-type", "application/json"),
    ("user-agent", "OpenAI/Python 2.8.0"),
    ("authorization", "Bearer sk-bench"),
    ("x-stainless-lang", "python"),
    ("x-stainless-runtime", "CPython"),
];

fn text(bytes: usize, seed: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    let mut state = seed;
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS.get((state >> 40) % WORDS.len()).copied().unwrap_or_default());
        // A number now and then: not everything repeats.
        let _written = if state >> 61 == 0 { write!(text, " {}. ", state >> 44) } else { write!(text, " ") };
    }
    text.truncate(bytes);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_as_long_as_asked_and_a_request_as_long_as_it_says() {
        for bytes in [2_000, 50_000] {
            let prompts = Prompts::new(Model::Plain, bytes, &[]);
            let prompt = prompts.walk(3).next().unwrap();
            let body: serde_json::Value = serde_json::from_str(&prompt.body).unwrap();
            assert_eq!(body["messages"][0]["content"].as_str().unwrap().len(), bytes);
            assert!(
                String::from_utf8_lossy(&prompt.request)
                    .contains(&format!("content-length: {}\r\n", prompt.body.len()))
            );
        }
    }
}
