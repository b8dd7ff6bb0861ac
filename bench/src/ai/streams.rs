//! Many streams that stay open: each has got its first chunk, and waits.

use std::io::{Error, Result};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::contender::Running;
use super::memory::Protocol;
use super::model::Model;
use super::prompt::{HEADERS, Prompt};
use super::wire::Wire;
use crate::error::{Context as _, Failure};
use crate::layout::host;

/// Streams on one HTTP/2 connection, and opened at once.
const TOGETHER: usize = 100;
const PROMPT_BYTES: usize = 2_000;

/// Some open streams. Dropping it ends them.
pub(super) enum Open {
    /// One, on a connection of its own.
    Http1 { _wire: Wire },
    /// Several on one connection.
    Http2 { streams: Vec<RecvStream>, _connection: JoinSet<()> },
}

impl Open {
    fn count(&self) -> usize {
        match self {
            Self::Http1 { .. } => 1,
            Self::Http2 { streams, .. } => streams.len(),
        }
    }
}

/// Opens more until there are so many.
///
/// # Errors
/// If one does not begin.
pub(super) async fn open(
    running: &Running,
    protocol: Protocol,
    wanted: usize,
    open: &mut Vec<Open>,
) -> crate::Result<()> {
    let prompts = running.prompts(Model::Open, PROMPT_BYTES);
    let prompt = prompts.walk(0).next().ok_or_else(|| Failure::new("no prompt"))?;
    loop {
        let missing = wanted.saturating_sub(open.iter().map(Open::count).sum()).min(TOGETHER);
        let opened = match protocol {
            _ if missing == 0 => return Ok(()),
            Protocol::Http1 => http1(running, prompt, missing).await,
            Protocol::Http2 | Protocol::Http2Both => {
                http2(running, prompt, missing).await.map(|streams| vec![streams])
            }
        };
        let so_far: usize = open.iter().map(Open::count).sum();
        open.extend(opened.context(|| format!("no more than {so_far} streams"))?);
    }
}

async fn http1(running: &Running, prompt: &Prompt, count: usize) -> Result<Vec<Open>> {
    let mut wires = Vec::new();
    for _ in 0..count {
        let mut wire = Wire::open(running.address).await?;
        wire.send(&prompt.request).await?;
        wires.push(wire);
    }
    for wire in &mut wires {
        let status = wire.answer().await?;
        let piece = wire.piece().await?;
        if status != 200 || piece.is_none() {
            return Err(Error::other(format!("status {status}")));
        }
        wire.shrink();
    }
    Ok(wires.into_iter().map(|wire| Open::Http1 { _wire: wire }).collect())
}

async fn http2(running: &Running, prompt: &Prompt, count: usize) -> Result<Open> {
    let stream = TcpStream::connect(running.address_http2).await?;
    stream.set_nodelay(true)?;
    let (mut client, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
    let mut driver = JoinSet::new();
    driver.spawn_local(async move {
        // Its end shows in the streams.
        let _ended = connection.await;
    });
    let mut answers = Vec::new();
    for _ in 0..count {
        client = client.ready().await.map_err(Error::other)?;
        answers.push(ask(&mut client, prompt)?);
    }
    let mut streams = Vec::new();
    for answer in answers {
        let (head, mut body) = answer.await.map_err(Error::other)?.into_parts();
        let first = body.data().await.transpose().map_err(Error::other)?;
        if head.status != 200 || first.is_none() {
            return Err(Error::other(format!("status {}", head.status)));
        }
        streams.push(body);
    }
    Ok(Open::Http2 { streams, _connection: driver })
}

fn ask(client: &mut SendRequest<Bytes>, prompt: &Prompt) -> Result<h2::client::ResponseFuture> {
    let mut request = Request::post(format!("http://{}/v1/chat/completions", host(0)));
    for (name, value) in HEADERS {
        request = request.header(name, value);
    }
    let request = request.header("content-length", prompt.body.len()).body(()).map_err(Error::other)?;
    let (answer, mut body) = client.send_request(request, false).map_err(Error::other)?;
    body.send_data(Bytes::copy_from_slice(prompt.body.as_bytes()), true).map_err(Error::other)?;
    Ok(answer)
}
