//! A stream of events is the same however it is cut: its bytes, its events, and what every reader makes of them. What is
//! translated is well-formed whatever came.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep::ai::anthropic::{Step, StreamTranslator};
use lockstep::ai::reading::{Assembler, Event, Format, Last, Splitter};

const FORMATS: [Format; 5] =
    [Format::Chat, Format::Completions, Format::Embeddings, Format::Responses, Format::Messages];

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = split(stream, stream.len().max(1));
    assert_eq!(whole, split(stream, usize::from(size) + 1));
    let raw: Vec<u8> = whole.iter().flat_map(|event| event.raw().to_vec()).collect();
    assert_eq!(raw, stream);
    for format in FORMATS {
        let mut assembler = Assembler::new(format, 1, 1000);
        for event in &whole {
            let _read = assembler.read(event);
        }
        let text = assembler.finish().message.and_then(|message| message.content).unwrap_or_default();
        assert!(text.len() <= 1000);
    }
    let mut translator = StreamTranslator::new(1, true);
    for event in &whole {
        if let Step::Chunks(chunks) | Step::End(chunks) = translator.translate(event) {
            for chunk in split(&chunks, chunks.len()) {
                let data = chunk.data().expect("a chunk has data");
                assert!(chunk.is_done() || serde_json::from_slice::<serde_json::Value>(data).is_ok());
            }
        }
    }
});

/// The events of a stream that comes in pieces of one size, an unfinished one included.
fn split(stream: &[u8], size: usize) -> Vec<Event> {
    let mut splitter = Splitter::new(1 << 20);
    let mut events = Vec::new();
    for piece in stream.chunks(size) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(event) = splitter.next_event(&mut piece).expect("shorter than the limit") {
            events.push(event);
        }
    }
    match splitter.finish() {
        Last::Nothing => {}
        Last::Whole(event) | Last::Unfinished(event) => events.push(event),
    }
    events
}
