//! When the API was last heard: every answer and every piece of a watch counts, whoever asked. A
//! replica that has not heard it for a while says that its snapshot may be behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::ClientBuilder;
use kube::config::InferConfigError;
use thiserror::Error;
use tokio::time::Instant;
use tower::util::MapResponseLayer;

/// How long a connection to the API may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer, or the next piece of one, may take; longer than a watch lasts of which nothing is heard.
const READ: Duration = Duration::from_secs(75);

/// Remembers when the API was last heard. Clones are of one memory.
#[derive(Debug, Clone)]
pub struct Contact {
    made: Instant,
    /// Milliseconds since it was made, plus one; nothing was heard yet while it is zero.
    last: Arc<AtomicU64>,
}

/// There is no way to the API.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nothing says where the API is.
    #[error("neither a kubeconfig (KUBECONFIG) nor a service account of a pod says where the API is: {0}")]
    Config(#[from] InferConfigError),
    /// What says so can't be used.
    #[error("the way to the API can't be used: {0}")]
    Client(#[from] kube::Error),
}

impl Default for Contact {
    fn default() -> Self {
        Self { made: Instant::now(), last: Arc::default() }
    }
}

impl Contact {
    /// Time since the API was last heard, or since the start.
    #[must_use]
    pub fn age(&self) -> Duration {
        let heard = self.last.load(Ordering::Relaxed).saturating_sub(1);
        self.made.elapsed().saturating_sub(Duration::from_millis(heard))
    }

    /// The API was heard just now.
    pub(crate) fn heard(&self) {
        let now = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.fetch_max(now + 1, Ordering::Relaxed);
    }

    /// A client for the cluster that the kubeconfig names, or that this pod runs in, whose every
    /// answer is remembered here.
    ///
    /// # Errors
    /// If nothing says where the API is, or what says so can't be used.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        let mut config = kube::Config::infer().await?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(READ);
        let contact = self.clone();
        let listen = move |response: http::Response<_>| {
            // A proxy in front of an API that is gone answers too.
            let heard = !response.status().is_server_error();
            let contact = contact.clone();
            if heard {
                contact.heard();
            }
            response.map(|body: Box<kube::client::DynBody>| {
                body.map_frame(move |frame| {
                    if heard {
                        contact.heard();
                    }
                    frame
                })
            })
        };
        Ok(ClientBuilder::try_from(config)?.with_layer(&MapResponseLayer::new(listen)).build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn age_begins_anew_whenever_the_api_is_heard() {
        let contact = Contact::default();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(contact.age(), Duration::from_secs(3));
        contact.heard();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(contact.clone().age(), Duration::from_secs(1));
    }
}
