//! Runs a test in namespaces of its own: the API refuses loopback addresses for endpoints, so the addresses of
//! pods are made local there.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use parking_lot::Mutex;

use super::Cluster;
use crate::process::Process;

/// Set within the namespace.
const INSIDE: &str = "LOCKSTEP_LAB";
/// How long one test may take.
const LIMIT: Duration = Duration::from_secs(600);
/// Every address of this network is local in the namespace.
const NETWORK: &str = "10.77.0.1/16";

/// One control plane at a time: they are large.
static TURN: Mutex<()> = Mutex::new(());

/// Runs `test` with a cluster of its own. `name` is the full name of the test: it is called again by that name,
/// within the namespace.
///
/// # Panics
/// If the test fails there.
pub fn lab(name: &str, test: impl FnOnce(&Cluster)) {
    in_namespace(name, || test(&Cluster::start()));
}

/// As [`lab`], for a test that starts its cluster itself.
///
/// # Panics
/// If the test fails there.
pub fn in_namespace(name: &str, test: impl FnOnce()) {
    if is_inside() {
        return test();
    }
    let _turn = TURN.lock();
    let arguments = ["--exact", name, "--nocapture", "--test-threads", "1"];
    let mut process = Process::start(name, &mut again(arguments.map(OsString::from)));
    let status = process.wait(LIMIT);
    let ran = process.stdout.find("test result: ok. 1 passed").is_some();
    assert!(status.success() && ran, "{name}, in its namespace: {status}\n{}", why(&process));
}

/// What the test said when it failed: what comes after it is long.
fn why(process: &Process) -> String {
    let lines = process.stderr.all();
    let said = lines.iter().skip_while(|line| !line.contains("panicked at"));
    said.take_while(|line| !line.starts_with("stack backtrace")).cloned().collect::<Vec<_>>().join("\n")
}

/// Whether this process runs within namespaces that [`again`] made.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The command that runs this program again, with these arguments, within new namespaces. Processes get one too:
/// none outlives it.
///
/// # Panics
/// If the path of this program can't be found.
pub fn again(arguments: impl IntoIterator<Item = OsString>) -> Command {
    let executable = std::env::current_exe().expect("the path of this program");
    let script = format!("ip link set lo up && ip addr add {NETWORK} dev lo && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["sh", "-c", &script]).arg(executable).args(arguments).env(INSIDE, "yes");
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}
