//! Tells page loads from everything else a browser asks for.

use http::{HeaderMap, Method, header};

/// Whether the request loads a page: `Sec-Fetch-Mode: navigate` with `Sec-Fetch-Dest: document`
/// (W3C Fetch Metadata), or, from clients that send no `Sec-Fetch-*`, a GET that accepts
/// `text/html`. Prefetches are no page loads.
#[must_use]
pub fn is_page_load(method: &Method, headers: &HeaderMap) -> bool {
    if is_prefetch(headers) {
        return false;
    }
    let mode = headers.get("sec-fetch-mode");
    let destination = headers.get("sec-fetch-dest");
    if mode.is_some() || destination.is_some() {
        return mode.is_some_and(|mode| mode == "navigate")
            && destination.is_some_and(|destination| destination == "document");
    }
    *method == Method::GET
        && headers.get_all(header::ACCEPT).iter().any(|accept| accepts_html(accept.as_bytes()))
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose"].iter().any(|name| {
        headers
            .get(*name)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.to_ascii_lowercase().contains("prefetch"))
    })
}

fn accepts_html(accept: &[u8]) -> bool {
    accept.split(|byte| *byte == b',').any(|range| {
        let media_type = range.split(|byte| *byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(b"text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_load(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect();
        is_page_load(method, &headers)
    }

    #[test]
    fn page_loads_are_told_from_the_rest() {
        let navigate = ("sec-fetch-mode", "navigate");
        let document = ("sec-fetch-dest", "document");
        let html = ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
        assert!(page_load(&Method::GET, &[navigate, document]));
        assert!(page_load(&Method::POST, &[navigate, document]));
        assert!(!page_load(&Method::GET, &[navigate, ("sec-fetch-dest", "iframe")]));
        assert!(!page_load(&Method::GET, &[("sec-fetch-mode", "cors"), html]));
        assert!(!page_load(&Method::GET, &[document, html]));
        assert!(page_load(&Method::GET, &[html]));
        assert!(page_load(&Method::GET, &[("accept", "TEXT/HTML;q=0.1")]));
        assert!(!page_load(&Method::HEAD, &[html]));
        assert!(!page_load(&Method::POST, &[html]));
        assert!(!page_load(&Method::GET, &[("accept", "*/*")]));
        assert!(!page_load(&Method::GET, &[]));
        assert!(!page_load(&Method::GET, &[navigate, document, ("sec-purpose", "prefetch;prerender")]));
        assert!(!page_load(&Method::GET, &[html, ("purpose", "prefetch")]));
    }
}
