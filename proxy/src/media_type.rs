//! What a `Content-Type` says, where calls, records and the tee have to know.

/// Kinds of text that are not below `text/`: as a subtype, or as the end of one (RFC 6839).
const TEXT: [&str; 6] = ["json", "xml", "x-www-form-urlencoded", "javascript", "x-ndjson", "graphql"];

/// The media type without its parameters (RFC 9110, 8.3.1), in small letters.
pub(crate) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether it is one of text.
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type);
    let ends_in = |kind: &str| essence.strip_suffix(kind).is_some_and(|rest| rest.ends_with(['/', '+', '-']));
    essence.starts_with("text/") || TEXT.iter().any(|kind| ends_in(kind))
}

/// Whether it is one of JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    essence(content_type).ends_with("json")
}

/// Whether it is that of a stream of events.
pub(crate) fn is_events(content_type: &str) -> bool {
    essence(content_type) == "text/event-stream"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_capitals_say_nothing() {
        for (content_type, text, json, events) in [
            ("application/json", true, true, false),
            ("Application/Problem+JSON; charset=utf-8", true, true, false),
            (" text/event-stream ;charset=utf-8", true, false, true),
            ("text/event-streams", true, false, false),
            ("multipart/form-data; boundary=text/event-stream", false, false, false),
            ("audio/mpeg", false, false, false),
            ("", false, false, false),
        ] {
            let told = (is_text(content_type), is_json(content_type), is_events(content_type));
            assert_eq!(told, (text, json, events), "{content_type}");
        }
    }
}
