//! The requests of the clients, made ahead.

use std::fmt::Write as _;

use super::model::Model;
use crate::layout::host;

/// Different prompts of each size, so that a compressor cannot make too little of them.
const PROMPTS: usize = 8;
/// Words that a text has at most.
const VOCABULARY: f64 = 8_000.0;
/// 64 letters, as often as in English.
const LETTERS: &str = "eeeeeeeetttttaaaaaooooiiiinnnnsssshhhrrrrddddllluuuccmmwfgypbvkj";

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

/// Some text that compresses about as English does (to two fifths): few words are frequent, most are rare.
fn text(bytes: usize, seed: usize) -> String {
    let mut text = String::with_capacity(bytes + 16);
    let mut state = seed as u64;
    while text.len() < bytes {
        state = step(state);
        let share = (state >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = (VOCABULARY.powf(share) - 1.0).round();
        word(rank.to_bits(), &mut text);
        text.push_str(if state.is_multiple_of(13) { ". " } else { " " });
    }
    text.truncate(bytes);
    text
}

/// The word of a rank: two to nine letters.
fn word(rank: u64, text: &mut String) {
    let mut state = step(step(rank));
    for _ in 0..2 + (state >> 61) {
        state = step(state);
        text.extend(LETTERS.chars().nth(usize::try_from(state >> 58).unwrap_or_default()));
    }
}

fn step(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
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
