//! Jobs that fail for good wait in the dead letter: look at them, mend what was wrong, and try them again. Run it
//! with `cargo run -p lockstep-queue --example dead_letter`.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lockstep_queue::jobs::{
    Backoff, EnqueueOptions, Failure, JobContext, JobOptions, MemoryStorage, NewJob, Queue, Storage as _,
    Worker,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let storage = Arc::new(MemoryStorage::new());
    let queue: Queue<String, String> = Queue::builder(storage.clone(), "webhooks").build()?;
    let is_up = Arc::new(AtomicBool::new(false));
    let backoff = Backoff { first: Duration::from_millis(50), ..Backoff::default() };
    let handler = {
        let is_up = Arc::clone(&is_up);
        move |job: JobContext<String>| {
            let is_up = Arc::clone(&is_up);
            async move {
                report(&format!("attempt {} for {}", job.delivery, job.payload));
                if is_up.load(Ordering::Relaxed) {
                    Ok("200 OK".to_owned())
                } else {
                    Err(Failure::new("connection refused"))
                }
            }
        }
    };
    let worker = Worker::builder(queue.clone(), handler).backoff(backoff).build()?.start();

    // Three attempts, then the dead letter.
    let hook = "https://example.com/hook".to_owned();
    let failed =
        queue.enqueue_and_wait("hook-1", &hook, EnqueueOptions::default(), Duration::from_secs(10)).await;
    if let Err(error) = failed {
        report(&error.to_string());
    }
    // A job that this worker can't even read goes there at once, and the worker goes on.
    let foreign =
        NewJob { id: "foreign".parse()?, payload: "no JSON".into(), options: JobOptions::default() };
    storage.enqueue(queue.name(), vec![foreign]).await?;
    queue.wait("foreign", Duration::from_secs(10)).await.err();

    let letter = queue.dead_letter();
    for (job, error) in letter.list(None, 100).await? {
        report(&format!("dead: {} after {} deliveries: {error}", job.id, job.deliveries));
    }
    is_up.store(true, Ordering::Relaxed);
    letter.retry("hook-1").await?;
    letter.remove("foreign").await?;
    report(&format!("retried: {}", queue.wait("hook-1", Duration::from_secs(10)).await?));
    worker.shutdown().await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn report(line: &str) {
    println!("{line}");
}
