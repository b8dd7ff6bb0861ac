//! The process that is killed: three threads append, one reads and acknowledges.

use std::collections::VecDeque;
use std::path::Path;
use std::thread;

use lockstep_queue::journal::{Append, Item, Journal};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::options;
use crate::report::{BEGIN, END, KINDS, Known, PART, Report, SINGLE, body};

const THREADS: u64 = 3;
/// Appends that a thread does not wait for.
const IN_FLIGHT: usize = 4;

/// Works until it is killed.
pub(crate) fn run(dir: &Path, round: u64) {
    let (journal, recovery) = Journal::open(options(dir)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let found = recovery.open_groups.iter().map(|group| group.group);
            let open = found.filter(|group| group % THREADS == thread).collect();
            let mut appender = Appender {
                journal: journal.clone(),
                rng: StdRng::seed_from_u64(round << 8 | thread),
                number: round << 32 | thread << 24,
                open,
                waiting: VecDeque::new(),
            };
            scope.spawn(move || {
                loop {
                    appender.step();
                }
            });
        }
        acknowledge(&journal, &mut StdRng::seed_from_u64(round));
    });
}

/// Acknowledges what it has told of, so that the parent knows all that may be gone.
fn acknowledge(journal: &Journal, rng: &mut StdRng) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut reader = journal.reader(journal.acknowledged());
        while let Some(item) = reader.next().await.unwrap() {
            let end = item.end();
            let Item::Frame(frame) = item else { panic!("a gap: {item:?}") };
            Report::Frame(Known::read(&frame)).tell();
            if rng.random_bool(0.1) {
                journal.acknowledge(end).await.unwrap();
                Report::Acknowledged(end.as_u64()).tell();
            }
        }
    });
}

struct Appender {
    journal: Journal,
    rng: StdRng,
    number: u64,
    open: Vec<u64>,
    waiting: VecDeque<(Append, u8, u64, u64)>,
}

impl Appender {
    fn step(&mut self) {
        let (role, group) = self.choose();
        self.number += 1;
        let longest = if self.rng.random_bool(0.01) { 100_000 } else { 1_500 };
        let body = body(self.number, self.rng.random_range(8..longest));
        let kind = KINDS[usize::from(role)];
        let append = if self.rng.random_bool(0.2) {
            self.journal.append_unsynced(kind, group, body)
        } else {
            self.journal.append(kind, group, body)
        };
        self.waiting.push_back((append, role, group, self.number));
        while self.waiting.len() > IN_FLIGHT {
            let Some((append, role, group, number)) = self.waiting.pop_front() else { return };
            let receipt = append.wait().unwrap().receipt().unwrap();
            Report::Frame(Known::appended(&receipt, role, group, number)).tell();
        }
    }

    /// A role, and a group that can have it.
    fn choose(&mut self) -> (u8, u64) {
        match (self.rng.random_range(0..10), self.open.len()) {
            (_, groups @ 6..) => (END, self.open.swap_remove(self.rng.random_range(0..groups))),
            (0..3, _) => (SINGLE, 0),
            (3..5, _) | (_, 0) => {
                // Of this thread, and new.
                let group = (self.number + 1) * THREADS + (self.number >> 24) % 256;
                self.open.push(group);
                (BEGIN, group)
            }
            (5..8, groups) => (PART, self.open[self.rng.random_range(0..groups)]),
            (_, groups) => (END, self.open.swap_remove(self.rng.random_range(0..groups))),
        }
    }
}
