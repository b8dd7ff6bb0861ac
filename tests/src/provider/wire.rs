//! Performs scripts, over whichever version of HTTP the request came by.

use bytes::Bytes;

use super::log::Ending;
use super::script::{Head, Step};
use super::{http1, http2};

/// The peer went away.
#[derive(Debug)]
pub(super) struct Gone;

/// Where an answer goes.
pub(super) enum Reply<'c> {
    Http1(http1::Reply<'c>),
    Http2(http2::Reply),
}

impl Reply<'_> {
    /// Performs a script.
    pub(super) async fn perform(&mut self, script: Vec<Step>) -> Ending {
        for step in script {
            if self.step(step).await.is_err() {
                return Ending::Left;
            }
        }
        Ending::Done
    }

    async fn step(&mut self, step: Step) -> Result<(), Gone> {
        match step {
            Step::Head(head) => self.head(&head).await,
            Step::Data(bytes) => self.data(&bytes).await,
            Step::Repeat(bytes, times) => {
                for _ in 0..times {
                    self.data(&bytes).await?;
                }
                Ok(())
            }
            Step::Pause(wait) => match tokio::time::timeout(wait, self.left()).await {
                Ok(()) => Err(Gone),
                Err(_) => Ok(()),
            },
            Step::Silence => {
                self.left().await;
                Err(Gone)
            }
            Step::End => self.end().await,
            Step::Cut => self.cut(false).await,
            Step::Reset => self.cut(true).await,
        }
    }

    async fn head(&mut self, head: &Head) -> Result<(), Gone> {
        match self {
            Self::Http1(reply) => reply.head(head).await,
            Self::Http2(reply) => reply.head(head),
        }
    }

    async fn data(&mut self, bytes: &Bytes) -> Result<(), Gone> {
        match self {
            Self::Http1(reply) => reply.data(bytes).await,
            Self::Http2(reply) => reply.data(bytes).await,
        }
    }

    async fn end(&mut self) -> Result<(), Gone> {
        match self {
            Self::Http1(reply) => reply.end().await,
            Self::Http2(reply) => reply.end(),
        }
    }

    async fn cut(&mut self, reset: bool) -> Result<(), Gone> {
        match self {
            Self::Http1(reply) => reply.cut(reset),
            Self::Http2(reply) => reply.cut().await,
        }
        Ok(())
    }

    /// Waits until the peer goes away.
    async fn left(&mut self) {
        match self {
            Self::Http1(reply) => reply.left().await,
            Self::Http2(reply) => reply.left().await,
        }
    }
}
