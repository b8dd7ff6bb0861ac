//! A replica in a large Kubernetes cluster: a real API server with all the objects of many apps, and the real
//! binary with the configuration and the rights that ship.
//!
//! Nothing else lives in that cluster: objects are written as controllers and a kubelet would leave them, and stay
//! so. Requests to the API are counted by its audit log. All of it runs in a network namespace.

pub mod options;

mod fill;
mod goals;
mod replica;
mod steady;
mod table;

use std::net::{Ipv4Addr, SocketAddr};

use lockstep_tests::Origin;
use lockstep_tests::kube::{Cluster, again, is_inside};

use options::ClusterPlan;
use replica::Replica;

use crate::cli::Kind;
use crate::contender::program;
use crate::error::{Context as _, Failure, Result};
use crate::report;

/// The port of all endpoints: one origin answers for all their addresses.
const PORT: u16 = 3000;

/// Runs the plan.
///
/// # Errors
/// If something can't be measured, or the replica does not route what it must.
pub fn run(plan: &ClusterPlan) -> Result<()> {
    if is_inside() {
        return measure(plan);
    }
    let missing = || Failure::new("the lockstep binary is missing: cargo build --release --package lockstep");
    let lockstep = program(Kind::Lockstep, plan.lockstep.as_deref()).ok_or_else(missing)?;
    let mut inside = again(std::env::args_os().skip(1));
    let status = inside.env("LOCKSTEP_BIN", lockstep).status();
    let status = status.context(|| "cannot make namespaces".to_owned())?;
    if status.success() { Ok(()) } else { Err(Failure::new("the cluster could not be measured")) }
}

fn measure(plan: &ClusterPlan) -> Result<()> {
    let layout = plan.layout();
    report::say(&format!(
        "{} apps x {} versions in {} namespaces, one replica, {} cores for all",
        layout.apps,
        layout.versions,
        plan.namespaces,
        std::thread::available_parallelism().map_or(0, usize::from),
    ));
    let cluster = Cluster::still();
    cluster.install("manage");
    fill::fill(&cluster, plan)?;
    let _origin = Origin::with_streams_at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)), "any");

    let directory = || tempfile::tempdir().context(|| "no temporary directory".to_owned());
    let first = Replica::start(&cluster, layout, directory()?)?;
    let mut starts = vec![first.started("first: no states are kept")?];
    steady::settle(&cluster)?;
    first.end()?;
    let fresh = Replica::start(&cluster, layout, directory()?)?;
    starts.push(fresh.started("new replica, empty data_dir")?);
    steady::settle(&cluster)?;
    let steady = steady::watch(&fresh, plan.seconds)?;
    let dir = fresh.end()?;
    let again = Replica::start(&cluster, layout, dir)?;
    starts.push(again.started("restart, data_dir kept")?);
    again.end()?;

    table::print(&starts, &steady);
    goals::print(&starts, &steady);
    Ok(())
}
