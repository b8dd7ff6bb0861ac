//! The field that is found is one that a part in front of it does not change.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep::ai::multipart::{boundary, field};

fuzz_target!(|input: (&str, &[u8])| {
    let (content_type, body) = input;
    let boundary = boundary(content_type).unwrap_or("b");
    let Ok(found) = field(body, boundary, "model") else { return };
    let value = found.clone().map(|at| body.get(at).expect("it lies within the body").to_vec());
    let before = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"other\"\r\n\r\nx\r\n");
    if body.starts_with(b"--") {
        let longer = [before.as_bytes(), body].concat();
        let again = field(&longer, boundary, "model").expect("it was whole before");
        assert_eq!(again.map(|at| longer[at].to_vec()), value);
    }
});
