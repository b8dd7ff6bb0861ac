//! Hosts and paths that apps answer for.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::value::quoted;
use crate::routing::host;

/// A host, or all names below one (`*.example.com`), in ASCII and lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPattern(String);

/// A path prefix: `/`, or segments without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPrefix(String);

// === impl HostPattern ===

impl HostPattern {
    /// `shop.example.com` or `*.shop.example.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a host (normalized) is meant.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix("*.") {
            Some(parent) => {
                host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
            None => self.0 == host,
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            let allowed =
                "write a host such as shop.example.com or *.example.com, without scheme, port and path";
            format!("{} is not a host; {allowed}", quoted(text))
        };
        let (prefix, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
        let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        if let (Some(address), "") = (literal, prefix) {
            let address = address.parse::<std::net::Ipv6Addr>().map_err(|_| refuse())?;
            return Ok(Self(format!("[{address}]")));
        }
        if name.contains(':') {
            return Err(refuse());
        }
        let name = host::normalize(name).ok_or_else(refuse)?;
        let valid = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if name.split('.').all(valid) { Ok(Self(format!("{prefix}{name}"))) } else { Err(refuse()) }
    }
}

impl Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl PathPrefix ===

impl PathPrefix {
    /// The prefix of every path.
    #[must_use]
    pub fn root() -> Self {
        Self(String::from("/"))
    }

    /// `/` or, for example, `/shop`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PathPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "/" {
            return Ok(Self::root());
        }
        // It is also sent as the `Path` of a cookie, which ends at a semicolon.
        let valid = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#;,\"\\<>".contains(&byte))
        };
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        match trimmed.strip_prefix('/') {
            Some(segments) if segments.split('/').all(valid) => Ok(Self(trimmed.to_owned())),
            _ => Err(format!(
                "{} is not a path prefix; write / or a path such as /shop, percent-encoded, without empty \
                 segments, `.`, `..`, query and fragment",
                quoted(text)
            )),
        }
    }
}

impl Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_one_label_or_more() {
        let cases = [
            ("api.example.com", "api.example.com", true),
            ("api.example.com", "x.api.example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "badexample.com", false),
        ];
        for (pattern, host, expected) in cases {
            assert_eq!(pattern.parse::<HostPattern>().unwrap().matches(host), expected, "{pattern} {host}");
        }
    }
}
