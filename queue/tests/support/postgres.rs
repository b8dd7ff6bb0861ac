//! A real PostgreSQL server with a data folder of its own, on a socket in that folder. It ends with the test
//! process, however that ends: a shell beside it waits for the end of its standard input.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lockstep_queue::jobs::{PostgresOptions, PostgresStorage};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(60);

/// Runs the server, and stops and removes it when the test process is gone.
const KEEPER: &str = r#"
directory=$1; shift
"$@" >>"$directory/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ -e "$directory/again" ] || rm -rf "$directory"
"#;

/// A running server, with fsync on.
#[derive(Debug)]
pub(crate) struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    keeper: Option<Child>,
}

impl Postgres {
    /// The one that all tests of this process share; each uses a schema of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Another one, for a test that stops it.
    pub(crate) fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("lockstep-pg").tempdir().unwrap().keep();
        let mut server = Self { directory, programs: programs(), keeper: None };
        if let Some((user, group)) = server_user() {
            chown(&server.directory, Some(user), Some(group)).unwrap();
        }
        let output = server
            .command("initdb")
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        server.resume();
        server
    }

    /// The address of its database.
    pub(crate) fn address(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.directory.display())
    }

    /// Options with a schema that no other test has.
    pub(crate) fn options() -> PostgresOptions {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let schema = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        PostgresOptions { schema, ..PostgresOptions::default() }
    }

    /// A storage in a schema that no other test has.
    pub(crate) async fn storage(&self) -> PostgresStorage {
        PostgresStorage::connect(&self.address(), Self::options()).await.unwrap()
    }

    /// Stops it in the way of a crash; what it has committed stays.
    pub(crate) fn crash(&mut self) {
        std::fs::write(self.directory.join("again"), "").unwrap();
        self.end();
    }

    /// Starts it again.
    pub(crate) fn resume(&mut self) {
        // Its socket and note of its process may be left from a crash.
        std::fs::remove_file(self.directory.join("again")).ok();
        let server = self.programs.join("postgres");
        let mut command = as_server_user(Command::new("sh"));
        command.args(["-c", KEEPER, "keeper"]).arg(&self.directory).arg(server).arg("-D").arg(self.data());
        for setting in ["listen_addresses=", "fsync=on", "max_connections=200", "log_min_messages=warning"] {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("unix_socket_directories={}", self.directory.display())]);
        command.stdin(Stdio::piped()).current_dir("/");
        self.keeper = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < START, "the server does not start: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a statement with `psql`.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let output = self
            .command("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "-v", "ON_ERROR_STOP=1"])
            .args(["--dbname", &self.address(), "--command", statement])
            .output()
            .unwrap();
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn answers(&self) -> bool {
        let output = self
            .command("psql")
            .args(["--no-psqlrc", "--dbname", &self.address(), "--command", "SELECT 1"])
            .output()
            .unwrap();
        output.status.success()
    }

    fn end(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            keeper.wait().unwrap();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = as_server_user(Command::new(self.programs.join(program)));
        command.current_dir("/");
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where the server's programs are: beside the `initdb` of the newest version that Debian installed, or in `PATH`.
fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = debian
        .filter_map(|version| {
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = found.into_iter().rev().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    folders
        .find(|folder| folder.join("initdb").exists() && folder.join("psql").exists())
        .expect("PostgreSQL is not installed; `make test` installs it (tests/setup/install.sh)")
}

/// Whom to run the server as: it refuses to run as root.
fn server_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    if std::fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let user = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(user("postgres").or_else(|| user("nobody")).expect("a user to run PostgreSQL as"))
}

fn as_server_user(mut command: Command) -> Command {
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    command
}
