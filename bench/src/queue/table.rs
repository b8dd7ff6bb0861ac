//! Tables for people: medians over the rounds, ratios of the same round.

use comfy_table::{CellAlignment, Table, presets};

use super::contender::Family;
use super::rounds::Entrant;
use super::visit::Sample;
use crate::report::{self, known, median, sorted};

const COLUMNS: [&str; 8] = [
    "load",
    "contender",
    "jobs",
    "jobs/s (best)",
    "CPU s/1000, own",
    "CPU s/1000, server",
    "p50 ms",
    "p95 ms",
];

/// Prints what the contenders of a family did.
pub(super) fn print(entrants: &[Entrant], family: Family) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let reference = family.reference();
    let ratios = reference.map(|reference| {
        let name = reference.name();
        ["jobs/s", "jobs/CPU s", "p50"].map(|figure| format!("{figure} x {name}"))
    });
    table.set_header(COLUMNS.map(str::to_owned).into_iter().chain(ratios.into_iter().flatten()));
    for entrant in entrants {
        let mut row = row(entrant);
        if reference.is_some() {
            let of_cell = |other: &&Entrant| Some(other.contender) == reference && other.cell == entrant.cell;
            row.extend(ratios_to(entrant, entrants.iter().find(of_cell)));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    report::say(&table.to_string());
    entrants
        .iter()
        .filter_map(Entrant::failure)
        .for_each(|failure| report::say(&format!("  FAILED: {failure}")));
    report::disturbance(entrants.iter().flat_map(|entrant| &entrant.samples).map(|sample| sample.others));
}

fn row(entrant: &Entrant) -> Vec<String> {
    let of = |figure: fn(&Sample) -> f64| median(&sorted(entrant.samples.iter().map(figure)));
    let best = sorted(entrant.samples.iter().map(Sample::rate)).last().copied().unwrap_or(f64::NAN);
    vec![
        entrant.cell.label(),
        entrant.contender.name().to_owned(),
        entrant.jobs.to_string(),
        format!("{:.0} ({best:.0})", of(Sample::rate)),
        format!("{:.4}", of(|sample| sample.client * 1e3 / sample.jobs)),
        format!("{:.4}", of(|sample| sample.server * 1e3 / sample.jobs)),
        known(of(|sample| sample.p50)),
        known(of(|sample| sample.p95)),
    ]
}

fn ratios_to(entrant: &Entrant, reference: Option<&Entrant>) -> [String; 3] {
    let figures: [fn(&Sample) -> f64; 3] = [Sample::rate, Sample::per_cpu, |sample| sample.p50];
    figures.map(|figure| known(ratio(entrant, reference, figure)))
}

/// The median of the ratios within each round: what slowed a whole round down cancels out.
fn ratio(entrant: &Entrant, reference: Option<&Entrant>, figure: fn(&Sample) -> f64) -> f64 {
    let Some(reference) = reference.filter(|other| other.contender != entrant.contender) else {
        return f64::NAN;
    };
    let rounds = entrant.samples.iter().zip(&reference.samples);
    median(&sorted(rounds.map(|(own, other)| figure(own) / figure(other))))
}

impl Sample {
    /// Jobs per second.
    fn rate(&self) -> f64 {
        self.jobs / self.seconds
    }

    /// Jobs per CPU second of contender and server together. The clock shows hundredths of a second.
    fn per_cpu(&self) -> f64 {
        self.jobs / (self.client + self.server).max(0.01)
    }
}
