//! Records whose lines show what they were made from, and what is found of them in the end.

use lockstep_queue::journal::{Frame, Gap, Stamp};
use lockstep_queue::ship::verify::{Archive, Verifier};
use lockstep_queue::ship::{Assemble, CheckSignature, Compression, Group, ObjectName};

/// `{"text":"<contents of all frames>","seq":<number>}`.
pub(crate) struct Plain;

impl Assemble for Plain {
    fn group(&self, stamp: Stamp, group: &Group) -> Vec<u8> {
        let frames = group.frames.iter().map(|frame| String::from_utf8_lossy(&frame.body).into_owned());
        let text: Vec<String> = frames.collect();
        let value = serde_json::json!({"text": text.join("+"), "seq": stamp.seq});
        value.to_string().into_bytes()
    }

    fn single(&self, stamp: Stamp, frame: &Frame) -> Vec<u8> {
        self.group(stamp, &Group { frames: vec![frame.clone()], lost: 0 })
    }

    fn gap(&self, stamp: Stamp, gap: &Gap) -> Vec<u8> {
        serde_json::json!({"text": format!("{gap:?}"), "seq": stamp.seq}).to_string().into_bytes()
    }
}

/// The texts of all records in an archive, in order; panics unless everything in it is as it should be.
pub(crate) async fn texts(archive: &dyn Archive, signatures: Option<&dyn CheckSignature>) -> Vec<String> {
    let mut verifier = Verifier::new(archive, "", signatures);
    let mut texts = Vec::new();
    while let Some(checked) = verifier.next().await.unwrap() {
        assert!(checked.findings.is_empty(), "{checked:?}");
        let found = archive.get(&checked.key).await.unwrap();
        let lines = decode(&checked.key, &found.bytes);
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["seq"], texts.len());
            texts.push(line["text"].as_str().unwrap().to_owned());
        }
    }
    texts
}

pub(crate) fn decode(key: &str, bytes: &[u8]) -> String {
    let bytes = match ObjectName::parse(key).unwrap().compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut plain = Vec::new();
            std::io::copy(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain).unwrap();
            plain
        }
        Compression::Zstd => zstd::decode_all(bytes).unwrap(),
    };
    String::from_utf8(bytes).unwrap()
}
