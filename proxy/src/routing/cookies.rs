//! The pinning cookies of an app's versions (RFC 6265, 4.1): host-only, for the app's prefix. All but the version is
//! written once for the app.

use http::HeaderValue;
use lockstep_controller::VersionId;

use super::table::VersionHeaders;
use crate::config::model::{Cookie, SameSite, Secure};

/// What comes before and behind the version.
pub(super) struct Cookies {
    front: String,
    back: String,
    back_https: String,
}

impl Cookies {
    pub(super) fn new(cookie: &Cookie, path: &str) -> Self {
        Self {
            front: format!("{}=", cookie.name),
            back: attributes(cookie, path, false),
            back_https: attributes(cookie, path, true),
        }
    }

    /// The headers that name a version; nothing if a part of them can't be sent.
    pub(super) fn headers(&self, version: &VersionId) -> Option<VersionHeaders> {
        let cookie =
            |back: &String| HeaderValue::try_from([&self.front, version.as_str(), back].concat()).ok();
        Some(VersionHeaders {
            id: HeaderValue::from_str(version.as_str()).ok()?,
            cookie: cookie(&self.back)?,
            cookie_https: cookie(&self.back_https)?,
        })
    }
}

fn attributes(cookie: &Cookie, path: &str, https: bool) -> String {
    let secure = match cookie.secure {
        Secure::Auto => https,
        Secure::Always => true,
        Secure::Never => false,
    };
    let same_site = match cookie.same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
        SameSite::None => "None",
    };
    format!(
        "; Path={path}; Max-Age={}; SameSite={same_site}{}{}",
        cookie.max_age.as_secs(),
        if cookie.http_only { "; HttpOnly" } else { "" },
        if secure { "; Secure" } else { "" },
    )
}
