//! HTTP/1.1, written by hand: a test may want it wrong.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use socket2::Socket;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf,
};

use super::script::Head;
use super::serve::{Shared, Stream};
use super::wire::{self, Gone};
use crate::http1::{Framing, Message};

type Reader = BufReader<ReadHalf<Box<dyn Stream>>>;
type Writer = WriteHalf<Box<dyn Stream>>;

/// One request's answer.
pub(super) struct Reply<'c> {
    reader: &'c mut Reader,
    writer: &'c mut Writer,
    socket: &'c Socket,
    chunked: bool,
    /// Whether another request may follow.
    open: bool,
}

/// Serves the requests of a connection.
pub(super) async fn serve(
    stream: Box<dyn Stream>,
    socket: &Socket,
    shared: &Shared,
    connection: usize,
) -> io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    let mut reader = BufReader::with_capacity(1 << 16, reader);
    while let Some(request) = request(&mut reader, &mut writer).await? {
        let (number, script) = shared.receive(request, connection, false);
        let reply = Reply { reader: &mut reader, writer: &mut writer, socket, chunked: false, open: true };
        let mut reply = wire::Reply::Http1(reply);
        let ending = reply.perform(script).await;
        shared.log.end(number, ending);
        if !matches!(&reply, wire::Reply::Http1(reply) if reply.open) {
            break;
        }
    }
    Ok(())
}

async fn request(reader: &mut Reader, writer: &mut Writer) -> io::Result<Option<Message>> {
    let Some(start) = line(reader).await? else { return Ok(None) };
    let headers = fields(reader).await?;
    let mut message = Message { start, headers, ..Message::default() };
    if message.header("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    match message.framing() {
        Framing::Empty | Framing::Close => {}
        Framing::Length(length) => {
            reader.take(length).read_to_end(&mut message.body).await?;
            if (message.body.len() as u64) < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Framing::Chunked => {
            while chunk(reader, &mut message.body).await? {}
            message.trailers = fields(reader).await?;
        }
    }
    Ok(Some(message))
}

async fn chunk(reader: &mut Reader, body: &mut Vec<u8>) -> io::Result<bool> {
    let size = line(reader).await?.ok_or(ErrorKind::UnexpectedEof)?;
    let size = u64::from_str_radix(size.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
    if size == 0 {
        return Ok(false);
    }
    if reader.take(size).read_to_end(body).await? as u64 != size {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line(reader).await?;
    Ok(true)
}

async fn fields(reader: &mut Reader) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(reader).await?.ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

async fn line(reader: &mut Reader) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned()))
}

impl Reply<'_> {
    pub(super) async fn head(&mut self, head: &Head) -> Result<(), Gone> {
        let mut text = format!("HTTP/1.1 {} Test\r\n", head.status);
        for (name, value) in &head.headers {
            text += &format!("{name}: {value}\r\n");
        }
        self.chunked = head.length.is_none();
        text += &match head.length {
            Some(length) => format!("content-length: {length}\r\n\r\n"),
            None => "transfer-encoding: chunked\r\n\r\n".to_owned(),
        };
        self.write(text.as_bytes()).await
    }

    pub(super) async fn data(&mut self, bytes: &Bytes) -> Result<(), Gone> {
        if !self.chunked || bytes.is_empty() {
            return self.write(bytes).await;
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk).await
    }

    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        let last: &[u8] = if self.chunked { b"0\r\n\r\n" } else { b"" };
        self.write(last).await
    }

    /// Closes the connection, with a reset if asked for.
    pub(super) fn cut(&mut self, reset: bool) {
        if reset {
            // A peer that has closed already needs none.
            let _linger = self.socket.set_linger(Some(Duration::ZERO));
        }
        self.open = false;
    }

    /// Waits until the peer closes. What it sends before is for the next request.
    pub(super) async fn left(&mut self) {
        match self.reader.fill_buf().await {
            Ok([_, ..]) => std::future::pending().await,
            Ok([]) | Err(_) => self.open = false,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.writer.write_all(bytes).await.map_err(|_| {
            self.open = false;
            Gone
        })
    }
}
