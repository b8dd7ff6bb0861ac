//! One keep-alive connection: sends a request, reads the answer whole.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::layout::{ORIGIN_HEADER, VERSION_HEADER};

const BUFFER: usize = 16 * 1024;
const MAX_HEADERS: usize = 48;

/// A connection to a contender or an origin.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What an answer says, borrowed from the connection's buffer.
#[derive(Debug, Default)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The version that the proxy says it chose.
    pub chosen: &'a [u8],
    /// The version that the origin says it is.
    pub origin: &'a [u8],
    /// The `Set-Cookie` header, or nothing.
    pub cookie: &'a [u8],
    /// The body.
    pub body: &'a [u8],
    /// Whether the connection ends with this answer.
    pub closes: bool,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER) })
    }

    /// Sends a request and reads the answer to it.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let mut expected = None;
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if expected.is_none() {
                expected = length(&self.buffer)?;
            }
            if expected.is_some_and(|length| self.buffer.len() >= length) {
                return parse(&self.buffer);
            }
        }
    }
}

/// The bytes of head and body together, once the head is complete.
fn length(buffer: &[u8]) -> Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(buffer).map_err(Error::other)? else {
        return Ok(None);
    };
    let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = header.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    let body = body.ok_or_else(|| Error::other("an answer without Content-Length"))?;
    Ok(Some(head + body))
}

fn parse(buffer: &[u8]) -> Result<Answer<'_>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(buffer).map_err(Error::other)? else {
        return Err(ErrorKind::InvalidData.into());
    };
    let mut answer = Answer { status: response.code.unwrap_or(0), ..Answer::default() };
    answer.body = buffer.get(head..).unwrap_or_default();
    for header in response.headers.iter() {
        match header.name {
            name if name.eq_ignore_ascii_case(VERSION_HEADER) => answer.chosen = header.value,
            name if name.eq_ignore_ascii_case(ORIGIN_HEADER) => answer.origin = header.value,
            name if name.eq_ignore_ascii_case("set-cookie") => answer.cookie = header.value,
            name if name.eq_ignore_ascii_case("connection") => {
                answer.closes = header.value.eq_ignore_ascii_case(b"close");
            }
            _ => {}
        }
    }
    Ok(answer)
}
