//! How long a provider asks to be left alone, in all the forms in which it may say so.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

use crate::ai::errors::RETRY_AFTER_MS;

/// Beyond it all waits are alike.
const MOST: Duration = Duration::from_hours(24);

/// The wait that headers ask for: `retry-after-ms`, else `Retry-After` in seconds or as a date.
#[must_use]
pub fn of(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let milliseconds = text(RETRY_AFTER_MS).and_then(number).map(|ms| ms / 1000.0);
    let seconds = milliseconds.or_else(|| {
        let given = text(RETRY_AFTER)?;
        number(given).or_else(|| until(given, now))
    })?;
    Duration::try_from_secs_f64(seconds.max(0.0)).ok().map(|wait| wait.min(MOST)).or(Some(MOST))
}

/// Seconds to an HTTP date (RFC 9110, 5.6.7), which is one of RFC 2822 in its preferred form.
fn until(date: &str, now: Timestamp) -> Option<f64> {
    let at = rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(at.duration_since(now).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let now = "2026-11-23T17:00:00Z".parse().unwrap();
        let cases = [
            (vec![("retry-after", "2")], Some(2.0)),
            (vec![("retry-after", "0.5")], Some(0.5)),
            (vec![("retry-after", "-3")], Some(0.0)),
            (vec![("retry-after", "Mon, 23 Nov 2026 17:00:30 GMT")], Some(30.0)),
            (vec![("retry-after", "Mon, 23 Nov 2026 16:00:00 GMT")], Some(0.0)),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "1e300")], Some(86400.0)),
            (vec![("retry-after", "9"), ("retry-after-ms", "250")], Some(0.25)),
            (vec![], None),
        ];
        for (given, expected) in cases {
            let fields = given.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers = HeaderMap::from_iter(fields);
            assert_eq!(of(&headers, now).map(|wait| wait.as_secs_f64()), expected, "{given:?}");
        }
    }
}
