//! Section `skew`, and the same keys in an app.

use std::time::Duration;

use http::HeaderName;

use super::cursor::Cursor;
use super::mapping::Mapping;
use super::model::{Cookie, Navigation, OnExpired, OnUnhealthy, Preview, SameSite, Secure, Skew};
use super::value::{choice, quoted};
use super::{cookie, policy, secret};
use lockstep_controller::Policy;

pub(super) const KEYS: &[&str] = &[
    "cookie",
    "header",
    "query",
    "query_on_navigation",
    "navigation",
    "on_expired",
    "on_unhealthy",
    "preview",
    "response_headers",
    "ready",
    "grace",
    "idle_window",
    "max_alive",
    "max_versions",
    "expire_policy",
    "webhook",
    "cleanup",
    "requires_approval",
    "mode",
];

pub(super) const NAVIGATION: &[(&str, Navigation)] =
    &[("pinned", Navigation::Pinned), ("latest", Navigation::Latest)];

pub(super) const ON_EXPIRED: &[(&str, OnExpired)] = &[
    ("active", OnExpired::Active),
    ("reject_unsafe", OnExpired::RejectUnsafe),
    ("reject", OnExpired::Reject),
];

pub(super) const ON_UNHEALTHY: &[(&str, OnUnhealthy)] =
    &[("fail", OnUnhealthy::Fail), ("active", OnUnhealthy::Active)];

/// Headers that mean something else to clients, to origins or to us.
const TAKEN_HEADERS: &[&str] = &[
    "accept",
    "accept-encoding",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "purpose",
    "range",
    "referer",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-request-id",
];

const TAKEN_PREFIXES: &[&str] = &["x-forwarded-", "x-lockstep-", "sec-", "access-control-", "if-"];

/// What an app gets unless it says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Defaults {
    pub(super) skew: Skew,
    pub(super) policy: Policy,
}

#[derive(Clone, Copy)]
enum Access {
    Closed,
    Open,
    Token,
}

impl Defaults {
    pub(super) fn built_in() -> Self {
        let skew = Skew {
            cookie: Cookie {
                name: String::from("__plt_dpl"),
                max_age: Duration::from_hours(12),
                same_site: SameSite::Lax,
                secure: Secure::Auto,
                http_only: true,
            },
            header: HeaderName::from_static("x-deployment-id"),
            query: String::from("dpl"),
            query_on_navigation: false,
            navigation: Navigation::Pinned,
            on_expired: OnExpired::Active,
            on_unhealthy: OnUnhealthy::Fail,
            preview: Preview::Closed,
            response_headers: true,
        };
        Self { skew, policy: Policy::default() }
    }
}

/// Reads the keys that are given over `defaults`.
pub(super) fn read(map: &Mapping<'_>, defaults: &Defaults) -> Defaults {
    let Defaults { skew, policy } = defaults;
    let skew = Skew {
        cookie: cookie::read(map, &skew.cookie),
        header: map.or("header", skew.header.clone(), header),
        query: map.or("query", skew.query.clone(), query),
        query_on_navigation: map.flag("query_on_navigation", skew.query_on_navigation),
        navigation: map.or("navigation", skew.navigation, choice(NAVIGATION)),
        on_expired: map.or("on_expired", skew.on_expired, choice(ON_EXPIRED)),
        on_unhealthy: map.or("on_unhealthy", skew.on_unhealthy, choice(ON_UNHEALTHY)),
        preview: map.get("preview").and_then(|at| preview(&at)).unwrap_or_else(|| skew.preview.clone()),
        response_headers: map.flag("response_headers", skew.response_headers),
    };
    Defaults { skew, policy: policy::read(map, policy) }
}

fn header(text: &str) -> Result<HeaderName, String> {
    let name = text.parse::<HeaderName>().map_err(|_| {
        format!("{} is not the name of a header; write one such as x-deployment-id", quoted(text))
    })?;
    let taken = TAKEN_HEADERS.contains(&name.as_str())
        || TAKEN_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    if taken {
        return Err(format!(
            "the header {name} has another meaning; write one of your own, such as x-deployment-id"
        ));
    }
    Ok(name)
}

fn query(text: &str) -> Result<String, String> {
    let valid = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    valid.then(|| text.to_owned()).ok_or_else(|| {
        format!("{} is not the name of a query parameter; write 1 to 64 of A-Z a-z 0-9 - . _ ~", quoted(text))
    })
}

/// Taken as a whole, so that an app that opens its previews inherits no token by accident.
fn preview(at: &Cursor<'_>) -> Option<Preview> {
    let words = [("closed", Access::Closed), ("open", Access::Open), ("token", Access::Token)];
    let map = at.mapping(&[&["access", "token"]]);
    let access = map.required("access").and_then(|at| at.parse(choice(&words)));
    let token = map.get("token").map(|at| (secret::token(&at), at));
    match (access?, token) {
        (Access::Token, Some((secret, _))) => secret.map(Preview::Token),
        (Access::Token, None) => map.required("token").and(None),
        (_, Some((_, at))) => {
            at.error("has an effect with access: token only");
            None
        }
        (Access::Closed, None) => Some(Preview::Closed),
        (Access::Open, None) => Some(Preview::Open),
    }
}
