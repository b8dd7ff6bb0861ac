//! The message that the events of a stream amount to.

use bytes::Bytes;
use serde_json::Value;

use super::contents::Format;
use crate::ai::reading::{self, Assembler, Splitter};

/// More than this is not assembled of one stream.
const MAX: usize = 16 * 1024 * 1024;

/// The message in the text of a stream, which may be `cut`; nothing if it is none of a known format.
#[must_use]
pub fn assemble(format: Format, text: &Bytes, cut: bool) -> Option<Value> {
    let format = match format {
        Format::Chat => reading::Format::Chat,
        Format::Completions => reading::Format::Completions,
        Format::Responses => reading::Format::Responses,
        Format::Messages => reading::Format::Messages,
        Format::Other => return None,
    };
    let mut assembler = Assembler::new(format, 0, MAX);
    let (mut splitter, mut rest) = (Splitter::new(MAX), text.clone());
    while let Ok(Some(event)) = splitter.next_event(&mut rest) {
        assembler.read(&event);
    }
    let assembled = assembler.finish();
    let cut = cut || assembled.truncated || !rest.is_empty();
    let mut message = serde_json::to_value(assembled.message?).ok()?;
    if let Some(message) = message.as_object_mut().filter(|_| cut) {
        message.insert("truncated".to_owned(), true.into());
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_too_long_says_that_it_is_cut() {
        let event = |text: &str| {
            format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#) + "\n\n"
        };
        let short = Bytes::from(event("a") + &event("b"));
        let message = assemble(Format::Chat, &short, false).unwrap();
        assert_eq!((&message["content"], message.get("truncated")), (&Value::from("ab"), None));
        assert_eq!(assemble(Format::Chat, &short, true).unwrap()["truncated"], true);
        let long = "x".repeat(MAX / 2 + 1);
        let long = Bytes::from(event(&long) + &event(&long));
        let message = assemble(Format::Chat, &long, false).unwrap();
        assert!(message["content"].as_str().unwrap().len() <= MAX);
        assert_eq!(message["truncated"], true);
        let event = Bytes::from(event("a") + &event(&"x".repeat(MAX)));
        assert_eq!(assemble(Format::Chat, &event, false).unwrap()["truncated"], true);
    }
}
