//! The connection for listening: one, which tells everybody in this process. It is opened when somebody first waits or
//! watches, and again when it is lost or the one for commands was; those who wait are woken then, and those who watch are told that they missed
//! something.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use redis::RedisResult;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::time::{interval, sleep, timeout};

use super::board::Board;
use super::link::{Backoff, Link};

/// How often to see whether a silent connection still lives.
const PING: Duration = Duration::from_secs(5);

/// Listens until the storage is closed.
pub(super) async fn listen(link: Arc<Link>, board: Arc<Board>) {
    let mut backoff = Backoff::new();
    while !link.is_closed() {
        match link.listen().await {
            Ok((listening, mut primary)) => {
                let (mut sink, mut stream) = listening.split();
                backoff = Backoff::new();
                let ended = tokio::select! {
                    ended = serve(&link, &board, &mut sink, &mut stream) => ended,
                    // Commands go another way, perhaps to another server.
                    _ = primary.changed() => Ok(()),
                };
                tracing::debug!(?ended, "listening ended; it is begun again");
                board.is_deaf();
            }
            Err(failure) => tracing::debug!(?failure, "can't listen; it is tried again"),
        }
        sleep(backoff.next()).await;
    }
}

/// Listens on one connection, until it is lost.
async fn serve(
    link: &Link,
    board: &Board,
    sink: &mut PubSubSink,
    stream: &mut PubSubStream,
) -> RedisResult<()> {
    let mut ping = interval(PING);
    subscribe(link, board, sink).await?;
    loop {
        tokio::select! {
            message = stream.next() => {
                let Some(message) = message else { return Ok(()) };
                let channel = message.get_channel_name();
                if !board.tell(channel, message.get_payload_bytes()) {
                    within(link, sink.unsubscribe(channel)).await?;
                    // Somebody may have come again meanwhile.
                    subscribe(link, board, sink).await?;
                }
            }
            () = board.changed.notified() => subscribe(link, board, sink).await?,
            _ = ping.tick() => within(link, sink.ping()).await?,
        }
    }
}

async fn subscribe(link: &Link, board: &Board, sink: &mut PubSubSink) -> RedisResult<()> {
    for channel in board.unheard() {
        within(link, sink.subscribe(&channel)).await?;
        board.is_heard(&channel);
    }
    Ok(())
}

async fn within<T>(link: &Link, answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match timeout(link.timeout(), answer).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed).into()),
    }
}
