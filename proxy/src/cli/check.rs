//! `lockstep check`: whether a configuration could be started with.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{DEFAULT_CONFIG, Failure, Outcome, render};
use crate::config::{self, Config};
use crate::process::{self, DataDir};

/// Check a configuration file and all that it names.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration file.
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Print the configuration as it would run: defaults filled in, secrets masked.
    #[arg(long)]
    print: bool,
}

pub(super) fn check(check: &Check) -> Outcome {
    // The instance that runs with this configuration holds its ports, as it should.
    let runs = config::data_dir(&check.config).is_some_and(|data_dir| DataDir::is_in_use(&data_dir));
    let loaded = if runs { config::load(&check.config) } else { process::load_for_start(&check.config) };
    let config = loaded.map_err(Failure::Config)?;
    if check.print {
        print(&config)?;
    } else {
        let versions: usize = config.apps.iter().map(|app| app.versions.len()).sum();
        let (apps, file) = (config.apps.len(), check.config.display());
        render::line(&format!("{file}: ok ({apps} apps, {versions} versions)"));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(config: &Config) -> Result<(), Failure> {
    let text = serde_yaml::to_string(&config.to_masked_json()).map_err(|error| error.to_string())?;
    render::line(text.trim_end());
    Ok(())
}
