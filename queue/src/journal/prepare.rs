//! A thread that makes the next segment while the writer fills the last one.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use super::disk::{Disk, DiskFile};
use super::segment::{self, NEXT, Zeros};

type Made = io::Result<Box<dyn DiskFile>>;

/// The writer's end. Dropping it joins the thread and removes a segment that was not needed.
#[derive(Debug)]
pub(crate) struct Preparer {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    orders: Option<mpsc::Sender<Zeros>>,
    made: mpsc::Receiver<Made>,
    ordered: bool,
    next: Option<Made>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    pub(crate) fn start(disk: Arc<dyn Disk>, dir: PathBuf, size: u64) -> io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let (done, made) = mpsc::channel();
        let thread = thread::Builder::new().name("journal-prepare".to_owned()).spawn({
            let (disk, dir) = (Arc::clone(&disk), dir.clone());
            move || {
                while let Ok(zeros) = ordered.recv()
                    && done.send(segment::prepare(&*disk, &dir, size, zeros)).is_ok()
                {}
            }
        })?;
        Ok(Self { disk, dir, orders: Some(orders), made, ordered: false, next: None, thread: Some(thread) })
    }

    /// Has the next segment made, unless it is there or on its way.
    pub(crate) fn order(&mut self, zeros: Zeros) {
        if !self.ordered && self.next.is_none() {
            self.ordered = self.orders.as_ref().is_some_and(|orders| orders.send(zeros).is_ok());
        }
    }

    /// Whether [`take`](Self::take) would not wait.
    pub(crate) fn is_ready(&mut self) -> bool {
        if self.ordered
            && let Ok(made) = self.made.try_recv()
        {
            self.ordered = false;
            self.next = Some(made);
        }
        self.next.is_some()
    }

    /// The next segment, made now if need be. That there was no room when it was ordered says
    /// nothing of now: then it is tried again.
    pub(crate) fn take(&mut self) -> Made {
        let early = self.next.take().or_else(|| self.ordered.then(|| self.receive()));
        if let Some(Ok(file)) = early {
            return Ok(file);
        }
        self.order(Zeros::Reserved);
        self.receive()
    }

    fn receive(&mut self) -> Made {
        self.ordered = false;
        self.made.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that makes segments ended")))
    }
}

impl Preparer {
    /// Waits for the thread, which may be at work for a moment.
    pub(crate) fn stop(&mut self) {
        self.orders = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that makes the journal's segments panicked");
        }
        // Usually there is none.
        let _ = self.disk.remove(&self.dir.join(NEXT));
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.stop();
    }
}
