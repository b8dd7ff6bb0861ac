//! Jobs on real Redis and Valkey servers: what goes wrong with servers and connections. What every storage must do is
//! in the conformance suite.
#![cfg(test)]
#![cfg(feature = "redis")]

mod support {
    pub(crate) mod redis;
}

use std::time::Duration;

use bytes::Bytes;
use lockstep_queue::jobs::{
    Claim, Claimed, End, Enqueued, Finish, JobId, JobOptions, JobState, NewJob, QueueName, RedisOptions,
    RedisStorage, Storage, WorkerId,
};
use support::redis::{Flavour, Server};

const LONG: Duration = Duration::from_secs(600);

fn queue() -> QueueName {
    QueueName::new("{mail}: é").unwrap()
}

fn job(id: &str) -> NewJob {
    NewJob {
        id: JobId::new(id).unwrap(),
        payload: Bytes::from(vec![0, 255, 13, 10]),
        options: JobOptions::default(),
    }
}

fn wish(max: usize) -> Option<Claim> {
    Some(Claim { worker: WorkerId::new("worker:1").unwrap(), max, lease: LONG })
}

fn complete(job: &Claimed) -> Finish {
    let end = End::Complete { output: Bytes::from_static(b"\0done"), retention: LONG };
    Finish { id: job.id.clone(), token: job.token, end }
}

async fn storage(server: &Server, prefix: &str) -> RedisStorage {
    let options = RedisOptions { prefix: prefix.to_owned(), ..RedisOptions::new(server.url()) };
    RedisStorage::connect(options).await.unwrap()
}

#[tokio::test]
async fn a_job_goes_its_way() {
    for flavour in [Flavour::Redis, Flavour::Valkey] {
        let storage = storage(flavour.shared(), "way").await;
        let jobs = vec![job("a"), job("b"), job("a")];
        let answers = storage.enqueue(&queue(), jobs).await.unwrap();
        assert!(
            matches!(
                answers[..],
                [Enqueued::New(_), Enqueued::New(_), Enqueued::Duplicate(JobState::Waiting)]
            ),
            "{answers:?}"
        );
        let finished = storage.finish(&queue(), vec![], wish(5)).await.unwrap();
        assert_eq!(finished.claimed.len(), 2);
        let ends = finished.claimed.iter().map(complete).collect();
        let finished = storage.finish(&queue(), ends, wish(5)).await.unwrap();
        assert_eq!(finished.outcomes, [true, true]);
        let job = storage.get(&queue(), &JobId::new("a").unwrap()).await.unwrap().unwrap();
        assert_eq!((job.state, job.output), (JobState::Completed, Some(Bytes::from_static(b"\0done"))));
        assert_eq!(job.payload, [0, 255, 13, 10].as_slice());
        let list = storage.list(&queue(), JobState::Completed, None, 10).await.unwrap();
        assert_eq!(list.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(storage.queues().await.unwrap(), [queue()]);
        storage.close().await.unwrap();
    }
}
