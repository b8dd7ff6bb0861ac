//! Exchanges that break, stop or take their time.

use std::time::Duration;

use bytes::Bytes;

use super::Breaking;
use crate::provider::answer::{Answer, Events};
use crate::provider::script::Step;

/// Events that come before a stream breaks, of those that carry the text.
const BEFORE: usize = 4;

/// What happens.
pub(super) fn script(answer: &Answer<'_>, breaking: &Breaking) -> Vec<Step> {
    match breaking {
        Breaking::Reset => vec![Step::Reset],
        Breaking::Close => vec![Step::Cut],
        Breaking::Silence => vec![Step::Silence],
        _ if answer.streams() => stream(answer, breaking),
        _ => plain(answer, breaking),
    }
}

fn stream(answer: &Answer<'_>, breaking: &Breaking) -> Vec<Step> {
    let events = answer.events(answer.asked.text());
    let head = Step::Head(answer.stream_head());
    let half = || begun(&events);
    let without_done = || Events { done: None, ..answer.events(answer.asked.text()) }.all();
    let (events, end) = match breaking {
        Breaking::HeadersSilence => (Vec::new(), Step::Silence),
        Breaking::Cut => (half(), Step::Cut),
        Breaking::CutReset => (half(), Step::Reset),
        Breaking::Stall => (half(), Step::Silence),
        Breaking::NoFinish => (half(), Step::End),
        Breaking::NoDone => (without_done(), Step::End),
        Breaking::NoDoneSilent => (without_done(), Step::Silence),
        Breaking::SlowFirst(wait) => return slowly(head, *wait, Duration::ZERO, events.all()),
        Breaking::Paced(wait) => return slowly(head, *wait, *wait, events.all()),
        Breaking::Reset | Breaking::Close | Breaking::Silence => (Vec::new(), Step::Reset),
    };
    std::iter::once(head).chain(events.into_iter().map(Step::Data)).chain([end]).collect()
}

/// The events up to the break.
fn begun(events: &Events) -> Vec<Bytes> {
    events.parts.iter().take(BEFORE).cloned().collect()
}

fn slowly(head: Step, first: Duration, each: Duration, events: Vec<Bytes>) -> Vec<Step> {
    let mut script = vec![head];
    for (number, event) in events.into_iter().enumerate() {
        script.push(Step::Pause(if number == 0 { first } else { each }));
        script.push(Step::Data(event));
    }
    script.push(Step::End);
    script
}

fn plain(answer: &Answer<'_>, breaking: &Breaking) -> Vec<Step> {
    let (head, body) = answer.plain(answer.asked.text());
    let half = body.slice(..body.len() / 2);
    let stated = Step::Head(head.clone().length(body.len()));
    match breaking {
        Breaking::HeadersSilence => vec![stated, Step::Silence],
        Breaking::Cut => vec![stated, Step::Data(half), Step::Cut],
        Breaking::CutReset => vec![stated, Step::Data(half), Step::Reset],
        Breaking::Stall => vec![stated, Step::Data(half), Step::Silence],
        Breaking::SlowFirst(wait) | Breaking::Paced(wait) => {
            vec![Step::Pause(*wait), stated, Step::Data(body), Step::End]
        }
        _ => vec![stated, Step::Data(body), Step::End],
    }
}
