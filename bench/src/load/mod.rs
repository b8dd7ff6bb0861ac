//! The load generator: a closed loop over keep-alive connections, HTTP/1.1, one thread.

mod connection;
mod pins;
mod recorder;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

pub use connection::{Answer, Connection};
pub use pins::{Pin, Pins, request};
pub use recorder::{Recorder, Tally};

/// How long a client waits after a failure, so that a dead contender does not make it spin.
const AFTER_FAILURE: Duration = Duration::from_millis(5);

/// Clients that ask one contender without pause. Dropping it stops them.
pub struct Load {
    recorder: Rc<RefCell<Recorder>>,
    _clients: JoinSet<()>,
}

impl Load {
    /// Starts the clients; needs a `LocalSet` around it.
    pub fn start(address: SocketAddr, pins: &Rc<Pins>, connections: usize) -> Self {
        let recorder = Rc::new(RefCell::new(Recorder::default()));
        let mut clients = JoinSet::new();
        for number in 0..connections {
            clients.spawn_local(client(address, Rc::clone(pins), number, Rc::clone(&recorder)));
        }
        Self { recorder, _clients: clients }
    }

    /// Forgets what was counted.
    pub fn reset(&self) {
        self.recorder.borrow_mut().reset();
    }

    /// What was counted since the last reset.
    pub fn tally(&self) -> Tally {
        self.recorder.borrow().tally()
    }
}

async fn client(address: SocketAddr, pins: Rc<Pins>, number: usize, recorder: Rc<RefCell<Recorder>>) {
    let mut walk = pins.walk(number);
    loop {
        if converse(address, &mut walk, &recorder).await.is_err() {
            recorder.borrow_mut().failed();
            tokio::time::sleep(AFTER_FAILURE).await;
        }
    }
}

/// Asks over one connection until it breaks or the contender wants it closed.
async fn converse<'p>(
    address: SocketAddr,
    walk: &mut impl Iterator<Item = &'p Pin>,
    recorder: &RefCell<Recorder>,
) -> std::io::Result<()> {
    let mut connection = Connection::open(address).await?;
    for pin in walk {
        let asked = Instant::now();
        let answer = connection.ask(&pin.request).await?;
        recorder.borrow_mut().answered(asked.elapsed(), &answer, &pin.version);
        if answer.closes {
            return Ok(());
        }
    }
    Ok(())
}
