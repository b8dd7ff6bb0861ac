//! A client of the API server, as plain as its REST interface.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Method, Request};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

/// The longest that one call may take.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST: u64 = 256 * 1024 * 1024;

/// Whoever a token stands for, at the API server.
#[derive(Debug, Clone)]
pub struct Api {
    agent: ureq::Agent,
    server: String,
    token: String,
}

/// The API server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status of its answer, 0 if there was none.
    pub status: u16,
    /// What it said.
    pub message: String,
}

impl Api {
    /// A client that trusts the authority in a file.
    ///
    /// # Panics
    /// If there are no certificates in the file.
    pub fn new(server: &str, authority: &Path, token: &str) -> Self {
        let pem = std::fs::read(authority).expect("the certificate of the API server");
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item.expect("PEM") {
                PemItem::Certificate(certificate) => Some(certificate),
                _ => None,
            })
            .collect();
        assert!(!certificates.is_empty(), "no certificate in {}", authority.display());
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build();
        Self { agent: config.into(), server: server.to_owned(), token: token.to_owned() }
    }

    /// The same for another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Reads an object or a list.
    ///
    /// # Errors
    /// If it is refused.
    pub fn get(&self, path: &str) -> Result<Value, Refused> {
        self.call(Method::GET, path, "", None)
    }

    /// The items of a list, none if it is refused.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let items = self.get(path).ok().and_then(|mut list| list.get_mut("items").map(Value::take));
        items.and_then(|items| items.as_array().cloned()).unwrap_or_default()
    }

    /// Posts an object to a list or a subresource.
    ///
    /// # Errors
    /// If it is refused.
    pub fn create(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.call(Method::POST, path, "application/json", Some(object))
    }

    /// Applies an object (server-side apply).
    ///
    /// # Errors
    /// If it is refused.
    pub fn apply(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        let path = format!("{path}?fieldManager=lab&force=true");
        self.call(Method::PATCH, &path, "application/apply-patch+yaml", Some(object))
    }

    /// Changes what a merge patch names.
    ///
    /// # Errors
    /// If it is refused.
    pub fn patch(&self, path: &str, patch: &Value) -> Result<Value, Refused> {
        self.call(Method::PATCH, path, "application/merge-patch+json", Some(patch))
    }

    /// Replaces an object, or a subresource of it, that was read before.
    ///
    /// # Errors
    /// If it is refused.
    pub fn replace(&self, path: &str, object: &Value) -> Result<Value, Refused> {
        self.call(Method::PUT, path, "application/json", Some(object))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// If it is refused.
    pub fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.call(Method::DELETE, path, "", None)
    }

    /// Calls, and once more if the API server had lost its own connection to etcd, which it has many of: after a
    /// restart of etcd it notices each with the first call that needs it.
    fn call(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        match self.call_once(method.clone(), path, content, body) {
            Err(refused) if refused.is_of_etcd() => self.call_once(method, path, content, body),
            answer => answer,
        }
    }

    fn call_once(
        &self,
        method: Method,
        path: &str,
        content: &str,
        body: Option<&Value>,
    ) -> Result<Value, Refused> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("authorization", format!("Bearer {}", self.token));
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", content).body(body.to_string());
                self.agent.run(request.expect("a request"))
            }
            None => self.agent.run(request.body(()).expect("a request")),
        };
        let mut answer = answer.map_err(|error| Refused::silence(&error))?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(LARGEST).read_to_string();
        let text = text.map_err(|error| Refused::silence(&error))?;
        if !status.is_success() {
            return Err(Refused { status: status.as_u16(), message: text });
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

impl Refused {
    fn is_of_etcd(&self) -> bool {
        self.status == 500 && self.message.contains("code = Unavailable")
    }

    fn silence(error: &ureq::Error) -> Self {
        Self { status: 0, message: error.to_string() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.status, self.message)
    }
}
