//! Moves a stream from the provider to the client as it comes, and watches both.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pump::{Progress, Pump};
use crate::ai::call::client::{Client, Gone, Undelivered};
use crate::ai::call::record::Record;
use crate::ai::ledger::Change;
use crate::ai::upstream::exchange::{ExchangeError, Upstream};

/// A stream whose choices have all finished may still report its usage within this time.
const AFTER_FINISH: Duration = Duration::from_secs(2);

/// What has come together leaves together, up to about this much.
const TOGETHER: usize = 64 << 10;

const COMMENT: &[u8] = b": keep-alive\n\n";

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As it should; its end is held.
    Complete,
    /// With an error of the provider's, which is held.
    Reported,
    /// In the middle.
    Broken,
    /// The provider fell silent.
    Silent,
    /// The provider sends what makes no sense.
    Senseless,
    /// The provider says something else than what the client has: no fault of its own.
    Parted,
    /// The client went away.
    Gone,
    /// The client takes nothing any more.
    Slow,
    /// The process ends.
    Ending,
    /// The process ends while the client takes nothing: what is half written can't be followed by anything.
    Stuck,
}

/// How fast a stream must go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The longest silence of the provider.
    pub(crate) idle: Duration,
    /// Silence after which the client gets a comment.
    pub(crate) keep_alive: Option<Duration>,
}

/// One stream between its two ends.
pub(crate) struct Relay<'r, 's> {
    pub(crate) client: &'r mut Client<'s>,
    pub(crate) record: &'r mut Record,
    pub(crate) upstream: &'r mut Upstream,
    pub(crate) pump: &'r mut Pump,
    pub(crate) pace: Pace,
    pub(crate) ending: &'r CancellationToken,
}

enum Heard {
    Read(Result<Option<Bytes>, ExchangeError>),
    Nothing,
}

impl Relay<'_, '_> {
    /// Moves everything but the end, which is held.
    pub(crate) async fn run(mut self) -> Ended {
        let mut progress = self.pump.start();
        let mut heard = Instant::now();
        let mut wrote = heard;
        loop {
            if self.pump.waiting_bytes() > 0 {
                let out = self.pump.take();
                if let Err(ended) = self.deliver(out).await {
                    return ended;
                }
                wrote = Instant::now();
                // A client that takes its time is no silence of the provider.
                heard = wrote;
            }
            match progress {
                Progress::Open => {}
                Progress::Ended => return Ended::Complete,
                Progress::Reported => return Ended::Reported,
                Progress::Broken => return Ended::Broken,
                Progress::Senseless => return Ended::Senseless,
                Progress::Parted => return Ended::Parted,
            }
            let finished = self.pump.is_finished();
            let patience = if finished { AFTER_FINISH.min(self.pace.idle) } else { self.pace.idle };
            let comment = self.pace.keep_alive.map(|after| wrote + after);
            let until = comment.map_or(heard + patience, |comment| comment.min(heard + patience));
            let next = tokio::select! {
                biased;
                read = self.upstream.read() => Heard::Read(read),
                Gone = self.client.gone() => return Ended::Gone,
                () = self.ending.cancelled() => return Ended::Ending,
                () = sleep_until(until) => Heard::Nothing,
            };
            progress = match next {
                Heard::Read(read) => {
                    heard = Instant::now();
                    self.take(read)
                }
                Heard::Nothing if heard.elapsed() >= patience && finished => self.pump.add_done(),
                Heard::Nothing if heard.elapsed() >= patience => return Ended::Silent,
                Heard::Nothing => {
                    if let Err(ended) = self.deliver(Bytes::from_static(COMMENT)).await {
                        return ended;
                    }
                    self.record.changes.insert(Change::ResponseKeptAlive);
                    wrote = Instant::now();
                    Progress::Open
                }
            };
        }
    }

    /// Takes what was read, and all else that has come by now.
    fn take(&mut self, read: Result<Option<Bytes>, ExchangeError>) -> Progress {
        let mut next = Some(read);
        while let Some(read) = next {
            let progress = match read {
                Ok(Some(chunk)) => self.pump.push(chunk),
                Ok(None) | Err(_) => self.pump.close(),
            };
            if progress != Progress::Open || self.pump.waiting_bytes() >= TOGETHER {
                return progress;
            }
            next = self.upstream.read_now();
        }
        Progress::Open
    }

    async fn deliver(&mut self, out: Bytes) -> Result<(), Ended> {
        match self.client.deliver(out.clone(), self.ending).await {
            Ok(()) => self.record.delivered(&out),
            Err(Undelivered::Gone) => return Err(Ended::Gone),
            Err(Undelivered::Slow) => return Err(Ended::Slow),
            Err(Undelivered::Ending) => return Err(Ended::Stuck),
        }
        Ok(())
    }
}
