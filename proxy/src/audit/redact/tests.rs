use proptest::prelude::*;
use serde_json::json;

use super::*;

fn redactor(pointers: &[&str], patterns: &[&str]) -> Redactor {
    Redactor::new(
        pointers.iter().map(|pointer| Pointer::parse(pointer).unwrap()).collect(),
        patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect(),
    )
}

const NUMBER: &str = r"\b\d{3}-\d{2}-\d{4}\b";

#[test]
fn pointers_name_values() {
    let cases = [
        ("/user", json!({"user": "x", "a": 1}), json!({"user": MASK, "a": 1})),
        ("/m/*/c", json!({"m": [{"c": 1}, {"d": 2}]}), json!({"m": [{"c": MASK}, {"d": 2}]})),
        ("/m/1", json!({"m": [1, 2]}), json!({"m": [1, MASK]})),
        ("/a~1b/c~0d", json!({"a/b": {"c~d": 1}}), json!({"a/b": {"c~d": MASK}})),
        ("/nothing", json!({"a": 1}), json!({"a": 1})),
    ];
    for (pointer, mut value, expected) in cases {
        redactor(&[pointer], &[]).value(&mut value);
        assert_eq!(value, expected, "{pointer}");
    }
    for text in ["", "user", "/a~", "/a~2"] {
        assert!(Pointer::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn patterns_find_texts_and_numbers_in_any_body() {
    let redactor = redactor(&[], &[NUMBER, r"^4\d{15}$"]);
    let cases = [
        (
            r#"{"a":["my 123-45-6789!"],"b":4111111111111111,"c":1}"#,
            Some(r#"{"a":["my [redacted]!"],"b":"[redacted]","c":1}"#),
        ),
        ("plain 123-45-6789", Some("plain [redacted]")),
        (r#"{ "kept" : "as it is" }"#, None),
        ("nothing", None),
    ];
    for (body, expected) in cases {
        let masked = redactor.body(&Bytes::from_static(body.as_bytes()), true);
        let expected =
            expected.map_or(Masked::Same, |text| Masked::Changed(Bytes::from_static(text.as_bytes())));
        assert_eq!(masked, expected, "{body}");
    }
}

/// JSON that is nested more deeply than anybody reads it.
fn deep(user: &str) -> String {
    format!(r#"{{"user":"{user}","a":{}1{}}}"#, "[".repeat(200), "]".repeat(200))
}

#[test]
fn what_pointers_may_name_and_nobody_can_read_is_hidden() {
    let redactor = redactor(&["/user"], &[NUMBER]);
    let same = Masked::Same;
    for (body, is_json, expected) in [
        (deep("anna").as_str(), false, Masked::Hidden),
        (" \n{\"user\":\"anna\"", false, Masked::Hidden),
        ("[{\"user\":\"anna\"}", false, Masked::Hidden),
        ("\u{feff}{\"user\":\"anna\"}", false, Masked::Hidden),
        ("// anna\n{\"user\":\"anna\"}", true, Masked::Hidden),
        ("{\"user\":\"anna\"}\n{\"user\":\"bert\"}", false, Masked::Hidden),
        ("", true, same.clone()),
        ("user=anna", false, same.clone()),
        ("{\"a\":1}", true, same.clone()),
    ] {
        assert_eq!(redactor.body(&Bytes::copy_from_slice(body.as_bytes()), is_json), expected, "{body}");
    }
    let patterns = super::tests::redactor(&[], &[NUMBER]);
    assert_eq!(patterns.body(&Bytes::from(deep("anna")), true), same, "nothing points into it");
}

#[test]
fn events_that_pointers_may_name_and_nobody_can_read_are_hidden() {
    let redactor = redactor(&["/user"], &[]);
    let long = format!("data: {{\"a\":\"{}\",\ndata: \"user\":\"anna\"}}\n\n", "x".repeat(600 * 1024));
    let next = "data: {\"user\":\"bert\"}\n\ndata: [DONE]\n\n";
    for stream in [format!("data: {}\n\n{next}", deep("anna")), long + next] {
        let masked = masked(&redactor, &stream, 64 * 1024);
        assert!(!masked.contains("anna") && !masked.contains("bert"), "{masked}");
        assert!(masked.contains("data: [redacted]\n"), "{}", masked.len());
        assert!(masked.ends_with("data: {\"user\":\"[redacted]\"}\n\ndata: [DONE]\n\n"), "{masked}");
    }
}

fn event(content: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {"content": content}}], "id": "x"}))
}

fn delivered(stream: &str) -> String {
    let events = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let values = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    values
        .map(|value| value["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn masked(redactor: &Redactor, stream: &str, size: usize) -> String {
    let mut mask = StreamMask::new(redactor.clone());
    let mut output = Vec::new();
    for chunk in stream.as_bytes().chunks(size) {
        mask.push(&Bytes::copy_from_slice(chunk));
        output.extend_from_slice(&mask.release());
    }
    output.extend_from_slice(&mask.finish());
    String::from_utf8(output).unwrap()
}

#[test]
fn several_patterns_mask_in_one_text() {
    let redactor = redactor(&[], &[NUMBER, r"[a-z.]+@[a-z.-]+", r"4567 and"]);
    let stream = event("mail anna.long.name@example-company.com, no 123-45-6789 nor 987-65-4567 and so on.");
    for size in [1, stream.len()] {
        let delivered = delivered(&masked(&redactor, &stream, size));
        assert_eq!(delivered, "mail [redacted], no [redacted] nor [redacted] so on.", "{size}");
    }
}

#[test]
fn choices_are_texts_of_their_own_wherever_they_stand() {
    let redactor = redactor(&[], &[NUMBER]);
    let choice = |index: u32, text: &str| json!({"index": index, "delta": {"content": text}});
    let events = [
        json!({"choices": [choice(0, "it is 123-"), choice(1, "Hi ")]}),
        json!({"choices": [choice(1, "there 12")]}),
        json!({"choices": [choice(0, "45-6789.")]}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "987-"}),
        json!({"type": "response.output_text.delta", "output_index": 1, "delta": "other"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "65-4321"}),
        // What only counts events says of no text which one it is.
        json!({"index": 1, "token": {"text": "321-"}}),
        json!({"index": 2, "token": {"text": "54-9876"}}),
    ];
    let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let masked = masked(&redactor, &stream, stream.len());
    for part in ["it is [redacted]", "there 12", "other"] {
        assert!(masked.contains(part), "{part}: {masked}");
    }
    for secret in ["123-", "6789", "987-", "4321", "321-", "9876"] {
        assert!(!masked.contains(secret), "{secret}: {masked}");
    }
}

#[test]
fn all_lines_of_an_event_are_masked() {
    let redactor = redactor(&[], &[NUMBER, r"^4\d{15}$"]);
    let stream = format!(
        ": 123-45-6789\nid: 7\nno: 123-45-6789\ndata: {{\"123-45-6789\":4111111111111111,\"n\":0.5}}\n\ndata: {}\n\n",
        "x".repeat(300 * 1024) + " 987-65-4321"
    );
    let masked = masked(&redactor, &stream, 64 * 1024);
    assert!(masked.starts_with(": [redacted]\nid: 7\nno: [redacted]\n"), "{}", &masked[..200]);
    assert!(masked.contains(r#"data: {"[redacted]":"[redacted]","n":0.5}"#), "{}", &masked[..200]);
    assert!(!masked.contains("987-65-4321"), "what is too long to be looked into is not shown");
}

#[test]
fn what_only_some_parsers_see_is_not_shown() {
    let redactor = redactor(&["/a/user"], &[NUMBER, r"^4\d{19}$"]);
    for (body, expected) in [
        (r#"{"m":[{"c":"123-45-6789","c":"hi"}]}"#, r#"{"m":[{"c":"hi"}]}"#),
        (r#"{"a":{"user":"x"},"a":1}"#, r#"{"a":1}"#),
        (
            r#"{"123-45-6789":{"123-45-6789":1},"987-65-4321":2,"a":3}"#,
            r#"{"[redacted]":{"[redacted]":1},"[redacted] 2":2,"a":3}"#,
        ),
        (r#"{"n":41111111111111111111,"t":0.7}"#, r#"{"n":"[redacted]","t":0.7}"#),
    ] {
        let masked = redactor.body(&Bytes::from_static(body.as_bytes()), true);
        assert_eq!(masked, Masked::Changed(Bytes::from_static(expected.as_bytes())), "{body}");
    }
}

#[test]
fn a_match_that_spans_events_is_masked() {
    let redactor = redactor(&["/id"], &[NUMBER]);
    let text = ["My number is 12", "3-", "45-678", "9, or 987-65-4321", " again"];
    let stream = text.map(event).concat() + "data: [DONE]\n\n";
    for size in [1, 7, stream.len()] {
        let masked = masked(&redactor, &stream, size);
        assert_eq!(delivered(&masked), "My number is [redacted], or [redacted] again");
        assert!(masked.ends_with("data: [DONE]\n\n") && !masked.contains("\"id\":\"x\""), "{masked}");
    }
}

#[test]
fn only_what_may_be_a_match_is_held_back() {
    for (pattern, released) in [
        (NUMBER, [("call ", "call "), ("123-45", ""), ("x é", "123-45x é"), ("12", "")]),
        ("a.*b", [("call ", ""), ("me", ""), ("b", ""), ("c", "")]),
    ] {
        let mut mask = StreamMask::new(redactor(&[], &[pattern]));
        for (pushed, expected) in released {
            mask.push(&Bytes::from(event(pushed)));
            let released = mask.release();
            assert_eq!(delivered(std::str::from_utf8(&released).unwrap()), expected, "{pattern} {pushed}");
        }
        mask.push(&Bytes::from(event(&"x".repeat(stream::WINDOW))));
        mask.push(&Bytes::from(event("x")));
        assert!(mask.release().len() > stream::WINDOW, "{pattern}: what is far behind is settled");
    }
    let mut mask = StreamMask::new(redactor(&["/user"], &[]));
    mask.push(&Bytes::from(event("123-45")));
    assert!(!mask.release().is_empty(), "pointers hold nothing back");
}

#[test]
fn a_pattern_knows_what_came_before_although_that_is_released() {
    for (pattern, pieces, expected) in [
        (r"\b\d{3}\b", ["x1", "23 4", "56 "], "x123 [redacted] "),
        (r"^\w+", ["ab ", "cd", " e"], "[redacted] cd e"),
        (r"\B1", ["x", "1", " 1"], "x[redacted] 1"),
    ] {
        let stream = pieces.map(event).concat();
        assert_eq!(delivered(&masked(&redactor(&[], &[pattern]), &stream, 1)), expected, "{pattern}");
    }
}

#[test]
fn a_text_that_is_whole_in_its_event_is_masked_in_it() {
    let stream = format!("data: {}\n\n", json!({"id": "123-45-6789", "choices": []}));
    for event in [stream.clone(), stream.repeat(2)] {
        let masked = masked(&redactor(&[], &[NUMBER]), &event, 1);
        assert!(!masked.contains("6789"), "{masked}");
    }
}

#[test]
fn streams_that_are_not_json_are_masked_event_by_event() {
    let redactor = redactor(&[], &[NUMBER]);
    let stream = ": note\n\nevent: x\ndata: call 123-45-6789\n\ndata: cut";
    assert_eq!(masked(&redactor, stream, 5), ": note\n\nevent: x\ndata: call [redacted]\n\ndata: cut\n\n");
}

#[test]
fn texts_that_are_all_of_an_events_data_are_one_text() {
    let redactor = redactor(&[], &[r"Jane\s+Doe", NUMBER]);
    let stream = "data: \"J\\u0061ne\\nDoe: 123-\"\n\ndata: \"45-6789, \\u00fc\"\n\ndata: 7\n\n";
    for size in [1, stream.len()] {
        let expected = "data: \"[redacted]: [redacted]\"\n\ndata: \", ü\"\n\ndata: 7\n\n";
        assert_eq!(masked(&redactor, stream, size), expected, "{size}");
    }
}

#[test]
fn the_beginning_of_a_body_does_not_end_in_that_of_a_match() {
    for (pattern, body, is_json, expected) in [
        (NUMBER, "a 123-45-6789 and 123-45-67", false, Some("a [redacted] and ")),
        (NUMBER, "nothing \u{20ac}", false, Some("nothing \u{20ac}")),
        (r"a.*b|b\d+", "1 a b2 c b3", false, Some("1 ")),
        ("b\\B", "1 bb", false, Some("1 [redacted]")),
        (NUMBER, "{\"user\":\"anna\"", false, None),
        (NUMBER, "anna", true, None),
    ] {
        let redactor = redactor(&["/user"], &[pattern]);
        let expected = expected.map_or(Masked::Hidden, |text| Masked::Changed(Bytes::from(text)));
        assert_eq!(redactor.beginning(&Bytes::from(body), is_json), expected, "{body}");
    }
    // What is written in escapes is not seen in JSON that can't be read.
    let redactor = redactor(&[], &["M\u{fc}ller"]);
    for body in [r#"{"a": "M\u00fcller", "b"#, r#"{"a": "M\u00fcller"}}"#] {
        assert_eq!(redactor.beginning(&Bytes::from(body), false), Masked::Hidden);
        assert_eq!(redactor.body(&Bytes::from(body), false), Masked::Hidden);
    }
    let cut = Bytes::from_static(b"cut \xe2\x82");
    let redactor = super::tests::redactor(&[], &[NUMBER]);
    assert_eq!(redactor.beginning(&cut, false), Masked::Changed(Bytes::from_static(b"cut ")));
}

/// Patterns that ask for what is around a match, match in several ways, or take more the more there is.
const PATTERNS: &[&str] = &[NUMBER, r"\b1\d*\b", r"(a\b|ab)-?", r"a.?b|ab1", r"\d+(-\d+)?", r"^a+", r"\Bb"];

proptest! {
    #[test]
    fn cuts_do_not_matter(
        cuts in proptest::collection::vec(1_usize..6, 1..30),
        text in "([ab1 -]{0,12}|123-45-6789){1,6}",
        pattern in 0..PATTERNS.len(),
    ) {
        let redactor = redactor(&[], &PATTERNS[pattern..=pattern]);
        let (mut stream, mut rest) = (String::new(), text.as_str());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            stream += &event(piece);
            rest = tail;
        }
        let masked = masked(&redactor, &stream, 16);
        prop_assert_eq!(delivered(&masked), redactor.text(&text).into_owned());
    }
}
