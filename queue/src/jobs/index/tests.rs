//! Random steps keep the index whole, and the same steps at the same times always give the same.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Place, QueueIndex, Record, Weight};
use crate::jobs::job::{JobOptions, JobState, NewJob, StorageTime, Token};
use crate::jobs::name::{JobId, WorkerId};
use crate::jobs::storage::{Claim, End, EndOutcome, Enqueued, Extended, Finish};

const STATES: [JobState; 5] =
    [JobState::Waiting, JobState::Delayed, JobState::Active, JobState::Completed, JobState::Dead];

#[derive(Debug, Clone)]
enum Step {
    Pass(u64),
    Enqueue { id: u8, priority: i32, delay: u64 },
    Claim { max: usize },
    Finish { which: usize, end: u8 },
    Cancel(u8),
    Retry(u8),
    Remove(u8),
    Retain(u8, u64),
    Reap(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..50_u64).prop_map(Step::Pass),
        (0..12_u8, -2..2_i32, prop_oneof![Just(0), 1..60_u64])
            .prop_map(|(id, priority, delay)| Step::Enqueue { id, priority, delay }),
        (1..4_usize).prop_map(|max| Step::Claim { max }),
        (0..8_usize, 0..5_u8).prop_map(|(which, end)| Step::Finish { which, end }),
        (0..12_u8).prop_map(Step::Cancel),
        (0..12_u8).prop_map(Step::Retry),
        (0..12_u8).prop_map(Step::Remove),
        (0..12_u8, 0..50_u64).prop_map(|(id, retention)| Step::Retain(id, retention)),
        (1..5_usize).prop_map(Step::Reap),
    ]
}

fn id(number: u8) -> JobId {
    JobId::new(format!("job {number}")).unwrap()
}

/// The index under test, with what a worker would remember.
#[derive(Default)]
struct Run {
    index: QueueIndex,
    now: StorageTime,
    held: Vec<(JobId, Token)>,
    log: Vec<String>,
}

impl Run {
    fn step(&mut self, step: &Step) {
        let answer = match step {
            Step::Pass(millis) => {
                self.now = self.now.after(Duration::from_millis(*millis));
                String::new()
            }
            Step::Enqueue { id: number, priority, delay } => self.enqueue(*number, *priority, *delay),
            Step::Claim { max } => self.claim(*max),
            Step::Finish { which, end } => self.finish(*which, *end),
            Step::Cancel(number) => format!("{:?}", self.index.cancel(self.now, &id(*number))),
            Step::Retry(number) => format!("{:?}", self.index.retry(self.now, &id(*number))),
            Step::Remove(number) => format!("{:?}", self.index.remove(self.now, &id(*number))),
            Step::Retain(number, millis) => {
                let retention = Duration::from_millis(*millis);
                format!("{:?}", self.index.set_retention(self.now, &id(*number), retention))
            }
            Step::Reap(limit) => format!("{:?}", self.index.reap(self.now, *limit, &Bytes::from("late"))),
        };
        self.log.push(answer);
    }

    fn enqueue(&mut self, number: u8, priority: i32, delay: u64) -> String {
        let options = JobOptions {
            priority,
            delay: Duration::from_millis(delay),
            max_deliveries: 2,
            retention: Duration::from_millis(40),
        };
        let job = NewJob { id: id(number), payload: Bytes::from(vec![number]), options };
        format!("{:?}", self.index.enqueue(self.now, &[job]))
    }

    fn claim(&mut self, max: usize) -> String {
        let claim = Claim { worker: WorkerId::new("w").unwrap(), max, lease: Duration::from_millis(30) };
        let (claimed, next_in) = self.index.claim(self.now, &claim);
        self.held.extend(claimed.iter().map(|job| (job.id.clone(), job.token)));
        format!("{claimed:?} {next_in:?}")
    }

    fn finish(&mut self, which: usize, end: u8) -> String {
        let Some((id, token)) = self.held.get(which).cloned() else { return String::new() };
        // A worker has a job delivered again only as long as it may be.
        let again = |record: &Record| record.deliveries < record.options.max_deliveries;
        let end = match end {
            1 if !self.index.record(&id).is_some_and(again) => End::Dead { error: Bytes::from("no") },
            0 => End::Complete { output: Bytes::from("done"), retention: Duration::from_millis(40) },
            1 => End::Retry { delay: Duration::from_millis(10), error: Bytes::from("no") },
            2 => End::Dead { error: Bytes::from("never") },
            3 => End::Release,
            _ => End::Cancelled,
        };
        let finish = Finish { id, token, end };
        let first = self.index.finish(self.now, std::slice::from_ref(&finish), None);
        // Once a delivery has ended, its token is worth nothing.
        let second = self.index.finish(self.now, &[finish], None);
        assert_eq!(second.outcomes, [EndOutcome::Lost]);
        format!("{first:?}")
    }

    fn check(&self) {
        let index = &self.index;
        let listed: usize = STATES.iter().map(|state| index.orders.list(*state).len()).sum();
        assert_eq!(listed, index.records.len());
        assert_eq!(index.ids.len(), index.records.len());
        assert_eq!(index.weight(), index.records().map(Weight::of).sum());
        let orders = &index.orders;
        assert_eq!(orders.ready.len(), orders.list(JobState::Waiting).len());
        assert_eq!(orders.delayed.len(), orders.list(JobState::Delayed).len());
        assert_eq!(orders.leases.len(), orders.list(JobState::Active).len());
        for record in index.records() {
            assert_eq!(index.record(&record.id), Some(record));
            assert!(record.deliveries <= record.options.max_deliveries);
        }
    }
}

proptest! {
    #[test]
    fn random_steps_keep_it_whole_and_repeat_exactly(steps in prop::collection::vec(step(), 0..200)) {
        let (mut run, mut again) = (Run::default(), Run::default());
        for step in &steps {
            run.step(step);
            run.check();
            again.step(step);
        }
        prop_assert_eq!(&run.log, &again.log);
        let mut copy = QueueIndex::default();
        for record in run.index.records().cloned().collect::<Vec<Record>>() {
            copy.put(record, run.now);
        }
        copy.advance_counter(run.index.counter());
        prop_assert_eq!(copy.counts(run.now), run.index.counts(run.now));
        let claim = Claim { worker: WorkerId::new("w").unwrap(), max: 99, lease: Duration::ZERO };
        prop_assert_eq!(copy.claim(run.now, &claim), run.index.claim(run.now, &claim));
    }
}

#[test]
fn a_record_that_is_put_replaces_the_one_with_its_id() {
    let mut run = Run::default();
    run.enqueue(1, 0, 0);
    let mut record = run.index.record(&id(1)).unwrap().clone();
    let worker = WorkerId::new("w").unwrap();
    record.place = Place::Active { worker, token: Token(70), until: StorageTime(9) };
    run.index.put(record.clone(), run.now);
    run.index.put(record, run.now);
    run.check();
    assert_eq!(run.index.counts(run.now).active, 1);
    let lease = [(id(1), Token(70))];
    assert_eq!(run.index.extend(run.now, &lease, Duration::from_secs(1)), [Extended::Held]);
    run.enqueue(2, 0, 0);
    let answer = run.enqueue(3, 0, 0);
    assert_eq!(answer, format!("{:?}", Ok::<_, ()>(vec![Enqueued::New(super::super::Generation(72))])));
}
