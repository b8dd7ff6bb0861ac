//! The joint between a stream that broke off and one of another target that goes on: chunks of
//! chat/completions under the first one's name, less what the client has already.

use bytes::Bytes;
use serde_json::Value;

use crate::ai::json;
use crate::ai::reading::Event;

/// What all chunks of a stream have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) model: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// What a client has of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) identity: Identity,
    pub(crate) text: String,
}

/// Where two streams meet.
#[derive(Debug)]
pub(crate) struct Joint {
    said: Said,
    /// What of it the new stream must say again before it says anything new.
    expected: String,
    /// Whether the new stream begins anew.
    anew: bool,
    hide_usage: bool,
}

/// What becomes of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Joined {
    /// This of it is new to the client.
    Shown(Bytes),
    /// Nothing of it is.
    Known,
    /// It says something else than what the client has.
    Other,
}

impl Identity {
    /// That of a chunk.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let [id, model, created] = json::find(event.data()?, ["id", "model", "created"]).ok()?;
        let text = |value: Option<&serde_json::value::RawValue>| value.and_then(json::string);
        Some(Self {
            // The first chunk of some says only what they think of the prompt.
            id: text(id).filter(|id| !id.is_empty())?,
            model: text(model)?,
            created: created.and_then(|created| created.get().parse().ok()).unwrap_or(0),
        })
    }
}

impl Joint {
    /// A stream that was given what was said goes on from there; one that was not begins anew and
    /// must say the same.
    pub(crate) fn new(said: Said, anew: bool, hide_usage: bool) -> Self {
        let expected = if anew { said.text.clone() } else { String::new() };
        Self { said, expected, anew, hide_usage }
    }

    /// Whether all that the client has was said again.
    pub(crate) fn is_joined(&self) -> bool {
        self.expected.is_empty()
    }

    /// What the client has, once the new stream has said `text`.
    pub(crate) fn said(&self, text: &str) -> Option<Said> {
        let text = match (self.anew, self.is_joined()) {
            (true, true) => text.to_owned(),
            (true, false) => self.said.text.clone(),
            (false, _) => format!("{}{text}", self.said.text),
        };
        Some(Said { identity: self.said.identity.clone(), text })
    }

    /// Takes the next chunk.
    pub(crate) fn take(&mut self, event: &Event) -> Joined {
        let Some(mut chunk) = event.data().and_then(|data| serde_json::from_slice::<Value>(data).ok()) else {
            return Joined::Known;
        };
        let reported = chunk.get("usage").is_some_and(|usage| !usage.is_null());
        let choices = chunk.get("choices").and_then(Value::as_array).map_or(0, Vec::len);
        if choices == 0 {
            return if reported && !self.hide_usage { self.shown(chunk) } else { Joined::Known };
        }
        if self.hide_usage
            && let Some(chunk) = chunk.as_object_mut()
        {
            chunk.remove("usage");
        }
        let Some(choice) = chunk.pointer_mut("/choices/0").and_then(Value::as_object_mut) else {
            return Joined::Known;
        };
        let finishes =
            choice.get("finish_reason").and_then(Value::as_str).is_some_and(|reason| !reason.is_empty());
        let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) else {
            return if finishes { self.finish(chunk) } else { Joined::Known };
        };
        delta.remove("role");
        let says = |field: &str| delta.get(field).is_some_and(|value| !value.is_null());
        if says("tool_calls") || says("refusal") {
            return Joined::Other;
        }
        let text = delta.get("content").and_then(Value::as_str).unwrap_or_default();
        let Some(new) = self.new_part(text) else { return Joined::Other };
        if new.is_empty() {
            delta.remove("content");
            return if finishes { self.finish(chunk) } else { Joined::Known };
        }
        delta.insert("content".to_owned(), new.into());
        self.shown(chunk)
    }

    /// What of a text is new; `None` if it is not what is expected.
    fn new_part(&mut self, text: &str) -> Option<String> {
        if let Some(rest) = text.strip_prefix(self.expected.as_str()) {
            self.expected.clear();
            return Some(rest.to_owned());
        }
        self.expected = self.expected.strip_prefix(text)?.to_owned();
        Some(String::new())
    }

    fn finish(&self, chunk: Value) -> Joined {
        if self.is_joined() { self.shown(chunk) } else { Joined::Other }
    }

    fn shown(&self, mut chunk: Value) -> Joined {
        let Identity { id, model, created } = &self.said.identity;
        if let Some(chunk) = chunk.as_object_mut() {
            chunk.insert("id".to_owned(), id.as_str().into());
            chunk.insert("model".to_owned(), model.as_str().into());
            chunk.insert("created".to_owned(), (*created).into());
        }
        Joined::Shown(format!("data: {chunk}\n\n").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ai::reading::Splitter;

    fn said(text: &str) -> Said {
        let identity = Identity { id: "c1".to_owned(), model: "m1".to_owned(), created: 7 };
        Said { identity, text: text.to_owned() }
    }

    fn take(joint: &mut Joint, chunk: &Value) -> Joined {
        let mut bytes = Bytes::from(format!("data: {chunk}\n\n"));
        joint.take(&Splitter::new(4096).next_event(&mut bytes).unwrap().unwrap())
    }

    fn content(text: &str) -> Value {
        json!({"id": "x", "model": "m2", "created": 9, "choices": [{"index": 0, "delta": {"content": text}}]})
    }

    fn shown(joined: &Joined) -> Value {
        let Joined::Shown(bytes) = joined else { return Value::Null };
        let text = std::str::from_utf8(bytes).unwrap();
        serde_json::from_str(text.strip_prefix("data: ").unwrap().trim_end()).unwrap()
    }

    #[test]
    fn a_stream_that_was_given_the_beginning_goes_on() {
        let mut joint = Joint::new(said("hello"), false, true);
        let role =
            json!({"id": "x", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
        assert_eq!(take(&mut joint, &role), Joined::Known);
        let next = shown(&take(&mut joint, &content(" world")));
        let expected = json!({"id": "c1", "model": "m1", "created": 7,
            "choices": [{"index": 0, "delta": {"content": " world"}}]});
        assert_eq!(next, expected);
        assert_eq!(joint.said(" world").unwrap().text, "hello world");
    }

    #[test]
    fn one_that_begins_anew_must_say_the_same() {
        let mut joint = Joint::new(said("hello"), true, false);
        assert_eq!(take(&mut joint, &content("hel")), Joined::Known);
        assert_eq!(joint.said("hel").unwrap().text, "hello");
        let next = shown(&take(&mut joint, &content("lo you")));
        assert_eq!(next["choices"][0]["delta"]["content"], " you");
        let stop = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        assert_eq!(shown(&take(&mut joint, &stop))["choices"][0]["finish_reason"], "stop");

        let mut joint = Joint::new(said("hello"), true, false);
        assert_eq!(take(&mut joint, &content("help")), Joined::Other);
        let mut joint = Joint::new(said("hello"), true, false);
        assert_eq!(take(&mut joint, &stop), Joined::Other);
    }

    #[test]
    fn usage_is_shown_to_whom_asked() {
        let usage = json!({"choices": [], "usage": {"prompt_tokens": 1}});
        let mut joint = Joint::new(said("a"), false, true);
        assert_eq!(take(&mut joint, &usage), Joined::Known);
        let mut joint = Joint::new(said("a"), false, false);
        assert_eq!(shown(&take(&mut joint, &usage))["id"], "c1");
    }
}
