//! The load generator: clients with a connection each, one thread for all, HTTP/1.1.

use std::cell::RefCell;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, interval_at};

use super::contender::Running;
use super::mark::{marks, now};
use super::meter::{Meter, Tally};
use super::prompt::{Prompt, Prompts};
use super::shape::{Shape, Unit};
use super::wire::Wire;

/// How long a client waits after a failure, so that a dead contender does not make it spin.
const AFTER_FAILURE: Duration = Duration::from_millis(5);
/// The timer is no more exact than this. A client that comes later than that did not keep up.
const LATE: Duration = Duration::from_millis(2);
/// Clients start spread over this time, so that their streams do not tick together.
const SPREAD: Duration = Duration::from_millis(20);
const DONE: &[u8] = b"data: [DONE]";

/// Clients of one contender. Dropping it stops them.
pub struct Load {
    meter: Rc<RefCell<Meter>>,
    _clients: JoinSet<()>,
}

/// One client.
struct Client {
    address: SocketAddr,
    unit: Unit,
    meter: Rc<RefCell<Meter>>,
}

impl Load {
    /// Starts the clients; needs a `LocalSet` around it.
    pub fn start(running: &Running, shape: Shape) -> Self {
        let meter = Rc::new(RefCell::new(Meter::default()));
        let prompts = Rc::new(running.prompts(shape.model(), shape.prompt()));
        let every = shape.interval(running.contender.pace());
        let spread = every.unwrap_or(SPREAD);
        let (mut clients, count) = (JoinSet::new(), shape.clients());
        for number in 0..count {
            let client = Client { address: running.address, unit: shape.unit(), meter: Rc::clone(&meter) };
            let begin = Instant::now() + spread.mul_f64(number as f64 / count as f64);
            clients.spawn_local(client.run(Rc::clone(&prompts), number, begin, every));
        }
        Self { meter, _clients: clients }
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        self.meter.borrow_mut().reset();
    }

    /// What was counted since the last reset.
    pub fn tally(&self) -> Tally {
        self.meter.borrow().tally()
    }
}

impl Client {
    async fn run(self, prompts: Rc<Prompts>, number: usize, begin: Instant, every: Option<Duration>) {
        let mut clock = every.map(|every| interval_at(begin, every));
        let mut walk = prompts.walk(number);
        tokio::time::sleep_until(begin).await;
        loop {
            if self.converse(&mut walk, &mut clock).await.is_err() {
                self.meter.borrow_mut().failed();
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }

    /// Asks over one connection until it breaks or the contender wants it closed.
    async fn converse<'p>(
        &self,
        walk: &mut impl Iterator<Item = &'p Prompt>,
        clock: &mut Option<Interval>,
    ) -> Result<()> {
        let mut wire = Wire::open(self.address).await?;
        for prompt in walk {
            let asked = due(clock).await;
            let status = wire.ask(&prompt.request).await?;
            if status != 200 {
                return Err(Error::other("not answered"));
            }
            match self.unit {
                Unit::Request => self.plain(&mut wire, asked).await?,
                Unit::Stream => self.stream(&mut wire, asked).await?,
                Unit::Chunk => self.chunks(&mut wire).await?,
            }
            if !wire.is_kept() {
                break;
            }
        }
        Ok(())
    }

    async fn plain(&self, wire: &mut Wire, asked: Instant) -> Result<()> {
        let body = wire.body().await?;
        if !body.ends_with(b"}") {
            return Err(Error::other("no whole answer"));
        }
        self.meter.borrow_mut().right(asked.elapsed());
        Ok(())
    }

    async fn stream(&self, wire: &mut Wire, asked: Instant) -> Result<()> {
        let first = wire.piece().await?;
        let after = asked.elapsed();
        let mut text = BytesMut::from(first.ok_or_else(|| Error::other("an empty stream"))?);
        text.extend_from_slice(&wire.body().await?);
        if memchr::memmem::find(&text, DONE).is_none() {
            return Err(Error::other("no whole stream"));
        }
        self.meter.borrow_mut().right(after);
        Ok(())
    }

    async fn chunks(&self, wire: &mut Wire) -> Result<()> {
        let mut text = BytesMut::new();
        let mut done = false;
        while let Some(piece) = wire.piece().await? {
            let arrived = now();
            text.extend_from_slice(&piece);
            done |= memchr::memmem::find(&text, DONE).is_some();
            let (marks, seen) = marks(&text);
            marks.for_each(|sent| self.meter.borrow_mut().right(arrived.saturating_sub(sent)));
            let _seen = text.split_to(seen);
        }
        if done { Ok(()) } else { Err(Error::other("no whole stream")) }
    }
}

/// Waits until it is time to ask. Returns the moment from which the delay counts: the one at which the
/// client should have asked, if it came too late because the last answer did.
async fn due(clock: &mut Option<Interval>) -> Instant {
    let Some(clock) = clock else { return Instant::now() };
    let due = clock.tick().await;
    let now = Instant::now();
    if now.saturating_duration_since(due) > LATE { due } else { now }
}
