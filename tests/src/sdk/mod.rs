//! OpenAI's own SDKs, each release line in a process that calls as it is told to
//! (`tests/sdk/client.py` and `client.js`).

pub mod scenarios;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::tools;

/// One release line of an SDK.
#[derive(Debug)]
pub struct Sdk {
    /// What it is called, such as `python-3`.
    pub name: String,
    process: Mutex<Pipes>,
}

#[derive(Debug)]
struct Pipes {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// It ends when its standard input does.
    _child: Child,
}

/// How an SDK calls.
#[derive(Debug, Clone)]
pub struct Call {
    asked: Value,
}

/// What an SDK made of an answer.
#[derive(Debug, Clone)]
pub struct Told(Value);

impl Sdk {
    /// One for Python, by the name of its environment.
    pub fn python(name: &str) -> Self {
        let mut command = Command::new(installed(name).join("bin/python"));
        command.arg(scripts().join("client.py"));
        Self::start(name, command)
    }

    /// The one for Node.
    pub fn node() -> Self {
        let modules = installed("node").join("node_modules");
        let mut command = Command::new(modules.join(".bin/node"));
        command.env("NODE_PATH", modules).arg(scripts().join("client.js"));
        Self::start("node", command)
    }

    fn start(name: &str, mut command: Command) -> Self {
        // What a developer has in the environment is none of the test's.
        for variable in
            ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_LOG", "HTTP_PROXY", "http_proxy", "ALL_PROXY"]
        {
            command.env_remove(variable);
        }
        command.env("NO_PROXY", "*").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        let stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { name: name.to_owned(), process: Mutex::new(Pipes { stdin, stdout, _child: child }) }
    }

    /// Calls, and tells what came of it.
    ///
    /// # Panics
    /// If the client program fails.
    pub fn run(&self, call: &Call) -> Told {
        let mut process = self.process.lock();
        writeln!(process.stdin, "{}", call.asked).expect("the client program runs");
        let mut line = String::new();
        process.stdout.read_line(&mut line).expect("the client program answers");
        Told(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line:?}", self.name)))
    }

    /// Whether it is the one for Node.
    pub fn is_node(&self) -> bool {
        self.name == "node"
    }
}

impl Call {
    /// A call of a method, such as `chat.completions.create`.
    pub fn new(base_url: &str, key: &str, method: &str, params: Value) -> Self {
        let client = json!({"base_url": base_url, "api_key": key, "max_retries": 0});
        Self { asked: json!({"client": client, "call": method, "params": params, "how": "plain"}) }
    }

    /// With a setting of the client.
    #[must_use]
    pub fn client(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.asked["client"][key] = value.into();
        self
    }

    /// With the settings of Azure's client in the place of a base URL.
    #[must_use]
    pub fn azure(mut self, endpoint: &str) -> Self {
        let key = self.asked["client"]["api_key"].take();
        self.asked["client"] = json!({"azure_endpoint": endpoint, "api_version": "2024-10-21", "api_key": key, "max_retries": 0});
        self
    }

    /// In another way: `stream`, `async`, `async-stream`.
    #[must_use]
    pub fn how(self, how: &str) -> Self {
        self.with("how", how)
    }

    /// With something else that the client program knows.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.asked[key] = value.into();
        self
    }
}

impl Told {
    /// The answer.
    ///
    /// # Panics
    /// If there is an error instead.
    pub fn value(&self) -> &Value {
        assert_eq!(self.0["error"], Value::Null, "{}", self.0);
        &self.0["value"]
    }

    /// The events of a stream.
    ///
    /// # Panics
    /// Never: there always is a list.
    pub fn events(&self) -> &[Value] {
        self.0["events"].as_array().expect("a list")
    }

    /// The text of the events of a stream of chat.
    pub fn said(&self) -> String {
        self.events().iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// The error.
    pub fn error(&self) -> &Value {
        &self.0["error"]
    }

    /// Whether the error is of a class.
    pub fn is(&self, class: &str) -> bool {
        self.error()["is"].as_array().is_some_and(|classes| classes.iter().any(|name| name == class))
    }

    /// `_request_id` of the answer, or the error's.
    pub fn request_id(&self) -> Option<&str> {
        self.0["request_id"].as_str().or(self.error()["request_id"].as_str())
    }

    /// How long the call took.
    ///
    /// # Panics
    /// Never: it is always told.
    pub fn seconds(&self) -> f64 {
        self.0["seconds"].as_f64().expect("seconds")
    }
}

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sdk")
}

fn installed(name: &str) -> PathBuf {
    let path = tools::cache().join("sdk").join(name);
    assert!(path.exists(), "{} is missing: run tests/setup/install.sh", path.display());
    path
}
