//! Fills the cluster with the objects of all versions.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use lockstep_tests::kube::{Api, Cluster, Rollout, rollout};

use super::PORT;
use super::options::ClusterPlan;
use crate::error::{Failure, Result};
use crate::layout::{host, version};
use crate::report;

/// Objects of a version: Deployment, Service, pod, EndpointSlice.
const OBJECTS: usize = 4;
/// How often a version is written again when the API did not answer: it may be busy.
const AGAIN: usize = 10;

/// Writes all objects, by several connections.
pub(super) fn fill(cluster: &Cluster, plan: &ClusterPlan) -> Result<()> {
    let began = Instant::now();
    (0..plan.namespaces.max(1)).for_each(|number| cluster.namespace(&namespace(number)));
    let (next, total) = (AtomicUsize::new(0), plan.layout().total());
    let write = || {
        let api = cluster.admin().clone();
        // One after the other, whoever comes first.
        let numbers = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        numbers.take_while(|number| *number < total).try_for_each(|number| write(&api, plan, number))
    };
    thread::scope(|scope| {
        let writers: Vec<_> = (0..plan.connections.max(1)).map(|_| scope.spawn(write)).collect();
        let panicked = |_| Err(Failure::new("a writer of objects panicked"));
        writers.into_iter().try_for_each(|writer| writer.join().unwrap_or_else(panicked))
    })?;
    let seconds = began.elapsed().as_secs_f64();
    report::say(&format!("{} objects written in {seconds:.0} s", total * OBJECTS));
    Ok(())
}

fn write(api: &Api, plan: &ClusterPlan, number: usize) -> Result<()> {
    let rollout = rollout_of(plan, number);
    let made = rollout.made(address(number)?);
    let mut written = made.write(api);
    for _ in 0..AGAIN {
        if written.as_ref().is_err_and(|refused| refused.status == 0) {
            written = made.write(api);
        }
    }
    written.map_err(|refused| Failure::new(format!("{}: {refused}", rollout.name)))
}

/// The version with this number: each app's oldest first.
fn rollout_of(plan: &ClusterPlan, number: usize) -> Rollout {
    let (app, of_app) = plan.layout().pin(number);
    rollout(&format!("app{app}"), &version(of_app))
        .namespace(&namespace(app % plan.namespaces.max(1)))
        .annotation("lockstep.dev/hosts", &host(app))
        // Creation times have whole seconds.
        .annotation("lockstep.dev/revision", &(of_app + 1).to_string())
        .port(PORT)
}

fn namespace(number: usize) -> String {
    format!("team-{number}")
}

/// Each pod has an address of its own, of those that are local in the namespace.
fn address(number: usize) -> Result<Ipv4Addr> {
    let part = |number: usize| u8::try_from(number).ok();
    let parts = part(number / 250 + 1).zip(part(number % 250 + 1));
    let (third, fourth) = parts.ok_or_else(|| Failure::new("more versions than addresses"))?;
    Ok(Ipv4Addr::new(10, 77, third, fourth))
}
