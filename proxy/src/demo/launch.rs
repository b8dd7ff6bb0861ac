//! Prepares the demo: ports, apps and the configuration file, and what is printed about them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::DemoError;
use super::app::{self, Running};
use super::provider;
use crate::process::{DataDir, Process};

/// The configuration, as the repository has it.
const CONFIG: &str = include_str!("../../../conf/demo.yaml");
/// Where the running copy lies; also the data directory that it names.
const DIRECTORY: &str = "./data/demo";
/// The addresses that the configuration names, and what listens there.
const PROXY: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9901";
const PROVIDER: &str = "127.0.0.1:9103";
const APPS: [(&str, &str); 2] = [("v1", "127.0.0.1:9101"), ("v2", "127.0.0.1:9102")];

/// A demo that is about to run.
pub(super) struct Launched {
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// The versions of its app, and the provider of its model.
    pub(super) apps: Vec<Running>,
}

/// Starts the apps and writes the configuration. What another program listens on is replaced by a
/// free port, in the configuration too.
pub(super) fn launch() -> Result<Launched, DemoError> {
    if DataDir::is_in_use(Path::new(DIRECTORY)) {
        return Err(DemoError::Running { directory: DIRECTORY });
    }
    let mut config = CONFIG.to_owned();
    let mut apps = Vec::new();
    for (version, addr) in APPS {
        let app = app::start(version, free(addr)?)?;
        config = config.replace(addr, &app.addr.to_string());
        apps.push(app);
    }
    let model = app::serve("provider", free(PROVIDER)?, provider::router())?;
    config = config.replace(PROVIDER, &model.addr.to_string());
    apps.push(model);
    for addr in [PROXY, ADMIN] {
        config = config.replace(addr, &free(addr)?.to_string());
    }
    let directory = PathBuf::from(DIRECTORY);
    let file = directory.join("lockstep.yaml");
    let failed = |source| DemoError::Io { what: file.display().to_string(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
    // Each demo begins with the same story.
    let _absent = fs::remove_file(directory.join(lockstep_controller::store::FILE));
    fs::write(&file, config).map_err(failed)?;
    Ok(Launched { config: file, apps })
}

/// The address, or the same with a free port if it is taken.
fn free(addr: &str) -> Result<SocketAddr, DemoError> {
    let failed = |source| DemoError::Io { what: format!("a port like {addr}"), source };
    let taken = TcpListener::bind(addr);
    let listener = taken.or_else(|_| TcpListener::bind("127.0.0.1:0")).map_err(failed)?;
    listener.local_addr().map_err(failed)
}

/// Says what runs and what is worth trying.
pub(super) fn greet(launched: &Launched, process: &Process) {
    let proxy = process.addresses().next().map_or_else(String::new, |addr| format!("http://{addr}"));
    let admin = format!("http://{}", process.admin_address());
    let config = launched.config.display();
    let data = Path::new(DIRECTORY).join("audit");
    let data = data.display();
    let lockstep =
        std::env::current_exe().map_or_else(|_| "lockstep".to_owned(), |path| path.display().to_string());
    crate::cli::line(&format!(
        "
Lockstep demo: the app \"shop\" in two versions behind one proxy.

  app      {proxy}/          open it in a browser
  admin    {admin}/api/v1/status   (and /metrics)
  config   {config}       edit it while this runs

Worth trying:

  # A new visitor gets the newest version and a cookie that pins:
  curl -i {proxy}/api/version

  # Whoever loaded v1 stays on v1:
  curl -i -H 'x-deployment-id: v1' {proxy}/api/version

  # A stream passes through as it comes, from the version that the cookie names:
  curl -N --cookie __plt_dpl=v1 {proxy}/events

  # The AI gateway: a model that repeats what it is told, streamed, and the record that it leaves:
  curl -N {proxy}/v1/chat/completions -H 'content-type: application/json' -d '{{\"model\":\"demo\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello there\"}}]}}'
  sleep 2; tail -n 1 $(find {data} -name '*.jsonl' | sort | tail -n 1)
  {lockstep} audit verify {data}

  # The same from Python (pip install openai) or Node (npm install openai):
  python3 -c 'from openai import OpenAI; [print(c.choices[0].delta.content or str(), end=str()) for c in OpenAI(base_url=\"{proxy}/v1\", api_key=\"none\").chat.completions.create(model=\"demo\", stream=True, messages=[dict(role=\"user\", content=\"Hello there\")])]'
  node -e 'new (require(\"openai\").default)({{baseURL:\"{proxy}/v1\",apiKey:\"none\"}}).chat.completions.create({{model:\"demo\",messages:[{{role:\"user\",content:\"Hello there\"}}]}}).then(a=>console.log(a.choices[0].message.content))'

Then make v1 the active version again, and see that the open page does not notice:

  LOCKSTEP_ADMIN_TOKEN=demo {lockstep} versions promote shop v1 --admin {admin}
  {lockstep} versions list --admin {admin}
  {lockstep} explain --host localhost --cookie __plt_dpl=v2 --admin {admin}

Each start begins anew, with a fresh config. Ctrl-C ends all of it."
    ));
}
