//! What is wrong at the moment, for the admin API: a refused configuration, states that can't be
//! kept. Each source replaces its own entries, so that what is mended disappears.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use serde::Serialize;

/// Where a problem comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The configuration file on disk is refused.
    Config,
    /// The configuration file was changed in a way that needs a restart.
    Restart,
    /// No routing table could be made.
    Routing,
    /// Version states can't be written.
    State,
    /// The Kubernetes API can't be reached or does not show what is needed.
    Cluster,
    /// Objects of the cluster can't be used. That is for those to mend whose they are; this process
    /// is well.
    Objects,
    /// Evidence piles up, or something is wrong with where it goes.
    Audit,
    /// A provider refuses what the configuration says of it.
    Ai,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it comes from.
    pub source: Source,
    /// What is wrong, with its place.
    pub message: String,
    /// Since when.
    pub since: jiff::Timestamp,
}

/// The problems of the moment.
#[derive(Debug, Default)]
pub struct Problems {
    by_source: Mutex<BTreeMap<Source, Vec<Problem>>>,
}

impl Problems {
    /// Replaces what a source reported before; with nothing, all is well there. Says whether anything is wrong that
    /// was not.
    pub fn report(&self, source: Source, messages: impl IntoIterator<Item = String>) -> bool {
        let now = jiff::Timestamp::now();
        let mut by_source = self.by_source.lock();
        let known = by_source.remove(&source).unwrap_or_default();
        let known: HashMap<_, _> = known.into_iter().map(|known| (known.message, known.since)).collect();
        let mut is_new = false;
        // What was wrong before is wrong since then.
        let problem = |message: String| {
            let since = known.get(&message).copied();
            is_new |= since.is_none();
            Problem { source, since: since.unwrap_or(now), message }
        };
        let problems: Vec<_> = messages.into_iter().map(problem).collect();
        if !problems.is_empty() {
            by_source.insert(source, problems);
        }
        is_new
    }

    /// Whether this process is not as it should be.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.by_source.lock().keys().any(|source| *source != Source::Objects)
    }

    /// All of them.
    #[must_use]
    pub fn list(&self) -> Vec<Problem> {
        self.by_source.lock().values().flatten().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mended_disappears() {
        let problems = Problems::default();
        problems.report(Source::Config, ["a".to_owned(), "b".to_owned()]);
        problems.report(Source::State, ["c".to_owned()]);
        assert_eq!(problems.list().len(), 3);
        problems.report(Source::Config, []);
        problems.report(Source::Objects, ["d".to_owned()]);
        assert!(problems.is_degraded());
        problems.report(Source::State, []);
        assert!(!problems.is_degraded());
        assert_eq!(problems.list().iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), ["d"]);
    }
}
