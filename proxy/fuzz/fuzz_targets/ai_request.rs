//! A body that is read is a JSON object; what is edited or translated of it stays one, and says what it was edited to say.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep::ai::anthropic::{Target, translate_request};
use lockstep::ai::body::{Edits, Scan};
use lockstep::ai::route::Endpoint;
use serde_json::Value;

const ENDPOINTS: [Endpoint; 5] =
    [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings, Endpoint::Responses, Endpoint::Messages];

fuzz_target!(|body: &[u8]| {
    for endpoint in ENDPOINTS {
        let Ok(scan) = Scan::of(endpoint, body) else { continue };
        // What only the reader of whole values can't take: numbers beyond all bounds.
        if read(body).is_none() {
            continue;
        }
        let mut edits = Edits::default();
        scan.set_model("another \"model\"", &mut edits);
        scan.include_usage(&mut edits);
        let edited =
            read(&edits.apply(&Bytes::copy_from_slice(body)).concat()).expect("edits keep an object whole");
        assert_eq!(edited["model"], "another \"model\"");
        assert_eq!(edited["stream_options"]["include_usage"], true);
        if endpoint == Endpoint::Chat {
            let mut edits = Edits::default();
            scan.begin_answer("so far", &mut edits);
            let edited = read(&edits.apply(&Bytes::copy_from_slice(body)).concat()).expect("an object");
            let last = edited["messages"].as_array().and_then(|messages| messages.last()).expect("a message");
            assert_eq!(last["content"], "so far");
        }
    }
    let target = Target { model: "claude", max_tokens: 10, prefill: "so far " };
    if let Ok(translated) = translate_request(body, target) {
        let translated = read(&translated.body).expect("an object");
        assert_eq!(translated["model"], "claude");
        assert!(translated["messages"].is_array() && translated["max_tokens"].is_u64());
    }
});

fn read(body: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Value>(body).ok().filter(Value::is_object)
}
