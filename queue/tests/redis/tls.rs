//! Servers that speak TLS.

use std::net::TcpListener;
use std::path::Path;

use lockstep_queue::jobs::{
    JobState, RedisIdentity, RedisOptions, RedisStorage, RedisTls, Storage, StorageError,
};

use crate::kit::{complete, hasty, put, queue, state, take};
use crate::server::{Flavour, Server};

/// A certificate that is its own root.
struct Certificate {
    pem: Vec<u8>,
    key: Vec<u8>,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        Self { pem: made.cert.pem().into_bytes(), key: made.signing_key.serialize_pem().into_bytes() }
    }

    /// Writes it where a server reads it.
    fn write(&self, dir: &Path, name: &str) -> [String; 2] {
        let files = [dir.join(format!("{name}.crt")), dir.join(format!("{name}.key"))];
        std::fs::write(&files[0], &self.pem).unwrap();
        std::fs::write(&files[1], &self.key).unwrap();
        files.map(|file| file.to_str().unwrap().to_owned())
    }

    fn identity(self) -> RedisIdentity {
        RedisIdentity { certificate: self.pem, key: self.key }
    }
}

#[tokio::test]
async fn jobs_go_their_way_by_tls() {
    // The Valkey that the tests install is built without.
    let dir = tempfile::tempdir().unwrap();
    let (own, client) = (Certificate::new(), Certificate::new());
    let [cert, key] = own.write(dir.path(), "server");
    let [trusted, _] = client.write(dir.path(), "client");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let settings = [
        ["--tls-port", &port],
        ["--tls-cert-file", &cert],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &trusted],
        ["--tls-auth-clients", "yes"],
    ];
    let _server = Server::start(Flavour::Redis, settings.as_flattened());
    let url = format!("rediss://127.0.0.1:{port}");
    let options = |tls| RedisOptions { tls, ..hasty(url.clone()) };

    let tls = RedisTls { roots: Some(own.pem.clone()), identity: Some(client.identity()) };
    assert!(!format!("{tls:?}").contains("PRIVATE"));
    let storage = RedisStorage::connect(options(tls.clone())).await.unwrap();
    put(&storage, "a").await.unwrap();
    let job = take(&storage).await;
    storage.finish(&queue(), vec![complete(&job)], None).await.unwrap();
    assert_eq!(state(&storage, "a").await, Some(JobState::Completed));
    storage.close().await.unwrap();

    let strangers = [
        RedisTls { roots: None, ..tls.clone() },
        RedisTls { roots: Some(Certificate::new().pem), ..tls.clone() },
        RedisTls { identity: None, ..tls.clone() },
        RedisTls { identity: Some(Certificate::new().identity()), ..tls },
    ];
    for tls in strangers {
        let error = RedisStorage::connect(options(tls)).await.unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
    }
    let nonsense = RedisTls { roots: Some(b"no PEM".to_vec()), identity: None };
    assert!(RedisStorage::connect(options(nonsense)).await.is_err());
}
