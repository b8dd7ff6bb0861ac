//! Why a version that should become active does not, so that people look at the right thing.

use std::collections::BTreeMap;

use crate::cluster::found::Problem;
use crate::cluster::resource::convert::Figures;
use crate::record::VersionRecord;
use crate::{AppId, VersionId};

/// What keeps a pending version.
pub(super) fn why(
    app: &AppId,
    version: &VersionRecord,
    problems: &[Problem],
    figures: &BTreeMap<VersionId, Figures>,
) -> String {
    let deployment = version.workload.deployment.as_deref();
    let own = |problem: &&Problem| {
        problem.namespace == app.namespace()
            && problem.kind == "Deployment"
            && deployment == Some(problem.name.as_str())
    };
    if let Some(problem) = problems.iter().find(own) {
        return format!("{}: {}", problem.reason.as_str(), problem.message);
    }
    let Figures { ready, desired, .. } = figures.get(&version.id).copied().unwrap_or_default();
    match (ready, desired) {
        (_, 0) => "its Deployment is scaled to 0: scale it up, or promote it".to_owned(),
        (ready, desired) if ready < desired => {
            format!("{ready} of {desired} endpoints are ready: look at the pods of its Deployment")
        }
        _ => {
            "its endpoints are ready, but not every replica of Lockstep says that it can route to them: see \
              Waiting, and the pods of Lockstep"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VersionState;
    use crate::cluster::found::ProblemReason;
    use crate::record::{Cause, WorkloadRecord};

    #[test]
    fn what_is_said_is_what_keeps_it() {
        let app: AppId = "web/shop".parse().unwrap();
        let version = VersionRecord {
            id: "v2".parse().unwrap(),
            state: VersionState::Pending,
            reason: Cause::New,
            actor: String::new(),
            revision: 2,
            since: jiff::Timestamp::UNIX_EPOCH,
            drained_at: None,
            expired_at: None,
            endpoints: [].into(),
            present: true,
            expiry_asked_by: None,
            stalled: true,
            workload: WorkloadRecord { deployment: Some("shop-v2".to_owned()), ..WorkloadRecord::default() },
        };
        let problem = |name: &str| Problem {
            kind: "Deployment",
            namespace: "web".to_owned(),
            name: name.to_owned(),
            uid: String::new(),
            reason: ProblemReason::NoPort,
            message: "no port named grpc".to_owned(),
        };
        let cases = [
            (vec![problem("shop-v2")], 0, 2, "no port named grpc"),
            (vec![problem("shop-v1")], 1, 2, "1 of 2 endpoints are ready: look at the pods"),
            (vec![], 0, 0, "scaled to 0"),
            (vec![], 2, 2, "not every replica of Lockstep"),
        ];
        for (problems, ready, desired, expected) in cases {
            let figures = Figures { ready, desired, in_flight: 0 };
            let figures = BTreeMap::from([(version.id.clone(), figures)]);
            let why = why(&app, &version, &problems, &figures);
            assert!(why.contains(expected), "{why}");
        }
    }
}
