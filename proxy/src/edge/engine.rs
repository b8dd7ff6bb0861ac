//! What serves the requests of a connection: Pingora's proxy around our phases. Streams of HTTP/2 that belong to the AI
//! gateway go past it, since its future for each request is larger than all that a call keeps while its answer streams.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
use pingora::protocols::http::server::Session;
use pingora::protocols::http::v2::server::H2Options;
use pingora::server::ShutdownWatch;
use pingora_proxy::HttpProxy;

use super::{Edge, ai};

/// The engine of one worker.
pub struct Engine {
    edge: Edge,
    proxy: Arc<HttpProxy<Edge>>,
}

impl Engine {
    /// An engine around a proxy of the same edge.
    #[must_use]
    pub fn new(edge: Edge, proxy: HttpProxy<Edge>) -> Self {
        Self { edge, proxy: Arc::new(proxy) }
    }
}

#[async_trait]
impl HttpServerApp for Engine {
    // Not async: it would put the proxy's future into a box of its own.
    fn process_new_http<'s, 'w, 'f>(
        self: &'s Arc<Self>,
        session: Session,
        shutdown: &'w ShutdownWatch,
    ) -> BoxFuture<'f, Option<ReusedHttpStream>>
    where
        's: 'f,
        'w: 'f,
    {
        match ai::owner_of_stream(&self.edge, &session) {
            Some(snapshot) => {
                let stream = ai::serve_stream(self.edge.clone(), Box::new(session), snapshot);
                Box::pin(stream.map(|()| None))
            }
            None => self.proxy.process_new_http(session, shutdown),
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
