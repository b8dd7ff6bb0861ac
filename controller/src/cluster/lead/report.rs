//! What a replica says of itself, in an annotation of its Lease: for the versions whose next step
//! depends on it, whether it routes them and what runs on them. Ages, not times: the clocks of
//! replicas are never compared. Each entry names the state that the replica knows the version in, so
//! that what was said of an earlier life of a version is never taken for the present one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::resource::VersionEntry;
use crate::cluster::state::ClusterState;
use crate::record::{Cause, VersionRecord};
use crate::{AppId, DataPlane, VersionId, VersionState};

/// The annotation that holds it.
pub const ANNOTATION: &str = "lockstep.dev/report";
/// The form that this release writes and reads.
const FORM: u32 = 1;
/// Annotations of an object have 256 KiB together.
const MAX_BYTES: usize = 200 * 1024;

/// What a replica says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    v: u32,
    /// Tells a process from an earlier one of the same name, which took its ages with it.
    pub process: String,
    /// Versions, by app.
    pub apps: BTreeMap<AppId, BTreeMap<VersionId, Said>>,
    /// Whether it had to leave versions out, which are kept until others have gone.
    #[serde(skip)]
    pub is_full: bool,
}

/// What it says of one version. Written as a list: a big cluster has thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Said {
    /// The state that it knows the version in.
    pub life: Life,
    /// Endpoints that it sends requests to; `None` if it does not route the version, or not for those who are pinned
    /// to it.
    pub routed: Option<u64>,
    /// Requests and streams that run.
    pub in_flight: u64,
    /// Milliseconds since the last one ended, when the report was made.
    pub idle_ms: u64,
}

/// One stay of a version in a state, told from an earlier one by the time at which it began. The
/// time is only ever compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Life {
    state: VersionState,
    since_us: i64,
}

type Row = (VersionState, i64, Option<u64>, u64, u64);

impl Report {
    /// A report that says nothing.
    #[must_use]
    pub fn new(process: &str) -> Self {
        Self { v: FORM, process: process.to_owned(), apps: BTreeMap::new(), is_full: false }
    }

    /// What this replica has to say now.
    #[must_use]
    pub fn of(process: &str, cluster: &ClusterState, data_plane: &dyn DataPlane) -> Self {
        let mut entries = Vec::new();
        for (app, resource) in cluster.resources.iter().filter(|_| cluster.stored) {
            for version in resource.status.iter().flat_map(|status| &status.versions) {
                if let Some(said) = Said::of(app, version, data_plane) {
                    entries.push((said.rank(), version.since, app, &version.id, said));
                }
            }
        }
        entries.sort_by(|a, b| (a.0, a.1, a.2, a.3).cmp(&(b.0, b.1, b.2, b.3)));
        let mut report = Self::new(process);
        let mut bytes = report.text().len();
        for (_, _, app, version, said) in entries {
            bytes += report.size_of(app, version, said);
            if bytes > MAX_BYTES {
                report.is_full = true;
                break;
            }
            report.apps.entry(app.clone()).or_default().insert(version.clone(), said);
        }
        report
    }

    /// The bytes that one more version takes in the text: `"version":row,`, and `"app":{},` for the first of an app.
    fn size_of(&self, app: &AppId, version: &VersionId, said: Said) -> usize {
        let row = serde_json::to_string(&said).map_or(0, |row| row.len());
        let name = if self.apps.contains_key(app) { 0 } else { app.to_string().len() + 6 };
        name + version.as_str().len() + row + 4
    }

    /// Reads one; `None` if it is none, or of a form that this release does not know.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text).ok().filter(|report| report.v == FORM)
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What it says of a version in one of its lives.
    #[must_use]
    pub fn said(&self, app: &AppId, version: &VersionId, life: Life) -> Option<Said> {
        self.apps.get(app)?.get(version).copied().filter(|said| said.life == life)
    }

    /// What others wait for: a change of it is told at once. That something runs is only waited for where it is to end: on
    /// a canary, requests come and go for days.
    #[must_use]
    pub fn urgent(&self) -> Vec<(AppId, VersionId, Life, Option<u64>, bool)> {
        let rows = self.apps.iter().flat_map(|(app, versions)| versions.iter().map(move |v| (app, v)));
        rows.filter(|(_, (_, said))| said.life.state != VersionState::Draining)
            .map(|(app, (id, said))| {
                let runs_on = said.life.state == VersionState::Expiring && said.in_flight > 0;
                // Nor how many endpoints there are, which changes for as long.
                (app.clone(), id.clone(), said.life, said.routed.map(|endpoints| endpoints.min(1)), runs_on)
            })
            .collect()
    }
}

impl Said {
    /// What is to be said of a version, if anything is. Of a draining one that is not routed, for its app has lost its
    /// route, only what still runs on it: it would be taken for idle, but its visitors may be back in a moment. Of one
    /// that waits for its first visitors, whether they would get to it.
    fn of(app: &AppId, version: &VersionEntry, data_plane: &dyn DataPlane) -> Option<Self> {
        let traffic = data_plane.traffic(app, &version.id);
        let routed = match version.state {
            VersionState::Pending | VersionState::Staged => data_plane.reached(app, &version.id),
            _ => data_plane.routed(app, &version.id),
        };
        let is_used = traffic.is_some_and(|traffic| traffic.in_flight > 0);
        match version.state {
            VersionState::Pending | VersionState::Expiring => {}
            VersionState::Staged if version.reason == Cause::Canary => {}
            // Looked at one after the other: a route that is just back may have no counters yet.
            VersionState::Draining if is_used || (routed.is_some() && traffic.is_some()) => {}
            _ => return None,
        }
        Some(Self {
            life: Life::new(version.state, version.since),
            routed: routed.map(|endpoints| u64::try_from(endpoints).unwrap_or(u64::MAX)),
            in_flight: traffic.map_or(0, |traffic| traffic.in_flight),
            idle_ms: traffic
                .and_then(|traffic| u64::try_from(traffic.idle_for.as_millis()).ok())
                .unwrap_or(u64::MAX),
        })
    }

    /// What a report holds first: what is waited for, then what may go. What is in use comes last: it stays, whether
    /// that is said of it or nothing.
    fn rank(self) -> u8 {
        match self.life.state {
            VersionState::Draining if self.in_flight > 0 => 2,
            VersionState::Draining => 1,
            _ => 0,
        }
    }
}

impl Life {
    /// The life that a version is in.
    #[must_use]
    pub fn of(version: &VersionRecord) -> Self {
        Self::new(version.state, version.since)
    }

    pub(super) fn new(state: VersionState, since: Timestamp) -> Self {
        Self { state, since_us: since.as_microsecond() }
    }
}

impl From<Row> for Said {
    fn from((state, since_us, routed, in_flight, idle_ms): Row) -> Self {
        Self { life: Life { state, since_us }, routed, in_flight, idle_ms }
    }
}

impl From<Said> for Row {
    fn from(said: Said) -> Self {
        (said.life.state, said.life.since_us, said.routed, said.in_flight, said.idle_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::Traffic;
    use crate::cluster::resource::convert::Figures;
    use crate::cluster::resource::{VersionedApp, VersionedAppSpec, VersionedAppStatus};
    use crate::record::{AppRecord, WorkloadRecord};

    /// No version is routed, and something runs on one of them still.
    struct Routeless;

    impl DataPlane for Routeless {
        fn routed_generation(&self) -> u64 {
            1
        }

        fn routed(&self, _: &AppId, _: &VersionId) -> Option<usize> {
            None
        }

        fn reached(&self, _: &AppId, _: &VersionId) -> Option<usize> {
            None
        }

        fn ready_endpoints(&self, _: &AppId, _: &VersionId) -> usize {
            0
        }

        fn traffic(&self, _: &AppId, version: &VersionId) -> Option<Traffic> {
            let in_flight = u64::from(version.as_str() == "v3");
            Some(Traffic { in_flight, idle_for: Duration::MAX })
        }
    }

    /// Something runs on versions whose number is odd.
    struct Odd;

    impl DataPlane for Odd {
        fn routed_generation(&self) -> u64 {
            1
        }

        fn routed(&self, _: &AppId, _: &VersionId) -> Option<usize> {
            Some(1)
        }

        fn reached(&self, _: &AppId, _: &VersionId) -> Option<usize> {
            Some(1)
        }

        fn ready_endpoints(&self, _: &AppId, _: &VersionId) -> usize {
            1
        }

        fn traffic(&self, _: &AppId, version: &VersionId) -> Option<Traffic> {
            let number: u64 = version.as_str().trim_start_matches('v').parse().unwrap();
            Some(Traffic { in_flight: number % 2, idle_for: Duration::MAX })
        }
    }

    /// Apps with ten draining versions each, but for the last of each, which is pending.
    fn cluster(apps: usize) -> ClusterState {
        cluster_of(apps, |number| {
            (if number == 9 { VersionState::Pending } else { VersionState::Draining }, Cause::New)
        })
    }

    /// Apps with ten versions each.
    fn cluster_of(apps: usize, stands: impl Fn(usize) -> (VersionState, Cause)) -> ClusterState {
        let since = "2026-11-23T17:00:00.123456Z".parse().unwrap();
        let version = |number: usize| VersionRecord {
            id: format!("v{number}").parse().unwrap(),
            state: stands(number).0,
            reason: stands(number).1,
            actor: String::new(),
            revision: 1,
            since,
            drained_at: None,
            expired_at: None,
            endpoints: [].into(),
            present: true,
            expiry_asked_by: None,
            stalled: false,
            workload: WorkloadRecord::default(),
        };
        let record = AppRecord { versions: (0..10).map(version).collect(), ..AppRecord::default() };
        let app = |number: usize| {
            let mut status = VersionedAppStatus::default();
            status.set_record(&record, &BTreeMap::<VersionId, Figures>::new());
            let mut app = VersionedApp::new("", VersionedAppSpec::default());
            app.status = Some(status);
            (format!("web/app{number}").parse().unwrap(), Arc::new(app))
        };
        ClusterState { stored: true, resources: (0..apps).map(app).collect(), ..ClusterState::default() }
    }

    #[test]
    fn a_full_report_leaves_out_first_what_is_in_use() {
        let few = Report::of("1", &cluster(3), &Odd);
        assert!(!few.is_full && few.apps.values().all(|versions| versions.len() == 10));
        let report = Report::of("1", &cluster(1000), &Odd);
        let size = report.text().len();
        // A comma is counted that the last version of an app does not need.
        assert!(report.is_full && size <= MAX_BYTES && size > MAX_BYTES - 1200, "{size}");
        let of = |versions: &[&str]| {
            let is_one = |id: &&VersionId| versions.contains(&id.as_str());
            report.apps.values().flat_map(BTreeMap::keys).filter(is_one).count()
        };
        assert_eq!(of(&["v9"]), 1000, "all that is waited for");
        assert!(of(&["v0", "v2", "v4", "v6", "v8"]) > 1500, "then what is idle");
        assert_eq!(of(&["v1", "v3", "v5", "v7"]), 0, "what is in use does not fit");
    }

    #[test]
    fn a_draining_version_without_a_route_is_not_told_to_be_idle() {
        let report = Report::of("1", &cluster(1), &Routeless);
        let told: Vec<_> = report.apps.values().flat_map(BTreeMap::keys).map(VersionId::as_str).collect();
        assert_eq!(
            told,
            ["v3", "v9"],
            "what is in use, and that it is not routed where others wait for that"
        );
    }

    #[test]
    fn of_staged_versions_only_the_canary_is_told_of() {
        let cluster = cluster_of(1, |number| {
            (VersionState::Staged, if number == 4 { Cause::Canary } else { Cause::Superseded })
        });
        let report = Report::of("1", &cluster, &Odd);
        let told: Vec<_> =
            report.apps.values().flatten().map(|(id, said)| (id.as_str(), said.routed)).collect();
        assert_eq!(told, [("v4", Some(1))]);
        assert_eq!(report.urgent().len(), 1, "its share waits for it");
        let mut later = report.clone();
        later.apps.values_mut().flat_map(BTreeMap::values_mut).for_each(|said| {
            said.in_flight += 1;
            said.routed = said.routed.map(|endpoints| endpoints + 1);
        });
        assert_eq!(later.urgent(), report.urgent(), "not for its requests, nor for one more endpoint");
    }

    #[test]
    fn reports_are_read_as_they_are_written() {
        let app: AppId = "web/shop".parse().unwrap();
        let version: VersionId = "v1".parse().unwrap();
        let life = Life::new(VersionState::Draining, "2026-11-23T17:00:00.123456789Z".parse().unwrap());
        let said = Said { life, routed: Some(2), in_flight: 1, idle_ms: u64::MAX };
        let mut report = Report::new("1");
        report.apps.entry(app.clone()).or_default().insert(version.clone(), said);
        let read = Report::read(&report.text()).unwrap();
        assert_eq!(read, report);
        assert_eq!(read.said(&app, &version, life), Some(said));
        let later = Life::new(VersionState::Draining, "2026-11-23T17:00:01Z".parse().unwrap());
        assert_eq!(read.said(&app, &version, later), None, "of an earlier life");
        for text in ["", "{}", "[]", r#"{"v":2,"process":"","apps":{}}"#] {
            assert_eq!(Report::read(text), None, "{text}");
        }
    }
}
