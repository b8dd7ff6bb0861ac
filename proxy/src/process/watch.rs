//! Keeps the list of problems as those see it who can't report themselves: the audit and the AI gateway.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::audit::watch::Watch;
use crate::background::Background;
use crate::problems::Source;

/// How often it is looked for problems.
const EVERY: Duration = Duration::from_secs(1);

type Look = fn(&Shared) -> Vec<String>;

/// Who is asked.
const SOURCES: [(Source, Look); 2] = [(Source::Audit, audit), (Source::Ai, |shared| shared.ai.problems())];

/// Looks until told to stop.
pub(super) async fn run(shared: Shared, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        look(&shared);
    }
}

/// Looks now.
pub(super) fn look(shared: &Shared) {
    for (source, look) in SOURCES {
        shared.problems.report(source, look(shared));
    }
}

fn audit(shared: &Shared) -> Vec<String> {
    let of_audit = shared.audit.get().map(Watch::problems).unwrap_or_default();
    let of_jobs = shared.background.as_ref().and_then(Background::problem);
    of_audit.into_iter().chain(of_jobs).collect()
}
