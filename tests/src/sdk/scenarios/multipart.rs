//! Files and sound.

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Stage;
use crate::gateway::provider_key;
use crate::sdk::Sdk;

const SIZE: usize = 300_000;

/// A file goes up, is listed, comes down and is deleted.
///
/// # Panics
/// If a byte differs.
pub fn files(sdk: &Sdk, stage: &Stage) {
    let params = json!({"file": {"$file": ["batch.jsonl", SIZE]}, "purpose": "batch"});
    let told = sdk.run(&stage.call("files.create", params));
    let sent: Vec<u8> = (0..SIZE).map(|n| (n * 7 % 256) as u8).collect();
    let value = told.value();
    assert_eq!((&value["filename"], &value["bytes"]), (&json!("batch.jsonl"), &json!(SIZE)));
    assert_eq!(value["sha256"], hex::encode(Sha256::digest(&sent)));
    let seen = stage.provider.last();
    assert_eq!((seen.request.method(), seen.request.target()), ("POST", "/v1/files"));
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {}", provider_key("a"))));
    let told = sdk.run(&stage.call("files.list", json!({})));
    assert_eq!(told.value()[0]["id"], "file-1");
    let told = sdk.run(&stage.call("files.content", json!({"file_id": "file-1"})));
    assert_eq!(told.value()["bytes"], 100_000);
    let told = sdk.run(&stage.call("files.delete", json!({"file_id": "file-1"})));
    assert_eq!(told.value()["deleted"], true);
}

/// Sound is made, and written down: a form that is routed by its model.
///
/// # Panics
/// If not.
pub fn sound(sdk: &Sdk, stage: &Stage) {
    let params = json!({"file": {"$file": ["a.mp3", SIZE]}, "model": "ok"});
    let told = sdk.run(&stage.call("audio.transcriptions.create", params));
    assert_eq!(told.value()["text"], format!("{SIZE} bytes of sound"));
    assert_eq!(stage.provider.last().model, "ok");
    let params = json!({"input": "Hello", "voice": "alloy", "model": "ok"});
    let told = sdk.run(&stage.call("audio.speech.create", params));
    assert_eq!(told.value()["bytes"], 100_000);
}
