//! From the head of a request to the version that serves it.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;
use pingora::http::RequestHeader;

use super::context::Routed;
use super::hygiene;
use crate::config::model::Preview;
use crate::reason::Reason;
use crate::routing::pins::Pins;
use crate::routing::{AppRoute, RoutingTable, VersionRoute, Visit, decide, host, page};

/// The header in which previews of staged versions are asked for (`preview: token`).
pub const PREVIEW_HEADER: &str = "x-lockstep-preview";

/// A request that no version serves.
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// What a 409 tells about the versions.
    pub conflict: Option<Conflict>,
    /// The app that it was for, if it got that far.
    pub app: Option<Arc<AppRoute>>,
    /// The version that was chosen, if it got that far, and could not serve.
    pub version: Option<Arc<VersionRoute>>,
}

/// The versions that a 409 names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The version that the client is pinned to.
    pub pinned: String,
    /// The active one.
    pub latest: Option<String>,
}

/// Finds the app and decides on the version.
///
/// # Errors
/// [`Refused`], if there is no such app, or none of its versions may serve.
pub fn route(table: &RoutingTable, request: &RequestHeader) -> Result<Routed, Box<Refused>> {
    let nowhere = || Refused { reason: Reason::NoRoute, conflict: None, app: None, version: None };
    let app = find(table, request).ok_or_else(|| Box::new(nowhere()))?;
    let pins = Pins::of(&request.headers, request.uri.query(), app.skew());
    let visit = Visit {
        method: &request.method,
        page_load: page::is_page_load(&request.method, &request.headers),
        preview: may_preview(&app.skew().preview, &request.headers),
        stale: table.is_stale(),
        draw: if app.has_canary() { rand::random() } else { 0 },
    };
    let decision = decide(app, &pins, visit).map_err(|rejection| {
        let conflict = (rejection.reason == Reason::PinExpired).then(|| Conflict {
            pinned: rejection.pinned.map(ToString::to_string).unwrap_or_default(),
            latest: app.active().map(|active| active.id().to_string()),
        });
        let (app, version) = (Some(Arc::clone(app)), rejection.chosen.cloned());
        Box::new(Refused { reason: rejection.reason, conflict, app, version })
    })?;
    Ok(Routed {
        app: Arc::clone(app),
        version: Arc::clone(decision.version),
        reason: decision.reason,
        pinning: decision.pinning,
        skew: decision.skew,
        page_load: visit.page_load,
    })
}

/// The app that answers for a request.
fn find<'t>(table: &'t RoutingTable, request: &RequestHeader) -> Option<&'t Arc<AppRoute>> {
    let host = match hygiene::authority(request) {
        Some(authority) => host::normalize(authority)?,
        None => Cow::Borrowed(""),
    };
    table.route(&host, request.uri.path())
}

fn may_preview(preview: &Preview, headers: &HeaderMap) -> bool {
    match preview {
        Preview::Closed => false,
        Preview::Open => true,
        Preview::Token(token) => {
            headers.get(PREVIEW_HEADER).is_some_and(|given| token.matches(given.as_bytes()))
        }
    }
}
