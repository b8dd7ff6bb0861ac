//! Work that goes on while a test does harm: some enqueue, some claim and complete, and what was acknowledged is noted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lockstep_queue::jobs::{
    Claim, Claimed, EndOutcome, Enqueued, NewJob, RedisStorage, Storage, StorageError,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::kit::{complete, job, queue, wish};

/// What was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Told {
    enqueued: Mutex<HashSet<String>>,
    completed: Mutex<HashSet<String>>,
    pub(crate) failures: Mutex<Vec<StorageError>>,
    is_over: AtomicBool,
}

/// Work in progress.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) told: Arc<Told>,
    tasks: JoinSet<()>,
}

impl Load {
    /// Starts to enqueue and to complete.
    pub(crate) fn start(storage: &RedisStorage) -> Self {
        let (told, mut tasks) = (Arc::<Told>::default(), JoinSet::new());
        for number in 0..4 {
            let (storage, told) = (storage.clone(), Arc::clone(&told));
            tasks.spawn(async move { told.enqueue(&storage, number).await });
        }
        for _ in 0..3 {
            let (storage, told) = (storage.clone(), Arc::clone(&told));
            tasks.spawn(async move { told.work(&storage).await });
        }
        Self { told, tasks }
    }

    /// Waits until so many more jobs were completed.
    pub(crate) async fn goes_on(&self, more: usize) {
        let goal = self.told.completed.lock().len() + more;
        while self.told.completed.lock().len() < goal {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Enqueues no more, and waits until what is there is completed. Every acknowledged job must be completed; so
    /// must those whose acknowledgement was lost, which is not looked at.
    pub(crate) async fn ends_with_nothing_lost(mut self) {
        self.told.is_over.store(true, Ordering::Relaxed);
        while let Some(task) = self.tasks.join_next().await {
            task.unwrap();
        }
        let (enqueued, completed) = (self.told.enqueued.lock(), self.told.completed.lock());
        let lost: Vec<_> = enqueued.difference(&completed).collect();
        assert!(lost.is_empty(), "{} of {} are lost: {lost:?}", lost.len(), enqueued.len());
        assert!(enqueued.len() > 100, "only {}", enqueued.len());
    }
}

impl Told {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    async fn enqueue(&self, storage: &RedisStorage, number: usize) {
        for count in 0.. {
            let name = format!("{number}/{count}");
            match storage.enqueue(&queue(), vec![patient(&name)]).await {
                Ok(answers) => {
                    assert!(matches!(answers[..], [Enqueued::New(_)]), "{name} is {answers:?}");
                    self.enqueued.lock().insert(name);
                }
                Err(error) => self.failures.lock().push(error),
            }
            if self.is_over() {
                break;
            }
        }
    }

    async fn work(&self, storage: &RedisStorage) {
        let mut held: Vec<Claimed> = vec![];
        loop {
            let ends = held.iter().map(complete).collect();
            // What a step claimed whose answer was lost is to come back soon.
            let claim = wish(5).map(|claim| Claim { lease: Duration::from_secs(1), ..claim });
            match storage.finish(&queue(), ends, claim).await {
                Ok(finished) => {
                    let ended =
                        held.iter().zip(finished.outcomes).filter(|(_, ended)| *ended == EndOutcome::Done);
                    for (job, _) in ended {
                        assert!(self.completed.lock().insert(job.id.as_str().to_owned()), "{} again", job.id);
                    }
                    held = finished.claimed;
                }
                // The next try ends what is held, or finds that it was ended.
                Err(error) => self.failures.lock().push(error),
            }
            if held.is_empty() {
                // What was claimed by a step whose answer was lost.
                storage.reap(&queue(), 100, bytes::Bytes::new()).await.ok();
                let counts = storage.counts(&queue()).await.unwrap_or_default();
                if self.is_over() && counts.waiting + counts.active == 0 {
                    return;
                }
                storage.wait_for_work(&queue(), Duration::from_millis(200)).await.ok();
            }
        }
    }
}

/// A job that does not mind how often it is delivered.
fn patient(name: &str) -> NewJob {
    let mut job = job(name);
    job.options.max_deliveries = u32::MAX;
    job
}
