//! Plain Pingora: this program's own part, with one app of one version, which is the provider.

use std::process::Command;

use super::Setup;

pub(super) fn command(setup: &Setup<'_>) -> Command {
    let mut command = Command::new(setup.program);
    command.args(["bare", "--listen", &setup.listen.to_string()]);
    command.args(["--threads", &setup.threads.to_string()]);
    command.args(["--apps", "1", "--versions", "1", "--h2c"]);
    command.args(["--origin", &setup.provider.address.to_string()]);
    command.args(setup.provider.http2.then_some("--origin-http2"));
    command
}
