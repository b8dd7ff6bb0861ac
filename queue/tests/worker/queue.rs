//! Queues by themselves.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use lockstep_queue::jobs::{
    Accepted, Codec, CodecError, EnqueueOptions, Enqueued, Event, JobContext, JobId, JobState, MAX_PAYLOAD,
    MemoryStorage, Queue, QueueError, Storage, StorageError, WaitError, Worker,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{LEASE, Slow, faulty, put, state};

fn queue<P, O>(storage: &Arc<dyn Storage>, namespace: Option<&str>, name: &str) -> Queue<P, O> {
    let builder = Queue::builder(Arc::clone(storage), name);
    match namespace {
        Some(namespace) => builder.namespace(namespace).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

#[tokio::test]
async fn namespaces_keep_queues_apart() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let names = [
        (None, "a/b"),
        (Some("a"), "b"),
        (Some("a/b"), "c"),
        (Some("a"), "b/c"),
        (None, "a~1b"),
        (Some(""), "b"),
        (None, "b"),
        (None, "/b"),
    ];
    for (namespace, name) in names {
        let queue: Queue<u64, u64> = queue(&storage, namespace, name);
        let accepted = queue.enqueue("1", &1, EnqueueOptions::default()).await.unwrap();
        assert!(matches!(accepted, Accepted::New(_)), "{namespace:?} {name:?}");
    }
    // The same namespace and name is the same queue, also in another handle.
    let again: Queue<u64, u64> = queue(&storage, Some("a"), "b");
    let accepted = again.enqueue("1", &1, EnqueueOptions::default()).await.unwrap();
    assert_eq!(accepted, Accepted::Duplicate(JobState::Waiting));
}

#[tokio::test]
async fn ids_are_made_of_nothing_or_of_the_content() {
    let (_, queue) = faulty();
    let options = EnqueueOptions::default();
    let (one, two) =
        (queue.enqueue_new(&1, options).await.unwrap(), queue.enqueue_new(&1, options).await.unwrap());
    assert_ne!(one, two);
    let content = queue.content_id(&1).unwrap();
    assert_eq!(content, queue.content_id(&1).unwrap());
    assert_ne!(content, queue.content_id(&2).unwrap());
    // The SHA-256 of `1`.
    assert_eq!(content.as_str(), "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b");
}

#[tokio::test]
async fn many_are_enqueued_in_one_call() {
    let (_, queue) = faulty();
    put(&queue, 3).await;
    let payloads: Vec<u64> = (0..10).collect();
    let jobs = payloads.iter().map(|number| (JobId::new(number.to_string()).unwrap(), number));
    let answers = queue.enqueue_many(jobs, EnqueueOptions::default()).await.unwrap();
    let new = answers.iter().filter(|answer| matches!(answer, Enqueued::New(_))).count();
    assert_eq!((new, &answers[3]), (9, &Enqueued::Duplicate(JobState::Waiting)));
    assert_eq!(queue.counts().await.unwrap().waiting, 10);
}

#[tokio::test]
async fn what_cannot_be_enqueued_says_what_to_do() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let queue: Queue<String, ()> = Queue::builder(storage, "small").max_payload(10).build().unwrap();
    let enqueue = async |id: &str, payload: &str| {
        queue.enqueue(id, &payload.to_owned(), EnqueueOptions::default()).await.unwrap_err().to_string()
    };
    assert!(enqueue("1", "much too long").await.contains("15 bytes, more than the 10"));
    assert!(enqueue("", "x").await.contains("job id must have 1 to 512 bytes"));
    assert!(enqueue(&"x".repeat(513), "x").await.contains("this one has 513"));
    queue.limit_jobs(Some(1)).await.unwrap();
    queue.enqueue("1", &String::new(), EnqueueOptions::default()).await.unwrap();
    let full = queue.enqueue("2", &String::new(), EnqueueOptions::default()).await.unwrap_err();
    assert!(matches!(full, QueueError::Storage(StorageError::QueueFull { limit: 1 })) && full.is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_paused_queue_waits_and_goes_on() {
    let (_, queue) = faulty();
    let worker = Slow::default().worker(&queue).build().unwrap().start();
    let mut events = queue.events().await.unwrap();
    queue.pause().await.unwrap();
    put(&queue, 1).await;
    let waited = queue.wait("1", LEASE * 3).await;
    assert!(matches!(waited, Err(WaitError::TimedOut { .. })));
    assert_eq!(state(&queue, 1).await, JobState::Waiting);
    queue.resume().await.unwrap();
    let start = tokio::time::Instant::now();
    assert_eq!(queue.wait("1", LEASE).await.unwrap(), 1);
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(events.next().await, Some(Event::Paused));
    worker.shutdown().await.unwrap();
}

/// A job that is cancelled and enqueued anew is another one: who waits for the first is told that it is gone.
#[tokio::test(start_paused = true)]
async fn a_waiter_never_gets_the_output_of_another_job() {
    let (_, queue) = faulty();
    let options = EnqueueOptions { delay: Some(Duration::from_secs(1)), ..EnqueueOptions::default() };
    let replace = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        queue.cancel("1").await.unwrap();
        // No time passes between: the waiter sees the second one only.
        queue.enqueue("1", &2, EnqueueOptions::default()).await.unwrap();
    };
    let (waited, ()) = tokio::join!(queue.enqueue_and_wait("1", &1, options, LEASE), replace);
    assert!(matches!(waited, Err(WaitError::Gone(_))), "{waited:?}");
    let worker = Slow::default().worker(&queue).build().unwrap().start();
    assert_eq!(queue.wait("1", LEASE).await.unwrap(), 2);
    worker.shutdown().await.unwrap();
}

/// A waiter is done when the job has ended and was removed before it looked.
#[tokio::test(start_paused = true)]
async fn a_removed_job_is_gone() {
    let (_, queue) = faulty();
    let unknown = queue.wait("unknown", LEASE).await;
    assert!(matches!(unknown, Err(WaitError::Gone(_))), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn outputs_that_cannot_be_kept_end_in_the_dead_letter() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let queue: Queue<u64, String> = queue(&storage, None, "large");
    let handler = async |_: JobContext<u64>| Ok("x".repeat(MAX_PAYLOAD));
    let worker = Worker::builder(queue.clone(), handler).build().unwrap().start();
    let outcome = queue.enqueue_and_wait("1", &1, EnqueueOptions::default(), LEASE).await;
    assert!(matches!(&outcome, Err(WaitError::Dead { error, .. }) if error.message.contains("the most is")));
    worker.shutdown().await.unwrap();
}

/// The bytes of JSON, turned round: any encoding will do, also one that is no text.
#[derive(Debug, Clone)]
struct Turned;

impl Codec for Turned {
    fn encode<T: Serialize>(&self, value: &T) -> Result<bytes::Bytes, CodecError> {
        let json = serde_json::to_vec(value).map_err(|error| CodecError(error.to_string()))?;
        Ok(json.iter().map(|byte| !byte).collect())
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        let json: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
        serde_json::from_slice(&json).map_err(|error| CodecError(error.to_string()))
    }
}

#[tokio::test(start_paused = true)]
async fn payloads_and_outputs_may_have_any_encoding() {
    let builder = Queue::builder(Arc::new(MemoryStorage::new()), "turned");
    let queue: Queue<String, String, Turned> = builder.codec(Turned).build().unwrap();
    let handler = async |job: JobContext<String>| Ok(job.payload + "!");
    let worker = Worker::builder(queue.clone(), handler).build().unwrap().start();
    let output = queue.enqueue_and_wait("1", &"Hello".to_owned(), EnqueueOptions::default(), LEASE).await;
    assert_eq!(output.unwrap(), "Hello!");
    assert_eq!(
        queue.enqueue("1", &String::new(), EnqueueOptions::default()).await.unwrap(),
        Accepted::Completed("Hello!".to_owned())
    );
    worker.shutdown().await.unwrap();
}
