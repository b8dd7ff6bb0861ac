//! Brings the host of a request into the form in which the table is keyed.

use std::borrow::Cow;

/// The longest host name (RFC 1035, 2.3.4), with room for a trailing dot.
const MAX_HOST: usize = 254;

/// The host of an authority (`host`, `host:port`, `[v6]:port`) in lower case, without port and
/// trailing dot, in its ASCII form. `None` if it can't be a host.
#[must_use]
pub fn normalize(authority: &str) -> Option<Cow<'_, str>> {
    let host = strip_port(authority)?;
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.len() > MAX_HOST {
        return None;
    }
    if host.is_ascii() {
        if !host.starts_with('[')
            && !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return None;
        }
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Some(Cow::Owned(host.to_ascii_lowercase()));
        }
        return Some(Cow::Borrowed(host));
    }
    idna::domain_to_ascii(host).ok().filter(|host| !host.is_empty()).map(Cow::Owned)
}

fn strip_port(authority: &str) -> Option<&str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let end = rest.find(']')?;
        return authority.get(..end + 2);
    }
    match authority.split_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(host),
        Some(_) => None,
        None => Some(authority),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_normalized() {
        let cases = [
            ("shop.example.com", Some("shop.example.com")),
            ("SHOP.Example.com:8080", Some("shop.example.com")),
            ("shop.example.com.", Some("shop.example.com")),
            ("shop.example.com.:80", Some("shop.example.com")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("[::1]:8080", Some("[::1]")),
            ("127.0.0.1:80", Some("127.0.0.1")),
            ("", None),
            (".", None),
            (":80", None),
            ("a:b", None),
            ("evil.com/x.shop.test", None),
            ("a b.shop.test", None),
            ("a,b.shop.test", None),
            ("[::1", None),
        ];
        for (authority, expected) in cases {
            assert_eq!(normalize(authority).as_deref(), expected, "{authority}");
        }
        assert_eq!(normalize(&"a".repeat(300)), None);
    }
}
