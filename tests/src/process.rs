//! Child processes that end with the test, and whose output is shown when it fails.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

use crate::poll::within;

/// Lines that are shown of each output of a process when a test fails.
const SHOWN: usize = 200;

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    readers: Vec<JoinHandle<()>>,
    /// What it wrote to standard output.
    pub stdout: Lines,
    /// What it wrote to standard error.
    pub stderr: Lines,
}

/// Lines that a process wrote so far.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

/// A signal.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    /// SIGTERM
    Term,
    /// SIGINT
    Int,
    /// SIGHUP
    Hup,
    /// SIGSTOP
    Stop,
    /// SIGCONT
    Continue,
}

impl Process {
    /// Starts a process.
    ///
    /// # Panics
    /// If it can't be started.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {name}: {error}"));
        let (stdout, stderr) = (Lines::default(), Lines::default());
        let readers = vec![
            stdout.follow(child.stdout.take().expect("a pipe")),
            stderr.follow(child.stderr.take().expect("a pipe")),
        ];
        Self { name: name.to_owned(), child, readers, stdout, stderr }
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it can't be sent.
    pub fn signal(&self, signal: Signal) {
        let command = format!("kill -s {} {}", signal.name(), self.pid());
        let status = Command::new("sh").args(["-c", &command]).status().expect("sh");
        assert!(status.success(), "{command}");
    }

    /// Lets it have no file descriptors from `limit` on.
    ///
    /// # Panics
    /// If the limit can't be set.
    pub fn limit_files(&self, limit: u32) {
        let (pid, files) = (self.pid().to_string(), format!("--nofile={limit}:"));
        let status = Command::new("prlimit").args(["--pid", &pid, &files]).status().expect("prlimit");
        assert!(status.success(), "{files}");
    }

    /// Its exit status, once it has one.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child to wait for")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = within(limit, || self.child.try_wait().expect("a child to wait for"));
        let status = status.unwrap_or_else(|| panic!("{} still runs after {limit:?}", self.name));
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader of its output");
        }
        status
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}: stderr\n{}", self.name, self.stderr.tail());
            eprintln!("--- {}: stdout\n{}", self.name, self.stdout.tail());
        }
    }
}

impl Lines {
    fn follow(&self, output: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lines.0.lock().push(text);
                line.clear();
            }
        })
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// The first line that holds `text`.
    pub fn find(&self, text: &str) -> Option<String> {
        self.all().into_iter().find(|line| line.contains(text))
    }

    fn tail(&self) -> String {
        let lines = self.all();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Hup => "HUP",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}
