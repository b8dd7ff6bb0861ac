//! Plain Pingora: this program's own part.

use std::process::Command;

use super::Setup;
use crate::error::Result;

pub(super) fn command(setup: &Setup<'_>, stealing: bool) -> Result<Command> {
    let mut command = Command::new(setup.program);
    command.args(["bare", "--listen", &setup.listen.to_string()]);
    command.args(["--threads", &setup.threads.to_string()]);
    command.args(["--apps", &setup.layout.apps.to_string()]);
    command.args(["--versions", &setup.layout.versions.to_string()]);
    if !stealing {
        command.arg("--no-stealing");
    }
    for origin in setup.origins {
        command.args(["--origin", &origin.to_string()]);
    }
    Ok(command)
}
