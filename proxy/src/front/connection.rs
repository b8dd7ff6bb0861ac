//! What is known about one client connection, reachable from every request on it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderValue;
use pingora::protocols::http::server::Session as HttpSession;
use pingora::protocols::raw_connect::ProxyDigest;
use socket2::Socket;

use super::tracked::Tracked;

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    /// The client, as the PROXY header says where one is believed, else the peer.
    pub client: SocketAddr,
    /// The client's address as the value of `X-Forwarded-For`.
    pub client_value: HeaderValue,
    /// Whether the peer may set `X-Forwarded-*` and the like.
    pub trusted: bool,
    /// Whether the client speaks TLS to this listener.
    pub tls: bool,
    /// Whether every request is answered with a redirect to https.
    pub redirect_https: bool,
    /// What shutdown sees of it.
    pub tracked: Arc<Tracked>,
    /// Whether the head of a request is being read: the deadline and the size limit apply.
    reading_head: AtomicBool,
    /// Whether the connection must not end as if an answer were whole.
    unfinished: AtomicBool,
    /// The socket of a client that takes the end of the connection for that of an answer.
    socket: Option<Socket>,
}

/// Bounds the number of open connections.
#[derive(Debug)]
pub struct Limiter {
    open: AtomicUsize,
}

/// One open connection, counted until dropped.
#[derive(Debug)]
pub struct Permit(Arc<Limiter>);

impl Connection {
    /// A connection that has not sent anything yet.
    #[must_use]
    pub fn new(
        client: SocketAddr,
        trusted: bool,
        tls: bool,
        redirect_https: bool,
        tracked: Arc<Tracked>,
    ) -> Self {
        // An address is digits, dots and colons: always a valid value.
        let client_value = HeaderValue::from_str(&canonical(client.ip()).to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        Self {
            client,
            client_value,
            trusted,
            tls,
            redirect_https,
            tracked,
            reading_head: AtomicBool::new(false),
            unfinished: AtomicBool::new(false),
            socket: None,
        }
    }

    /// The same, with a handle on its socket, by which it can be reset.
    #[must_use]
    pub fn with_socket(self, socket: Option<Socket>) -> Self {
        Self { socket, ..self }
    }

    /// The connection that a request came by.
    #[must_use]
    pub fn of(session: &HttpSession) -> Option<&Self> {
        let data = session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?;
        data.downcast_ref::<Arc<Self>>().map(Arc::as_ref)
    }

    /// Wraps the connection into the one place of Pingora's digest that carries user data to
    /// HTTP/1 and HTTP/2 sessions alike.
    ///
    /// # Errors
    /// If the unused response that the digest demands can't be built.
    pub fn digest(self: &Arc<Self>) -> pingora::Result<Arc<ProxyDigest>> {
        let unused = pingora::http::ResponseHeader::build(200, Some(0))?;
        Ok(Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(Arc::clone(self))))))
    }

    /// Says that the next bytes are the head of a request.
    pub fn expect_head(&self) {
        self.reading_head.store(true, Ordering::Relaxed);
    }

    /// Says that the head is complete.
    pub fn head_complete(&self) {
        self.reading_head.store(false, Ordering::Relaxed);
    }

    /// Says whether an answer is under way that ends with the connection, as those of HTTP/1.0 do. Until it is whole,
    /// the connection ends with a reset: a plain end would make half of it look whole.
    pub fn set_unfinished(&self, unfinished: bool) {
        self.unfinished.store(unfinished, Ordering::Relaxed);
        if let Some(socket) = &self.socket {
            // A socket that takes no options is broken already.
            let _set = socket.set_linger(unfinished.then_some(Duration::ZERO));
        }
    }

    /// Whether such an answer is under way.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// Whether a head is being read.
    #[must_use]
    pub fn is_reading_head(&self) -> bool {
        self.reading_head.load(Ordering::Relaxed)
    }
}

impl Limiter {
    /// A limiter without open connections.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0) })
    }

    /// Admits one more connection while fewer than `most` are open.
    #[must_use]
    pub fn admit(self: &Arc<Self>, most: usize) -> Option<Permit> {
        let permit = {
            self.open.fetch_add(1, Ordering::AcqRel);
            Permit(Arc::clone(self))
        };
        (self.open() <= most).then_some(permit)
    }

    /// Open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// IPv4 clients of a dual-stack listener look like IPv6; they are meant as IPv4.
#[must_use]
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_is_given_back() {
        let limiter = Limiter::new();
        let first = limiter.admit(2).unwrap();
        let _second = limiter.admit(2).unwrap();
        assert!(limiter.admit(2).is_none());
        assert_eq!(limiter.open(), 2);
        drop(first);
        assert!(limiter.admit(2).is_some());
    }

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        let connection =
            Connection::new("[::ffff:192.0.2.1]:5".parse().unwrap(), false, false, false, Arc::default());
        assert_eq!(connection.client_value, "192.0.2.1");
    }
}
