//! The faults, by the name of the model that a request asks for:
//!
//! | model | what happens |
//! |---|---|
//! | `ok`, and any name that is none of these | the right answer |
//! | `429`, `500`, any status from 400 to 599 | that status with an error in the API's shape |
//! | `429-after-1`, `503-after-200` | with `Retry-After` in seconds |
//! | `429-after-ms-50` | with `retry-after-ms` |
//! | `429-after-date-2` | with `Retry-After` as a date, so many seconds ahead |
//! | `quota`, `context-length`, `content-filter`, `unknown-model`, `unknown-deployment` | that error |
//! | `html` | 502 with a page |
//! | `reset`, `close` | the connection is reset, or closed, before the head |
//! | `silence`, `headers-silence` | nothing, or nothing after the head |
//! | `slow-first-300`, `paced-20` | the first event, or each one, comes so many milliseconds later |
//! | `cut`, `cut-reset`, `stall` | the answer breaks off, or stops, in the middle |
//! | `no-finish` | the stream ends cleanly in the middle |
//! | `no-done`, `no-done-silent` | all but `[DONE]`, then the end, or silence |
//! | `malformed` | one event among good ones is no JSON; of a plain answer, the body |
//! | `error-first`, `error-first-429`, `error-mid` | an event is an error |
//! | `drip` | one byte at a time |
//! | `huge-4` | an event, or an answer, of so many MiB |
//! | `large-4` | a stream, or an answer, of so many MiB |
//! | `endless` | an answer without end |
//! | `gzip` | compressed, whatever was asked for |
//! | `not-json`, `wrong-type` | a page with status 200; JSON for a stream, or JSON that is called text |
//! | `too-short`, `too-long` | fewer, or more, bytes than stated |
//! | `usage-always`, `usage-never` | a stream's usage event, asked for or not |
//! | `…-once`, `…-twice`, `…-odd` | only on the first, the first two, or every other request; `flapping` is `500-odd` |

use std::time::Duration;

use super::answer::Answer;
use super::script::Step;

mod breaking;
mod errors;
mod shapes;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    Right,
    Status(u16, Wait),
    Error(&'static str),
    Breaking(Breaking),
    Shape(Shape),
}

/// When the peer should come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    Untold,
    Seconds(u64),
    Millis(u64),
    Date(u64),
}

/// How an exchange breaks, or makes the peer wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Breaking {
    Reset,
    Close,
    Silence,
    HeadersSilence,
    SlowFirst(Duration),
    Paced(Duration),
    Cut,
    CutReset,
    Stall,
    NoFinish,
    NoDone,
    NoDoneSilent,
}

/// What an answer looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    Malformed,
    ErrorFirst(Option<u16>),
    ErrorMid,
    Drip,
    Huge(usize),
    Large(usize),
    Endless,
    Gzip,
    NotJson,
    WrongType,
    TooShort,
    TooLong,
    UsageAlways,
    UsageNever,
}

impl Plan {
    /// The plan for a model that was asked so many times before.
    pub(super) fn of(model: &str, before: usize) -> Self {
        let name = if model == "flapping" { "500-odd" } else { model };
        let (name, faulty) = match name.rsplit_once('-') {
            Some((name, "once")) => (name, before == 0),
            Some((name, "twice")) => (name, before < 2),
            Some((name, "odd")) => (name, before.is_multiple_of(2)),
            _ => (name, true),
        };
        if !faulty {
            return Self::Right;
        }
        status(name)
            .or_else(|| errors::named(name).map(Self::Error))
            .or_else(|| breaking(name).map(Self::Breaking))
            .or_else(|| shape(name).map(Self::Shape))
            .unwrap_or(Self::Right)
    }

    /// What to do.
    pub(super) fn script(&self, answer: &Answer<'_>) -> Vec<Step> {
        match self {
            Self::Right => answer.right(),
            Self::Status(status, wait) => errors::status(answer, *status, *wait),
            Self::Error(name) => errors::script(answer, name),
            Self::Breaking(breaking) => breaking::script(answer, breaking),
            Self::Shape(shape) => shapes::script(answer, shape),
        }
    }
}

fn status(name: &str) -> Option<Plan> {
    let (status, wait) = match name.split_once("-after-") {
        None => (name, Wait::Untold),
        Some((status, wait)) => (status, waiting(wait)?),
    };
    let status = status.parse().ok().filter(|status| (400..600).contains(status))?;
    Some(Plan::Status(status, wait))
}

fn waiting(text: &str) -> Option<Wait> {
    match text.split_once('-') {
        Some(("ms", count)) => count.parse().ok().map(Wait::Millis),
        Some(("date", count)) => count.parse().ok().map(Wait::Date),
        _ => text.parse().ok().map(Wait::Seconds),
    }
}

fn breaking(name: &str) -> Option<Breaking> {
    let millis = |text: &str| text.parse().ok().map(Duration::from_millis);
    Some(match name {
        "reset" => Breaking::Reset,
        "close" => Breaking::Close,
        "silence" => Breaking::Silence,
        "headers-silence" => Breaking::HeadersSilence,
        "cut" => Breaking::Cut,
        "cut-reset" => Breaking::CutReset,
        "stall" => Breaking::Stall,
        "no-finish" => Breaking::NoFinish,
        "no-done" => Breaking::NoDone,
        "no-done-silent" => Breaking::NoDoneSilent,
        _ => match name.rsplit_once('-')? {
            ("slow-first", wait) => Breaking::SlowFirst(millis(wait)?),
            ("paced", wait) => Breaking::Paced(millis(wait)?),
            _ => return None,
        },
    })
}

fn shape(name: &str) -> Option<Shape> {
    Some(match name {
        "malformed" => Shape::Malformed,
        "error-first" => Shape::ErrorFirst(None),
        "error-mid" => Shape::ErrorMid,
        "drip" => Shape::Drip,
        "endless" => Shape::Endless,
        "gzip" => Shape::Gzip,
        "not-json" => Shape::NotJson,
        "wrong-type" => Shape::WrongType,
        "too-short" => Shape::TooShort,
        "too-long" => Shape::TooLong,
        "usage-always" => Shape::UsageAlways,
        "usage-never" => Shape::UsageNever,
        _ => match name.rsplit_once('-')? {
            ("error-first", status) => Shape::ErrorFirst(Some(status.parse().ok()?)),
            ("huge", mib) => Shape::Huge(mib.parse::<usize>().ok()? << 20),
            ("large", mib) => Shape::Large(mib.parse::<usize>().ok()? << 20),
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_are_plans() {
        let ms = Duration::from_millis;
        let cases = [
            ("ok", Plan::Right),
            ("gpt-4o", Plan::Right),
            ("429", Plan::Status(429, Wait::Untold)),
            ("429-after-200", Plan::Status(429, Wait::Seconds(200))),
            ("429-after-ms-50", Plan::Status(429, Wait::Millis(50))),
            ("503-after-date-2", Plan::Status(503, Wait::Date(2))),
            ("200", Plan::Right),
            ("quota", Plan::Error("quota")),
            ("slow-first-300", Plan::Breaking(Breaking::SlowFirst(ms(300)))),
            ("cut-reset", Plan::Breaking(Breaking::CutReset)),
            ("error-first-429", Plan::Shape(Shape::ErrorFirst(Some(429)))),
            ("huge-4", Plan::Shape(Shape::Huge(4 << 20))),
        ];
        for (name, plan) in cases {
            assert_eq!(Plan::of(name, 0), plan, "{name}");
        }
    }

    #[test]
    fn faults_may_pass() {
        let faulty = |name: &str, before| Plan::of(name, before) != Plan::Right;
        let seen = |name: &str| [0, 1, 2, 3].map(|before| faulty(name, before));
        assert_eq!(seen("500"), [true; 4]);
        assert_eq!(seen("500-once"), [true, false, false, false]);
        assert_eq!(seen("429-after-1-twice"), [true, true, false, false]);
        assert_eq!(seen("flapping"), [true, false, true, false]);
    }
}
