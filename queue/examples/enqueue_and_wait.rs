//! Enqueue a job and wait for its output, also when the worker that had it dies. Run it with
//! `cargo run -p lockstep-queue --example enqueue_and_wait`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use lockstep_queue::jobs::{EnqueueOptions, Failure, JobContext, MemoryStorage, Queue, WaitError, Worker};
use tokio::time::sleep;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let storage = Arc::new(MemoryStorage::new());
    let queue: Queue<Vec<u64>, u64> = Queue::builder(storage, "sums").build()?;
    let (options, patience) = (EnqueueOptions::default(), Duration::from_secs(10));

    // A worker that takes a job and dies with it. Its lease is short, so that we need not wait long.
    let lease = Duration::from_millis(500);
    let stuck = async |_: JobContext<Vec<u64>>| std::future::pending().await;
    let dying = Worker::builder(queue.clone(), stuck).lease(lease).build()?.start();
    let rescue = async {
        sleep(Duration::from_millis(200)).await;
        drop(dying);
        report("the worker died; another one starts");
        Worker::builder(queue.clone(), sum).lease(lease).build().map(Worker::start)
    };
    let numbers = vec![1, 2, 3];
    let (output, worker) = tokio::join!(queue.enqueue_and_wait("a", &numbers, options, patience), rescue);
    report(&format!("the sum is {}", output?));

    // It is kept: the same id again answers at once, and nothing is computed.
    let cached = queue.enqueue_and_wait("a", &numbers, options, patience).await?;
    report(&format!("the sum is still {cached}"));

    // Failures are typed.
    match queue.enqueue_and_wait("b", &vec![u64::MAX, 1], options, patience).await {
        Err(WaitError::Dead { id, error }) => report(&format!("job {id} failed: {error}")),
        other => report(&format!("unexpected: {other:?}")),
    }
    worker?.shutdown().await?;
    Ok(())
}

async fn sum(job: JobContext<Vec<u64>>) -> Result<u64, Failure> {
    let sum = job.payload.iter().try_fold(0_u64, |sum, number| sum.checked_add(*number));
    // Trying again would not help.
    sum.ok_or_else(|| Failure::permanent("the sum is too large"))
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn report(line: &str) {
    println!("{line}");
}
