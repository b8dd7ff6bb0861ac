use super::*;

#[test]
fn durations_have_one_unit() {
    let any = duration_in(Duration::ZERO..=Duration::from_secs(1 << 40));
    let cases = [
        ("0s", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("30m", 1_800_000),
        ("12h", 43_200_000),
        ("1d", 86_400_000),
    ];
    for (text, millis) in cases {
        assert_eq!(any(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    let never = [
        "",
        "30",
        "s",
        "1h30m",
        "1 h",
        "-1s",
        "1.5s",
        "30min",
        "1y",
        "99999999999999999999s",
        "99999999999999999d",
        "١s",
    ];
    for text in never {
        assert!(any(text).unwrap_err().contains("500ms"), "{text}");
    }
    let some = duration_in(Duration::from_secs(1)..=Duration::from_secs(60));
    assert_eq!(some("2m").unwrap_err(), "\"2m\" is out of range; allowed is 1s to 1m");
}

#[test]
fn sizes_have_one_unit() {
    let any = size_in(0..=u64::MAX);
    for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("10MiB", 10 << 20), ("1GiB", 1 << 30)] {
        assert_eq!(any(text), Ok(bytes));
    }
    for text in ["", "64", "64KB", "64kib", "1.5MiB", "KiB", "99999999999999999999B", "99999999TiB"] {
        assert!(any(text).unwrap_err().contains("64KiB"), "{text}");
    }
}

#[test]
fn texts_are_read_back() {
    for text in ["0s", "1ms", "90s", "30m", "36h", "1d"] {
        let duration = duration_in(Duration::ZERO..=Duration::MAX)(text).unwrap();
        assert_eq!(duration_text(duration), text);
    }
    for text in ["0B", "1B", "1023B", "64KiB", "100MiB", "3GiB"] {
        assert_eq!(size_text(size_in(0..=u64::MAX)(text).unwrap()), text);
    }
}

#[test]
fn hosts_are_brought_into_one_form() {
    let cases = [
        ("Shop.Example.COM", "shop.example.com"),
        ("*.Example.com", "*.example.com"),
        ("shop.example.com.", "shop.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[0:0::1]", "[::1]"),
        ("my_host", "my_host"),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<HostPattern>().unwrap().as_str(), expected, "{text}");
    }
    let never = [
        "", "*", "*.", "a*.b", "*.*.a", "a..b", ".a", "a:80", "http://a", "a/b", "a b", "::1", "[::1]:80",
        "*.[::1]", "[x]", "a\n", "a@b",
    ];
    for text in never {
        assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
    }
    assert!("a".repeat(64).parse::<HostPattern>().is_err());
}

#[test]
fn paths_are_brought_into_one_form() {
    for (text, expected) in
        [("/", "/"), ("/a", "/a"), ("/a/", "/a"), ("/a/b%20c", "/a/b%20c"), ("/.well-known", "/.well-known")]
    {
        assert_eq!(text.parse::<PathPrefix>().unwrap().as_str(), expected);
    }
    for text in
        ["", "a", "//", "/a//b", "/a//", "/a/../b", "/..", "/.", "/a?b", "/a#b", "/a;b", "/a b", "/ü", "/a\n"]
    {
        assert!(text.parse::<PathPrefix>().is_err(), "{text:?}");
    }
}

#[test]
fn long_texts_are_shortened_in_messages() {
    let message = number_in(0..=9)(&"9".repeat(100_000)).unwrap_err();
    assert!(message.len() < 200, "{message}");
}
