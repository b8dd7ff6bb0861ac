//! HTTP/1.1 messages, read literally: the tests want to see what was on the wire.

use std::io::{self, BufRead, ErrorKind, Read as _};

use serde_json::Value;

/// A request or a response.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Request line or status line.
    pub start: String,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// Fields behind a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Statuses of the interim responses before it.
    pub interim: Vec<u16>,
}

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// By its length.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of the connection.
    Close,
}

impl Message {
    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The status of a response.
    ///
    /// # Panics
    /// If it is none.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_else(|_| panic!("no status line: {:?}", self.start))
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The origin that answered, as the test origins tell it.
    pub fn origin(&self) -> &str {
        self.header("x-origin").unwrap_or("none")
    }

    /// The version that the response pins to.
    pub fn pins_to(&self) -> Option<String> {
        let cookies = self.all("set-cookie");
        let pin = cookies.iter().find_map(|cookie| cookie.strip_prefix("__plt_dpl="))?;
        Some(pin.split(';').next().unwrap_or_default().to_owned())
    }

    /// How the end of the body is told.
    pub fn framing(&self) -> Framing {
        let chunked =
            self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let length = self.header("content-length").and_then(|length| length.parse().ok());
        match (chunked, length) {
            (true, _) => Framing::Chunked,
            (false, Some(0)) => Framing::Empty,
            (false, Some(length)) => Framing::Length(length),
            (false, None) if self.start.starts_with("HTTP/") => Framing::Close,
            (false, None) => Framing::Empty,
        }
    }

    fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }
}

/// Reads the head of a message; `None` if the connection ends before it.
///
/// # Errors
/// If the connection ends within it, or fails.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(start) = read_line(reader)? else { return Ok(None) };
    let headers = read_fields(reader)?;
    Ok(Some(Message { start, headers, ..Message::default() }))
}

/// Reads the final response to a request, past interim ones.
///
/// # Errors
/// If the connection ends before it is whole, or fails.
pub fn read_response(reader: &mut impl BufRead, method: &str) -> io::Result<Message> {
    let mut interim = Vec::new();
    loop {
        let head = read_head(reader)?.ok_or(ErrorKind::UnexpectedEof)?;
        let status = head.status();
        if (100..200).contains(&status) && status != 101 {
            interim.push(status);
            continue;
        }
        let bodyless = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let framing = if bodyless { Framing::Empty } else { head.framing() };
        let message = Message { interim, ..head };
        return read_body(reader, message, framing);
    }
}

/// Reads the body of a message.
///
/// # Errors
/// If the connection ends before it is whole, or fails.
pub fn read_body(reader: &mut impl BufRead, mut message: Message, framing: Framing) -> io::Result<Message> {
    match framing {
        Framing::Empty => {}
        Framing::Length(length) => {
            reader.take(length).read_to_end(&mut message.body)?;
            if (message.body.len() as u64) < length {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Framing::Close => {
            reader.read_to_end(&mut message.body)?;
        }
        Framing::Chunked => {
            while let Some(chunk) = read_chunk(reader)? {
                message.body.extend(chunk);
            }
            message.trailers = read_fields(reader)?;
        }
    }
    Ok(message)
}

/// Reads one chunk; `None` for the last one.
///
/// # Errors
/// If the connection ends within it, or fails.
pub fn read_chunk(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let line = read_line(reader)?.ok_or(ErrorKind::UnexpectedEof)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(|_| invalid(&line))?;
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size];
    reader.read_exact(&mut chunk)?;
    match read_line(reader)?.ok_or(ErrorKind::UnexpectedEof)? {
        end if end.is_empty() => Ok(Some(chunk)),
        other => Err(invalid(&other)),
    }
}

fn read_fields(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = read_line(reader)?.ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\n").ok_or(ErrorKind::UnexpectedEof)?;
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}

fn invalid(line: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not HTTP/1.1: {line:?}"))
}
