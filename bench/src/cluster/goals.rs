//! The goals that the design sets, beside what was measured.

use super::replica::Start;
use super::steady::Steady;
use crate::report::Goals;

/// Prints them.
pub(super) fn print(starts: &[Start], steady: &Steady) {
    let most = |figure: &dyn Fn(&Start) -> f64| starts.iter().map(figure).fold(0.0, f64::max);
    let kept = starts.iter().skip(1);
    let complete = kept.map(|start| start.complete.as_secs_f64()).fold(0.0, f64::max);
    let requests: usize = steady.requests.iter().map(|(_, count)| count).sum();
    let mut goals = Goals::default();
    goals.at_most("complete snapshot after the start, s", 10.0, complete);
    goals.at_most("resident memory, MiB at most", 300.0, most(&|start| start.memory.1).max(steady.memory.1));
    goals.at_most("requests to the API in steady state, 1/s", 1.0, requests as f64 / steady.seconds);
    goals.at_most("all compiles of the table at a new replica's start, ms", 50.0, compile(starts));
    goals.print();
}

/// Nothing is known yet then, so that one of them makes every route; the others are small.
fn compile(starts: &[Start]) -> f64 {
    starts.get(1).map_or(f64::NAN, |start| start.compiles.0 * 1e3)
}
