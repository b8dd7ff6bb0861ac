//! Which Deployments of an app are which of its versions.

use std::collections::BTreeMap;

use super::mint::mint;
use super::objects::{Deployment, Pod};
use super::{Minted, Scope};
use crate::VersionId;
use crate::cluster::found::ProblemReason;

/// A Deployment that is a version.
pub(super) struct Candidate<'o> {
    pub(super) deployment: &'o Deployment,
    pub(super) id: VersionId,
    pub(super) revision: u64,
    /// Its pods, less those of other templates of the same Deployment.
    pub(super) members: Vec<(&'o str, &'o Pod)>,
}

impl<'o> Scope<'_, 'o> {
    /// The versions of an app, in no order.
    pub(super) fn versions(
        &mut self,
        app: &str,
        deployments: &[&'o Deployment],
        minted: &mut Minted,
    ) -> Vec<Candidate<'o>> {
        let is_labelled = |deployment: &&&Deployment| deployment.labels.contains_key(&self.options.version);
        let (labelled, bare): (Vec<&Deployment>, Vec<&Deployment>) =
            deployments.iter().partition(|deployment| is_labelled(deployment));
        let mut found: BTreeMap<VersionId, Candidate<'o>> = BTreeMap::new();
        for deployment in labelled {
            if let Some(candidate) = self.labelled(app, deployment) {
                self.add(&mut found, candidate);
            }
        }
        for deployment in self.to_mint(bare, &found, minted) {
            if let Some(candidate) = self.minted(app, deployment, minted) {
                self.add(&mut found, candidate);
            }
        }
        found.into_values().collect()
    }

    /// Of two with one id the older counts, unless it is about to go.
    fn add(&mut self, found: &mut BTreeMap<VersionId, Candidate<'o>>, candidate: Candidate<'o>) {
        let Some(other) = found.remove(&candidate.id) else {
            found.insert(candidate.id.clone(), candidate);
            return;
        };
        let rank =
            |one: &Candidate<'o>| (one.deployment.deleting, one.deployment.created, &one.deployment.name);
        let (kept, dropped) =
            if rank(&candidate) < rank(&other) { (candidate, other) } else { (other, candidate) };
        if !dropped.deployment.deleting {
            let message = format!(
                "version {} is Deployment {} already; give this one an id of its own",
                kept.id, kept.deployment.name
            );
            self.problem(dropped.deployment, ProblemReason::DuplicateVersion, &message);
        }
        found.insert(kept.id.clone(), kept);
    }

    fn labelled(&mut self, app: &str, deployment: &'o Deployment) -> Option<Candidate<'o>> {
        let label = &self.options.version;
        let text = deployment.labels.get(label)?;
        let id = match text.parse::<VersionId>() {
            Ok(id) => id,
            Err(error) => {
                self.problem(deployment, ProblemReason::InvalidVersion, &format!("label {label}: {error}"));
                return None;
            }
        };
        let of_app = |pod: &Pod| pod.labels.get(&self.options.app).is_some_and(|of| of == app);
        let members = self.members(deployment, |pod| of_app(pod) && pod.labels.get(label) == Some(text));
        let left = self.members(deployment, |pod| of_app(pod) && pod.labels.get(label) != Some(text));
        if let Some((_, pod)) = left.iter().find(|(_, pod)| pod.ready.is_some()) {
            let old = pod.labels.get(label).map_or("another", String::as_str);
            let message = format!(
                "pods of version {old} still run in it, and get no requests: its label says {id} now. Give each version a Deployment of its own"
            );
            self.problem(deployment, ProblemReason::VersionReplaced, &message);
        }
        Some(Candidate { deployment, id, revision: self.revision(deployment), members })
    }

    /// Those without a label that get an id all the same: all of them, or the newest of those that
    /// were there before the first labelled one and are reached by a Service. What was adopted once
    /// stays so.
    fn to_mint(
        &self,
        mut bare: Vec<&'o Deployment>,
        found: &BTreeMap<VersionId, Candidate<'o>>,
        minted: &Minted,
    ) -> Vec<&'o Deployment> {
        if self.options.mint_ids || !self.options.adopt {
            bare.retain(|_| self.options.mint_ids);
            return bare;
        }
        let adopted = |deployment: &Deployment| minted.keys().any(|(uid, _)| *uid == deployment.uid);
        let first = found.values().map(|candidate| candidate.deployment.created).min();
        let predecessor = |deployment: &&&'o Deployment| {
            first.is_some_and(|first| deployment.created < first)
                && self.index.selecting(&deployment.labels).next().is_some()
                && self.image(deployment).is_some()
        };
        if bare.iter().any(|deployment| adopted(deployment)) {
            bare.retain(|deployment| adopted(deployment));
            return bare;
        }
        bare.iter()
            .filter(predecessor)
            .max_by_key(|deployment| deployment.created)
            .copied()
            .into_iter()
            .collect()
    }

    /// Before the image of a pod is known, there is no id.
    fn minted(
        &mut self,
        app: &str,
        deployment: &'o Deployment,
        minted: &mut Minted,
    ) -> Option<Candidate<'o>> {
        let memory = (deployment.uid.clone(), deployment.template.clone());
        let id = self.image(deployment).and_then(mint).or_else(|| minted.get(&memory).cloned())?;
        minted.insert(memory, id.clone());
        let belongs = |pod: &Pod| {
            pod.labels.get(&self.options.app).is_some_and(|of| of == app)
                && !pod.labels.contains_key(&self.options.version)
                && pod.image.as_deref().and_then(mint).as_ref() == Some(&id)
        };
        let members = self.members(deployment, belongs);
        Some(Candidate { deployment, id, revision: self.revision(deployment), members })
    }

    /// The resolved image of a Deployment's newest pod, if it is that of the template.
    fn image(&self, deployment: &'o Deployment) -> Option<&'o str> {
        let image = deployment.image.as_deref()?;
        if image.contains("@sha256:") {
            return Some(image);
        }
        let pods = self.index.pods(&deployment.name).iter();
        let resolved = pods.filter_map(|(name, pod)| {
            let resolved = pod.image.as_deref()?;
            let current = resolved.strip_prefix(image)?.starts_with('@');
            current.then_some((pod.created, *name, resolved))
        });
        resolved.max().map(|(_, _, resolved)| resolved)
    }

    fn members(&self, deployment: &Deployment, belongs: impl Fn(&Pod) -> bool) -> Vec<(&'o str, &'o Pod)> {
        self.index.pods(&deployment.name).iter().filter(|(_, pod)| belongs(pod)).copied().collect()
    }

    fn revision(&mut self, deployment: &Deployment) -> u64 {
        let created = u64::try_from(deployment.created.as_millisecond()).unwrap_or(0);
        let Some(text) = deployment.annotations.get("revision") else { return created };
        // The resource holds it as a signed number.
        let revision = text.parse::<i64>().ok().and_then(|revision| u64::try_from(revision).ok());
        revision.unwrap_or_else(|| {
            let most = i64::MAX;
            let message =
                format!("annotation lockstep.dev/revision: {text:?} is not a whole number from 0 to {most}");
            self.problem(deployment, ProblemReason::InvalidSettings, &message);
            created
        })
    }
}
