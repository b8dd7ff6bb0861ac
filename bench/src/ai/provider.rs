//! A very cheap provider: answers chat completions as their model's name says, over HTTP/1.1 unless it is spoken to in
//! HTTP/2.
//!
//! `usage.prompt_tokens` of a plain answer is the number of bytes of the request's body, so that a client
//! can tell whether all of its prompt arrived.

mod http2;

use std::io::{Error, Write as _};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

use super::mark::mark;
use super::model::Model;
use super::options::ProviderOptions;
use super::wire::Wire;
use crate::error::{Context as _, Result};
use crate::process;

/// The text of plain answers, which makes them about 1 kB.
const TEXT_BYTES: usize = 800;
const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
const HEAD_LIMIT: usize = 32 * 1024;

/// Serves until the process is ended.
///
/// # Errors
/// If the address is taken.
pub fn run(options: &ProviderOptions) -> Result<()> {
    process::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "no runtime".to_owned())?;
    LocalSet::new().block_on(&runtime, serve(options))
}

async fn serve(options: &ProviderOptions) -> Result<()> {
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.context(|| format!("cannot listen on {}", options.listen))?;
    let bound = listener.local_addr().context(|| "no local address".to_owned())?;
    writeln!(std::io::stdout(), "{bound}").context(|| "cannot print".to_owned())?;
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            spawn_local(converse(stream));
        }
    }
}

/// Answers until the peer goes.
async fn converse(stream: TcpStream) {
    let _best_effort = stream.set_nodelay(true);
    if http2::is_spoken(&stream).await.unwrap_or(false) {
        // Its end is the peer's.
        let _ended = http2::converse(stream).await;
        return;
    }
    let mut wire = Wire::new(stream);
    while answer(&mut wire).await.is_ok() {}
}

async fn answer(wire: &mut Wire) -> std::io::Result<()> {
    let body = wire.request(HEAD_LIMIT).await?;
    let model = Model::of(&body);
    match model {
        Some(Model::Plain) => {
            wire.stream().write_all(response("200 OK", &plain(body.len())).as_bytes()).await
        }
        Some(Model::Open) => {
            wire.stream().write_all(format!("{STREAM_HEAD}{}", framed(&chunk(&mark()))).as_bytes()).await?;
            wire.gone().await
        }
        Some(Model::Stream { chunks, every }) if every.is_zero() => {
            let events: String = (0..chunks).map(|_| framed(&chunk(&mark()))).collect();
            wire.stream().write_all(format!("{STREAM_HEAD}{events}{}", end()).as_bytes()).await
        }
        Some(Model::Stream { chunks, every }) => paced(wire, chunks, every).await,
        None => {
            let answer = response("404 Not Found", "{\"error\":{\"message\":\"no such model\"}}");
            wire.stream().write_all(answer.as_bytes()).await?;
            Err(Error::other("no such model"))
        }
    }
}

async fn paced(wire: &mut Wire, chunks: usize, every: Duration) -> std::io::Result<()> {
    let mut clock = interval(every);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let stream = wire.stream();
    stream.write_all(STREAM_HEAD.as_bytes()).await?;
    for _ in 0..chunks {
        clock.tick().await;
        stream.write_all(framed(&chunk(&mark())).as_bytes()).await?;
    }
    stream.write_all(end().as_bytes()).await
}

/// The body of a plain answer.
fn plain(received: usize) -> String {
    let text = "All of it is well, and what is not will be. ".repeat(TEXT_BYTES / 44);
    format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"plain\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\
         \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":{received},\"completion_tokens\":200,\
         \"total_tokens\":{}}}}}",
        received + 200
    )
}

fn response(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// An event with some text.
fn chunk(content: &str) -> String {
    format!("data: {}\n\n", event(&format!("{{\"content\":\"{content}\"}}"), "null"))
}

/// The last events of a stream.
fn last_chunks() -> String {
    format!("data: {}\n\ndata: [DONE]\n\n", event("{}", "\"stop\""))
}

fn end() -> String {
    format!("{}0\r\n\r\n", framed(&last_chunks()))
}

fn event(delta: &str, finish: &str) -> String {
    format!(
        "{{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
         \"model\":\"plain\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}"
    )
}

/// A chunk of the transfer encoding.
fn framed(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}
