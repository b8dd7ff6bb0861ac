//! Hints as texts that NOTIFY carries: words with a letter for what they say and names in base64, as many in one
//! text as the server takes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::jobs::columns::{job_id, queue_name};
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::name::JobId;

/// A text must be shorter than 8 000 bytes (manual of NOTIFY).
const MAX_TEXT: usize = 7_900;
/// Says that something was missed.
const MISSED: &str = "!";

/// What one text says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) hints: Vec<Hint>,
    /// Something was missed, or is not understood.
    pub(super) missed: bool,
}

/// Texts for work and for events; a hint that comes again is said once in a text.
pub(super) fn texts(hints: &[Hint], missed: bool) -> (Vec<String>, Vec<String>) {
    let (mut work, mut events) = (Vec::new(), Vec::new());
    if missed {
        push(&mut work, MISSED);
    }
    for hint in hints {
        match hint {
            Hint::Work(queue) => push(&mut work, &format!("w{}", encode(queue.as_str()))),
            Hint::Event(queue, event) => {
                let (kind, id) = parts(event);
                let id = id.map(|id| encode(id.as_str())).unwrap_or_default();
                push(&mut events, &format!("{kind}{}.{id}", encode(queue.as_str())));
            }
        }
    }
    (work, events)
}

/// Reads a text of [`texts`].
pub(super) fn read(text: &str) -> Heard {
    let mut heard = Heard::default();
    for word in text.split(' ') {
        match word_hint(word) {
            Some(hint) => heard.hints.push(hint),
            None => heard.missed = true,
        }
    }
    heard
}

fn push(texts: &mut Vec<String>, word: &str) {
    match texts.last_mut() {
        Some(text) if text.len() + 1 + word.len() <= MAX_TEXT => {
            let again = text.rsplit(' ').next() == Some(word);
            if !again {
                text.push(' ');
                text.push_str(word);
            }
        }
        _ => texts.push(word.to_owned()),
    }
}

fn word_hint(word: &str) -> Option<Hint> {
    let kind = word.chars().next()?;
    let names = word.get(kind.len_utf8()..)?;
    if kind == 'w' {
        return Some(Hint::Work(queue_name(&decode(names)?).ok()?));
    }
    let (queue, id) = names.split_once('.')?;
    let queue = queue_name(&decode(queue)?).ok()?;
    let id = || job_id(&decode(id)?).ok();
    let event = match kind {
        'e' => Event::Enqueued(id()?),
        's' => Event::Started(id()?),
        'c' => Event::Completed(id()?),
        'r' => Event::Retrying(id()?),
        'd' => Event::Dead(id()?),
        't' => Event::Stalled(id()?),
        'x' => Event::Cancelled(id()?),
        'p' => Event::Paused,
        'u' => Event::Resumed,
        _ => return None,
    };
    Some(Hint::Event(queue, event))
}

fn parts(event: &Event) -> (char, Option<&JobId>) {
    let kind = match event {
        Event::Enqueued(_) => 'e',
        Event::Started(_) => 's',
        Event::Completed(_) => 'c',
        Event::Retrying(_) => 'r',
        Event::Dead(_) => 'd',
        Event::Stalled(_) => 't',
        Event::Cancelled(_) => 'x',
        Event::Paused => 'p',
        Event::Resumed => 'u',
        Event::Missed => '!',
    };
    (kind, event.job())
}

fn encode(name: &str) -> String {
    STANDARD_NO_PAD.encode(name)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::name::{MAX_ID, MAX_NAME, QueueName};

    #[test]
    fn hints_survive_the_way_and_texts_stay_short() {
        let queue = QueueName::new("\0 .".repeat(MAX_NAME / 3)).unwrap();
        let id = JobId::new("é".repeat(MAX_ID / 2)).unwrap();
        let kinds: [fn(JobId) -> Event; 7] = [
            Event::Enqueued,
            Event::Started,
            Event::Completed,
            Event::Retrying,
            Event::Dead,
            Event::Stalled,
            Event::Cancelled,
        ];
        let mut hints = vec![Hint::Work(queue.clone())];
        for kind in kinds.iter().cycle().take(100) {
            hints.push(Hint::Event(queue.clone(), kind(id.clone())));
        }
        hints.extend([Event::Paused, Event::Resumed].map(|event| Hint::Event(queue.clone(), event)));

        let (work, events) = texts(&hints, false);
        assert_eq!((work.len(), events.len()), (1, 12));
        let all: Vec<_> = work.iter().chain(&events).collect();
        assert!(all.iter().all(|text| text.len() < 8_000));
        let heard: Vec<_> = all.iter().flat_map(|text| read(text).hints).collect();
        assert_eq!(heard, hints);
    }

    #[test]
    fn what_is_not_understood_was_missed() {
        for text in ["", "!", "w", "w*", "q", "zbQ.YQ", "ebQ", "é", "wbQ zbQ.YQ"] {
            assert!(read(text).missed, "{text:?}");
        }
        assert_eq!(texts(&[], true).0, ["!"]);
    }
}
