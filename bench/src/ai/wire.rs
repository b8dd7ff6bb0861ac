//! HTTP/1.1 on one kept connection, as client and as server: heads, and bodies in the pieces in which they
//! arrive, with a length, chunked, or until the end of the connection.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 64;
const BUFFER: usize = 16 * 1024;
const CRLF: &[u8] = b"\r\n";

/// A connection.
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
    rest: Rest,
    /// Whether the peer ends the connection after this message.
    closes: bool,
}

/// What is still to come of the current body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Nothing.
    Nothing,
    /// So many bytes.
    Bytes(usize),
    /// So many bytes of the current chunk, its end, and more chunks.
    Chunk(usize),
    /// A chunk's head.
    ChunkHead,
    /// Everything until the end of the connection.
    All,
}

impl Wire {
    /// A connection that stands.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new(), rest: Rest::Nothing, closes: false }
    }

    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// What to write to.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Sends a request and reads the head of the answer to it, whose status it returns.
    pub async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.send(request).await?;
        self.answer().await
    }

    /// Sends a request.
    pub async fn send(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await
    }

    /// Reads the head of an answer, whose status it returns.
    pub async fn answer(&mut self) -> Result<u16> {
        loop {
            if let Some(status) = self.answer_head()? {
                return Ok(status);
            }
            self.fill().await?;
        }
    }

    /// Reads a request and returns its body.
    pub async fn request(&mut self, limit: usize) -> Result<Bytes> {
        while !self.request_head()? {
            if self.buffer.len() > limit {
                return Err(ErrorKind::InvalidData.into());
            }
            self.fill().await?;
        }
        self.body().await
    }

    /// The next piece of the body, as it arrived; nothing at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.rest {
                Rest::Nothing => return Ok(None),
                Rest::ChunkHead => self.chunk_head().await?,
                Rest::Chunk(0) => {
                    self.line_end().await?;
                    self.rest = Rest::ChunkHead;
                }
                Rest::Bytes(0) => self.rest = Rest::Nothing,
                Rest::Bytes(_) | Rest::Chunk(_) | Rest::All if self.buffer.is_empty() => {
                    if !self.fill_or_end().await? {
                        return Ok(None);
                    }
                }
                Rest::Bytes(left) => {
                    let piece = self.take(left);
                    self.rest = Rest::Bytes(left - piece.len());
                    return Ok(Some(piece));
                }
                Rest::Chunk(left) => {
                    let piece = self.take(left);
                    self.rest = Rest::Chunk(left - piece.len());
                    return Ok(Some(piece));
                }
                Rest::All => return Ok(Some(self.buffer.split().freeze())),
            }
        }
    }

    /// The rest of the body in one piece.
    pub async fn body(&mut self) -> Result<Bytes> {
        // What has a length is read into one place.
        if let Rest::Bytes(length) = self.rest {
            self.buffer.reserve(length.saturating_sub(self.buffer.len()));
            while self.buffer.len() < length {
                self.fill().await?;
            }
            self.rest = Rest::Nothing;
            return Ok(self.buffer.split_to(length).freeze());
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = self.piece().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Whether another message may follow on this connection.
    pub fn is_kept(&self) -> bool {
        !self.closes && self.rest == Rest::Nothing
    }

    /// Waits until the peer ends the connection.
    pub async fn gone(&mut self) -> Result<()> {
        loop {
            self.fill().await?;
            self.buffer.clear();
        }
    }

    /// Lets the memory go that it keeps for what is to come.
    pub fn shrink(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    fn take(&mut self, at_most: usize) -> Bytes {
        self.buffer.split_to(at_most.min(self.buffer.len())).freeze()
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(BUFFER);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Whether there is more; an end is one only where the body has no other.
    async fn fill_or_end(&mut self) -> Result<bool> {
        match self.fill().await {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && self.rest == Rest::All => Ok(false),
            other => other.map(|()| true),
        }
    }

    async fn chunk_head(&mut self) -> Result<()> {
        let (used, size) = loop {
            let size = httparse::parse_chunk_size(&self.buffer);
            match size.map_err(|_| Error::other("a broken chunk"))? {
                httparse::Status::Complete(size) => break size,
                httparse::Status::Partial => self.fill().await?,
            }
        };
        self.buffer.advance(used);
        if size == 0 {
            // No trailers are sent here.
            self.line_end().await?;
            self.rest = Rest::Nothing;
        } else {
            self.rest = Rest::Chunk(usize::try_from(size).map_err(Error::other)?);
        }
        Ok(())
    }

    async fn line_end(&mut self) -> Result<()> {
        while self.buffer.len() < CRLF.len() {
            self.fill().await?;
        }
        if !self.buffer.starts_with(CRLF) {
            return Err(ErrorKind::InvalidData.into());
        }
        self.buffer.advance(CRLF.len());
        Ok(())
    }

    fn answer_head(&mut self) -> Result<Option<u16>> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&self.buffer).map_err(Error::other)?;
        let httparse::Status::Complete(used) = parsed else { return Ok(None) };
        let (rest, closes) = framing(response.headers, Rest::All);
        let status = response.code.unwrap_or_default();
        (self.rest, self.closes) = (rest, closes || rest == Rest::All);
        self.buffer.advance(used);
        Ok(Some(status))
    }

    fn request_head(&mut self) -> Result<bool> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let parsed = request.parse(&self.buffer).map_err(Error::other)?;
        let httparse::Status::Complete(used) = parsed else { return Ok(false) };
        (self.rest, self.closes) = framing(request.headers, Rest::Nothing);
        self.buffer.advance(used);
        Ok(true)
    }
}

fn framing(headers: &[httparse::Header<'_>], otherwise: Rest) -> (Rest, bool) {
    let (mut rest, mut closes) = (otherwise, false);
    for header in headers {
        let value = std::str::from_utf8(header.value).unwrap_or_default();
        if header.name.eq_ignore_ascii_case("content-length") {
            rest = value.parse().map_or(otherwise, Rest::Bytes);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            rest = Rest::ChunkHead;
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    (rest, closes)
}
