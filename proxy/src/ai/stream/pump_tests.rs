use super::*;

fn pump(format: Format, hide_usage: bool) -> Pump {
    let opened = Opened { splitter: Splitter::new(4096), events: VecDeque::new(), rest: Bytes::new() };
    Pump::new(opened, Assembler::new(format, 1, 0), format, hide_usage)
}

/// Pushes a stream in pieces of `size` bytes; what left, what is held, and how far it got.
fn run(mut pump: Pump, text: &str, size: usize) -> (String, String, Progress, BTreeSet<Change>) {
    let mut left = Vec::new();
    let mut progress = pump.start();
    for piece in text.as_bytes().chunks(size) {
        if progress != Progress::Open {
            break;
        }
        progress = pump.push(Bytes::copy_from_slice(piece));
        left.extend_from_slice(&pump.take());
    }
    if progress == Progress::Open {
        progress = pump.close();
        left.extend_from_slice(&pump.take());
    }
    let held = pump.held();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&left), text(&held), progress, pump.changes)
}

const CHUNK: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hü\"}}]}\n\n";
const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n";

#[test]
fn bytes_pass_as_they_are_however_they_come() {
    let text = format!(": hi\n\n{CHUNK}{CHUNK}id: 7\ndata:{{}}\n\n{STOP}");
    for size in [1, 2, 3, 7, 64, 1000] {
        let (left, held, progress, changes) =
            run(pump(Format::Chat, true), &format!("{text}data: [DONE]\n\ndata: more\n\n"), size);
        assert_eq!((left.as_str(), held.as_str()), (text.as_str(), "data: [DONE]\n\n"), "{size}");
        assert_eq!((progress, changes), (Progress::Ended, BTreeSet::new()));
    }
}

#[test]
fn a_missing_end_is_added_where_all_was_said() {
    let cases = [
        (format!("{CHUNK}{STOP}"), Progress::Ended, "data: [DONE]\n\n"),
        (format!("{CHUNK}{STOP}data: [DONE]"), Progress::Ended, "data: [DONE]\n\n"),
        (CHUNK.to_owned(), Progress::Broken, ""),
        (STOP.replace("\"stop\"", "\"\""), Progress::Broken, ""),
        (format!("{CHUNK}data: {{\"choi"), Progress::Broken, ""),
        (String::new(), Progress::Broken, ""),
    ];
    for (text, expected, end) in cases {
        let (_, held, progress, changes) = run(pump(Format::Chat, false), &text, 1000);
        assert_eq!((&progress, held.as_str()), (&expected, end), "{text}");
        assert_eq!(changes.contains(&Change::ResponseDoneAdded), progress == Progress::Ended);
    }
}

#[test]
fn a_malformed_event_is_left_out() {
    let text = format!("{CHUNK}data: {{nonsense\n\n{CHUNK}{STOP}data: [DONE]\n\n");
    let (left, _, progress, changes) = run(pump(Format::Chat, false), &text, 1000);
    assert_eq!((left, progress), (format!("{CHUNK}{CHUNK}{STOP}"), Progress::Ended));
    assert_eq!(changes, [Change::ResponseEventDropped].into());
}

#[test]
fn two_malformed_events_in_a_row_make_no_sense() {
    let bad = "data: {{{{\n\n";
    let cases = [
        (format!("{CHUNK}{bad}{bad}{STOP}data: [DONE]\n\n"), Progress::Senseless, 2),
        (format!("{CHUNK}{bad}: still here\n\n{bad}{STOP}data: [DONE]\n\n"), Progress::Senseless, 2),
        (format!("{CHUNK}{bad}{CHUNK}{bad}{STOP}data: [DONE]\n\n"), Progress::Ended, 2),
        // Without anything in it, an event is no part of an answer.
        (format!("{CHUNK}data:\n\n{bad}data:\n\n{STOP}data: [DONE]\n\n"), Progress::Ended, 3),
    ];
    for (text, expected, dropped) in cases {
        let mut pump = pump(Format::Chat, false);
        assert_eq!((pump.push(Bytes::from(text.clone())), pump.dropped), (expected, dropped), "{text}");
        assert!(pump.changes.contains(&Change::ResponseEventDropped));
    }
}

#[test]
fn a_stream_goes_on_with_another_only_where_it_says_the_same() {
    let cases = [
        (format!("{CHUNK}{CHUNK}{STOP}data: [DONE]\n\n"), Progress::Ended, true),
        (CHUNK.replace("hü", "ha"), Progress::Parted, false),
        (CHUNK.replace("hü", "h") + STOP, Progress::Parted, false),
        ("data: [DONE]\n\n".to_owned(), Progress::Parted, false),
    ];
    for (text, expected, continued) in cases {
        let identity = Identity { id: "1".to_owned(), model: "m".to_owned(), created: 0 };
        let said = Said { identity, text: "hü".to_owned() };
        let pump = pump(Format::Chat, false).joining(Joint::new(said, true, false));
        let (_, _, progress, changes) = run(pump, &text, 1000);
        assert_eq!((progress, changes.contains(&Change::ResponseContinued)), (expected, continued), "{text}");
    }
}

#[test]
fn a_reported_error_is_held() {
    let error = "data: {\"error\":{\"message\":\"overloaded\"}}\n\n";
    let (left, held, progress, _) = run(pump(Format::Chat, false), &format!("{CHUNK}{error}"), 1000);
    assert_eq!((left.as_str(), held.as_str(), progress), (CHUNK, error, Progress::Reported));
}

#[test]
fn other_formats_have_their_own_ends() {
    let part = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"x\"}\n\n";
    let end = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"status\":\"completed\"}}\n\n";
    let (left, held, progress, _) = run(pump(Format::Responses, false), &format!("{part}{end}"), 1000);
    assert_eq!((left.as_str(), held.as_str(), progress), (part, end, Progress::Ended));
    let mut broken = pump(Format::Responses, false);
    assert_eq!(broken.push(Bytes::from_static(part.as_bytes())), Progress::Open);
    assert_eq!((broken.close(), broken.next_sequence()), (Progress::Broken, 5));
}

#[test]
fn an_endless_event_makes_no_sense() {
    let mut pump = pump(Format::Chat, false);
    assert_eq!(pump.push(Bytes::from(vec![b'x'; 5000])), Progress::Senseless);
}
