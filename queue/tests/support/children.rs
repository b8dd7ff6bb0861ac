//! Child processes that are tests of the same binary, started again for one of them: what a test needs that kills
//! processes. They say what they did in lines of a word and an id; a line counts once it is whole.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running child process. It is killed if it is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

/// What a process says, until its end.
#[derive(Debug)]
pub(crate) struct Voice(Lines<BufReader<ChildStdout>>);

/// What a child said about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) what: String,
    pub(crate) id: String,
}

/// Says something; for children.
pub(crate) fn say(what: &str, id: &str) {
    // One write, past the test runner, which would keep it.
    std::io::stdout().lock().write_all(format!("{what} {id}.\n").as_bytes()).unwrap();
}

impl Process {
    /// Starts this binary again for one of its tests.
    pub(crate) fn start(test: &str, variables: &[(&str, &str)]) -> (Self, Voice) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let voice = Voice(BufReader::new(child.stdout.take().unwrap()).lines());
        (Self(child), voice)
    }

    /// Kills it; what it had said before is still heard.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
    }

    /// Waits for its end. Whether it ended well.
    pub(crate) fn ended_well(&mut self) -> bool {
        self.0.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Iterator for Voice {
    type Item = Said;

    fn next(&mut self) -> Option<Said> {
        // Other lines are of the test runner.
        self.0.by_ref().map_while(Result::ok).find_map(|line| Said::read(&line))
    }
}

impl Said {
    fn read(line: &str) -> Option<Self> {
        // The runner begins the first line.
        let line = line.strip_prefix("test child ... ").unwrap_or(line);
        let (what, id) = line.strip_suffix('.')?.split_once(' ')?;
        let known = matches!(what, "+" | "-" | "run");
        known.then(|| Self { what: what.to_owned(), id: id.to_owned() })
    }
}
