//! HTTP/2, by prior knowledge or by ALPN.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use tokio::task::JoinSet;

use super::script::Head;
use super::serve::{Shared, Stream};
use super::wire::{self, Gone};
use crate::http1::Message;

/// What is sent has left by then.
const FLUSH: Duration = Duration::from_millis(30);

/// One request's answer.
pub(super) struct Reply {
    respond: SendResponse<Bytes>,
    body: Option<SendStream<Bytes>>,
}

/// Serves the requests of a connection.
pub(super) async fn serve(
    stream: Box<dyn Stream>,
    shared: &Arc<Shared>,
    connection: usize,
) -> Result<(), h2::Error> {
    let mut builder = h2::server::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 22);
    let mut requests = builder.handshake(stream).await?;
    let mut answers = JoinSet::new();
    while let Some(request) = requests.accept().await {
        let (request, respond) = request?;
        let shared = Arc::clone(shared);
        answers.spawn(async move {
            let Ok(request) = whole(request).await else { return };
            let (number, script) = shared.receive(request, connection, true);
            let ending = wire::Reply::Http2(Reply { respond, body: None }).perform(script).await;
            shared.log.end(number, ending);
        });
    }
    answers.shutdown().await;
    Ok(())
}

async fn whole(request: http::Request<RecvStream>) -> Result<Message, h2::Error> {
    let (head, mut body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = head.uri.authority().map(|authority| ("host".to_owned(), authority.to_string()));
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let fields = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let mut message = Message {
        start: format!("{} {target} HTTP/2", head.method),
        headers: authority.into_iter().chain(fields).collect(),
        ..Message::default()
    };
    while let Some(part) = body.data().await {
        let part = part?;
        message.body.extend_from_slice(&part);
        body.flow_control().release_capacity(part.len())?;
    }
    Ok(message)
}

impl Reply {
    pub(super) fn head(&mut self, head: &Head) -> Result<(), Gone> {
        let mut response = http::Response::builder().status(head.status);
        for (name, value) in &head.headers {
            response = response.header(name, value);
        }
        if let Some(length) = head.length {
            response = response.header("content-length", length);
        }
        let response = response.body(()).expect("a head");
        self.body = Some(self.respond.send_response(response, false).map_err(|_| Gone)?);
        Ok(())
    }

    pub(super) async fn data(&mut self, bytes: &Bytes) -> Result<(), Gone> {
        let body = self.body.as_mut().expect("a head before the body");
        let mut left = bytes.clone();
        while !left.is_empty() {
            body.reserve_capacity(left.len());
            let capacity = std::future::poll_fn(|context| body.poll_capacity(context)).await;
            let granted = capacity.and_then(Result::ok).ok_or(Gone)?;
            let part = left.split_to(granted.min(left.len()));
            body.send_data(part, false).map_err(|_| Gone)?;
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), Gone> {
        let body = self.body.as_mut().expect("a head before the body");
        body.send_data(Bytes::new(), true).map_err(|_| Gone)
    }

    /// Resets the stream, once what was sent before is gone: a reset would discard it.
    pub(super) async fn cut(&mut self) {
        match &mut self.body {
            Some(body) => {
                tokio::time::sleep(FLUSH).await;
                body.send_reset(Reason::INTERNAL_ERROR);
            }
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }

    /// Waits until the peer resets the stream or closes the connection.
    pub(super) async fn left(&mut self) {
        let reset = std::future::poll_fn(|context| match &mut self.body {
            Some(body) => body.poll_reset(context),
            None => self.respond.poll_reset(context),
        });
        // An error says the same: the connection is gone.
        let _reset = reset.await;
    }
}
