//! The cookie map: host to app, version id to peer.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{COOKIE as COOKIE_HEADER, HOST};
use http::{HeaderMap, HeaderValue};
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;

use crate::cli::BareOptions;
use crate::error::{Context as _, Failure, Result};
use crate::layout::{COOKIE, Layout, host, set_cookie, version};

const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// As many as Lockstep has on a connection to a provider.
const STREAMS_PER_CONNECTION: usize = 100;

/// All apps by host.
pub(super) struct Table(HashMap<String, App>);

struct App {
    active: Arc<Version>,
    versions: HashMap<String, Arc<Version>>,
}

/// What a request to a version needs.
pub(super) struct Version {
    /// The peer to clone.
    pub(super) peer: HttpPeer,
    /// The value of the version header.
    pub(super) id: HeaderValue,
    /// The value of the cookie header.
    pub(super) cookie: HeaderValue,
}

/// The version of one request.
pub(super) struct Choice {
    /// The version.
    pub(super) version: Arc<Version>,
    /// Whether the visitor was pinned to it.
    pub(super) pinned: bool,
}

impl Table {
    /// The table for a layout.
    ///
    /// # Errors
    /// If a header value cannot be made, or an app has no version.
    pub(super) fn new(options: &BareOptions) -> Result<Self> {
        let layout = Layout { apps: options.apps, versions: options.versions };
        let apps = layout.apps().map(|app| Ok((host(app), App::new(app, layout, options)?)));
        Ok(Self(apps.collect::<Result<_>>()?))
    }

    /// The version for a request, if it is for an app.
    pub(super) fn choose(&self, request: &RequestHeader) -> Option<Choice> {
        let header = request.headers.get(HOST).and_then(|host| host.to_str().ok());
        // HTTP/2 names it in the URI.
        let host = header.or_else(|| request.uri.host())?;
        let app = self.0.get(host.split(':').next()?)?;
        let pinned = pin(&request.headers).and_then(|pin| app.versions.get(pin));
        let version = Arc::clone(pinned.unwrap_or(&app.active));
        Some(Choice { version, pinned: pinned.is_some() })
    }
}

impl App {
    fn new(app: usize, layout: Layout, options: &BareOptions) -> Result<Self> {
        let mut versions = HashMap::new();
        for (number, origin) in layout.versions().zip(options.origins.iter().cycle()) {
            versions
                .insert(version(number), Arc::new(Version::new(app, number, *origin, options.origin_http2)?));
        }
        let active = versions.get(&layout.active()).map(Arc::clone);
        let active = active.ok_or_else(|| Failure::new("an app needs a version"))?;
        Ok(Self { active, versions })
    }
}

impl Version {
    fn new(app: usize, number: usize, origin: SocketAddr, http2: bool) -> Result<Self> {
        let mut peer = HttpPeer::new(origin, false, String::new());
        // No two versions share connections, as behind every other contender.
        let mut hasher = DefaultHasher::new();
        (app, number).hash(&mut hasher);
        peer.group_key = hasher.finish();
        peer.options.idle_timeout = Some(IDLE_TIMEOUT);
        if http2 {
            peer.options.set_http_version(2, 2);
            peer.options.max_h2_streams = STREAMS_PER_CONNECTION;
        }
        let value =
            |text: String| HeaderValue::try_from(&text).context(|| format!("no header value: {text}"));
        let id = version(number);
        Ok(Self { peer, cookie: value(set_cookie(&id))?, id: value(id)? })
    }
}

fn pin(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE_HEADER).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim_start().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_pin_among_other_cookies() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE_HEADER, HeaderValue::from_static("a=1; x__plt_dpl=v7"));
        assert_eq!(pin(&headers), None);
        headers.append(COOKIE_HEADER, HeaderValue::from_static("b=2; __plt_dpl=v3; c=4"));
        assert_eq!(pin(&headers), Some("v3"));
    }
}
