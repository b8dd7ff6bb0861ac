//! Origins of the tests: small servers that do exactly what a test tells them.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::http1::{self, Message};

/// How long an origin waits for bytes of a request that has begun, or for the next one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The length of the stream that [`Origin::with_streams`] sends.
pub const STREAM_BYTES: usize = 20_000;

/// A server that ends with the test.
#[derive(Debug)]
pub struct Origin {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Shared>,
}

/// The connection that a request came by, to be answered.
#[derive(Debug)]
pub struct Reply<'c> {
    stream: &'c mut TcpStream,
    name: &'c str,
    close: bool,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    accepted: AtomicUsize,
    busy: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    requests: Mutex<Vec<Message>>,
}

impl Origin {
    /// Answers every request with a description of it.
    pub fn echo(name: &str) -> Self {
        Self::answering(name, |request, reply| reply.echo(request))
    }

    /// As [`with_streams`](Self::with_streams), at an address of its own.
    pub fn with_streams_at(addr: SocketAddr, name: &str) -> Self {
        Self::answering_at(addr, name, streams)
    }

    /// Answers requests as `handler` says.
    pub fn answering(
        name: &str,
        handler: impl Fn(&Message, &mut Reply<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::answering_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), name, handler)
    }

    /// Answers requests to an address as `handler` says.
    pub fn answering_at(
        addr: SocketAddr,
        name: &str,
        handler: impl Fn(&Message, &mut Reply<'_>) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let name = name.to_owned();
        Self::raw(addr, move |stream, shared| {
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut reader = BufReader::new(stream.try_clone()?);
            while let Some(head) = http1::read_head(&mut reader)? {
                if head.header("expect").is_some() {
                    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                }
                let _busy = Busy::new(&shared.busy);
                let framing = head.framing();
                let request = http1::read_body(&mut reader, head, framing)?;
                shared.requests.lock().push(request.clone());
                let mut reply = Reply { stream, name: &name, close: false };
                handler(&request, &mut reply)?;
                if reply.close || shared.stopped.load(Ordering::Acquire) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// As [`echo`](Self::echo), and answers `/stream` with [`STREAM_BYTES`] in pieces, over a second.
    pub fn with_streams(name: &str) -> Self {
        Self::answering(name, streams)
    }

    /// Does with each connection what `serve` says, then closes it.
    pub fn connection(serve: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self::raw(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), move |stream, _| serve(stream))
    }

    fn raw(
        addr: SocketAddr,
        serve: impl Fn(&mut TcpStream, &Shared) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(addr).unwrap_or_else(|error| panic!("bind {addr}: {error}"));
        let addr = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let (accepting, serve) = (Arc::clone(&shared), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.stopped.load(Ordering::Acquire) {
                    break;
                }
                accept(stream, &accepting, &serve);
            }
        });
        Self { addr, shared }
    }

    /// The requests that came so far, in the order of their ends.
    pub fn requests(&self) -> Vec<Message> {
        self.shared.requests.lock().clone()
    }

    /// The newest request.
    ///
    /// # Panics
    /// If none came.
    pub fn last(&self) -> Message {
        self.requests().pop().expect("a request reached the origin")
    }

    /// Connections that were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Acquire)
    }

    /// Requests that are being answered.
    pub fn busy(&self) -> usize {
        self.shared.busy.load(Ordering::Acquire)
    }

    /// Stops listening: connects are refused from now on. Connections end with the request that they carry.
    pub fn drain(&self) {
        if self.shared.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        // Wakes the accept loop, which then closes its socket; it has ended when this connection has.
        if let Ok(mut stream) = TcpStream::connect(self.addr) {
            let _ended = stream.read(&mut [0]);
        }
    }

    /// Stops listening and cuts what is open.
    pub fn stop(&self) {
        self.drain();
        for stream in self.shared.open.lock().drain(..) {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}

fn streams(request: &Message, reply: &mut Reply<'_>) -> io::Result<()> {
    if request.target() != "/stream" {
        return reply.echo(request);
    }
    reply.begin(&[])?;
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(50));
        reply.chunk("x".repeat(STREAM_BYTES / 20))?;
    }
    reply.end()
}

/// Counts a request while it lives.
struct Busy<'s>(&'s AtomicUsize);

impl<'s> Busy<'s> {
    fn new(count: &'s AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn accept<F>(mut stream: TcpStream, shared: &Arc<Shared>, serve: &Arc<F>)
where
    F: Fn(&mut TcpStream, &Shared) -> io::Result<()> + Send + Sync + 'static,
{
    shared.accepted.fetch_add(1, Ordering::AcqRel);
    let _fast = stream.set_nodelay(true);
    if let Ok(copy) = stream.try_clone() {
        shared.open.lock().push(copy);
    }
    let (shared, serve) = (Arc::clone(shared), Arc::clone(serve));
    std::thread::spawn(move || {
        // What breaks a connection is the matter of the test.
        let _served = serve(&mut stream, &shared);
        let _closed = stream.shutdown(Shutdown::Both);
        let peer = stream.peer_addr().ok();
        shared.open.lock().retain(|open| open.peer_addr().ok() != peer);
    });
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Reply<'_> {
    /// Describes the request.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn echo(&mut self, request: &Message) -> io::Result<()> {
        let body = description(self.name, request).to_string();
        self.respond(200, &[("content-type", "application/json")], body)
    }

    /// Sends a whole response.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn respond(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> io::Result<()> {
        let body = body.as_ref();
        let length = body.len().to_string();
        let mut message = self.head(status, headers, ("content-length", &length));
        message.extend(body);
        self.raw(message)
    }

    /// Sends the head of a chunked response.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn begin(&mut self, headers: &[(&str, &str)]) -> io::Result<()> {
        let head = self.head(200, headers, ("transfer-encoding", "chunked"));
        self.raw(head)
    }

    /// Sends one chunk.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn chunk(&mut self, chunk: impl AsRef<[u8]>) -> io::Result<()> {
        let chunk = chunk.as_ref();
        let mut message = format!("{:x}\r\n", chunk.len()).into_bytes();
        message.extend(chunk);
        message.extend(b"\r\n");
        self.raw(message)
    }

    /// Sends the last chunk.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn end(&mut self) -> io::Result<()> {
        self.raw(b"0\r\n\r\n")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Closes the connection after this response, without a word about it.
    pub fn close(&mut self) {
        self.close = true;
    }

    /// Waits until the other side closes; false if it does not in time.
    pub fn closed(&mut self) -> bool {
        match self.stream.read(&mut [0]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    fn head(&self, status: u16, headers: &[(&str, &str)], framing: (&str, &str)) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {status} Test\r\nx-origin: {}\r\n", self.name);
        for (name, value) in headers.iter().chain([&framing]) {
            head += &format!("{name}: {value}\r\n");
        }
        (head + "\r\n").into_bytes()
    }
}

fn description(name: &str, request: &Message) -> Value {
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| json!([name, value])).collect();
    json!({
        "origin": name,
        "method": request.method(),
        "target": request.target(),
        "headers": headers,
        "bytes": request.body.len(),
    })
}

/// An address that refuses connections for as long as it lives: bound, but not listening.
#[derive(Debug)]
pub struct Refusing {
    /// The address.
    pub addr: SocketAddr,
    _socket: Socket,
}

impl Default for Refusing {
    fn default() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("a port");
        let addr = socket.local_addr().ok().and_then(|addr| addr.as_socket()).expect("its address");
        Self { addr, _socket: socket }
    }
}
