//! What is measured, and the hook after a job.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::jobs::{
    Changes, Ended, Ending, EnqueueOptions, Failure, JobContext, JobError, JobErrorKind, MemoryStorage,
    Observe, Queue, QueueName, WaitError, Worker,
};
use parking_lot::Mutex;

use super::{LEASE, put, status};

#[derive(Debug, Default)]
struct Counts(Mutex<HashMap<&'static str, usize>>);

impl Counts {
    fn add(&self, what: &'static str, count: usize) {
        *self.0.lock().entry(what).or_default() += count;
    }
}

impl Observe for Counts {
    fn enqueued(&self, _: &QueueName, jobs: usize) {
        self.add("enqueued", jobs);
    }

    fn duplicates(&self, _: &QueueName, jobs: usize) {
        self.add("duplicates", jobs);
    }

    fn claimed(&self, _: &QueueName, waited: Option<Duration>) {
        self.add("claimed", 1);
        self.add("first", usize::from(waited.is_some()));
    }

    fn ended(&self, _: &QueueName, how: Ending, ran: Duration) {
        self.add(how.as_str(), 1);
        assert!(ran >= Duration::from_secs(1), "{how:?} after {ran:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_counted() {
    let counts = Arc::new(Counts::default());
    let observe: Arc<dyn Observe> = counts.clone();
    let builder = Queue::<u64, u64>::builder(Arc::new(MemoryStorage::new()), "numbers").observe(observe);
    let queue = builder.build().unwrap();
    let handler = async |job: JobContext<u64>| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if job.payload == 0 { Err(Failure::new("no")) } else { Ok(job.payload) }
    };
    let worker = Worker::builder(queue.clone(), handler).concurrency(5).build().unwrap().start();
    for number in [0, 1, 2, 2] {
        put(&queue, number).await;
    }
    queue.wait("0", LEASE).await.unwrap_err();
    worker.shutdown().await.unwrap();
    let expected = [
        ("enqueued", 3),
        ("duplicates", 1),
        ("claimed", 5),
        ("first", 3),
        ("completed", 2),
        ("retried", 2),
        ("dead", 1),
    ];
    assert_eq!(*counts.0.lock(), HashMap::from(expected));
}

#[tokio::test(start_paused = true)]
async fn the_hook_may_change_the_end() {
    let (_, queue) = super::faulty();
    let handler = async |job: JobContext<u64>| match job.payload {
        0 => Err(Failure::new("no")),
        _ => Ok(job.payload),
    };
    let hook = async |ended: Arc<Ended<u64>>| match &ended.result {
        Ok(3) => panic!("the hook is broken"),
        Ok(output) => {
            let retention = Some(Duration::from_secs(7));
            Changes { output: Some(output + 1000), retention, ..Changes::default() }
        }
        Err(error) => {
            assert_eq!((ended.delivery, ended.max_deliveries), (3, 3));
            let message = format!("{error}, and the hook knows why");
            Changes { error: Some(JobError::new(JobErrorKind::Failed, message)), ..Changes::default() }
        }
    };
    let worker = Worker::builder(queue.clone(), handler).after(hook).build().unwrap().start();
    let wait = async |number: u64| {
        queue.enqueue_and_wait(number.to_string(), &number, EnqueueOptions::default(), LEASE).await
    };
    assert_eq!(wait(1).await.unwrap(), 1001);
    assert_eq!(status(&queue, 1).await.job.options.retention, Duration::from_secs(7));
    assert_eq!(wait(3).await.unwrap(), 3);
    let dead = wait(0).await;
    assert!(
        matches!(&dead, Err(WaitError::Dead { error, .. }) if error.message == "no, and the hook knows why")
    );
    worker.shutdown().await.unwrap();
}
