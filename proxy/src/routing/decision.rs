//! The decision at the heart of skew protection: which version serves a request, and whether the
//! visitor is pinned by it. A pure function of the app's route and what the request says, so that
//! its table of cases is its test.

use std::sync::Arc;

use http::Method;
use lockstep_controller::{VersionId, VersionState};

use super::pins::Pins;
use super::table::{AppRoute, Named, VersionRoute};
use crate::config::model::{Navigation, OnUnhealthy};
use crate::reason::Reason;

/// What the decision needs to know of a request besides its pins.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'r> {
    /// Its method.
    pub method: &'r Method,
    /// Whether it loads a page.
    pub page_load: bool,
    /// Whether it may reach staged versions (`skew.preview`).
    pub preview: bool,
    /// Whether this replica's snapshot is stale: ids that it doesn't know may be new ones.
    pub stale: bool,
    /// A number that is even over all requests, for the canary share.
    pub draw: u32,
}

/// The version that serves a request.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'t> {
    /// The version.
    pub version: &'t Arc<VersionRoute>,
    /// Why this one.
    pub reason: Reason,
    /// Whether the response pins the visitor to it.
    pub pinning: Pinning,
    /// The pin that could not be honoured, for `x-lockstep-skew`.
    pub skew: Option<Skew>,
}

/// Whether the response carries the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinning {
    /// It doesn't.
    Leave,
    /// It does: the visitor is new, or the pin is served no more, or a page load renews it.
    Pin,
}

/// Why a pin could not be honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// Its version has expired.
    Expired,
    /// No version of that id is known.
    Unknown,
}

/// A request that no version serves.
#[derive(Debug, Clone, Copy)]
pub struct Rejection<'t> {
    /// Why.
    pub reason: Reason,
    /// The version that the request was pinned to.
    pub pinned: Option<&'t VersionId>,
    /// The version that was chosen and can't serve.
    pub chosen: Option<&'t Arc<VersionRoute>>,
}

/// Where a pin came from, by rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Header,
    Query,
    Cookie,
}

/// What the pins of a request amount to.
enum Pinned<'t> {
    /// To a version that is served.
    To(&'t Arc<VersionRoute>, Source),
    /// To one that has expired.
    Expired(&'t VersionId, Source),
    /// To nothing that the app knows, although there were pins, or to none at all.
    Nothing,
}

/// Chooses the version that serves a request.
///
/// # Errors
/// A [`Rejection`] when the policy rejects the pin, or nothing can serve.
pub fn decide<'t>(
    app: &'t AppRoute,
    pins: &Pins<'_>,
    visit: Visit<'_>,
) -> Result<Decision<'t>, Rejection<'t>> {
    let mut unknown = false;
    match strongest(app, pins, visit, &mut unknown) {
        Pinned::To(version, source) => {
            let skew = unknown.then_some(Skew::Unknown);
            honour(app, version, source, visit).map(|decision| Decision { skew, ..decision })
        }
        Pinned::Expired(version, source) => expired(app, version, source, visit),
        Pinned::Nothing => unpinned(app, unknown, visit),
    }
}

/// Asks the pins by rank. The first that names a version of this app decides.
fn strongest<'t>(app: &'t AppRoute, pins: &Pins<'_>, visit: Visit<'_>, unknown: &mut bool) -> Pinned<'t> {
    let query_counts = !visit.page_load || app.skew().query_on_navigation;
    let query = pins.query.as_deref().filter(|_| query_counts);
    let ranked = pins
        .header
        .map(|id| (id, Source::Header))
        .into_iter()
        .chain(query.map(|id| (id, Source::Query)))
        .chain(pins.cookies().map(|id| (id, Source::Cookie)));
    for (id, source) in ranked {
        match app.find(id) {
            Named::Served(version) if reachable(app, version, visit) => {
                return Pinned::To(version, source);
            }
            Named::Gone(version) => return Pinned::Expired(version, source),
            Named::Served(_) | Named::Unknown => *unknown = true,
        }
    }
    Pinned::Nothing
}

/// Whether a pin may lead to a version that is alive.
fn reachable(app: &AppRoute, version: &VersionRoute, visit: Visit<'_>) -> bool {
    match version.state() {
        VersionState::Pending => version.pool().is_usable(),
        VersionState::Staged if visit.preview => true,
        _ => app.honours(version),
    }
}

/// Serves a pin to a version that is alive.
fn honour<'t>(
    app: &'t AppRoute,
    version: &'t Arc<VersionRoute>,
    source: Source,
    visit: Visit<'_>,
) -> Result<Decision<'t>, Rejection<'t>> {
    let active = app.active();
    let is_active = active.is_some_and(|active| active.id() == version.id());
    if let Some(active) = active
        && supersedes(app, version, source, visit)
        && active.pool().is_usable()
    {
        return Ok(Decision::new(active, Reason::Latest, Pinning::Pin));
    }
    if !version.pool().is_usable() {
        return match (app.skew().on_unhealthy, active) {
            // The pin stays: its version is alive and may have endpoints again.
            (OnUnhealthy::Active, Some(active)) if !is_active && active.pool().is_usable() => {
                Ok(Decision::new(active, Reason::Unhealthy, Pinning::Leave))
            }
            _ => Err(Rejection {
                reason: Reason::NoEndpoint,
                pinned: Some(version.id()),
                chosen: Some(version),
            }),
        };
    }
    let renews = is_active && visit.page_load && source == Source::Cookie;
    let pinning = if renews { Pinning::Pin } else { Pinning::Leave };
    Ok(Decision::new(version, source.reason(), pinning))
}

/// Whether `navigation: latest` takes this page load away from its version. Only what an active
/// version superseded is left: staged versions are there to be looked at.
fn supersedes(app: &AppRoute, version: &VersionRoute, source: Source, visit: Visit<'_>) -> bool {
    visit.page_load
        && app.skew().navigation == Navigation::Latest
        && source == Source::Cookie
        && version.state() == VersionState::Draining
        && !app.is_canary(version)
}

/// Serves a pin to a version that has expired.
fn expired<'t>(
    app: &'t AppRoute,
    version: &'t VersionId,
    source: Source,
    visit: Visit<'_>,
) -> Result<Decision<'t>, Rejection<'t>> {
    let rejected = app.skew().on_expired.rejects(visit.method, visit.page_load);
    if rejected {
        return Err(Rejection { reason: Reason::PinExpired, pinned: Some(version), chosen: None });
    }
    // A stale header or query says nothing about the cookie, which other tabs share.
    let pinning = if source == Source::Cookie { Pinning::Pin } else { Pinning::Leave };
    let decision = serve_active(app, Reason::Expired, pinning)?;
    Ok(Decision { skew: Some(Skew::Expired), ..decision })
}

/// Serves a visitor whom no pin binds.
fn unpinned<'t>(app: &'t AppRoute, unknown: bool, visit: Visit<'_>) -> Result<Decision<'t>, Rejection<'t>> {
    if unknown && visit.stale {
        // The id may be one that this replica has not learned yet: the pin must survive.
        let decision = serve_active(app, Reason::Unknown, Pinning::Leave)?;
        return Ok(Decision { skew: Some(Skew::Unknown), ..decision });
    }
    if let Some(version) = app.canary_for(visit.draw) {
        let skew = unknown.then_some(Skew::Unknown);
        return Ok(Decision { skew, ..Decision::new(version, Reason::Canary, Pinning::Pin) });
    }
    let reason = if unknown { Reason::Unknown } else { Reason::Active };
    let decision = serve_active(app, reason, Pinning::Pin)?;
    Ok(Decision { skew: unknown.then_some(Skew::Unknown), ..decision })
}

fn serve_active(app: &AppRoute, reason: Reason, pinning: Pinning) -> Result<Decision<'_>, Rejection<'_>> {
    let none = Rejection { reason: Reason::NoVersion, pinned: None, chosen: None };
    let active = app.active().ok_or(none)?;
    if !active.pool().is_usable() {
        return Err(Rejection { reason: Reason::NoEndpoint, chosen: Some(active), ..none });
    }
    Ok(Decision::new(active, reason, pinning))
}

impl<'t> Decision<'t> {
    fn new(version: &'t Arc<VersionRoute>, reason: Reason, pinning: Pinning) -> Self {
        Self { version, reason, pinning, skew: None }
    }
}

impl Skew {
    /// The value of `x-lockstep-skew`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Unknown => "unknown",
        }
    }
}

impl Source {
    const fn reason(self) -> Reason {
        match self {
            Self::Header => Reason::Header,
            Self::Query => Reason::Query,
            Self::Cookie => Reason::Cookie,
        }
    }
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
