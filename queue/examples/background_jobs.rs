//! Jobs in the background: enqueue them, let a worker do them, and see what became of them. Run it with
//! `cargo run -p lockstep-queue --example background_jobs`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use lockstep_queue::jobs::{
    Accepted, EnqueueOptions, Event, Failure, JobContext, MemoryStorage, Queue, Worker,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
struct Mail {
    to: String,
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Any storage will do; this one forgets all when the process ends.
    let storage = Arc::new(MemoryStorage::new());
    let mails: Queue<Mail, usize> = Queue::builder(storage, "mails").namespace("shop").build()?;
    let mut events = mails.events().await?;

    let worker = Worker::builder(mails.clone(), send).concurrency(4).build()?.start();

    let urgent = EnqueueOptions { priority: Some(10), ..EnqueueOptions::default() };
    let later = EnqueueOptions { delay: Some(Duration::from_millis(300)), ..EnqueueOptions::default() };
    for (id, to, options) in
        [("order-1", "ann", EnqueueOptions::default()), ("order-2", "bob", urgent), ("order-3", "cem", later)]
    {
        let mail = Mail { to: to.to_owned(), text: format!("Your {id} is on its way.") };
        mails.enqueue(id, &mail, options).await?;
        // The same id again: the first one stands, however often the producer repeats itself.
        assert!(!matches!(mails.enqueue(id, &mail, options).await?, Accepted::New(_)));
    }

    let mut completed = 0;
    while completed < 3 {
        let Some(event) = events.next().await else { break };
        completed += usize::from(matches!(event, Event::Completed(_)));
        report(&format!("{event:?}"));
    }
    report(&format!("order-3 was {:?} characters long", mails.result("order-3").await?));
    worker.shutdown().await?;
    Ok(())
}

/// Must be idempotent: after a crash a job comes again.
async fn send(job: JobContext<Mail>) -> Result<usize, Failure> {
    report(&format!("to {}: {}", job.payload.to, job.payload.text));
    Ok(job.payload.text.len())
}

#[expect(clippy::print_stdout, reason = "an example shows what it does")]
fn report(line: &str) {
    println!("{line}");
}
