//! The goals that the design sets, beside what was measured.

use super::contender::Contender::{self, Bare, Direct, LockstepOff, LockstepStrict, Nginx};
use super::memory::{Held, Protocol};
use super::rounds::Sample;
use super::shape::Shape;
use super::table::Results;
use crate::report::Goals;

/// What must not be more than a limit.
enum Measure {
    /// CPU microseconds, shipping included.
    Cpu,
    /// CPU microseconds without shipping.
    Path,
    /// CPU time without shipping against plain Pingora's.
    PathRatio,
    /// The same against nginx's: the design has nginx's time beside its own, both of another machine.
    PathToNginx,
    /// Milliseconds added to the median delay.
    AddedP50,
    /// Milliseconds added to the delay that 99 % stay below.
    AddedP99,
}

/// A goal for a shape of load.
struct Goal {
    what: &'static str,
    shape: Shape,
    contender: Contender,
    measure: Measure,
    at_most: f64,
}

/// What the design says of CPU time was measured without shipping, which comes after a call; both are shown.
const GOALS: [Goal; 14] = [
    goal(
        "strict, 2 kB: CPU us/request without shipping",
        Shape::Prompt2k,
        LockstepStrict,
        Measure::Path,
        60.0,
    ),
    goal("the same, x nginx", Shape::Prompt2k, LockstepStrict, Measure::PathToNginx, 60.0 / 21.0),
    goal("the same, shipping included", Shape::Prompt2k, LockstepStrict, Measure::Cpu, 60.0),
    goal(
        "strict, 2 kB: CPU x bare without shipping",
        Shape::Prompt2k,
        LockstepStrict,
        Measure::PathRatio,
        1.7,
    ),
    goal("strict, 1 000/s: added p50 ms", Shape::Steady, LockstepStrict, Measure::AddedP50, 0.5),
    goal("strict, 1 000/s: added p99 ms", Shape::Steady, LockstepStrict, Measure::AddedP99, 2.5),
    goal("off, chunk: CPU x bare", Shape::Chunks2500, LockstepOff, Measure::PathRatio, 1.0),
    goal(
        "strict, chunk: CPU x bare without shipping",
        Shape::Chunks2500,
        LockstepStrict,
        Measure::PathRatio,
        1.0,
    ),
    goal("off, first byte: added p50 ms", Shape::FirstByte, LockstepOff, Measure::AddedP50, 0.25),
    goal("strict, first byte: added p50 ms", Shape::FirstByte, LockstepStrict, Measure::AddedP50, 0.6),
    goal("strict, 500 chunks/s: added p99 ms", Shape::Chunks500, LockstepStrict, Measure::AddedP99, 0.3),
    goal(
        "strict, 400 kB: CPU us/request without shipping",
        Shape::Prompt400k,
        LockstepStrict,
        Measure::Path,
        400.0,
    ),
    goal("the same, x nginx", Shape::Prompt400k, LockstepStrict, Measure::PathToNginx, 400.0 / 180.0),
    goal("the same, shipping included", Shape::Prompt400k, LockstepStrict, Measure::Cpu, 400.0),
];

/// KiB of an open stream, at this many.
const HELD: [(Protocol, f64); 3] =
    [(Protocol::Http1, 65.0), (Protocol::Http2, 40.0), (Protocol::Http2Both, 40.0)];
/// Or somewhat fewer, where the system does not allow as many open files.
const MANY: usize = 9_000;

const fn goal(
    what: &'static str,
    shape: Shape,
    contender: Contender,
    measure: Measure,
    at_most: f64,
) -> Goal {
    Goal { what, shape, contender, measure, at_most }
}

/// Prints the goals for which something was measured.
pub(super) fn print(results: &Results, held: &[Held]) {
    let mut goals = Goals::default();
    for goal in &GOALS {
        goals.at_most(goal.what, goal.at_most, goal.measured(results));
    }
    for (protocol, at_most) in HELD {
        let is_it = |held: &&Held| {
            held.contender == LockstepStrict && held.protocol == protocol && held.streams >= MANY
        };
        let Some(held) = held.iter().find(is_it) else { continue };
        let what = format!("strict, {} open streams, {}: KiB each", held.streams, protocol.name());
        goals.at_most(&what, at_most, held.kib_each());
    }
    goals.print();
}

impl Goal {
    fn measured(&self, results: &Results) -> f64 {
        let Some(series) = results.of(self.shape, self.contender) else { return f64::NAN };
        match self.measure {
            Measure::Cpu => series.median(Sample::cpu_each),
            Measure::Path => series.median(Sample::path_each),
            Measure::PathRatio => results.ratio(series, Bare, Sample::path_each),
            Measure::PathToNginx => results.ratio(series, Nginx, Sample::path_each),
            Measure::AddedP50 => results.added(series, Direct, Sample::p50),
            Measure::AddedP99 => results.added(series, Direct, Sample::p99),
        }
    }
}
