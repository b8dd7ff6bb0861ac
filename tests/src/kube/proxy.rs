//! A proxy in front of the API server, for one client: it holds back what watches tell or single requests, or cuts
//! the client off.
//! Clients speak plain HTTP to it, so that it sees which connections carry a watch.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const UPSTREAM: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 6443);
const BUFFER: usize = 64 * 1024;
/// Pieces that are held back at most.
const HELD: usize = 4096;

/// A running proxy.
#[derive(Debug)]
pub struct ApiProxy {
    /// Where it listens.
    pub addr: SocketAddr,
    faults: Arc<Faults>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Faults {
    delay: Mutex<Duration>,
    cut: watch::Sender<bool>,
    hold: watch::Sender<Option<Hold>>,
    held: AtomicUsize,
}

/// Which requests are held back.
#[derive(Debug)]
struct Hold {
    method: String,
    path: String,
}

impl ApiProxy {
    pub(super) fn start(authority: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let addr = listener.local_addr().expect("its address");
        let faults = Arc::new(Faults {
            delay: Mutex::default(),
            cut: watch::Sender::new(false),
            hold: watch::Sender::new(None),
            held: AtomicUsize::new(0),
        });
        runtime.spawn(accept(listener, connector(authority), Arc::clone(&faults)));
        Self { addr, faults, runtime: Some(runtime) }
    }

    /// What watches tell from now on arrives so much later. Everything else is as quick as ever.
    pub fn delay_watches(&self, delay: Duration) {
        *self.faults.delay.lock() = delay;
    }

    /// Holds requests of a method back whose path contains `path`, until [`let_go`](Self::let_go). They arrive then,
    /// whoever sent them is still there or not: a network keeps no count of that.
    pub fn hold(&self, method: &str, path: &str) {
        self.faults.hold.send_replace(Some(Hold { method: method.to_owned(), path: path.to_owned() }));
    }

    /// How many requests were held back so far.
    pub fn held(&self) -> usize {
        self.faults.held.load(Ordering::Acquire)
    }

    /// Lets requests arrive that were held back, and those that follow.
    pub fn let_go(&self) {
        self.faults.hold.send_replace(None);
    }

    /// Ends all connections and takes no more, until [`restore`](Self::restore).
    pub fn cut(&self) {
        self.faults.cut.send_replace(true);
    }

    /// Lets the client through again.
    pub fn restore(&self) {
        self.faults.cut.send_replace(false);
    }
}

impl Faults {
    /// Waits for as long as a request is to be held back; says whether it was.
    async fn wait(&self, line: &str) -> bool {
        let mut hold = self.hold.subscribe();
        let passes = |hold: &Option<Hold>| hold.as_ref().is_none_or(|hold| !hold.concerns(line));
        if passes(&hold.borrow()) {
            return false;
        }
        self.held.fetch_add(1, Ordering::AcqRel);
        // It is let go, too, when the proxy ends.
        let _ended = hold.wait_for(passes).await;
        true
    }
}

impl Hold {
    fn concerns(&self, line: &str) -> bool {
        let mut words = line.split(' ');
        words.next() == Some(self.method.as_str())
            && words.next().is_some_and(|path| path.contains(&self.path))
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn connector(authority: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority).expect("a file") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn accept(listener: TcpListener, connector: TlsConnector, faults: Arc<Faults>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (connector, faults) = (connector.clone(), Arc::clone(&faults));
        connections.spawn(async move {
            let mut cut = faults.cut.subscribe();
            tokio::select! {
                biased;
                _ = cut.wait_for(|cut| *cut) => {}
                // Either side may end it.
                _ended = carry(client, &connector, &faults) => {}
            }
        });
    }
}

async fn carry(client: TcpStream, connector: &TlsConnector, faults: &Faults) -> io::Result<()> {
    client.set_nodelay(true)?;
    let server = TcpStream::connect(UPSTREAM).await?;
    server.set_nodelay(true)?;
    let name = ServerName::from(std::net::IpAddr::from(UPSTREAM.0));
    let (server_reader, server_writer) = tokio::io::split(connector.connect(name, server).await?);
    let (client_reader, client_writer) = client.into_split();
    let watching = AtomicBool::new(false);
    let (held, due) = mpsc::channel(HELD);
    tokio::select! {
        ended = ask(client_reader, server_writer, &watching, faults) => ended,
        ended = hold(server_reader, held, &watching, faults) => ended,
        ended = tell(due, client_writer) => ended,
    }
}

/// Passes requests on, and notes whether the newest is a watch.
async fn ask(
    mut client: impl AsyncRead + Unpin,
    mut server: impl AsyncWrite + Unpin,
    watching: &AtomicBool,
    faults: &Faults,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut held = false;
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 {
            // The server would give a request up that is cut off.
            return if held { std::future::pending().await } else { server.shutdown().await };
        }
        let piece = &buffer[..count];
        let line = piece.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        if line.ends_with("HTTP/1.1") {
            watching.store(line.contains("watch=true") || line.contains("watch=1"), Ordering::Release);
            held |= faults.wait(&line).await;
        }
        server.write_all(piece).await?;
        server.flush().await?;
    }
}

/// Reads what the server says, and notes when the client may hear it.
async fn hold(
    mut server: impl AsyncRead + Unpin,
    held: mpsc::Sender<(Instant, Vec<u8>)>,
    watching: &AtomicBool,
    faults: &Faults,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = server.read(&mut buffer).await?;
        let delay = if watching.load(Ordering::Acquire) { *faults.delay.lock() } else { Duration::ZERO };
        // An empty piece is the end.
        let sent = held.send((Instant::now() + delay, buffer[..count].to_vec())).await;
        if count == 0 || sent.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Tells the client what is due.
async fn tell(
    mut due: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut client: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    while let Some((at, piece)) = due.recv().await {
        tokio::time::sleep_until(at).await;
        if piece.is_empty() {
            break;
        }
        client.write_all(&piece).await?;
    }
    client.shutdown().await
}
