//! What apps of the cluster get, resolved once for each claim and configuration. A claim that a
//! newer configuration refuses keeps what it had, until the controller has decided again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lockstep_controller::AppId;
use lockstep_controller::cluster::claim::Claim;
use lockstep_controller::cluster::grants::Grant;
use parking_lot::Mutex;

use crate::config::ClusterApps;
use crate::config::model::App;

/// Resolves claims.
#[derive(Default)]
pub(crate) struct Resolver {
    known: Mutex<HashMap<AppId, Known>>,
}

/// What came of a claim, and of the grant for it.
struct Known {
    claim: Arc<Claim>,
    rules: Arc<ClusterApps>,
    resolved: Arc<App>,
    granted: Option<(Arc<Grant>, Arc<App>)>,
}

impl Resolver {
    /// What a claim comes to.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn resolve(
        &self,
        rules: &Arc<ClusterApps>,
        claim: &Arc<Claim>,
    ) -> Result<Arc<App>, Vec<String>> {
        if let Some(known) = self.known.lock().get(&claim.id).filter(|known| known.is_of(rules, claim)) {
            return Ok(Arc::clone(&known.resolved));
        }
        let resolved = Arc::new(rules.resolve(claim)?);
        let known = Known {
            claim: Arc::clone(claim),
            rules: Arc::clone(rules),
            resolved: Arc::clone(&resolved),
            granted: None,
        };
        self.known.lock().insert(claim.id.clone(), known);
        Ok(resolved)
    }

    /// What an app gets that has this grant; nothing, if it can have none of its hosts.
    pub(crate) fn grant(&self, rules: &Arc<ClusterApps>, grant: &Arc<Grant>) -> Option<Arc<App>> {
        // What it was accepted with before is better than nothing.
        let _refused = self.resolve(rules, &grant.claim);
        let mut all = self.known.lock();
        let known = all.get_mut(&grant.claim.id)?;
        if let Some((of, app)) = &known.granted
            && Arc::ptr_eq(of, grant)
        {
            return Some(Arc::clone(app));
        }
        let app = within(&known.resolved, grant)?;
        known.granted = Some((Arc::clone(grant), Arc::clone(&app)));
        Some(app)
    }

    /// Forgets all other apps.
    pub(crate) fn retain(&self, apps: &HashSet<&AppId>) {
        self.known.lock().retain(|id, _| apps.contains(id));
    }
}

impl Known {
    fn is_of(&self, rules: &Arc<ClusterApps>, claim: &Arc<Claim>) -> bool {
        (Arc::ptr_eq(&self.rules, rules) || self.rules == *rules)
            && (Arc::ptr_eq(&self.claim, claim) || self.claim == *claim)
    }
}

/// An app with no other hosts than it was granted.
fn within(app: &Arc<App>, grant: &Grant) -> Option<Arc<App>> {
    let granted = |host: &str| grant.hosts.iter().any(|granted| granted == host);
    if app.hosts.iter().all(|host| granted(host.as_str())) && app.hosts.is_empty() == grant.hosts.is_empty() {
        return Some(Arc::clone(app));
    }
    let hosts: Vec<_> = app.hosts.iter().filter(|host| granted(host.as_str())).cloned().collect();
    // Without hosts it would answer for every host, which it was not granted.
    (!hosts.is_empty()).then(|| Arc::new(App { hosts, ..App::clone(app) }))
}
