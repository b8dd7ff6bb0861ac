//! Tables for people: medians over the rounds, ratios of the same round.

use std::io::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::rounds::{Entrant, Sample};

const COLUMNS: [&str; 7] =
    ["contender", "CPU us/request", "min..max", "requests/s", "p50 ms", "p99 ms", "connects/1000"];

/// Beyond this many cores that others keep busy, figures are not worth much.
const NOISE: f64 = 0.05;

/// What must not be more, or less, than a limit, beside what was measured.
pub struct Goals(Table);

/// Prints a line.
pub fn say(line: &str) {
    // Nobody listens when it fails.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

/// Shows on the terminal where the run is.
pub fn progress(round: usize, rounds: usize) {
    let _closed = writeln!(std::io::stderr(), "  round {round} of {rounds}");
}

/// Prints the table; `ratios` are the names of the columns that compare CPU time.
pub fn table(entrants: &[Entrant], ratios: &[&str]) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let extra = ratios.iter().copied().chain(["requests/s x bare", "failed", "misrouted"]);
    table.set_header(COLUMNS.into_iter().chain(extra));
    for entrant in entrants {
        table.add_row(row(entrant, entrants));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    say(&table.to_string());
    let samples = entrants.iter().flat_map(|entrant| &entrant.samples);
    disturbance(samples.map(Sample::cores_of_others));
}

/// Says so when other programs ran: they slow all down, and not all alike.
pub fn disturbance(cores_of_others: impl Iterator<Item = f64>) {
    let cores = median(&sorted(cores_of_others));
    let verdict = if cores > NOISE { "NOISY: run it again on an idle machine" } else { "quiet" };
    say(&format!("other programs kept {cores:.2} cores busy ({verdict})"));
}

fn row(entrant: &Entrant, entrants: &[Entrant]) -> Vec<String> {
    let samples = &entrant.samples;
    let cpu = sorted(samples.iter().map(Sample::cpu_per_request));
    let of = |figure: &dyn Fn(&Sample) -> f64| median(&sorted(samples.iter().map(figure)));
    let sum = |count: &dyn Fn(&Sample) -> u64| samples.iter().map(count).sum::<u64>().to_string();
    let mut row = vec![
        entrant.label.clone(),
        format!("{:.1}", median(&cpu)),
        format!("{:.1}..{:.1}", cpu.first().unwrap_or(&f64::NAN), cpu.last().unwrap_or(&f64::NAN)),
        format!("{:.0}", of(&Sample::throughput)),
        format!("{:.2}", of(&|sample| sample.tally.p50.as_secs_f64() * 1e3)),
        format!("{:.2}", of(&|sample| sample.tally.p99.as_secs_f64() * 1e3)),
        format!("{:.1}", of(&Sample::connects_per_thousand)),
    ];
    let others: Vec<_> = entrant.against.iter().map(|label| find(entrants, label)).collect();
    let ratio_to =
        |other: Option<&Entrant>, figure| other.map_or(f64::NAN, |other| ratio(entrant, other, figure));
    row.extend(others.iter().map(|other| precise(ratio_to(*other, Sample::cpu_per_request))));
    row.push(precise(ratio_to(others.first().copied().flatten(), Sample::throughput)));
    row.push(sum(&|sample| sample.tally.failed));
    row.push(sum(&|sample| sample.tally.misrouted));
    row
}

/// The entrant of a name.
pub fn find<'e>(entrants: &'e [Entrant], label: &str) -> Option<&'e Entrant> {
    entrants.iter().find(|entrant| entrant.label == label)
}

/// The median of the ratios within each round: what slowed a whole round down cancels out. Not a number for an entrant
/// against itself.
pub fn ratio(entrant: &Entrant, other: &Entrant, figure: fn(&Sample) -> f64) -> f64 {
    if other.label == entrant.label {
        return f64::NAN;
    }
    let rounds = entrant.samples.iter().zip(&other.samples);
    median(&sorted(rounds.map(|(own, others)| figure(own) / figure(others))))
}

fn precise(ratio: f64) -> String {
    if ratio.is_nan() { "-".to_owned() } else { format!("{ratio:.3}") }
}

/// A figure with two digits after the point, if there is one.
pub fn known(figure: f64) -> String {
    if figure.is_nan() { "-".to_owned() } else { format!("{figure:.2}") }
}

/// Figures in order.
pub fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

/// The one in the middle; not a number if there is none.
pub fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    if sorted.len() % 2 == 1 {
        return upper;
    }
    let lower = middle.checked_sub(1).and_then(|index| sorted.get(index));
    lower.map_or(f64::NAN, |lower| f64::midpoint(*lower, upper))
}

impl Default for Goals {
    fn default() -> Self {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["goal", "limit", "measured", "reached"]);
        Self(table)
    }
}

impl Goals {
    /// Adds what must not be more than a limit, if something was measured for it.
    pub fn at_most(&mut self, what: &str, limit: f64, figure: f64) {
        self.add(what, &format!("at most {limit:.2}"), figure, figure <= limit);
    }

    /// Adds what must not be less than a limit, if something was measured for it.
    pub fn at_least(&mut self, what: &str, limit: f64, figure: f64) {
        self.add(what, &format!("at least {limit:.2}"), figure, figure >= limit);
    }

    fn add(&mut self, what: &str, limit: &str, figure: f64, reached: bool) {
        if !figure.is_nan() {
            self.0.add_row([what, limit, &format!("{figure:.2}"), if reached { "yes" } else { "NO" }]);
        }
    }

    /// Prints them.
    pub fn print(mut self) {
        if self.0.is_empty() {
            return;
        }
        for column in self.0.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        say(&format!("\nGoals\n{}", self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert!((median(&sorted([3.0, 1.0, 2.0].into_iter())) - 2.0).abs() < f64::EPSILON);
        assert!((median(&sorted([4.0, 1.0, 2.0, 3.0].into_iter())) - 2.5).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }
}
