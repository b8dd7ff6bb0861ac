//! A contender that runs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Contender, Setup};
use crate::ai::model::Model;
use crate::ai::options::AiPlan;
use crate::ai::prompt::Prompts;
use crate::error::{Context as _, Failure, Result};
use crate::process::{Process, free_address};

/// How long a contender may take until it listens.
const START: Duration = Duration::from_secs(90);

/// The provider, and how it is spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    /// In HTTP/2, which those speak that can. Else in HTTP/1.1.
    pub http2: bool,
}

/// A contender. Dropping it ends it.
pub struct Running {
    /// Who it is.
    pub contender: Contender,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for HTTP/2.
    pub address_http2: SocketAddr,
    /// The directory of its own.
    pub dir: PathBuf,
    provider: Provider,
    process: Option<Process>,
}

impl Running {
    /// Starts it and waits until it listens.
    pub async fn start(
        contender: Contender,
        plan: &AiPlan,
        provider: Provider,
        dir: PathBuf,
    ) -> Result<Self> {
        let program = contender.program(plan.lockstep.as_deref());
        let program = program.ok_or_else(|| Failure::new("its program is not on this machine"))?;
        fs::create_dir_all(&dir).context(|| format!("cannot make {}", dir.display()))?;
        let (listen, second) = (free_address()?, free_address()?);
        let listen = if contender == Contender::Direct { provider.address } else { listen };
        let listen_http2 = if contender == Contender::Nginx { second } else { listen };
        let mut process = {
            let (threads, dir, program): (_, &Path, &Path) = (plan.threads, &dir, &program);
            let setup = Setup { threads, listen, listen_http2, provider, dir, program };
            let command = contender.command(&setup)?;
            command.map(|command| Process::start(command, contender.name(), dir)).transpose()?
        };
        if let Some(process) = &mut process {
            process.listens(listen, START).await?;
        }
        Ok(Self { contender, address: listen, address_http2: listen_http2, dir, provider, process })
    }

    /// The requests that its clients send.
    pub fn prompts(&self, model: Model, bytes: usize) -> Prompts {
        Prompts::new(model, bytes, &self.contender.headers(self.provider.address))
    }

    /// The id of its process; the provider itself has none that counts.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// The end of what it printed.
    pub fn last_words(&self) -> String {
        self.process.as_ref().map(Process::last_words).unwrap_or_default()
    }
}
