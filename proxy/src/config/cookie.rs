//! Key `cookie` of `skew` and of apps.

use std::time::Duration;

use super::mapping::Mapping;
use super::model::{Cookie, SameSite, Secure};
use super::value::{PathPrefix, choice, duration_in, quoted};

const KEYS: &[&str] = &["name", "max_age", "same_site", "secure", "http_only"];

pub(super) const SAME_SITE: &[(&str, SameSite)] =
    &[("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];

pub(super) const SECURE: &[(&str, Secure)] =
    &[("auto", Secure::Auto), ("always", Secure::Always), ("never", Secure::Never)];

/// Browsers keep no cookie longer (RFC 6265bis, 5.5).
const MAX_AGE: Duration = Duration::from_hours(400 * 24);

/// Reads the keys that are given over `defaults`.
pub(super) fn read(map: &Mapping<'_>, defaults: &Cookie) -> Cookie {
    let map = map.section("cookie", &[KEYS]);
    let cookie = Cookie {
        name: map.or("name", defaults.name.clone(), name),
        max_age: map.or("max_age", defaults.max_age, max_age),
        same_site: map.or("same_site", defaults.same_site, choice(SAME_SITE)),
        secure: map.or("secure", defaults.secure, choice(SECURE)),
        http_only: map.flag("http_only", defaults.http_only),
    };
    // Where nothing of it is given, the defaults were checked at their own place.
    let given = map.get("same_site").or_else(|| map.get("secure"));
    if let Some(at) = given
        && cookie.same_site == SameSite::None
        && cookie.secure == Secure::Never
    {
        at.error("same_site: none is ignored by browsers without Secure; set secure to auto or always");
    }
    if let Some(at) = map.get("name").or_else(|| map.get("secure"))
        && (has_prefix(&cookie.name, "__Host-") || has_prefix(&cookie.name, "__Secure-"))
        && cookie.secure != Secure::Always
    {
        at.error(format!(
            "the prefix of {} needs secure: always, or browsers refuse the cookie",
            quoted(&cookie.name)
        ));
    }
    cookie
}

/// Notes a cookie that browsers refuse at this path.
pub(super) fn check_path(app: &Mapping<'_>, cookie: &Cookie, path: &PathPrefix) {
    if let Some(at) = app.get("path")
        && has_prefix(&cookie.name, "__Host-")
        && *path != PathPrefix::root()
    {
        at.error(format!("the cookie {} is refused by browsers at any path but /", quoted(&cookie.name)));
    }
}

/// Browsers compare the prefix without regard to case.
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn name(text: &str) -> Result<String, String> {
    let valid = (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
    valid.then(|| text.to_owned()).ok_or_else(|| {
        format!(
            "{} is not the name of a cookie; write 1 to 128 of A-Z a-z 0-9 ! # $ % & ' * + - . ^ _ ` | ~",
            quoted(text)
        )
    })
}

fn max_age(text: &str) -> Result<Duration, String> {
    let age = duration_in(Duration::from_secs(1)..=MAX_AGE)(text)?;
    if age.subsec_nanos() == 0 { Ok(age) } else { Err(format!("{} is not in whole seconds", quoted(text))) }
}
