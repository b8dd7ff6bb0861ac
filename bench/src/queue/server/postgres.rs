//! PostgreSQL with a data folder of its own, on a socket in that folder. Its settings are the defaults: a commit
//! waits for its sync.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::wait;
use crate::error::{Context as _, Failure, Result};
use crate::process::Process;

/// What is dropped and made again for each visit.
const DATABASE: &str = "bench";
/// Where Debian puts a folder for each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A running server. Dropping it ends it.
pub(in crate::queue) struct Postgres {
    process: Process,
    client: Client,
    /// Removed after the process has ended.
    dir: TempDir,
}

/// Runs its tools.
struct Client {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    socket: PathBuf,
}

impl Postgres {
    /// Starts one on the disk of `log_dir`. Its files are beside that directory, which nobody but us may enter.
    pub(super) fn start(log_dir: &Path) -> Result<Self> {
        let programs = programs().ok_or_else(|| Failure::new("no PostgreSQL"))?;
        let place = log_dir.parent().unwrap_or(log_dir);
        let dir = tempfile::Builder::new().prefix("lockstep-bench-pg").tempdir_in(place);
        let dir = dir.context(|| format!("cannot make a folder in {}", place.display()))?;
        let user = server_user()?;
        if let Some((user, group)) = user {
            chown(dir.path(), Some(user), Some(group)).context(|| "cannot give a folder away".to_owned())?;
        }
        let program = |name: &str| command(&programs, user, name);
        let mut initdb = program("initdb");
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        finish(initdb.arg(dir.path().join("data")))?;
        let mut server = program("postgres");
        server.arg("-D").arg(dir.path().join("data")).args(["-c", "listen_addresses=", "-c"]);
        server.arg(format!("unix_socket_directories={}", dir.path().display()));
        let mut process = Process::start(server, "postgres", log_dir)?;
        let client = Client { programs, user, socket: dir.path().to_owned() };
        wait(&mut process, "PostgreSQL", || finish(client.command("pg_isready").arg("--quiet")).is_ok())?;
        Ok(Self { process, client, dir })
    }

    /// The id of the process that starts the others.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where clients find the database.
    pub(super) fn address(&self) -> String {
        format!("host={} user=postgres dbname={DATABASE}", self.dir.path().display())
    }

    /// Makes the database anew.
    pub(super) fn empty(&self) -> Result<()> {
        finish(self.client.command("dropdb").args(["--if-exists", "--force", DATABASE]))?;
        finish(self.client.command("createdb").arg(DATABASE))
    }
}

impl Client {
    fn command(&self, program: &str) -> Command {
        let mut command = command(&self.programs, self.user, program);
        command.arg("--username=postgres").arg("--host").arg(&self.socket);
        command
    }
}

/// Where the server's programs are: those of the newest version that Debian installed, or in `PATH`.
pub(super) fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut debian: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = debian.into_iter().rev().map(|(_, folder)| folder);
    let is_whole = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready", "createdb"].iter().all(|name| folder.join(name).is_file())
    };
    debian.chain(std::env::split_paths(&path)).find(is_whole)
}

/// Whom to run the server as: it refuses to run as root.
fn server_user() -> Result<Option<(u32, u32)>> {
    let own = fs::metadata("/proc/self").context(|| "cannot read /proc".to_owned())?.uid();
    if own != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context(|| "cannot read /etc/passwd".to_owned())?;
    let user = |name: &str| {
        let mut fields =
            users.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name))?;
        let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u32>().ok();
        Some((number(2)?, number(0)?))
    };
    let found = user("postgres").or_else(|| user("nobody"));
    found.map(Some).ok_or_else(|| Failure::new("no user to run PostgreSQL as"))
}

fn command(programs: &Path, user: Option<(u32, u32)>, name: &str) -> Command {
    let mut command = Command::new(programs.join(name));
    // The user may not be allowed to be where we are.
    command.current_dir("/");
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    command
}

fn finish(command: &mut Command) -> Result<()> {
    let output = command.output().context(|| format!("cannot start {command:?}"))?;
    let said = || Failure::new(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)));
    if output.status.success() { Ok(()) } else { Err(said()) }
}
