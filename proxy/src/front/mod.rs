//! The front of the data plane: listeners, the accept loop and connections, up to the point where
//! Pingora's HTTP engine takes over. Lockstep accepts by itself, because Pingora's own service has
//! no deadline for request heads, no PROXY protocol on plain listeners, no bound on connections and
//! a shutdown that sleeps instead of waiting for the last request.

pub mod accept;
pub mod connection;
pub mod guarded;
pub mod listener;
pub mod proxy_header;
pub mod refusal;
pub mod request_line;
pub mod serve;
pub mod tracked;
pub mod workers;

use std::time::Duration;

pub use connection::{Connection, Limiter};
pub use listener::{BindError, BoundListener};

/// Time for queued frames to leave before a stream or a connection of HTTP/2 is reset: what has not left is discarded.
pub(crate) const BEFORE_RESET: Duration = Duration::from_millis(20);
