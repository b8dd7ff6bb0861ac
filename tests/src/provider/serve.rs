//! Accepts connections and finds out what to do with requests.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;

use parking_lot::Mutex;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Asked};
use super::fault::Plan;
use super::log::Log;
use super::script::Step;
use super::{http1, http2};
use crate::http1::Message;

const PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A connection, whatever is below HTTP.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What the connections of a provider share.
pub(super) struct Shared {
    name: String,
    tls: Option<TlsAcceptor>,
    pub(super) log: Log,
    pub(super) scripts: Mutex<HashMap<String, Vec<Step>>>,
    /// The model of requests that name none.
    pub(super) otherwise: Mutex<String>,
}

impl Shared {
    pub(super) fn new(name: &str, tls: Option<TlsAcceptor>) -> Self {
        Self {
            name: name.to_owned(),
            tls,
            log: Log::default(),
            scripts: Mutex::default(),
            otherwise: Mutex::new("ok".to_owned()),
        }
    }

    /// Notes a request; tells its number and what to do.
    pub(super) fn receive(&self, request: Message, connection: usize, http2: bool) -> (usize, Vec<Step>) {
        let asked = Asked::of(&request);
        let model = asked.model.clone().unwrap_or_default();
        let (number, before) = self.log.begin(request.clone(), &model, connection, http2);
        let named = if model.is_empty() { self.otherwise.lock().clone() } else { model };
        if let Some(script) = self.scripts.lock().get(&named) {
            return (number, script.clone());
        }
        let plan = Plan::of(&named, before);
        (number, plan.script(&Answer { provider: &self.name, number, asked: &asked, request: &request }))
    }
}

/// Accepts connections until told to stop; then all of them are cut.
pub(super) async fn listen(listener: TcpListener, shared: Arc<Shared>, stop: Arc<Notify>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.notified() => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    // What breaks a connection is the matter of the test.
                    let _served = serve(stream, &shared).await;
                });
            }
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    let connection = shared.log.accept();
    stream.set_nodelay(true)?;
    // A reset is made by an option of the socket, which TLS hides.
    let socket = SockRef::from(&stream).try_clone()?;
    let (stream, http2): (Box<dyn Stream>, bool) = match &shared.tls {
        None => {
            let http2 = is_http2(&stream).await?;
            (Box::new(stream), http2)
        }
        Some(tls) => {
            let stream = tls.accept(stream).await?;
            let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            (Box::new(stream), http2)
        }
    };
    if http2 {
        return http2::serve(stream, shared, connection).await.map_err(std::io::Error::other);
    }
    http1::serve(stream, &socket, shared, connection).await
}

async fn is_http2(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 || !PREFACE.starts_with(&first[..count]) {
            return Ok(false);
        }
        if count == PREFACE.len() {
            return Ok(true);
        }
        // `peek` sees the same bytes again at once.
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
