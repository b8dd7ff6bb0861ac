//! A stream of HTTP/2 whose every step a test decides on.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{self, ResponseFuture};
use h2::{Reason, SendStream};
use http::Request;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::HOST;

/// A request that has begun, on a connection of its own, which goes with it.
pub struct Stream {
    runtime: Runtime,
    /// Drives the connection.
    _connection: JoinSet<()>,
    body: SendStream<Bytes>,
    answer: ResponseFuture,
}

impl Stream {
    /// Sends the head of a JSON request with a bearer token; its body is to follow.
    ///
    /// # Panics
    /// If it can't be sent.
    #[must_use]
    pub fn open(addr: SocketAddr, method: &str, path: &str, token: &str) -> Self {
        let request = Request::builder().method(method).uri(format!("http://{HOST}{path}"));
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.header("content-type", "application/json").body(()).expect("a request");
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let mut driver = JoinSet::new();
        let (answer, body) = runtime.block_on(async {
            let socket = TcpStream::connect(addr).await.expect("a connection");
            let (mut sender, connection) = client::handshake(socket).await.expect("HTTP/2");
            // How it ends, its streams tell.
            driver.spawn(async { drop(connection.await) });
            sender.send_request(request, false).expect("a stream")
        });
        Self { runtime, _connection: driver, body, answer }
    }

    /// Sends a piece of the body.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn send(&mut self, piece: &str) {
        self.body.send_data(Bytes::copy_from_slice(piece.as_bytes()), false).expect("it is taken");
    }

    /// Sends the last piece of the body.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn finish(&mut self, piece: &str) {
        self.body.send_data(Bytes::copy_from_slice(piece.as_bytes()), true).expect("it is taken");
    }

    /// Gives the request up.
    pub fn reset(&mut self) {
        self.body.send_reset(Reason::CANCEL);
    }

    /// The status of the answer, and its body.
    ///
    /// # Panics
    /// If none comes, or it is no JSON.
    pub fn answer(&mut self) -> (u16, Value) {
        let (status, text, is_whole) = self.take();
        assert!(is_whole, "{text}");
        (status, serde_json::from_str(&text).expect("JSON"))
    }

    /// The status of the answer, its body as far as it came, and whether that is all of it.
    ///
    /// # Panics
    /// If no answer comes, or no text.
    pub fn take(&mut self) -> (u16, String, bool) {
        let Self { runtime, answer, .. } = self;
        runtime.block_on(async {
            let (head, mut body) = answer.await.expect("an answer").into_parts();
            let mut bytes = Vec::new();
            let is_whole = loop {
                match body.data().await {
                    Some(Ok(piece)) => bytes.extend_from_slice(&piece),
                    end => break end.is_none(),
                }
            };
            (head.status.as_u16(), String::from_utf8(bytes).expect("text"), is_whole)
        })
    }
}
