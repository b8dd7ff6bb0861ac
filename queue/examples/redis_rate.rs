//! What jobs on a Redis server cost: enqueues and processes them at once, so many in flight, and says the rate and the
//! CPU time of this process and of the server.
//!
//! ```sh
//! cargo run --release --package lockstep-queue --features redis --example redis_rate -- redis://127.0.0.1:6379 50 50000
//! ```
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use lockstep_queue::jobs::{
    Claim, End, Finish, JobId, JobOptions, NewJob, QueueName, RedisOptions, RedisStorage, Storage, WorkerId,
};

type Failure = Box<dyn std::error::Error>;

/// What is measured with.
struct Run {
    storage: RedisStorage,
    queue: QueueName,
    jobs: usize,
    at_once: usize,
    next: AtomicUsize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let at_once = arguments.next().map_or(Ok(50), |text| text.parse())?;
    let jobs = arguments.next().map_or(Ok(50_000), |text| text.parse())?;
    let prefix = format!("rate-{}", std::process::id());
    let storage = RedisStorage::connect(RedisOptions { prefix, ..RedisOptions::new(url.as_str()) }).await?;
    let run =
        Arc::new(Run { storage, queue: QueueName::new("rate")?, jobs, at_once, next: AtomicUsize::new(0) });
    let server = redis::Client::open(url.as_str())?;
    let (before, begun) = (cpu(&server).await?, Instant::now());
    let enqueuing = join_all((0..at_once).map(|_| enqueue(&run)));
    let (_, worked) = futures::join!(enqueuing, work(&run));
    worked?;
    let (after, wall) = (cpu(&server).await?, begun.elapsed());
    let thousands = run.jobs as f64 / 1000.0;
    println!("{:.0} jobs/s at {at_once} in flight", thousands * 1000.0 / wall.as_secs_f64());
    println!(
        "CPU seconds for 1000 jobs: client {:.4}, server {:.4}",
        (after.0 - before.0) / thousands,
        (after.1 - before.1) / thousands
    );
    run.storage.close().await?;
    Ok(())
}

/// One of those who enqueue, one job after the other.
async fn enqueue(run: &Run) -> Result<(), Failure> {
    loop {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        if number >= run.jobs {
            return Ok(());
        }
        let job = NewJob {
            id: JobId::new(number.to_string())?,
            payload: Bytes::from(vec![b'x'; 200]),
            options: JobOptions::default(),
        };
        run.storage.enqueue(&run.queue, vec![job]).await?;
    }
}

/// Completes jobs at once, and claims more in the same step.
async fn work(run: &Run) -> Result<(), Failure> {
    let worker = WorkerId::new("worker")?;
    let (mut done, mut ends) = (0, Vec::new());
    while done < run.jobs {
        let claim = Claim { worker: worker.clone(), max: run.at_once, lease: Duration::from_secs(30) };
        let finished = run.storage.finish(&run.queue, std::mem::take(&mut ends), Some(claim)).await?;
        done += finished.outcomes.len();
        if finished.claimed.is_empty() && done < run.jobs {
            run.storage.wait_for_work(&run.queue, Duration::from_secs(1)).await?;
        }
        let end = || End::Complete {
            output: Bytes::from_static(b"\"done\""),
            retention: Duration::from_secs(3600),
        };
        ends = finished
            .claimed
            .into_iter()
            .map(|job| Finish { id: job.id, token: job.token, end: end() })
            .collect();
    }
    Ok(())
}

/// CPU seconds of this process and of the server so far.
async fn cpu(server: &redis::Client) -> Result<(f64, f64), Failure> {
    let mut connection = server.get_multiplexed_async_connection().await?;
    let info: String = redis::cmd("INFO").arg("cpu").query_async(&mut connection).await?;
    let of = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.parse::<f64>().ok()).unwrap_or_default()
    };
    let own = std::fs::read_to_string("/proc/self/schedstat")?;
    let own = own.split(' ').next().unwrap_or_default().parse::<f64>()? / 1e9;
    Ok((own, of("used_cpu_user:") + of("used_cpu_sys:")))
}
