//! Finds the pins of a request: the version ids that its header, its query and its cookies name.
//! Everything here reads bytes that a client chose, without allocating unless a value is escaped.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::percent_decode;

use crate::config::model::Skew;

/// The pins of one request, by rank.
#[derive(Debug, Clone, Default)]
pub struct Pins<'r> {
    /// The value of the pinning request header.
    pub header: Option<&'r str>,
    /// The value of the pinning query parameter.
    pub query: Option<Cow<'r, str>>,
    /// The request's headers and the cookie's name, from which cookie pins are read on demand.
    cookies: Option<(&'r HeaderMap, &'r str)>,
}

impl<'r> Pins<'r> {
    /// Reads the pins of a request.
    #[must_use]
    pub fn of(headers: &'r HeaderMap, query: Option<&'r str>, skew: &'r Skew) -> Self {
        Self {
            header: headers
                .get(&skew.header)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
                .filter(|value| !value.is_empty()),
            query: query.and_then(|query| query_value(query, &skew.query)),
            cookies: headers
                .contains_key(http::header::COOKIE)
                .then_some((headers, skew.cookie.name.as_str())),
        }
    }

    /// The values of the pinning cookie, in the order of the request. HTTP/2 clients may split
    /// `Cookie` into several lines (RFC 9113, 8.2.3); all of them are read.
    pub fn cookies(&self) -> impl Iterator<Item = &'r str> + use<'r> {
        self.cookies
            .into_iter()
            .flat_map(|(headers, name)| headers.get_all(http::header::COOKIE).iter().map(move |v| (v, name)))
            .flat_map(|(value, name)| cookie_values(value.as_bytes(), name))
    }
}

/// The values of the cookie `name` in one `Cookie` line (RFC 6265, 4.2): pairs divided by `;`,
/// names compared byte by byte, one pair of quotes removed. What is not UTF-8 names no version.
pub fn cookie_values<'r, 'n>(line: &'r [u8], name: &'n str) -> impl Iterator<Item = &'r str> + use<'r, 'n> {
    line.split(|byte| *byte == b';').filter_map(move |pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        let value = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
        let value = match value {
            [b'"', inner @ .., b'"'] => inner,
            bare => bare,
        };
        std::str::from_utf8(value).ok().filter(|value| !value.is_empty())
    })
}

/// The first value of the query parameter `name`, percent-decoded.
#[must_use]
pub fn query_value<'r>(query: &'r str, name: &str) -> Option<Cow<'r, str>> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let matches = key == name || (key.contains('%') && decode(key) == name);
        (matches && !value.is_empty()).then(|| decode(value))
    })
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode(text.as_bytes()).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<String> {
        cookie_values(line.as_bytes(), "__plt_dpl").map(str::to_owned).collect()
    }

    #[test]
    fn cookies_are_found_among_others() {
        let cases: &[(&str, &[&str])] = &[
            ("__plt_dpl=v1", &["v1"]),
            ("a=b; __plt_dpl=v1; c=d", &["v1"]),
            ("a=b;__plt_dpl=v1", &["v1"]),
            ("__plt_dpl=\"v1\"", &["v1"]),
            ("__plt_dpl = v1", &["v1"]),
            ("__plt_dpl=v1; __plt_dpl=v2", &["v1", "v2"]),
            ("x__plt_dpl=v1", &[]),
            ("__plt_dplx=v1", &[]),
            ("__PLT_DPL=v1", &[]),
            ("__plt_dpl", &[]),
            ("__plt_dpl=", &[]),
            ("a=__plt_dpl=v1", &[]),
            (";;; ;__plt_dpl=v1;", &["v1"]),
            ("__plt_dpl=\"", &["\""]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(values(line), *expected, "{line}");
        }
    }

    #[test]
    fn sixteen_kib_of_junk_hides_nothing() {
        let junk = "k=v; ".repeat(16 * 1024 / 5);
        assert_eq!(values(&format!("{junk}__plt_dpl=v7; {junk}")), ["v7"]);
        assert!(cookie_values(&[0xff; 16 * 1024], "__plt_dpl").next().is_none());
    }

    #[test]
    fn query_values_are_decoded() {
        let cases = [
            ("dpl=v1", Some("v1")),
            ("a=b&dpl=v1&dpl=v2", Some("v1")),
            ("dpl=v%31", Some("v1")),
            ("%64pl=v1", Some("v1")),
            ("xdpl=v1", None),
            ("dpl", None),
            ("dpl=", None),
            ("", None),
            ("a=dpl=v1", None),
        ];
        for (query, expected) in cases {
            assert_eq!(query_value(query, "dpl").as_deref(), expected, "{query}");
        }
    }
}
