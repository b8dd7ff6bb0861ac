//! A very cheap HTTP/1.1 origin: one address for each version, the same small answer to everything.
//!
//! It takes requests without a body, which is all that the load generator sends. Two paths are
//! special: `/__echo` answers with the head of the request, `/__accepted` with the number of
//! connections accepted so far.

use std::io::Write as _;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, LocalSet, spawn_local};

use crate::cli::OriginOptions;
use crate::error::{Context as _, Result};
use crate::layout::{ORIGIN_HEADER, version};

/// The path that answers with the head of the request.
pub const ECHO: &str = "/__echo";
/// The path that answers with the number of accepted connections.
pub const ACCEPTED: &str = "/__accepted";

const BODY_BYTES: usize = 1024;
const MAX_HEAD: usize = 16 * 1024;

static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Serves until the process is ended.
///
/// # Errors
/// If an address is taken.
pub fn run(options: &OriginOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context(|| "no runtime".to_owned())?;
    LocalSet::new().block_on(&runtime, serve(&options.addresses))
}

async fn serve(addresses: &[SocketAddr]) -> Result<()> {
    let mut accepting = JoinSet::new();
    for (number, address) in addresses.iter().enumerate() {
        let listener = TcpListener::bind(address).await.context(|| format!("cannot listen on {address}"))?;
        let bound = listener.local_addr().context(|| "no local address".to_owned())?;
        writeln!(std::io::stdout(), "{bound}").context(|| "cannot print".to_owned())?;
        accepting.spawn_local(accept(listener, version(number)));
    }
    while accepting.join_next().await.is_some() {}
    Ok(())
}

async fn accept(listener: TcpListener, version: String) {
    let answer = Rc::new(response(&version, &"x".repeat(BODY_BYTES)));
    let version = Rc::new(version);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            CONNECTIONS.fetch_add(1, Ordering::Relaxed);
            spawn_local(converse(stream, Rc::clone(&version), Rc::clone(&answer)));
        }
    }
}

async fn converse(mut stream: TcpStream, version: Rc<String>, answer: Rc<String>) {
    let _best_effort = stream.set_nodelay(true);
    let mut head = Vec::with_capacity(2048);
    loop {
        match stream.read_buf(&mut head).await {
            Ok(1..) if head.len() <= MAX_HEAD => {}
            _ => return,
        }
        // A request that is not complete yet ends no head; none is sent before an answer came.
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let sent = if head.starts_with(b"GET /__") {
            stream.write_all(special(&head, &version).as_bytes()).await
        } else {
            stream.write_all(answer.as_bytes()).await
        };
        if sent.is_err() {
            return;
        }
        head.clear();
    }
}

fn special(head: &[u8], version: &str) -> String {
    let head = String::from_utf8_lossy(head);
    match head.split(' ').nth(1) {
        Some(ACCEPTED) => response(version, &CONNECTIONS.load(Ordering::Relaxed).to_string()),
        Some(ECHO) => response(version, &head),
        _ => response(version, ""),
    }
}

fn response(version: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{ORIGIN_HEADER}: {version}\r\n\r\n{body}",
        body.len()
    )
}
