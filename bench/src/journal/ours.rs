//! The journal with many appends in flight.

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use lockstep_queue::journal::{Journal, JournalError, Kind, Options};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Run;
use crate::error::{Context as _, Failure, Result};

const SINGLE: Kind = Kind::single::<0>();
/// About this much is written in each run.
const BYTES: usize = 192 * 1024 * 1024;
/// At most so many frames in all and for each appender, or one at a time would take long.
const FRAMES: usize = 192_000;
const OF_APPENDER: usize = 2_000;
/// What the journal adds to the contents of a frame.
const HEADER: usize = 32;

/// Appends frames of a size; what is opened and made beforehand is not measured.
pub(super) fn run(dir: &Path, frame: usize, appenders: usize) -> Result<Run> {
    let path = dir.join("journal");
    let (journal, _) = Journal::open(Options::new(&path)).context(|| "cannot open the journal".to_owned())?;
    let runtime = Runtime::new().context(|| "no runtime".to_owned())?;
    // The first segment begins with its note.
    runtime.block_on(journal.append(SINGLE, 0, "")).context(refused)?;
    let before = journal.stats();
    let each = FRAMES.min(BYTES / frame.max(1)).min(OF_APPENDER * appenders) / appenders;
    let body = Bytes::from(vec![b'x'; frame.saturating_sub(HEADER)]);
    let began = Instant::now();
    runtime.block_on(append(&journal, &body, appenders, each))?;
    let took = began.elapsed();
    let after = journal.stats();
    runtime.block_on(journal.shutdown()).context(refused)?;
    std::fs::remove_dir_all(&path).context(|| "cannot remove the journal".to_owned())?;
    Ok(Run {
        frames: after.frames - before.frames,
        bytes: after.bytes - before.bytes,
        syncs: after.commits - before.commits,
        syncing: after.commit_time - before.commit_time,
        took,
    })
}

async fn append(journal: &Journal, body: &Bytes, appenders: usize, each: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..appenders {
        let (journal, body) = (journal.clone(), body.clone());
        tasks.spawn(async move {
            for _ in 0..each {
                journal.append(SINGLE, 0, body.clone()).await?;
            }
            Ok::<_, JournalError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|_| Failure::new("an appender ended"))?.context(refused)?;
    }
    Ok(())
}

fn refused() -> String {
    "the journal refuses".to_owned()
}
