//! Certificates of the tests, signed by themselves.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A certificate in files.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The chain.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
    /// The chain as PEM.
    pub pem: String,
}

impl Certificate {
    /// Makes a certificate for `names` and writes it to `file`.crt and .key in `dir`.
    ///
    /// # Panics
    /// If it can't be made or written.
    pub fn write(dir: &Path, file: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let pem = made.cert.pem();
        let (cert, key) = (dir.join(format!("{file}.crt")), dir.join(format!("{file}.key")));
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("the key is written");
        std::fs::write(&cert, &pem).expect("the certificate is written");
        Self { cert, key, pem }
    }

    /// As an entry of `certificates` in a configuration.
    pub fn entry(&self) -> Value {
        json!({"cert": self.cert, "key": self.key})
    }
}
