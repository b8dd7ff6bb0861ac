//! The trait, call by call.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::time::timeout;

use super::PostgresStorage;
use super::rows::{counts, job, only, small};
use crate::jobs::columns::{
    ACTIVE, COMPLETED, DEAD, DELAYED, WAITING, count, duration, limit, millis, number, queue_name, state_code,
};
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::job::{Generation, Job, JobState, NewJob, Token};
use crate::jobs::local::{check_ends, check_len};
use crate::jobs::name::{JobId, QueueName, WorkerId};
use crate::jobs::storage::{
    Cancelled, Claim, Counts, Enqueued, Extended, Finish, Finished, Reaped, Settings, Storage,
};

#[async_trait]
impl Storage for PostgresStorage {
    async fn enqueue(&self, queue: &QueueName, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StorageError> {
        jobs.iter().try_for_each(|job| check_len(job.payload.len()))?;
        self.enqueue_jobs(queue, &jobs).await
    }

    async fn finish(
        &self,
        queue: &QueueName,
        ends: Vec<Finish>,
        next: Option<Claim>,
    ) -> Result<Finished, StorageError> {
        check_ends(&ends)?;
        self.finish_jobs(queue, &ends, next).await
    }

    async fn wait_for_work(&self, queue: &QueueName, at_most: Duration) -> Result<(), StorageError> {
        let mut work = self.hints.work(queue).ok_or(StorageError::Closed)?;
        let key = queue.as_str().as_bytes();
        let row = self.row("look for work", &self.statements.due_in, &[&key]).await?;
        let due: Option<i64> = row.as_ref().map(only).transpose()?.flatten();
        let due = due.map_or(at_most, |due| at_most.min(duration(due)));
        match timeout(due, work.changed()).await {
            Ok(Err(_)) => Err(StorageError::Closed),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    async fn extend(
        &self,
        queue: &QueueName,
        leases: Vec<(JobId, Token)>,
        lease: Duration,
    ) -> Result<Vec<Extended>, StorageError> {
        let ids: Vec<_> = leases.iter().map(|(id, _)| id.as_str().as_bytes()).collect();
        let tokens: Vec<_> = leases.iter().map(|(_, token)| number(token.0)).collect();
        let key = queue.as_str().as_bytes();
        let rows = self
            .rows("extend leases", &self.statements.extend, &[&key, &ids, &tokens, &millis(lease)])
            .await?;
        rows.iter().map(|row| Ok(extended(only(row)?))).collect()
    }

    async fn get(&self, queue: &QueueName, id: &JobId) -> Result<Option<Job>, StorageError> {
        let row = self.row("get a job", &self.statements.get, &[&bytes(queue), &id_bytes(id)]).await?;
        row.as_ref().map(job).transpose()
    }

    async fn cancel(&self, queue: &QueueName, id: &JobId) -> Result<Cancelled, StorageError> {
        let statement = &self.statements.cancel;
        let row = self.row("cancel a job", statement, &[&bytes(queue), &id_bytes(id)]).await?;
        let state: i16 = row.as_ref().map_or(Ok(-1), only)?;
        Ok(match state {
            WAITING | DELAYED | DEAD => {
                self.tell(vec![Hint::Event(queue.clone(), Event::Cancelled(id.clone()))]);
                Cancelled::Done
            }
            ACTIVE => Cancelled::Requested,
            COMPLETED => Cancelled::Completed,
            _ => Cancelled::NotFound,
        })
    }

    async fn retry(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        let row = self.row("retry a job", &self.statements.retry, &[&bytes(queue), &id_bytes(id)]).await?;
        let retried = row.as_ref().map_or(Ok(false), only)?;
        if retried {
            let event = Hint::Event(queue.clone(), Event::Enqueued(id.clone()));
            self.tell(vec![event, Hint::Work(queue.clone())]);
        }
        Ok(retried)
    }

    async fn remove(&self, queue: &QueueName, id: &JobId) -> Result<bool, StorageError> {
        let row = self.row("remove a job", &self.statements.remove, &[&bytes(queue), &id_bytes(id)]).await?;
        row.as_ref().map_or(Ok(false), only)
    }

    async fn set_retention(
        &self,
        queue: &QueueName,
        id: &JobId,
        retention: Duration,
    ) -> Result<bool, StorageError> {
        let params: (_, _, _) = (bytes(queue), id_bytes(id), millis(retention));
        let statement = &self.statements.keep;
        Ok(self.change("change a retention", statement, &[&params.0, &params.1, &params.2]).await? > 0)
    }

    async fn list(
        &self,
        queue: &QueueName,
        state: JobState,
        after: Option<Generation>,
        most: usize,
    ) -> Result<Vec<Job>, StorageError> {
        let after = after.map_or(0, |after| number(after.0));
        let (state, most) = (state_code(state), limit(most));
        let rows =
            self.rows("list jobs", &self.statements.list, &[&bytes(queue), &state, &after, &most]).await?;
        rows.iter().map(job).collect()
    }

    async fn counts(&self, queue: &QueueName) -> Result<Counts, StorageError> {
        let row = self.row("count jobs", &self.statements.counts, &[&bytes(queue)]).await?;
        row.as_ref().map_or_else(|| Ok(Counts::default()), counts)
    }

    async fn queues(&self) -> Result<Vec<QueueName>, StorageError> {
        let rows = self.rows("list queues", &self.statements.queues, &[]).await?;
        rows.iter().map(|row| queue_name(only(row)?)).collect()
    }

    async fn configure(&self, queue: &QueueName, settings: Settings) -> Result<(), StorageError> {
        let Settings { paused, concurrency, max_jobs } = settings;
        let concurrency = concurrency.map(i64::from);
        let max_jobs = max_jobs.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let statement = &self.statements.configure;
        let row = self
            .row("configure a queue", statement, &[&bytes(queue), &paused, &concurrency, &max_jobs])
            .await?;
        let was_paused: bool = row.as_ref().map_or(Ok(paused), only)?;
        let mut hints = vec![Hint::Work(queue.clone())];
        if paused != was_paused {
            let event = if paused { Event::Paused } else { Event::Resumed };
            hints.push(Hint::Event(queue.clone(), event));
        }
        self.tell(hints);
        Ok(())
    }

    async fn settings(&self, queue: &QueueName) -> Result<Settings, StorageError> {
        let row = self.row("read settings", &self.statements.settings, &[&bytes(queue)]).await?;
        let Some(row) = row else { return Ok(Settings::default()) };
        let concurrency: Option<i64> = super::rows::get(&row, "concurrency")?;
        let max_jobs: Option<i64> = super::rows::get(&row, "max_jobs")?;
        Ok(Settings {
            paused: super::rows::get(&row, "paused")?,
            concurrency: concurrency.map(small),
            max_jobs: max_jobs.map(count),
        })
    }

    async fn reap(
        &self,
        queue: &QueueName,
        limit: usize,
        lease_expired: Bytes,
    ) -> Result<Reaped, StorageError> {
        self.reap_jobs(queue, limit, &lease_expired).await
    }

    async fn lead(&self, role: &QueueName, holder: &WorkerId, ttl: Duration) -> Result<bool, StorageError> {
        let (statement, holder) = (&self.statements.lead, holder.as_str().as_bytes());
        Ok(self.change("take a role", statement, &[&bytes(role), &holder, &millis(ttl)]).await? > 0)
    }

    async fn resign(&self, role: &QueueName, holder: &WorkerId) -> Result<(), StorageError> {
        let (statement, holder) = (&self.statements.resign, holder.as_str().as_bytes());
        self.change("give a role up", statement, &[&bytes(role), &holder]).await?;
        Ok(())
    }

    async fn events(&self, queue: &QueueName) -> Result<BoxStream<'static, Event>, StorageError> {
        let events = self.hints.events(queue).ok_or(StorageError::Closed)?;
        let ear = self.ear.lock().clone();
        ear.ok_or(StorageError::Closed)?.watch().await;
        Ok(events)
    }

    async fn close(&self) -> Result<(), StorageError> {
        self.ear.lock().take();
        self.hints.close();
        self.pool.close();
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(|error| StorageError::Refused {
                action: "close",
                source: std::sync::Arc::new(error),
            })?;
        }
        Ok(())
    }
}

fn bytes(queue: &QueueName) -> &[u8] {
    queue.as_str().as_bytes()
}

fn id_bytes(id: &JobId) -> &[u8] {
    id.as_str().as_bytes()
}

fn extended(outcome: i16) -> Extended {
    match outcome {
        1 => Extended::Held,
        2 => Extended::CancelWanted,
        _ => Extended::Lost,
    }
}
