//! Checks, before anything is measured, that a contender does the work that is compared.

use std::fs;
use std::io::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use super::contender::Running;
use super::mark::marks;
use super::model::Model;
use super::wire::Wire;
use crate::error::{Context as _, Result, demand};

const PROMPT_BYTES: usize = 50_000;
const CHUNKS: usize = 10;
/// How long a contender may take for its first answers, and a record until it is in its place.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for a plain answer and for a stream, and looks for records where there must be some.
///
/// # Errors
/// If something is not as every contender must do it.
pub async fn check(running: &Running) -> Result<()> {
    let plain = ask(running, Model::Plain).await?;
    let answer: Value = serde_json::from_slice(&plain).context(|| "the answer is no JSON".to_owned())?;
    let text = answer.pointer("/choices/0/message/content").and_then(Value::as_str).unwrap_or_default();
    demand(text.starts_with("All of it is well"), || format!("the answer is {answer}"))?;
    let received = answer.pointer("/usage/prompt_tokens").and_then(Value::as_u64).unwrap_or_default();
    demand(received > PROMPT_BYTES as u64, || format!("{received} bytes reached the provider"))?;

    let stream = ask(running, Model::Stream { chunks: CHUNKS, every: Duration::from_millis(2) }).await?;
    let text = String::from_utf8_lossy(&stream);
    demand(marks(&stream).0.count() == CHUNKS, || format!("not {CHUNKS} chunks: {text}"))?;
    demand(text.contains("data: [DONE]"), || format!("a stream without its end: {text}"))?;

    let records = running.dir.join("data/audit");
    let (begun, mut bytes) = (Instant::now(), 0);
    while running.contender.records() && bytes < PROMPT_BYTES as u64 / 20 {
        demand(begun.elapsed() < PATIENCE, || "leaves no records".to_owned())?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        bytes = stored(&records);
    }
    Ok(())
}

async fn ask(running: &Running, model: Model) -> Result<Bytes> {
    let prompts = running.prompts(model, PROMPT_BYTES);
    let answer = async {
        let prompt = prompts.walk(0).next().ok_or_else(|| Error::other("no prompt"))?;
        let mut wire = Wire::open(running.address).await?;
        let status = wire.ask(&prompt.request).await?;
        Ok::<_, Error>((status, wire.body().await?))
    };
    let (status, body) = timeout(PATIENCE, answer)
        .await
        .context(|| "no answer".to_owned())?
        .context(|| format!("asked for {}", model.name()))?;
    demand(status == 200, || format!("status {status}: {}", String::from_utf8_lossy(&body)))?;
    Ok(body)
}

/// The bytes of all files under a directory.
fn stored(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => stored(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}
