//! Rebuilds the state of a journal from its frames.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::append::Stamp;
use super::kind::{Kind, Role};
use super::notes::{self, AckNote, SegmentNote};
use super::position::{Position, narrow};
use super::recovery::OpenGroup;
use super::retention::Retention;
use super::scan::{Piece, Scan};
use super::stamp;

/// What the frames read so far add up to.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) id: Option<u64>,
    pub(crate) ack: u64,
    pub(crate) mark: Bytes,
    /// What `ack` will be after the last frame.
    pub(crate) ack_at_end: u64,
    pub(crate) next_seq: u64,
    pub(crate) last_at: u64,
    pub(crate) retention: Retention,
    groups: BTreeMap<u64, OpenGroup>,
    /// Groups that began before the acknowledged position and ended after it.
    pub(crate) spanning: Vec<OpenGroup>,
}

impl Replay {
    /// Nothing read yet, of a journal that is acknowledged up to `ack_at_end`.
    pub(crate) fn new(ack_at_end: u64) -> Self {
        Self { ack_at_end, ..Self::default() }
    }

    /// Takes in the segment that begins at `base`.
    pub(crate) fn segment(&mut self, base: u64, bytes: &[u8], found: &Scan) {
        self.retention.start(base);
        for piece in &found.pieces {
            match *piece {
                Piece::Frame { at, header } => {
                    let body = header.body(bytes.get(narrow(at)..).unwrap_or_default());
                    let end = base + at + header.size();
                    match Kind::from_byte(header.kind) {
                        Some(kind) => self.frame(base, base + at, end, kind.role(), header.group, body),
                        None => self.note(base, end, header.kind, body),
                    }
                }
                Piece::Damaged { to, .. } => self.retention.frame(base, Role::Single, 0, base + to),
            }
        }
    }

    /// The groups without an end, oldest first.
    pub(crate) fn take_open_groups(&mut self) -> Vec<OpenGroup> {
        let mut groups: Vec<OpenGroup> = std::mem::take(&mut self.groups).into_values().collect();
        groups.sort_by_key(|group| group.frames.first().copied());
        groups
    }

    fn frame(&mut self, base: u64, at: u64, end: u64, role: Role, group: u64, body: &[u8]) {
        if role == Role::Begin {
            // One with the same id ended in a segment that was removed.
            self.forget(group);
        }
        self.retention.frame(base, role, group, end);
        match role {
            Role::Single => {}
            Role::Begin | Role::Part => {
                let open = self.groups.entry(group).or_insert(OpenGroup {
                    group,
                    frames: Vec::new(),
                    has_begin: role == Role::Begin,
                });
                open.frames.push(Position::new(at));
            }
            Role::End => {
                let ack = self.ack_at_end;
                let begun_before =
                    |group: &OpenGroup| group.frames.first().is_some_and(|at| at.as_u64() < ack);
                self.spanning
                    .extend(self.groups.remove(&group).filter(|group| end > ack && begun_before(group)));
                if let Some((Stamp { seq, at_millis }, _)) = stamp::split(body) {
                    self.next_seq = self.next_seq.max(seq.saturating_add(1));
                    self.last_at = self.last_at.max(at_millis);
                }
            }
        }
    }

    /// Notes are read in the order in which they were written.
    fn acknowledged(&mut self, ack: u64, mark: Bytes) {
        if ack >= self.ack {
            (self.ack, self.mark) = (ack, mark);
        }
    }

    fn forget(&mut self, group: u64) {
        self.groups.remove(&group);
        self.retention.close(group, 0);
    }

    fn note(&mut self, base: u64, end: u64, kind: u8, body: &[u8]) {
        match kind {
            notes::SEGMENT => {
                if let Some(note) = SegmentNote::decode(body) {
                    self.id = Some(note.id);
                    self.acknowledged(note.ack, note.mark);
                    self.next_seq = self.next_seq.max(note.next_seq);
                    self.last_at = self.last_at.max(note.last_at);
                    let open: HashSet<u64> = note.open.iter().copied().collect();
                    let ended: Vec<u64> =
                        self.retention.open_ids().filter(|group| !open.contains(group)).collect();
                    ended.into_iter().for_each(|group| self.forget(group));
                }
            }
            notes::ACK => {
                if let Some(note) = AckNote::decode(body) {
                    self.acknowledged(note.ack, note.mark);
                }
            }
            notes::GAP => self.retention.frame(base, Role::Single, 0, end),
            _ => {}
        }
    }
}
