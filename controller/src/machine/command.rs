//! Follows people: promote, approve, reject, expire.

use thiserror::Error;

use super::Step;
use crate::record::{Cause, VersionRecord};
use crate::{AppSpec, VersionId, VersionState};

/// What somebody wants of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Make it the active one, whatever it is now.
    Promote,
    /// Let a staged one go on to become active.
    Approve,
    /// End a staged one.
    Reject,
    /// End it.
    Expire {
        /// Skip grace and idleness.
        now: bool,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// No such app.
    #[error("no app is named {0:?}")]
    UnknownApp(String),
    /// Several namespaces have an app of that name.
    #[error("several apps are named {0:?}: write namespace/name")]
    AmbiguousApp(String),
    /// No such version.
    #[error("app {app} has no version {version:?}")]
    UnknownVersion {
        /// The app.
        app: String,
        /// What was asked for.
        version: String,
    },
    /// The state of the version does not allow it.
    #[error("version {version} is {state}: {rule}")]
    State {
        /// The version.
        version: VersionId,
        /// Its state.
        state: VersionState,
        /// What is allowed.
        rule: &'static str,
    },
    /// The configuration decides.
    #[error("the configuration fixes {active} as the active version (apps[].active)")]
    Fixed {
        /// The version that it names.
        active: VersionId,
    },
    /// The source has no such version any more, so nothing could serve it.
    #[error("version {version} is gone: its source has it no more")]
    Gone {
        /// The version.
        version: VersionId,
    },
    /// The cluster, which keeps the states, does not take it.
    #[error("the cluster did not take it: {0}")]
    Cluster(String),
    /// Too many commands are under way.
    #[error("many commands are under way, and the cluster is slow to take them: try again in a moment")]
    Busy,
    /// The controller is ending.
    #[error("shutting down")]
    ShuttingDown,
}

impl Step<'_> {
    /// Carries a command out.
    ///
    /// # Errors
    /// If the version is unknown, or its state or the configuration rules it out.
    pub fn command(&mut self, spec: &AppSpec, id: &str, command: Command) -> Result<(), CommandError> {
        let version = self.record.versions.iter().find(|version| version.id.as_str() == id);
        let Some(version) = version else {
            return Err(CommandError::UnknownVersion { app: spec.id.to_string(), version: id.to_owned() });
        };
        let (id, state, present) = (version.id.clone(), version.state, version.present);
        let awaits = version.waits() && version.reason == Cause::AwaitingApproval;
        match command {
            Command::Promote => self.promote(spec, &id, state, present, Cause::Promoted),
            Command::Approve if state == VersionState::Staged || awaits => {
                self.promote(spec, &id, state, present, Cause::Approved)
            }
            Command::Reject if state == VersionState::Staged || awaits => {
                self.transit(&id, VersionState::Expiring, Cause::Rejected);
                Ok(())
            }
            Command::Approve | Command::Reject => Err(CommandError::State {
                version: id,
                state,
                rule: "only versions that are staged, or wait for approval, are approved or rejected",
            }),
            Command::Expire { now } => self.expire(&id, state, now),
        }
    }

    fn promote(
        &mut self,
        spec: &AppSpec,
        id: &VersionId,
        state: VersionState,
        present: bool,
        cause: Cause,
    ) -> Result<(), CommandError> {
        if let Some(active) = spec.active.as_ref().filter(|fixed| *fixed != id) {
            return Err(CommandError::Fixed { active: active.clone() });
        }
        if !present {
            return Err(CommandError::Gone { version: id.clone() });
        }
        match state {
            VersionState::Active => {
                // It stays: what was about to replace it steps back.
                for pending in self.record.in_state(VersionState::Pending) {
                    self.step_back(&pending);
                }
            }
            VersionState::Pending => self.scale_back(id),
            _ => {
                self.make_pending(id, cause);
                self.scale_back(id);
            }
        }
        Ok(())
    }

    /// What somebody wants to serve is scaled back if it is at zero, whoever scaled it down.
    fn scale_back(&mut self, id: &VersionId) {
        if let Some(version) = self.record.version_mut(id) {
            version.workload.restore = true;
        }
    }

    fn expire(&mut self, id: &VersionId, state: VersionState, now: bool) -> Result<(), CommandError> {
        let version = self.record.version(id);
        let waits = version.is_some_and(VersionRecord::waits);
        let has_visitors = version.is_some_and(VersionRecord::may_have_visitors);
        match state {
            VersionState::Active => {
                return Err(CommandError::State {
                    version: id.clone(),
                    state,
                    rule: "promote another version first; the active one never expires",
                });
            }
            VersionState::Expired => {}
            // It may be on its way faster than that.
            VersionState::Expiring if !now => {}
            _ if !now && has_visitors => {
                // However long it has waited for a decision, its end begins now.
                if state != VersionState::Draining || waits {
                    self.transit(id, VersionState::Draining, Cause::Asked);
                }
                let actor = self.actor.to_owned();
                if let Some(version) = self.record.version_mut(id) {
                    version.expiry_asked_by = Some(actor);
                }
            }
            _ => self.transit(id, VersionState::Expiring, if now { Cause::Now } else { Cause::Asked }),
        }
        Ok(())
    }
}
