//! A provider of models that breaks in every way that real ones do. It speaks OpenAI's and
//! Anthropic's API over HTTP/1.1 and HTTP/2, with TLS or without. The model that a request names
//! picks the fault (see its module `fault`); what came is logged, and so is when its peer went away.

mod answer;
mod anthropic;
mod fault;
mod files;
mod http1;
mod http2;
mod log;
mod openai;
mod responses;
mod script;
mod serve;
mod text;
mod tls;
mod wire;

pub use answer::{CONTENT, PIECES};
pub use log::{Call, Ending};
pub use script::{Head, Step};
pub use text::http_date;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::certificates::Certificate;
use crate::poll::{eventually, within};
use serve::Shared;

/// A provider that ends with the test.
pub struct Provider {
    /// Where it listens.
    pub addr: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Provider {
    /// Starts one. Its name is told in each of its answers.
    ///
    /// # Panics
    /// If it can't listen.
    pub fn start(name: &str) -> Self {
        Self::listening(name, None)
    }

    /// Starts one that speaks TLS with a certificate, and HTTP/2 if the other side offers it.
    ///
    /// # Panics
    /// If it can't listen, or the certificate can't be read.
    pub fn with_tls(name: &str, certificate: &Certificate) -> Self {
        Self::listening(name, Some(tls::acceptor(certificate)))
    }

    fn listening(name: &str, tls: Option<TlsAcceptor>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a socket that does not block");
        let addr = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::new(name, tls));
        let stop = Arc::new(Notify::new());
        let (serving, stopped) = (Arc::clone(&shared), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(serve::listen(listener, serving, stopped));
        });
        Self { addr, scheme, shared, stop, thread: Some(thread) }
    }

    /// The base URL, as SDKs take it.
    pub fn url(&self) -> String {
        format!("{}://{}/v1", self.scheme, self.addr)
    }

    /// Answers requests for `model` by a script of the test's own.
    pub fn play(&self, model: &str, script: Vec<Step>) {
        self.shared.scripts.lock().insert(model.to_owned(), script);
    }

    /// Treats requests that name no model as if they named this one.
    pub fn otherwise(&self, model: &str) {
        *self.shared.otherwise.lock() = model.to_owned();
    }

    /// The requests that came so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log.all()
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        self.shared.log.count()
    }

    /// The newest request.
    ///
    /// # Panics
    /// If none came.
    pub fn last(&self) -> Call {
        self.calls().pop().expect("a request reached the provider")
    }

    /// Forgets the requests that came so far, and how often models were asked.
    pub fn forget(&self) {
        self.shared.log.clear();
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.log.accepted()
    }

    /// Waits for the end of the newest request's answer.
    pub fn ended(&self) -> Ending {
        eventually("the provider's answer has ended", || self.last().ending())
    }

    /// Whether the peer of the newest request goes away within `limit`.
    pub fn is_left_within(&self, limit: Duration) -> bool {
        within(limit, || self.last().ending()) == Some(Ending::Left)
    }

    /// Stops listening and cuts what is open: connects are refused from now on.
    pub fn stop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the provider failed");
        }
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Provider").field("addr", &self.addr).field("calls", &self.calls()).finish()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
    }
}
