//! A client that sends exactly the bytes it is told to.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::http1::{self, Message};
use crate::{COOKIE, HOST};

/// The longest that a client waits for bytes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection to the proxy.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
}

/// A request in the making.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// If that fails.
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).unwrap_or_else(|error| panic!("connect to {addr}: {error}"))
    }

    /// Connects.
    ///
    /// # Errors
    /// If that fails.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// If the connection does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the connection takes what is sent");
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// If the connection does not take them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes.as_ref())
    }

    /// Sends a request and reads its response.
    ///
    /// # Errors
    /// If the connection fails before the response is whole.
    pub fn exchange(&mut self, request: &Request) -> io::Result<Message> {
        self.try_send(request.bytes())?;
        http1::read_response(&mut self.reader, &request.method)
    }

    /// Reads the response to a GET.
    ///
    /// # Panics
    /// If the connection fails before it is whole.
    pub fn response(&mut self) -> Message {
        self.try_response().expect("a whole response")
    }

    /// Reads the response to a GET.
    ///
    /// # Errors
    /// If the connection fails before it is whole.
    pub fn try_response(&mut self) -> io::Result<Message> {
        http1::read_response(&mut self.reader, "GET")
    }

    /// Reads one head, an interim one as well.
    ///
    /// # Panics
    /// If the connection ends before it.
    pub fn head(&mut self) -> Message {
        http1::read_head(&mut self.reader).expect("a head").expect("a head before the end")
    }

    /// Reads one chunk of a chunked body; `None` for the last one.
    ///
    /// # Errors
    /// If the connection ends within the body: it was cut.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        http1::read_chunk(&mut self.reader)
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Panics
    /// If the connection ends before that.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).expect("as many bytes");
        bytes
    }

    /// Reads to the end of the connection, however it ends.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends it too; what came before it is kept.
        let _end = self.reader.read_to_end(&mut bytes);
        bytes
    }

    /// Waits for the proxy to close the connection; false if it says something, or nothing in time.
    pub fn closes(&mut self) -> bool {
        match self.reader.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Bounds how long reads wait.
    ///
    /// # Panics
    /// If the socket refuses that.
    pub fn patience(&mut self, limit: Duration) {
        self.reader.get_ref().set_read_timeout(Some(limit)).expect("a read timeout");
    }

    /// Ends the sending half.
    ///
    /// # Panics
    /// If the connection is gone.
    pub fn finish_sending(&mut self) {
        self.reader.get_ref().shutdown(Shutdown::Write).expect("half a close");
    }

    /// The socket, for options.
    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }
}

impl Request {
    /// A request to the usual host.
    pub fn new(method: &str, target: &str) -> Self {
        let headers = vec![("host".to_owned(), HOST.to_owned())];
        Self { method: method.to_owned(), target: target.to_owned(), headers, body: Vec::new() }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with a body.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        Self { body, ..Self::new("POST", target).header("content-length", &length) }
    }

    /// For another host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.headers.retain(|(name, _)| name != "host");
        self.headers.insert(0, ("host".to_owned(), host.to_owned()));
        self
    }

    /// With one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// From a visitor with a pin.
    #[must_use]
    pub fn pinned(self, version: &str) -> Self {
        self.header("cookie", &format!("{COOKIE}={version}"))
    }

    /// As a browser loads a page.
    #[must_use]
    pub fn page_load(self) -> Self {
        self.header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "document")
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }

    /// Sends it over a connection of its own.
    ///
    /// # Panics
    /// If there is no whole response.
    pub fn send(&self, addr: SocketAddr) -> Message {
        self.try_send(addr).unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.target))
    }

    /// Sends it over a connection of its own.
    ///
    /// # Errors
    /// If there is no whole response.
    pub fn try_send(&self, addr: SocketAddr) -> io::Result<Message> {
        Client::try_connect(addr)?.exchange(&self.clone().header("connection", "close"))
    }
}
