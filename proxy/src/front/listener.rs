//! Binds the listeners before anything else starts, so that a port in use is an error at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::config::model::{Listener, Tls};
use crate::tls::{CertificateError, Certificates};

/// Connections that the kernel holds for us while we are busy.
const BACKLOG: i32 = 4096;

/// A listener that can't be had.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is taken, not ours or not allowed.
    #[error("listen on {addr}: {source}")]
    Address {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Its certificates can't be used.
    #[error("listen on {addr}: {source}")]
    Certificates {
        /// The address.
        addr: SocketAddr,
        /// What is wrong with them.
        source: Box<CertificateError>,
    },
    /// The TLS library refuses the configuration.
    #[error("listen on {addr}: {source}")]
    Tls {
        /// The address.
        addr: SocketAddr,
        /// What it says.
        source: Box<rustls::Error>,
    },
}

/// A listener that is bound but not yet accepting.
pub struct BoundListener {
    /// The socket, set to non-blocking.
    pub socket: std::net::TcpListener,
    /// Where it listens, with the port that the system chose.
    pub addr: SocketAddr,
    /// How its connections are served.
    pub kind: Arc<ListenerKind>,
}

/// How the connections of a listener are served.
pub struct ListenerKind {
    /// Answers everything with a redirect.
    pub redirect_https: bool,
    /// Connections begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Present on TLS listeners.
    pub tls: Option<TlsAcceptor>,
}

/// Accepts TLS for one listener.
pub struct TlsAcceptor {
    /// Pingora's acceptor.
    pub acceptor: Acceptor,
    /// Its certificates, to be reloaded.
    pub certificates: Arc<Certificates>,
}

impl BoundListener {
    /// Binds the address and loads the certificates of a listener.
    ///
    /// # Errors
    /// If the address can't be had, or the certificates can't be used.
    pub fn bind(listener: &Listener) -> Result<Self, BindError> {
        let addr = listener.addr;
        let tls = listener.tls.as_ref().map(|tls| TlsAcceptor::new(addr, tls)).transpose()?;
        let socket = bind(addr).map_err(|source| BindError::Address { addr, source })?;
        let addr = socket.local_addr().map_err(|source| BindError::Address { addr, source })?;
        let kind = Arc::new(ListenerKind {
            redirect_https: listener.redirect_https,
            proxy_protocol: listener.proxy_protocol,
            tls,
        });
        Ok(Self { socket, addr, kind })
    }
}

impl TlsAcceptor {
    fn new(addr: SocketAddr, tls: &Tls) -> Result<Self, BindError> {
        let certificates = Certificates::load(tls)
            .map_err(|source| BindError::Certificates { addr, source: Box::new(source) })?;
        let resolver = Arc::clone(&certificates);
        let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: Acceptor::from_server_config(Arc::new(config)), certificates })
    }
}

/// Binds a non-blocking socket. The address may be reused after a restart, but never shared with a
/// living process: two instances on one port would be a mistake.
///
/// # Errors
/// What the system says.
pub fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        // `[::]` takes IPv4 as well, whatever the system's setting.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
