//! Upkeep, and what is told of it.

use super::PostgresStorage;
use super::rows::get;
use crate::jobs::columns::{DEAD, WAITING, job_id, limit};
use crate::jobs::error::StorageError;
use crate::jobs::event::Event;
use crate::jobs::hints::Hint;
use crate::jobs::name::QueueName;
use crate::jobs::storage::Reaped;

const ACTION: &str = "reap";

impl PostgresStorage {
    pub(super) async fn reap_jobs(
        &self,
        queue: &QueueName,
        most: usize,
        error: &[u8],
    ) -> Result<Reaped, StorageError> {
        let key = queue.as_str().as_bytes();
        let rows = self.rows(ACTION, &self.statements.reap, &[&key, &limit(most), &error]).await?;
        let mut reaped = Reaped::default();
        // No row at all: the queue was never used.
        let Some((last, jobs)) = rows.split_last() else { return Ok(reaped) };
        let mut hints = Vec::new();
        for row in jobs {
            let id = job_id(get(row, "id")?)?;
            let event = match get::<i16>(row, "state")? {
                WAITING => {
                    reaped.stalled.push(id.clone());
                    Event::Stalled(id)
                }
                DEAD => {
                    reaped.dead.push(id.clone());
                    Event::Dead(id)
                }
                _ => Event::Cancelled(id),
            };
            hints.push(Hint::Event(queue.clone(), event));
        }
        let (ready, forgotten): (i64, i64) = (get(last, "ready")?, get(last, "forgotten")?);
        if ready > 0 || !jobs.is_empty() {
            hints.push(Hint::Work(queue.clone()));
        }
        self.tell(hints);
        reaped.forgotten = usize::try_from(forgotten).unwrap_or_default();
        reaped.more = limit(jobs.len()) + ready + forgotten >= limit(most);
        Ok(reaped)
    }
}
