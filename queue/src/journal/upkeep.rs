//! Segments come and go: rotation, acknowledgement, removal.

use std::iter;
use std::time::Instant;

use bytes::Bytes;

use super::error::JournalError;
use super::frame;
use super::log::Failure;
use super::notes::{self, AckNote, FORMAT, SegmentNote};
use super::position::wide;
use super::queue::Ack;
use super::segment;
use super::tell::Waiter;
use super::writer::Writer;

/// An idle journal keeps this much of what is acknowledged.
const IDLE_BYTES: u64 = 4096;

impl Writer {
    /// Puts right what a crash left undone.
    pub(crate) fn tidy(&mut self, headless: bool) {
        let done = if headless {
            self.rotate().and_then(|()| self.flush())
        } else if self.retention.superfluous(self.ack).is_empty() {
            Ok(())
        } else {
            self.note_ack(self.ack, self.mark.clone())
        };
        match done {
            Ok(()) => drop(self.sync()),
            Err(error) => tracing::warn!(%error, "the journal can't tidy up yet"),
        }
        self.publish();
    }

    /// Begins a segment, after everything written so far is synced.
    pub(crate) fn rotate(&mut self) -> Result<(), JournalError> {
        if let Some((until, error)) = &self.full_until
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        self.flush()?;
        self.sync()?;
        if self.log.head == self.log.base {
            // It would get the name of the one that is there, which is as good as new.
            return Ok(());
        }
        let next = self.preparer.take().map_err(|error| self.no_room(error))?;
        let old = self.log.base;
        self.log.rotate(next, u64::from(self.shared.options.segment_bytes)).map_err(
            |failure| match failure {
                Failure::Refused(error) => self.no_room(error),
                Failure::Fatal(error) => self.poison_with(error),
            },
        )?;
        let new = self.log.base;
        self.full_until = None;
        self.retention.seal(old, new);
        self.retention.start(new);
        let mut catalog = self.shared.catalog.lock();
        catalog.insert(old, Some(new));
        catalog.insert(new, None);
        drop(catalog);
        self.forget(&self.retention.superfluous(self.ack));
        self.head_note();
        Ok(())
    }

    fn no_room(&mut self, error: std::io::Error) -> JournalError {
        let error = JournalError::of_write(error);
        tracing::warn!(%error, "the journal gets no new segment");
        self.full_until = Some((Instant::now() + self.shared.options.retry_after, error.clone()));
        error
    }

    /// The first frame of a segment, unless it is there.
    pub(crate) fn head_note(&mut self) {
        if self.end() != self.log.base {
            return;
        }
        let note = SegmentNote {
            format: FORMAT,
            id: self.shared.id,
            ack: self.ack,
            next_seq: self.next_seq,
            last_at: self.last_at,
            kept: self.retention.sealed().collect(),
            open: self.retention.open_ids().collect(),
            mark: self.mark.clone(),
        };
        let unsynced = self.log.head - self.log.durable;
        let body = note.encode();
        let room = self.log.staged.room(frame::size(wide(body.len())));
        frame::put(room, self.log.base, notes::SEGMENT, 0, unsynced, iter::once(&body[..]));
        self.must_sync = self.must_sync || !self.unlink.is_empty();
    }

    /// Notes the farthest acknowledgement, and answers all of them after the next sync.
    pub(crate) fn acknowledge(&mut self, acks: Vec<Ack>) {
        let (mut upto, mut new_mark) = (self.ack, None);
        let mut replies = Vec::new();
        for Ack { upto: position, mark, reply } in acks {
            if let Some(error) = &self.poison {
                drop(reply.send(Err(error.clone())));
            } else if position > self.log.head {
                drop(reply.send(Err(JournalError::Beyond(super::Position::new(position)))));
            } else {
                upto = upto.max(position);
                new_mark = mark.or(new_mark);
                replies.push(reply);
            }
        }
        let noted = if upto > self.ack || new_mark.is_some() {
            self.note_ack(upto, new_mark.unwrap_or_else(|| self.mark.clone()))
        } else {
            Ok(())
        };
        match noted {
            Ok(()) => {
                self.must_sync = self.must_sync || !replies.is_empty();
                self.waiting.extend(replies.into_iter().map(Waiter::Acknowledge));
            }
            Err(error) => replies.into_iter().for_each(|reply| drop(reply.send(Err(error.clone())))),
        }
    }

    fn note_ack(&mut self, upto: u64, mark: Bytes) -> Result<(), JournalError> {
        let superfluous = self.retention.superfluous(upto);
        let size = frame::size(16 + 8 * wide(superfluous.len()) + wide(mark.len()));
        if self.end() - self.log.base + size > u64::from(self.shared.options.segment_bytes) {
            // Without room for a new segment, the old one may still grow.
            let _ = self.rotate();
        }
        let dropped = self.retention.superfluous(upto);
        let note = AckNote { ack: upto, dropped, mark };
        self.note(notes::ACK, &note.encode());
        self.flush()?;
        self.ack = upto;
        self.mark = note.mark;
        self.forget(&note.dropped);
        self.must_sync = true;
        Ok(())
    }

    fn forget(&mut self, segments: &[u64]) {
        for base in segments {
            self.retention.remove(*base);
        }
        self.unlink.extend(segments);
    }

    /// Removes the files of segments, once it is on disk that they are superfluous.
    pub(crate) fn remove_files(&mut self) {
        if self.unlink.is_empty() || self.log.head == self.log.base {
            return;
        }
        for base in self.unlink.drain(..) {
            self.shared.catalog.lock().remove(&base);
            let path = segment::path(&self.log.dir, base);
            if let Err(error) = self.log.disk.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "an acknowledged segment stays until the next start");
            }
        }
        // A full disk has room again.
        self.full_until = None;
        if let Err(error) = self.log.disk.sync_dir(&self.log.dir) {
            tracing::warn!(%error, "acknowledged segments may come back after a power loss, and go again");
        }
    }

    /// When a journal in which everything is acknowledged removes it.
    pub(crate) fn idle_at(&self) -> Option<Instant> {
        let idle = self.poison.is_none()
            && self.log.head - self.log.base > IDLE_BYTES
            // What it notes of others may be longer than that, and would be again.
            && !self.retention.is_unused(self.log.base)
            && self.retention.is_done(self.log.base, self.ack);
        idle.then_some(self.idle_due)
    }

    /// Has the next segment made early enough.
    pub(crate) fn look_ahead(&mut self) {
        if self.log.head - self.log.base > u64::from(self.shared.options.segment_bytes) / 4 {
            self.preparer.order(self.log.next_zeros());
        }
    }
}
