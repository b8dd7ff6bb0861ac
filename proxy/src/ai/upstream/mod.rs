//! The client side: from a target to a connection with its provider, and one exchange over it.
//! [`resolve`] finds addresses, [`peer`] says how to connect, [`head`] what is sent on of a
//! request's head, [`exchange`] sends and reads, [`veil`] hides our key in what comes back.

pub mod exchange;
pub mod head;
pub mod peer;
pub mod resolve;
pub mod veil;

use std::sync::Arc;

use pingora::connectors::ConnectorOptions;
use pingora::connectors::http::Connector;

use resolve::Resolver;

/// Idle connections to providers that one worker keeps.
const IDLE_CONNECTIONS: usize = 4096;

/// The connections of one worker.
pub struct Client {
    connector: Connector,
    resolver: Arc<Resolver>,
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(resolver: Arc<Resolver>) -> Self {
        Self { connector: Connector::new(Some(ConnectorOptions::new(IDLE_CONNECTIONS))), resolver }
    }
}
