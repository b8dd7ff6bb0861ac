//! How a provider is connected to.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;

use crate::config::ai::model::{Http2, Provider};

/// Streams that share one HTTP/2 connection.
const STREAMS_PER_CONNECTION: u8 = 100;

/// What a provider may send of one answer before the client has taken it: a large one comes no faster than so much in
/// each round trip. A connection may hold so much for each of its streams.
const STREAM_WINDOW: u32 = 1 << 20;

/// How often a provider is asked whether it is still there. One that does not answer within five seconds is gone;
/// without this its connection would take requests for as long as TCP repeats them, a quarter of an hour.
const PING: Duration = Duration::from_secs(15);

/// A provider that takes nothing for this long is gone.
const WRITE: Duration = Duration::from_secs(30);

/// The peer for one address of a provider.
#[must_use]
pub fn peer(
    provider: &Provider,
    address: SocketAddr,
    connect: Duration,
    authorities: Option<&Arc<CaType>>,
) -> HttpPeer {
    let base = &provider.base;
    let mut peer = HttpPeer::new(address, base.tls, base.host.clone());
    peer.group_key = group(provider);
    let options = &mut peer.options;
    options.connection_timeout = Some(connect);
    options.total_connection_timeout = Some(connect);
    options.write_timeout = Some(WRITE);
    options.idle_timeout = Some(provider.idle_timeout);
    options.ca = authorities.cloned();
    let http2 = match provider.http2 {
        Http2::Auto => base.tls,
        Http2::Always => true,
        Http2::Never => false,
    };
    if http2 {
        options.max_h2_streams = usize::from(STREAMS_PER_CONNECTION);
        options.h2_stream_window_size = Some(STREAM_WINDOW);
        // There is room for all of them: a client that takes nothing holds no other one up.
        options.h2_connection_window_size = Some(u32::from(STREAMS_PER_CONNECTION) * STREAM_WINDOW);
        options.h2_ping_interval = Some(PING);
        let least = if provider.http2 == Http2::Always { 2 } else { 1 };
        options.set_http_version(2, least);
    }
    peer
}

/// Connections belong to one provider, and to the settings that they were made with.
fn group(provider: &Provider) -> u64 {
    let mut hasher = DefaultHasher::new();
    let http2 = (provider.http2 == Http2::Always, provider.http2 == Http2::Never);
    ("ai", &provider.name, &provider.ca, http2, provider.base.tls).hash(&mut hasher);
    hasher.finish()
}
