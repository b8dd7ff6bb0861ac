//! Frames on their way into one write: validated, placed and encoded, then written or refused.

use std::collections::HashMap;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{iter, mem};

use super::append::{Outcome, Receipt, Stamp};
use super::error::JournalError;
use super::frame::{self, HEADER};
use super::kind::Role;
use super::log::Failure;
use super::options::WhenFull;
use super::position::{Position, narrow, wide};
use super::queue::{Entry, Reply};
use super::stamp;
use super::tell::Waiter;
use super::writer::Writer;

/// A write of more bytes begins before the batch is complete: the memory is small enough to be kept then.
const FLUSH: u64 = 1024 * 1024;

/// Frames that are staged but not written.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    frames: Vec<Staged>,
    /// Groups that the frames open (true) or close.
    groups: HashMap<u64, bool>,
    /// The stamps before the first of them.
    before: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Staged {
    role: Role,
    group: u64,
    synced: bool,
    receipt: Receipt,
    reply: Reply<Outcome>,
}

impl Chunk {
    pub(crate) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    pub(crate) fn into_waiters(self) -> impl Iterator<Item = Waiter> {
        self.frames.into_iter().map(|frame| Waiter::Append(frame.reply, frame.receipt))
    }
}

impl Writer {
    /// Takes a frame, or says why not.
    pub(crate) fn append(&mut self, entry: Entry) {
        let role = entry.kind.role();
        let stamp_len = if role == Role::End { stamp::LEN } else { 0 };
        let size = frame::size(wide(entry.body.len()) + stamp_len);
        let room = match self.check(role, entry.group) {
            Ok(true) => self.make_room(size, role),
            Ok(false) => {
                self.drop_frame(role, entry.group, entry.reply);
                return;
            }
            Err(error) => Err(error),
        };
        match room {
            Ok(()) => self.stage(entry, role),
            Err(error) => self.refuse(role, entry.group, entry.reply, error),
        }
        if self.log.staged.len() >= FLUSH {
            // Who was refused has been told.
            let _ = self.flush();
        }
    }

    /// Whether the frame fits what is open; false if it belongs to a dropped group.
    fn check(&self, role: Role, group: u64) -> Result<bool, JournalError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let open = self.chunk.groups.get(&group).copied().unwrap_or_else(|| self.retention.is_open(group));
        match role {
            Role::Single => Ok(true),
            Role::Begin if open || self.dropped_groups.contains(&group) => {
                Err(JournalError::GroupOpen(group))
            }
            Role::Begin => Ok(true),
            Role::Part | Role::End if open => Ok(true),
            Role::Part | Role::End if self.dropped_groups.contains(&group) => Ok(false),
            Role::Part | Role::End => Err(JournalError::NoSuchGroup(group)),
        }
    }

    /// Sees that the frame fits the size limit and the segment.
    fn make_room(&mut self, size: u64, role: Role) -> Result<(), JournalError> {
        let options = &self.shared.options;
        let limit = options.limit(role);
        if size > limit && matches!(role, Role::Single | Role::Begin) {
            // Acknowledging would make no room for it. What belongs to an open group may wait: its end must not be lost.
            let [len, limit] = [size, limit].map(|bytes| bytes - HEADER);
            return Err(JournalError::TooLarge {
                len: narrow(len),
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
            });
        }
        let bytes = self.used();
        if bytes + size > limit {
            return Err(JournalError::Full { bytes, limit });
        }
        let full = u64::from(options.segment_bytes);
        // The rest is for acknowledgements, which must get through when the disk is full.
        let usable = full - full / 16;
        let unused = self.retention.is_unused(self.log.base) && !self.chunk.has_frames();
        if self.end() - self.log.base + size > usable && !unused {
            self.rotate()?;
        }
        Ok(())
    }

    fn stage(&mut self, entry: Entry, role: Role) {
        self.head_note();
        self.chunk.before.get_or_insert((self.next_seq, self.last_at));
        let position = self.end();
        let stamp = (role == Role::End).then(|| self.stamp());
        let front = stamp.map(stamp::encode);
        let front = front.as_ref().map(|front| &front[..]);
        let body = front.into_iter().chain(entry.body.pieces().map(AsRef::as_ref));
        let unsynced = position - self.log.durable;
        let kind = entry.kind.to_byte();
        let len = wide(entry.body.len()) + front.map_or(0, |front| wide(front.len()));
        let room = self.log.staged.room(frame::size(len));
        frame::put(room, position, kind, entry.group, unsynced, body);
        match role {
            Role::Begin => drop(self.chunk.groups.insert(entry.group, true)),
            Role::End => drop(self.chunk.groups.insert(entry.group, false)),
            Role::Single | Role::Part => {}
        }
        let receipt = Receipt { position: Position::new(position), end: Position::new(self.end()), stamp };
        let Entry { group, synced, reply, .. } = entry;
        self.chunk.frames.push(Staged { role, group, synced, receipt, reply });
    }

    fn stamp(&mut self) -> Stamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.last_at = self.last_at.max(u64::try_from(now).unwrap_or(u64::MAX));
        let seq = self.next_seq;
        self.next_seq = self.next_seq.saturating_add(1);
        Stamp { seq, at_millis: self.last_at }
    }

    /// Adds a frame of the journal's own.
    pub(crate) fn note(&mut self, kind: u8, body: &[u8]) {
        self.head_note();
        let position = self.end();
        let unsynced = position - self.log.durable;
        let room = self.log.staged.room(frame::size(wide(body.len())));
        frame::put(room, position, kind, 0, unsynced, iter::once(body));
    }

    /// Writes what is staged. If that fails, everybody in it is refused.
    pub(crate) fn flush(&mut self) -> Result<(), JournalError> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        if self.log.staged.len() == 0 {
            return Ok(());
        }
        let mut chunk = mem::take(&mut self.chunk);
        let len = self.log.staged.len();
        let result = match self.log.write() {
            Ok(()) => {
                self.stats.bytes += len;
                for frame in chunk.frames.drain(..) {
                    self.written(frame);
                }
                Ok(())
            }
            Err(Failure::Refused(error)) => {
                (self.next_seq, self.last_at) = chunk.before.unwrap_or((self.next_seq, self.last_at));
                let error = JournalError::of_write(error);
                for frame in chunk.frames.drain(..) {
                    self.refuse(frame.role, frame.group, frame.reply, error.clone());
                }
                Err(error)
            }
            Err(Failure::Fatal(error)) => {
                self.chunk = mem::take(&mut chunk);
                Err(self.poison_with(error))
            }
        };
        // Their memory serves the next batch.
        chunk.groups.clear();
        chunk.before = None;
        self.chunk = chunk;
        result
    }

    fn written(&mut self, frame: Staged) {
        self.stats.frames += 1;
        self.retention.frame(self.log.base, frame.role, frame.group, frame.receipt.end.as_u64());
        if frame.synced {
            self.must_sync = true;
            self.waiting.push(Waiter::Append(frame.reply, frame.receipt));
        } else {
            self.unsynced_since.get_or_insert_with(Instant::now);
            // Whoever does not wait any more does not want to know.
            let _ = frame.reply.send(Ok(Outcome::Stored(frame.receipt)));
        }
    }

    fn refuse(&mut self, role: Role, group: u64, reply: Reply<Outcome>, error: JournalError) {
        if error.is_full() && self.shared.options.when_full == WhenFull::Drop {
            self.drop_frame(role, group, reply);
            return;
        }
        self.stats.rejected += u64::from(error.is_full());
        // Whoever does not wait any more does not want to know.
        let _ = reply.send(Err(error));
    }

    fn drop_frame(&mut self, role: Role, group: u64, reply: Reply<Outcome>) {
        self.stats.dropped += 1;
        match role {
            Role::Single | Role::Part => {}
            Role::Begin => drop(self.dropped_groups.insert(group)),
            // A stored group without its end must not hold its segments for ever.
            Role::End if !self.dropped_groups.remove(&group) => {
                // Its frames that are staged would open it again. Who was refused has been told.
                let _ = self.flush();
                self.retention.close(group, self.log.head);
            }
            Role::End => {}
        }
        // Whoever does not wait any more does not want to know.
        let _ = reply.send(Ok(Outcome::Dropped));
    }

    /// End of what is written and staged.
    pub(crate) fn end(&self) -> u64 {
        self.log.head + self.log.staged.len()
    }

    /// Bytes that the frames take on disk.
    pub(crate) fn used(&self) -> u64 {
        self.retention.sealed_bytes() + self.end() - self.log.base
    }
}
