//! Turns an app's upstream settings into the peers that Pingora connects to, once per endpoint, so
//! that a request only clones.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lockstep_controller::{AppId, VersionId};
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};

use crate::config::model::Upstream;

/// Streams that share one HTTP/2 connection to an endpoint. Pingora's default of one would open a
/// connection for each request.
const STREAMS_PER_CONNECTION: usize = 100;

/// Connections that no pool may answer for: each gets a group of its own.
static FRESH: AtomicU64 = AtomicU64::new(1);

/// What makes a connection belong to one version and nothing else.
#[must_use]
pub fn group_key(app: &AppId, version: &VersionId, upstream: &Upstream) -> u64 {
    let mut hasher = DefaultHasher::new();
    (app, version, &upstream.ca, upstream.http2, upstream.tls).hash(&mut hasher);
    hasher.finish()
}

/// The peer for one endpoint. The server name may be set later, where it follows the request.
#[must_use]
pub fn template(
    address: SocketAddr,
    group: u64,
    upstream: &Upstream,
    authorities: Option<&Arc<CaType>>,
) -> HttpPeer {
    let mut peer = HttpPeer::new(address, upstream.tls, upstream.sni.clone().unwrap_or_default());
    peer.group_key = group;
    let options = &mut peer.options;
    options.connection_timeout = Some(upstream.connect_timeout);
    options.total_connection_timeout = Some(upstream.connect_timeout);
    options.read_timeout = Some(upstream.read_timeout);
    options.write_timeout = Some(upstream.read_timeout);
    options.idle_timeout = Some(upstream.idle_timeout);
    options.ca = authorities.cloned();
    if upstream.http2 {
        options.max_h2_streams = STREAMS_PER_CONNECTION;
        // Without TLS there is nothing to negotiate with: prior knowledge (RFC 9113, 3.3).
        options.set_http_version(2, if upstream.tls { 1 } else { 2 });
    }
    peer
}

/// Whether a connection failed for want of a file descriptor or a local port: that says nothing about the endpoint.
#[must_use]
pub fn lacks_socket(error: &Error) -> bool {
    matches!(error.root_etype(), ErrorType::SocketError | ErrorType::BindError)
}

/// Makes sure that the peer gets a connection that nothing was sent on before.
pub fn force_fresh(peer: &mut HttpPeer) {
    peer.group_key ^= FRESH.fetch_add(1, Ordering::Relaxed).rotate_right(16);
}
