//! A real PostgreSQL server with a data folder of its own, on a socket in that folder. It ends with the test
//! process, however that ends: a shell beside it waits for the end of its standard input.

use std::io::Write;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(60);

/// Runs the server until its standard input ends or says `keep`; without that the test process is gone, and nobody
/// needs its folder any more.
const KEEPER: &str = r#"
directory=$1; shift
"$@" >>"$directory/log" 2>&1 &
server=$!
read -r word
kill -QUIT "$server" 2>/dev/null
wait "$server" 2>/dev/null
[ "$word" = keep ] || rm -rf "$directory"
"#;

/// A running server, with fsync on.
#[derive(Debug)]
pub(crate) struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    keeper: Option<Child>,
}

impl Postgres {
    /// The one that all tests of this process share; each uses a schema of its own. It ends with the process.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Another one.
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

    /// Stops it in the way of a crash; what it has committed stays.
    pub(crate) fn stop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            keeper.stdin.take().unwrap().write_all(b"keep\n").unwrap();
            keeper.wait().unwrap();
        }
    }

    /// Starts it, also again.
    pub(crate) fn resume(&mut self) {
        let mut command = as_server_user(Command::new("sh"));
        command.args(["-c", KEEPER, "keeper"]).arg(&self.directory);
        command.arg(self.programs.join("postgres")).arg("-D").arg(self.data());
        for setting in ["listen_addresses=", "fsync=on", "max_connections=200", "log_min_messages=warning"] {
            command.args(["-c", setting]);
        }
        command.args(["-c", &format!("unix_socket_directories={}", self.directory.display())]);
        self.keeper = Some(command.stdin(Stdio::piped()).current_dir("/").spawn().unwrap());
        let begun = Instant::now();
        while !self.answers() {
            assert!(begun.elapsed() < START, "the server does not start: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let mut command = self.command("pg_isready");
        command.arg("--quiet").arg("--host").arg(&self.directory).status().unwrap().success()
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
        self.stop();
        std::fs::remove_dir_all(&self.directory).unwrap();
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
        .find(|folder| folder.join("initdb").exists() && folder.join("pg_isready").exists())
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
