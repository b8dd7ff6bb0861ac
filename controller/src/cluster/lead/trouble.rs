//! What keeps this replica from its part in leading, for people to mend: a role that is not bound, an API
//! that takes no writes. It is shown by the admin API for as long as it is met again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::AppId;

/// What was not met again for so long is over: some parts only try when there is something to do.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// What this replica could not do lately. Clones are of one list.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<BTreeMap<Part, (Instant, String)>>>);

/// A part of what a replica does in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Taking part in the election.
    Election,
    /// Telling the leader how this replica is.
    Heartbeat,
    /// Events.
    Events,
    /// Writing the status of an app.
    Status(AppId),
    /// Scaling and deleting workloads of an app.
    Workload(AppId),
}

impl Troubles {
    /// Something went wrong; says whether that is new.
    pub(super) fn met(&self, part: Part, what: String) -> bool {
        let mut all = self.0.lock();
        let known = all.get(&part).is_some_and(|(_, known)| *known == what);
        all.insert(part, (Instant::now(), what));
        !known
    }

    /// It went well.
    pub(super) fn over(&self, part: &Part) {
        self.0.lock().remove(part);
    }

    /// What this replica is in want of, and what it could not do to workloads, which is a matter of their
    /// owners, too.
    pub(super) fn list(&self) -> (Vec<String>, Vec<String>) {
        let mut all = self.0.lock();
        all.retain(|_, (at, _)| at.elapsed() < FORGOTTEN);
        let texts = |workloads: bool| {
            let some = all.iter().filter(|(part, _)| matches!(part, Part::Workload(_)) == workloads);
            some.map(|(_, (_, text))| text.clone()).collect()
        };
        (texts(false), texts(true))
    }
}

/// Whether the API refused because the namespace is about to go: nothing is made in it any more, and nobody lacks a
/// right.
pub(super) fn is_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

/// Why the API did not do something, and what to do where a role is missing.
pub(super) fn why(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{}; see the roles in conf/k8s", status.message)
        }
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn troubles_end_with_success_or_when_they_are_not_met_again() {
        let troubles = Troubles::default();
        let app: AppId = "web/shop".parse().unwrap();
        troubles.met(Part::Events, "a".to_owned());
        troubles.met(Part::Workload(app.clone()), "b".to_owned());
        assert_eq!(troubles.list(), (vec!["a".to_owned()], vec!["b".to_owned()]));
        troubles.over(&Part::Workload(app));
        tokio::time::advance(FORGOTTEN / 2).await;
        assert_eq!(troubles.list().0, ["a"]);
        tokio::time::advance(FORGOTTEN / 2).await;
        assert_eq!(troubles.list(), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_namespace_that_ends_is_no_want_of_rights() {
        for (cause, ending) in [("NamespaceTerminating", true), ("", false)] {
            let causes = serde_json::json!([{"reason": cause, "message": "", "field": ""}]);
            let status: kube::core::Status = serde_json::from_value(serde_json::json!({
                "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no",
                "details": {"causes": causes},
            }))
            .unwrap();
            assert_eq!(is_ending(&kube::Error::Api(status.into())), ending, "{cause}");
        }
    }
}
