//! The client side: from a target to a connection with its provider, and one exchange over it.
//! [`resolve`] finds addresses, [`peer`] says how to connect, [`head`] what is sent on of a
//! request's head, [`exchange`] sends and reads, `joined` has both in one packet, [`veil`] hides our key in what
//! comes back.

pub mod exchange;
pub mod head;
mod joined;
pub mod peer;
pub mod resolve;
pub mod veil;

use std::sync::Arc;

use pingora::Result;
use pingora::connectors::http::Connector;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::Stream;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v1::client::HttpSession as Http1Session;
use pingora::upstreams::peer::{HttpPeer, Peer as _};

use joined::JoinedStream;
use resolve::Resolver;

/// Idle connections to providers that one worker keeps: so many where HTTP/1.1 alone is spoken, and so many others.
const IDLE_CONNECTIONS: usize = 4096;

/// The connections of one worker.
pub struct Client {
    /// Where HTTP/2 is spoken, or may be.
    connector: Connector,
    /// Where it is not: Pingora's connector would make streams of its own.
    http1: TransportConnector,
    resolver: Arc<Resolver>,
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>) -> Self {
        let options = || Some(ConnectorOptions::new(IDLE_CONNECTIONS));
        Self { connector: Connector::new(options()), http1: TransportConnector::new(options()), resolver }
    }

    /// A connection of the pool, or a new one; and whether it is the former.
    async fn session(&self, peer: &HttpPeer) -> Result<(HttpSession, bool)> {
        // Boxed, both: to make a connection takes 10 KiB, and most calls find one.
        if !is_http1(peer) {
            return Box::pin(self.connector.get_http_session(peer)).await;
        }
        let kept = self.http1.reused_stream(peer).await;
        let reused = kept.is_some();
        let stream = match kept {
            Some(stream) => stream,
            None => Box::new(JoinedStream::new(Box::pin(self.http1.new_stream(peer)).await?)),
        };
        Ok((HttpSession::H1(Http1Session::new_with_options(stream, peer)), reused))
    }

    /// Gives a connection on which HTTP/2 is spoken, or may be, back to the pool, or ends it; ends any other.
    async fn release(&self, session: HttpSession, peer: &HttpPeer) {
        match session {
            HttpSession::H1(mut session) if is_http1(peer) => session.shutdown().await,
            session => {
                self.connector.release_http_session(session, peer, peer.options.idle_timeout).await;
            }
        }
    }

    fn keep(&self, stream: Option<Stream>, peer: &HttpPeer) {
        if let Some(stream) = stream {
            self.http1.release_stream(stream, peer.reuse_hash(), peer.options.idle_timeout);
        }
    }
}

/// Whether nothing else is spoken with it.
fn is_http1(peer: &HttpPeer) -> bool {
    peer.options.alpn.get_max_http_version() == 1
}
