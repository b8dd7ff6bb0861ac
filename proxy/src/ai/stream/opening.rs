//! Waits for the first event of a stream: until then nothing was sent to the client, and another
//! target can still be asked.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ai::json;
use crate::ai::reading::{Event, ProviderError, Splitter};
use crate::ai::upstream::exchange::{ExchangeError, Upstream};

/// The longest event that is followed.
const MAX_EVENT: usize = 16 << 20;

/// Most events without meaning that may come first.
const MAX_BEFORE: usize = 1024;

/// A stream whose first event has come.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) splitter: Splitter,
    /// Events that have come, the first one with its meaning last.
    pub(crate) events: VecDeque<Event>,
    /// What came behind them.
    pub(crate) rest: Bytes,
}

/// Why a stream has no first event.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// It is an error.
    Error(ProviderError),
    /// The stream broke.
    Broke(ExchangeError),
    /// It ended, or is none.
    Empty,
    /// It makes no sense.
    Senseless,
}

/// Reads up to the first event.
///
/// # Errors
/// If there is none, or it is an error.
pub(crate) async fn open(upstream: &mut Upstream) -> Result<Opened, NotOpened> {
    let mut opened =
        Opened { splitter: Splitter::new(MAX_EVENT), events: VecDeque::new(), rest: Bytes::new() };
    loop {
        let chunk = upstream.read().await.map_err(NotOpened::Broke)?;
        opened.rest = chunk.ok_or(NotOpened::Empty)?;
        if opened.advance()? {
            return Ok(opened);
        }
    }
}

impl Opened {
    /// Looks for the first event in what has come.
    fn advance(&mut self) -> Result<bool, NotOpened> {
        while let Some(event) = self.splitter.next_event(&mut self.rest).map_err(|_| NotOpened::Empty)? {
            let opens = opens(&event)?;
            // None that came before made sense: one such may be an accident, two are not.
            if !opens && event.says_something() && self.events.iter().any(Event::says_something) {
                return Err(NotOpened::Senseless);
            }
            self.events.push_back(event);
            if opens {
                return Ok(true);
            }
            if self.events.len() > MAX_BEFORE {
                return Err(NotOpened::Empty);
            }
        }
        Ok(false)
    }
}

/// Whether an event means something; comments and malformed ones do not.
fn opens(event: &Event) -> Result<bool, NotOpened> {
    let Some(data) = event.data() else { return Ok(false) };
    if let Some(error) = ProviderError::in_event(event.name(), data) {
        return Err(NotOpened::Error(error));
    }
    Ok(event.is_done() || json::find::<0>(data, []).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advance(text: &'static str) -> Result<(usize, Bytes), NotOpened> {
        let rest = Bytes::from_static(text.as_bytes());
        let mut opened = Opened { splitter: Splitter::new(100), events: VecDeque::new(), rest };
        let open = opened.advance()?;
        Ok((if open { opened.events.len() } else { 0 }, opened.rest))
    }

    #[test]
    fn the_first_event_with_a_meaning_opens() {
        let cases = [
            ("", (0, "")),
            (": wait\n\n", (0, "")),
            ("data: nonsense\n\n", (0, "")),
            ("data: {}", (0, "")),
            (": wait\n\ndata: x\n\ndata: {}\n\ndata: {}\n\n", (3, "data: {}\n\n")),
            ("data:\n\ndata: \n\ndata: x\n\ndata: {}\n\n", (4, "")),
            ("data: [DONE]\n\n", (1, "")),
        ];
        for (text, (events, rest)) in cases {
            assert_eq!(advance(text).unwrap(), (events, Bytes::from_static(rest.as_bytes())), "{text}");
        }
        assert!(matches!(advance("data: {\"error\":{\"message\":\"x\"}}\n\n"), Err(NotOpened::Error(_))));
        assert!(matches!(advance("event: error\ndata: x\n\n"), Err(NotOpened::Error(_))));
        assert!(matches!(advance("data: x\n\n: wait\n\ndata: y\n\n"), Err(NotOpened::Senseless)));
    }
}
