//! Shapes of load, and how many jobs each contender does in one.

use clap::ValueEnum;

use super::contender::{Contender, Pace};
use super::options::QueuePlan;

/// A shape of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Jobs come in; nobody does them.
    Enqueue,
    /// Jobs come in and are done at the same time.
    Pipeline,
    /// Callers wait for the output of each job.
    Wait,
    /// A backlog is done.
    Drain,
}

/// One line for each contender in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The shape of load.
    pub shape: Shape,
    /// Calls in flight, and jobs that the worker does at once.
    pub concurrency: usize,
    /// Jobs that wait beforehand, for [`Shape::Drain`].
    backlog: usize,
}

impl Shape {
    /// Its name in tables and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Pipeline => "pipeline",
            Self::Wait => "wait",
            Self::Drain => "drain",
        }
    }
}

impl Cell {
    /// The cells of a plan.
    pub fn all(plan: &QueuePlan) -> Vec<Self> {
        plan.shapes.iter().flat_map(|shape| Self::of(*shape, plan)).collect()
    }

    fn of(shape: Shape, plan: &QueuePlan) -> Vec<Self> {
        let mut concurrency = plan.concurrency.iter().copied().map(|concurrency| concurrency.max(1));
        if shape != Shape::Drain {
            return concurrency.map(|concurrency| Self { shape, concurrency, backlog: 0 }).collect();
        }
        let concurrency = concurrency.next_back().unwrap_or(1);
        plan.backlog.iter().map(|backlog| Self { shape, concurrency, backlog: *backlog }).collect()
    }

    /// So many jobs that a visit takes about a second, which is enough for the clock of CPU time. What
    /// a slow contender would not end is cut down; the table says so.
    pub fn jobs(self, contender: Contender, percent: usize) -> usize {
        let pace = contender.pace();
        if self.shape == Shape::Drain {
            return if pace == Pace::Crawl { self.backlog.min(1_000) } else { self.backlog };
        }
        let in_flight = self.concurrency;
        let jobs = match pace {
            Pace::Memory => 50_000,
            Pace::Network => (in_flight * 2_000).min(20_000),
            Pace::Disk => (in_flight * 1_000).min(20_000),
            Pace::Crawl => (in_flight * 100).min(300),
        };
        (jobs * percent / 100).max(in_flight)
    }

    /// How it is called in a table.
    pub fn label(self) -> String {
        format!("{} {}", self.shape.name(), self.concurrency)
    }
}
