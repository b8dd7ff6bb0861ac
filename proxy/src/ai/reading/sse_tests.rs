use proptest::prelude::*;

use super::*;

/// What a client sees of an event: its name and data.
type Seen = (Option<String>, Option<String>);

/// Feeds the pieces and returns raw bytes and view of each event, and what was left.
fn split(pieces: &[&[u8]]) -> (Vec<(Bytes, Seen)>, Last) {
    let mut splitter = Splitter::new(1 << 20);
    let mut events = Vec::new();
    for piece in pieces {
        let mut chunk = Bytes::copy_from_slice(piece);
        while let Some(event) = splitter.next_event(&mut chunk).unwrap() {
            events.push((event.raw().clone(), seen(&event)));
        }
        assert!(chunk.is_empty());
    }
    (events, splitter.finish())
}

fn seen(event: &Event) -> Seen {
    let data = event.data().map(|data| String::from_utf8_lossy(data).into_owned());
    (event.name().map(str::to_owned), data)
}

/// The view of each event that a client would be given.
fn views(stream: &str) -> Vec<Seen> {
    let (events, _) = split(&[stream.as_bytes()]);
    events.into_iter().map(|(_, seen)| seen).filter(|(_, data)| data.is_some()).collect()
}

fn data(text: &str) -> Seen {
    (None, Some(text.to_owned()))
}

fn named(name: &str, text: &str) -> Seen {
    (Some(name.to_owned()), Some(text.to_owned()))
}

#[test]
fn what_clients_see() {
    let cases = [
        ("data: 1\n\ndata: 2\n\n", vec![data("1"), data("2")]),
        ("data: 1\r\n\r\ndata: 2\r\n\r\ndata: 3\r\n\r\n", vec![data("1"), data("2"), data("3")]),
        ("data: 1\r\rdata: 2\r\r", vec![data("1"), data("2")]),
        ("data: 1\r\ndata: 2\ndata: 3\r\n\n", vec![data("1\n2\n3")]),
        ("data: 1\r\r\ndata: 2\n\r\ndata: 3\n\n", vec![data("1"), data("2"), data("3")]),
        ("data:1\n\ndata:  2\n\n", vec![data("1"), data(" 2")]),
        ("data\n\ndata:\n\ndata: \ndata\n\n", vec![data(""), data(""), data("\n")]),
        ("event: ping\ndata: {}\n\n", vec![named("ping", "{}")]),
        ("event: a\nevent: b\ndata: 1\n\nevent:\ndata: 2\n\n", vec![named("b", "1"), data("2")]),
        ("event: lonely\n\ndata: 1\n\n", vec![data("1")]),
        (": comment\n\n:\n\ndata: 1\n: in between\nid: 7\nretry: 10\n\n", vec![data("1")]),
        ("\n\n\ndata: 1\n\n\n\n", vec![data("1")]),
        ("\u{feff}data: 1\n\n", vec![data("1")]),
        ("\u{feff}\ndata: 1\n\n", vec![data("1")]),
        ("data: 1\n\n\u{feff}data: 2\n\n", vec![data("1")]),
        ("dataset: 1\nDATA: 2\n data: 3\n\n", vec![]),
        ("data: never ended\n", vec![]),
    ];
    for (stream, expected) in cases {
        assert_eq!(views(stream), expected, "{stream:?}");
    }
}

#[test]
fn what_is_left_at_the_end() {
    let cases = [
        ("", "nothing"),
        ("data: 1\n\n", "nothing"),
        ("data: 1\r\n\r\n", "nothing"),
        ("data: 1\r\r", "nothing"),
        ("data: 1\r\n\r", "whole"),
        ("data: 1\n", "unfinished"),
        ("data: 1", "unfinished"),
        ("data: 1\r", "unfinished"),
        ("data: 0\n\ndata: 1\r\n", "unfinished"),
    ];
    for (stream, expected) in cases {
        let (_, last) = split(&[stream.as_bytes()]);
        let (found, event) = match last {
            Last::Nothing => ("nothing", None),
            Last::Whole(event) => ("whole", Some(event)),
            Last::Unfinished(event) => ("unfinished", Some(event)),
        };
        assert_eq!(found, expected, "{stream:?}");
        if let Some(event) = event {
            assert_eq!(event.data(), Some(b"1".as_slice()), "{stream:?}");
        }
    }
}

#[test]
fn an_event_in_one_chunk_is_not_copied() {
    let stream = Bytes::from_static(b"data: 1\n\ndata: 22\n\n");
    let mut chunk = stream.clone();
    let mut splitter = Splitter::new(64);
    let first = splitter.next_event(&mut chunk).unwrap().unwrap();
    let second = splitter.next_event(&mut chunk).unwrap().unwrap();
    assert_eq!(first.raw().as_ptr(), stream.as_ptr());
    assert_eq!(second.raw().as_ptr(), stream.slice(9..).as_ptr());
    assert_eq!(second.data().unwrap().as_ptr(), stream.slice(15..).as_ptr());
}

#[test]
fn an_event_comes_out_with_its_last_byte() {
    for (stream, waits) in
        [("data: 1\n\n", 0), ("data: 1\r\r", 0), ("data: 1\r\n\r\n", 0), ("data: 1\r\n\n", 0)]
    {
        let mut splitter = Splitter::new(64);
        let last = stream.len() - 1;
        for (at, byte) in stream.bytes().enumerate() {
            let event = splitter.next_event(&mut Bytes::copy_from_slice(&[byte])).unwrap();
            assert_eq!(event.is_some(), at == last - waits, "{stream:?} at {at}");
        }
    }
}

#[test]
fn long_events_are_refused_however_they_come() {
    let stream = b"data: 1\n\ndata: 0123456789\n\n";
    for size in 1..=stream.len() {
        let mut splitter = Splitter::new(17);
        let mut outcomes = Vec::new();
        for piece in stream.chunks(size) {
            let mut chunk = Bytes::copy_from_slice(piece);
            loop {
                match splitter.next_event(&mut chunk) {
                    Ok(Some(event)) => outcomes.push(Ok(event.into_raw())),
                    Ok(None) => break,
                    Err(error) => {
                        outcomes.push(Err(error));
                        break;
                    }
                }
            }
        }
        outcomes.dedup();
        let refused = Err(EventTooLarge { max: 17 });
        assert_eq!(outcomes, [Ok(Bytes::from_static(b"data: 1\n\n")), refused], "pieces of {size}");
        assert!(splitter.held().len() <= 17);
    }
    let mut enough = Splitter::new(18);
    let mut chunk = Bytes::from_static(stream);
    while enough.next_event(&mut chunk).unwrap().is_some() {}
    assert_eq!(enough.finish(), Last::Nothing);
}

#[test]
fn done() {
    for (stream, expected) in
        [("data: [DONE]\n\n", true), ("data:[DONE] \n\n", true), ("data: {}\n\n", false)]
    {
        let event =
            Splitter::new(64).next_event(&mut Bytes::from_static(stream.as_bytes())).unwrap().unwrap();
        assert_eq!(event.is_done(), expected);
    }
}

/// Streams made of the parts that matter, in any order.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&'static [u8]> = vec![
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\r\n",
        b"data:",
        b"data: x",
        b"event: e",
        b": c",
        b"id",
        b" ",
        b":",
        b"\xEF\xBB\xBF",
        b"\xEF",
        "grüße".as_bytes(),
        b"[DONE]",
    ];
    prop::collection::vec(prop::sample::select(parts), 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_split_yields_the_same_events(stream in streams(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&stream[from..cut]);
            from = cut;
        }
        pieces.push(&stream[from..]);

        let whole = split(&[&stream]);
        prop_assert_eq!(&whole, &split(&pieces));
        let bytewise: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&whole, &split(&bytewise));

        let mut rebuilt: Vec<u8> = whole.0.iter().flat_map(|(raw, _)| raw.to_vec()).collect();
        if let Last::Whole(event) | Last::Unfinished(event) = whole.1 {
            rebuilt.extend_from_slice(event.raw());
        }
        prop_assert_eq!(rebuilt, stream);
    }

    /// Against a slow reading of the standard: break into lines, then dispatch at blank ones.
    #[test]
    fn events_are_those_of_the_standard(stream in streams()) {
        let text = String::from_utf8_lossy(&stream).into_owned();
        let body = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = body.replace("\r\n", "\n").replace('\r', "\n");
        let mut expected = Vec::new();
        let (mut name, mut lines_of_data) = (None, Vec::new());
        let ended = lines.rfind('\n').map_or("", |end| &lines[..end]);
        for line in ended.split('\n').filter(|_| lines.contains('\n')) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if line.is_empty() => {
                    let data = std::mem::take(&mut lines_of_data);
                    let name = name.take();
                    if !data.is_empty() {
                        expected.push((name, Some(data.join("\n"))));
                    }
                }
                "data" => lines_of_data.push(value.to_owned()),
                "event" => name = Some(value.to_owned()).filter(|name| !name.is_empty()),
                _ => {}
            }
        }
        let (events, last) = split(&[text.as_bytes()]);
        let mut found: Vec<Seen> = events.into_iter().map(|(_, seen)| seen).collect();
        if let Last::Whole(event) = last {
            found.push(seen(&event));
        }
        found.retain(|(_, data)| data.is_some());
        prop_assert_eq!(found, expected);
    }
}
