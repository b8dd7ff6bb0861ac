//! Writes kubeconfig files.

use std::path::{Path, PathBuf};

use serde_json::json;

/// Writes a file that names a server, who to be there, and a namespace.
pub(super) fn write(
    path: PathBuf,
    server: &str,
    authority: Option<&Path>,
    token: &str,
    namespace: &str,
) -> PathBuf {
    let cluster = authority.map_or_else(
        || json!({"server": server}),
        |authority| json!({"server": server, "certificate-authority": authority}),
    );
    let file = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": {"token": token}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab", "namespace": namespace}}],
        "current-context": "lab",
    });
    // JSON is YAML too.
    std::fs::write(&path, file.to_string()).expect("a kubeconfig is written");
    path
}
