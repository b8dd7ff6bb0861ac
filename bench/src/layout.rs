//! Which apps and versions a contender is configured with, and how they are called.

/// The cookie that pins a visitor.
pub const COOKIE: &str = "__plt_dpl";
/// The attributes that every contender gives the cookie.
pub const COOKIE_ATTRIBUTES: &str = "Path=/; Max-Age=43200; HttpOnly; SameSite=Lax";
/// The response header by which a proxy names the version it chose.
pub const VERSION_HEADER: &str = "x-lockstep-version";
/// The response header by which an origin names the version it is.
pub const ORIGIN_HEADER: &str = "x-origin-version";

/// So many apps with so many versions each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Apps, each with a host of its own.
    pub apps: usize,
    /// Versions of each app; the last is the active one.
    pub versions: usize,
}

impl Layout {
    /// All versions of all apps.
    pub fn total(self) -> usize {
        self.apps * self.versions
    }

    /// Every app's number.
    pub fn apps(self) -> impl Iterator<Item = usize> {
        0..self.apps
    }

    /// Every version's number within an app.
    pub fn versions(self) -> impl DoubleEndedIterator<Item = usize> {
        0..self.versions
    }

    /// The id of the active version.
    pub fn active(self) -> String {
        version(self.versions.saturating_sub(1))
    }

    /// The app and version of the pin with this number, 0 to `total`.
    pub fn pin(self, number: usize) -> (usize, usize) {
        (number / self.versions, number % self.versions)
    }
}

/// The host of an app.
pub fn host(app: usize) -> String {
    format!("app{app}.test")
}

/// The id of a version.
pub fn version(number: usize) -> String {
    format!("v{}", number + 1)
}

/// The `Set-Cookie` value that pins to a version.
pub fn set_cookie(version: &str) -> String {
    format!("{COOKIE}={version}; {COOKIE_ATTRIBUTES}")
}
