//! Steady traffic from visitors who watch which version answers them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::http1::Message;
use crate::raw::{Client, Request};

/// The pause of a visitor between two requests, so that a dozen of them leave the machine alone.
const PACE: Duration = Duration::from_millis(4);
/// Failures that are kept to be shown.
const SHOWN: usize = 20;
/// Requests of a newcomer over one connection.
const STAY: usize = 5;

/// Visitors at work.
pub struct Load {
    shared: Arc<Shared>,
    visitors: Vec<Visitor>,
}

/// One visitor, who stays until told to leave.
pub struct Visitor {
    leaving: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Shared {
    target: Box<dyn Fn() -> SocketAddr + Send + Sync>,
    requests: AtomicUsize,
    failed: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

/// A visitor's connections, one to each address, kept while the proxy keeps them.
struct Session {
    shared: Arc<Shared>,
    connections: HashMap<SocketAddr, Client>,
}

impl Load {
    /// Visitors of a proxy whose address `target` tells before each request.
    pub fn new(target: impl Fn() -> SocketAddr + Send + Sync + 'static) -> Self {
        let shared = Shared {
            target: Box::new(target),
            requests: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            failures: Mutex::default(),
        };
        Self { shared: Arc::new(shared), visitors: Vec::new() }
    }

    /// A visitor who is pinned to a version and must never see another.
    pub fn pinned(&self, version: &str) -> Visitor {
        let version = version.to_owned();
        self.visitor(move |session| {
            for request in [Request::get("/"), Request::post("/form", "x".repeat(2000))] {
                if let Some(answer) = session.ask(&request.pinned(&version)) {
                    session.expect(answer.origin() == version, "a pinned visitor's version", &answer);
                    session.expect(answer.pins_to().is_none(), "no new pin", &answer);
                }
            }
        })
    }

    /// A visitor who is pinned and asks for answers that take a while.
    pub fn patient(&self, version: &str, target: &str, whole: usize) -> Visitor {
        let (version, target) = (version.to_owned(), target.to_owned());
        self.visitor(move |session| {
            if let Some(answer) = session.ask(&Request::get(&target).pinned(&version)) {
                session.expect(answer.origin() == version, "a patient visitor's version", &answer);
                session.expect(answer.body.len() == whole, "the whole answer", &answer);
            }
        })
    }

    /// New visitors: each gets some version, is pinned to it and gets it again.
    pub fn newcomers(&mut self, count: usize) {
        for _ in 0..count {
            let visitor = self.visitor(|session| {
                for _ in 0..STAY {
                    visit(session);
                }
                session.connections.clear();
            });
            self.visitors.push(visitor);
        }
    }

    /// Lets a visitor stay to the end.
    pub fn keep(&mut self, visitor: Visitor) {
        self.visitors.push(visitor);
    }

    /// Requests that were made so far.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Sends everyone home and tells how many requests were made.
    ///
    /// # Panics
    /// If one of them failed or got the wrong version.
    pub fn finish(self) -> usize {
        self.visitors.into_iter().for_each(Visitor::leave);
        let failed = self.shared.failed.load(Ordering::Relaxed);
        let requests = self.shared.requests.load(Ordering::Relaxed);
        let failures = self.shared.failures.lock();
        assert!(failures.is_empty(), "{failed} of {requests} failed:\n{}", failures.join("\n"));
        requests
    }

    fn visitor(&self, mut round: impl FnMut(&mut Session) + Send + 'static) -> Visitor {
        let leaving = Arc::new(AtomicBool::new(false));
        let (left, shared) = (Arc::clone(&leaving), Arc::clone(&self.shared));
        let thread = std::thread::spawn(move || {
            let mut session = Session { shared, connections: HashMap::new() };
            while !left.load(Ordering::Acquire) {
                round(&mut session);
            }
        });
        Visitor { leaving, thread }
    }
}

impl Visitor {
    /// Sends the visitor home, after the request that is under way.
    ///
    /// # Panics
    /// If the visitor's thread did.
    pub fn leave(self) {
        self.leaving.store(true, Ordering::Release);
        self.thread.join().expect("a visitor");
    }
}

impl Session {
    /// Makes a request; `None` if it failed, which is noted.
    fn ask(&mut self, request: &Request) -> Option<Message> {
        std::thread::sleep(PACE);
        self.shared.requests.fetch_add(1, Ordering::Relaxed);
        let target = (self.shared.target)();
        match self.exchange(target, request) {
            Ok(answer) if answer.status() == 200 => Some(answer),
            Ok(answer) => {
                self.expect(false, "status 200", &answer);
                None
            }
            Err(error) => {
                self.fail(format!("{error} from {target}"));
                None
            }
        }
    }

    fn exchange(&mut self, target: SocketAddr, request: &Request) -> std::io::Result<Message> {
        let mut client = match self.connections.remove(&target) {
            Some(client) => client,
            None => Client::try_connect(target)?,
        };
        let answer = client.exchange(request)?;
        if answer.header("connection") != Some("close") {
            self.connections.insert(target, client);
        }
        Ok(answer)
    }

    fn expect(&self, holds: bool, what: &str, answer: &Message) {
        if !holds {
            let body = answer.text().chars().take(200).collect::<String>();
            self.fail(format!("not {what}: {} {:?} {body}", answer.start, answer.headers));
        }
    }

    fn fail(&self, failure: String) {
        self.shared.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.shared.failures.lock();
        if failures.len() < SHOWN {
            failures.push(failure);
        }
    }
}

fn visit(session: &mut Session) {
    let Some(first) = session.ask(&Request::get("/").page_load()) else { return };
    let Some(pin) = first.pins_to() else {
        session.expect(false, "pinned at first sight", &first);
        return;
    };
    session.expect(first.origin() == pin, "answered by the version of the pin", &first);
    session.expect(first.header("x-lockstep-version") == Some(&pin), "named by its version", &first);
    if let Some(second) = session.ask(&Request::get("/api").pinned(&pin)) {
        session.expect(second.origin() == pin, "the same version again", &second);
    }
}
