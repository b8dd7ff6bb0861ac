//! The provider's HTTP/2, without TLS: the same answers, for gateways that speak it to providers.

use std::future::poll_fn;
use std::io::{Error, Result};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::Response;
use http::header::CONTENT_TYPE;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::interval;

use super::{chunk, last_chunks, plain};
use crate::ai::mark::mark;
use crate::ai::model::Model;

/// How a connection begins that speaks it with prior knowledge (RFC 9113, 3.4).
const PREFACE: &[u8; 3] = b"PRI";

/// Whether a connection begins so. Nothing of it is taken.
pub(super) async fn is_spoken(stream: &TcpStream) -> Result<bool> {
    let mut seen = [0; PREFACE.len()];
    // Nobody sends these three bytes apart.
    Ok(stream.peek(&mut seen).await? == PREFACE.len() && seen == *PREFACE)
}

/// Answers until the peer goes.
pub(super) async fn converse(stream: TcpStream) -> Result<()> {
    let mut connection = server::handshake(stream).await.map_err(Error::other)?;
    while let Some(asked) = connection.accept().await {
        let (request, respond) = asked.map_err(Error::other)?;
        spawn_local(answer(request.into_body(), respond));
    }
    Ok(())
}

async fn answer(body: RecvStream, mut respond: SendResponse<Bytes>) -> Result<()> {
    let body = received(body).await?;
    let model = Model::of(&body);
    let (status, content_type) = match model {
        Some(model) if model.streams() => (200, "text/event-stream; charset=utf-8"),
        Some(_) => (200, "application/json"),
        None => (404, "application/json"),
    };
    let head = Response::builder().status(status).header(CONTENT_TYPE, content_type).body(());
    let mut sender = respond.send_response(head.map_err(Error::other)?, false).map_err(Error::other)?;
    match model {
        Some(Model::Plain) => send(&mut sender, plain(body.len()), true),
        Some(Model::Open) => {
            send(&mut sender, chunk(&mark()), false)?;
            // The client's end is a reset.
            poll_fn(|context| sender.poll_reset(context)).await.map(drop).map_err(Error::other)
        }
        Some(Model::Stream { chunks, every }) => {
            let mut clock = interval(every.max(Duration::from_micros(1)));
            for _ in 0..chunks {
                clock.tick().await;
                send(&mut sender, chunk(&mark()), false)?;
            }
            send(&mut sender, last_chunks(), true)
        }
        None => send(&mut sender, "{\"error\":{\"message\":\"no such model\"}}".to_owned(), true),
    }
}

async fn received(mut body: RecvStream) -> Result<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(piece) = body.data().await {
        let piece = piece.map_err(Error::other)?;
        body.flow_control().release_capacity(piece.len()).map_err(Error::other)?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

fn send(sender: &mut SendStream<Bytes>, text: String, is_last: bool) -> Result<()> {
    sender.send_data(text.into(), is_last).map_err(Error::other)
}
