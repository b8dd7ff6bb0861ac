//! The goals that the design sets for the edge, beside what was measured.

use crate::report::{self, Goals};
use crate::rounds::{Entrant, Sample};

/// How a figure of an entrant must compare with that of another one.
pub struct Goal {
    what: &'static str,
    own: &'static str,
    other: &'static str,
    figure: fn(&Sample) -> f64,
    limit: Limit,
}

/// What a ratio must keep to.
pub enum Limit {
    /// It is not more.
    AtMost(f64),
    /// It is not less.
    AtLeast(f64),
}

impl Goal {
    /// A limit for the ratio of `own`'s figure to that of `other`.
    pub const fn new(
        what: &'static str,
        own: &'static str,
        other: &'static str,
        figure: fn(&Sample) -> f64,
        limit: Limit,
    ) -> Self {
        Self { what, own, other, figure, limit }
    }

    /// Not a number if one of the two was not there.
    fn measured(&self, entrants: &[Entrant]) -> f64 {
        let own = report::find(entrants, self.own);
        let other = report::find(entrants, self.other);
        own.zip(other).map_or(f64::NAN, |(own, other)| report::ratio(own, other, self.figure))
    }
}

/// Prints the goals for which something was measured.
pub fn print(goals: &[Goal], entrants: &[Entrant]) {
    let mut table = Goals::default();
    for goal in goals {
        let measured = goal.measured(entrants);
        match goal.limit {
            Limit::AtMost(limit) => table.at_most(goal.what, limit, measured),
            Limit::AtLeast(limit) => table.at_least(goal.what, limit, measured),
        }
    }
    table.print();
}
