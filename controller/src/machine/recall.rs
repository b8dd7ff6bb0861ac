//! States that were lost, as a replica still knows them: its visitors notice nothing then, and what was rolled
//! back or is over does not become active by itself.

use super::{Step, World};
use crate::record::Cause;
use crate::{AppSnapshot, AppSpec, VersionSpec, VersionState};

impl Step<'_> {
    /// Takes over how versions stood, where nothing is written of any.
    pub fn recall(&mut self, spec: &AppSpec, known: &AppSnapshot, world: &dyn World) {
        if !self.record.versions.is_empty() {
            return;
        }
        for version in &known.versions {
            let id = &version.id;
            let gone = || VersionSpec { id: id.clone(), revision: 0, endpoints: [].into() };
            let spec = match spec.version(id) {
                Some(spec) => spec.clone(),
                None if version.state == VersionState::Expired => gone(),
                None => continue,
            };
            self.add(&spec);
            let state = match version.state {
                _ if known.active.as_ref() != Some(id) => version.state,
                // It is out of date, or nobody wants it any more: others may serve.
                _ if world.desired(id) == 0 => VersionState::Draining,
                _ => VersionState::Active,
            };
            if state == VersionState::Active {
                self.record.active = Some(id.clone());
            }
            self.transit(id, state, Cause::Recalled);
        }
    }
}
