//! What Lockstep asked of the API, by the API server's own audit log.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;
use serde_json::Value;

use super::ControlPlane;

/// The file of the log in the directory of the control plane.
pub(super) const FILE: &str = "audit.log";

/// Each request of the service account that ships leaves one line, when it arrives: a watch too.
pub(super) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted, ResponseComplete, Panic]
rules:
  - {level: Metadata, users: ["system:serviceaccount:lockstep-system:lockstep"]}
  - {level: None}
"#;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When it arrived.
    pub at: Timestamp,
    /// Its verb and the resource that it is about: `watch pods`, `update leases`.
    pub what: String,
}

impl ControlPlane {
    /// The requests of Lockstep so far.
    ///
    /// # Panics
    /// If the log can't be read.
    pub fn asked(&self) -> Vec<Asked> {
        let log = std::fs::read_to_string(self.dir().join(FILE)).expect("the audit log");
        log.lines().filter_map(Asked::read).collect()
    }
}

impl Asked {
    /// How often what was asked in a time, the most frequent first.
    pub fn count(asked: &[Self], time: &Range<Timestamp>) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for one in asked.iter().filter(|one| time.contains(&one.at)) {
            *counts.entry(&one.what).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().map(|(what, count)| (what.to_owned(), count)).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }

    /// A line that is not complete yet is none.
    fn read(line: &str) -> Option<Self> {
        let event: Value = serde_json::from_str(line).ok()?;
        let at = event["requestReceivedTimestamp"].as_str()?.parse().ok()?;
        let (object, uri) = (&event["objectRef"], event["requestURI"].as_str().unwrap_or_default());
        let mut what = object["resource"].as_str().unwrap_or(uri).to_owned();
        if let Some(part) = object["subresource"].as_str() {
            what = format!("{what}/{part}");
        }
        Some(Self { at, what: format!("{} {what}", event["verb"].as_str()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_are_about() {
        let line = |at: u32, verb: &str, object: &str| {
            format!(
                r#"{{"verb":"{verb}","requestURI":"/version","requestReceivedTimestamp":"2026-11-29T12:00:{at:02}.5Z"{object}}}"#
            )
        };
        let status = r#","objectRef":{"resource":"versionedapps","subresource":"status"}"#;
        let lines = [line(1, "update", status), line(2, "update", status), line(3, "get", "")];
        let asked: Vec<_> = lines.iter().filter_map(|line| Asked::read(line)).collect();
        let of = |from: &str, to: &str| Asked::count(&asked, &(from.parse().unwrap()..to.parse().unwrap()));
        let all = of("2026-11-29T12:00:00Z", "2026-11-29T12:01:00Z");
        assert_eq!(all, [("update versionedapps/status".to_owned(), 2), ("get /version".to_owned(), 1)]);
        assert_eq!(of("2026-11-29T12:00:02Z", "2026-11-29T12:00:03Z")[0].1, 1);
        assert_eq!(Asked::read(r#"{"verb":"#), None);
    }
}
