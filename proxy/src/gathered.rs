//! Bytes that wait until more can leave with them, in one packet: on the way to clients the head of an answer and the
//! beginning of its body ([`front`](crate::front)), on the way to providers the head of a call and its body
//! ([`ai::upstream`](crate::ai::upstream)). Takes memory only while something waits: most connections are silent most
//! of the time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Room for most heads and bodies, so that it is made once.
const ROOM: usize = 2048;

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    /// How much of it is written.
    written: usize,
}

impl Gathered {
    /// Whether nothing waits.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes wait.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether so many more bytes may wait, where `most` may. None may once writing has begun.
    pub(crate) const fn has_room(&self, more: usize, most: usize) -> bool {
        self.written == 0 && self.bytes.len().saturating_add(more) <= most
    }

    /// Has bytes wait.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(ROOM);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes all that waits.
    ///
    /// # Errors
    /// Those of the writer, and [`WriteZero`](io::ErrorKind::WriteZero) if it takes nothing.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut *writer).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    async fn write(gathered: &mut Gathered, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        std::future::poll_fn(|context| gathered.poll_write(context, writer)).await
    }

    #[tokio::test]
    async fn it_leaves_in_one_piece_and_takes_no_memory_then() {
        let (mut ours, mut theirs) = duplex(64);
        let mut gathered = Gathered::default();
        gathered.push(b"head ");
        gathered.push(b"body");
        write(&mut gathered, &mut ours).await.unwrap();
        assert_eq!((gathered.is_empty(), gathered.bytes.capacity()), (true, 0));
        let mut read = [0; 64];
        let count = theirs.read(&mut read).await.unwrap();
        assert_eq!(&read[..count], b"head body");
    }

    #[tokio::test]
    async fn nothing_joins_what_is_half_written() {
        let (mut ours, mut theirs) = duplex(3);
        let mut gathered = Gathered::default();
        gathered.push(b"half");
        assert!(gathered.has_room(4, 8) && !gathered.has_room(5, 8));
        assert!(write(&mut gathered, &mut ours).now_or_never().is_none());
        assert!(!gathered.has_room(1, 8));
        let mut read = [0; 8];
        assert_eq!(theirs.read(&mut read).await.unwrap(), 3);
        write(&mut gathered, &mut ours).await.unwrap();
        assert!(gathered.has_room(1, 8));
    }

    #[tokio::test]
    async fn a_writer_that_takes_nothing_is_an_error() {
        let mut gathered = Gathered::default();
        gathered.push(b"bytes");
        let error = write(&mut gathered, &mut Full).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    /// Takes nothing.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
