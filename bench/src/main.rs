//! The command line of the side-by-side runs: see the library.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use lockstep_bench::cli::{Arguments, Part};
use lockstep_bench::{ai, bare, cluster, journal, origin, queue, run};

// The allocator of the `lockstep` binary, so that the bare contender has no worse one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match &arguments.part {
        Some(Part::Origin(options)) => origin::run(options),
        Some(Part::Bare(options)) => bare::run(options),
        Some(Part::Ai(plan)) => ai::run(plan),
        Some(Part::Provider(options)) => ai::provider::run(options),
        Some(Part::Cluster(plan)) => cluster::run(plan),
        Some(Part::Queue(plan)) => queue::run(plan),
        Some(Part::Journal(plan)) => journal::run(plan),
        Some(Part::QueueCell(options)) => queue::ours::run(options),
        None => run::run(&arguments.plan),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            run::complain(&failure);
            ExitCode::FAILURE
        }
    }
}
