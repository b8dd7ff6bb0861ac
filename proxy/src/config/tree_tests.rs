use std::fmt::Write as _;

use super::*;

/// Place and message.
fn refused(text: &str) -> (usize, usize, String) {
    let error = parse(text).unwrap_err();
    (error.place.line, error.place.column, error.message)
}

type At = (usize, usize);

fn entries(text: &str) -> Vec<(String, At, At)> {
    let root = parse(text).unwrap();
    let Kind::Mapping(entries) = &root.kind else { panic!("no mapping") };
    let at = |place: Place| (place.line, place.column);
    entries.iter().map(|entry| (entry.key.clone(), at(entry.place), at(entry.value.place))).collect()
}

#[test]
fn every_value_knows_its_place() {
    let text = "# first\na: 1\n\"b\":  'two'\nü: {c: [1, 2]}\nd:\n  - x\ne: |\n  text\nf:\n  g: 1\n";
    let expected = [
        ("a", (2, 1), (2, 4)),
        ("b", (3, 1), (3, 7)),
        ("ü", (4, 1), (4, 4)),
        ("d", (5, 1), (6, 3)),
        ("e", (7, 1), (8, 3)),
        ("f", (9, 1), (10, 3)),
    ];
    assert_eq!(entries(text), expected.map(|(key, at, value)| (key.to_owned(), at, value)));
    assert_eq!(entries("&root\na: 1"), [("a".to_owned(), (2, 1), (2, 4))]);
    assert_eq!(entries("\u{feff}a: 1"), [("a".to_owned(), (1, 1), (1, 4))]);
    assert_eq!(entries("a: 1\r\nb: 2\r\n").last().unwrap().1, (2, 1));
}

#[test]
fn scalars_stay_as_they_are_written() {
    for (text, expected) in [
        ("1.10", Some("1.10")),
        ("0x10", Some("0x10")),
        ("no", Some("no")),
        ("''", Some("")),
        ("null", None),
        ("~", None),
        ("", None),
        ("'null'", Some("null")),
    ] {
        let root = parse(text).unwrap();
        let found = match &root.kind {
            Kind::Scalar(text) => Some(text.as_str()),
            _ => None,
        };
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn what_is_no_document_is_refused_at_its_place() {
    let cases = [
        ("a: b: c", (1, 5), "not valid YAML"),
        ("a: [1, 2", (2, 1), "not valid YAML"),
        ("a: *nowhere", (1, 4), "not valid YAML"),
        ("a: &a [*a]", (1, 8), "alias"),
        ("a: !secret b", (1, 12), "tags"),
        ("a: 1\n---\nb: 2", (2, 1), "second document"),
        ("[a]: 1", (1, 1), "key must be a text"),
        ("? {a: b}\n: 1", (1, 3), "key must be a text"),
    ];
    for (text, place, part) in cases {
        let (line, column, message) = refused(text);
        assert!(message.contains(part), "{text:?}: {message}");
        assert_eq!(line, place.0, "{text:?}: {line}:{column} {message}");
    }
}

#[test]
fn aliases_expand_within_bounds() {
    let entries = entries("a: &a [1, 2]\nb: *a\nc: *a\n");
    assert_eq!(entries.iter().map(|entry| entry.0.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);

    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let last = format!("*a{}, ", level - 1).repeat(10);
        writeln!(bomb, "a{level}: &a{level} [{last}]").unwrap();
    }
    let (line, _, message) = refused(&bomb);
    assert_eq!(line, 7, "{message}");
    assert!(message.contains("aliases expanded"), "{message}");
}

#[test]
fn nesting_is_bounded() {
    assert!(parse(&format!("{}{}", "[".repeat(MAX_HEIGHT), "]".repeat(MAX_HEIGHT))).is_ok());
    for text in ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        assert!(refused(&text).2.contains("deep") || refused(&text).2.contains("not valid YAML"));
    }
    let mut chain = String::from("- &a0 [x]\n");
    for level in 1..100 {
        writeln!(chain, "- &a{level} [*a{}]", level - 1).unwrap();
    }
    assert!(refused(&chain).2.contains("deeper"));
}
