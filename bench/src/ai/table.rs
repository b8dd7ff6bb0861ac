//! Tables for people: medians over the rounds, differences and ratios within the same round.

use comfy_table::{CellAlignment, Table, presets};

use super::contender::Contender;
use super::rounds::{Sample, Series};
use super::shape::Shape;
use crate::report::{self, known, median, sorted};

/// A figure of one visit.
pub(super) type Figure = fn(&Sample) -> f64;

/// All that was measured.
pub(super) struct Results(pub(super) Vec<Series>);

impl Results {
    /// The series of a contender under a shape of load.
    pub(super) fn of(&self, shape: Shape, contender: Contender) -> Option<&Series> {
        self.0.iter().find(|series| series.shape == shape && series.contender == contender)
    }

    /// The median of the ratios to another contender within each round: what slowed a whole round down
    /// cancels out.
    pub(super) fn ratio(&self, series: &Series, other: Contender, figure: Figure) -> f64 {
        self.compare(series, other, |own, others| figure(own) / figure(others))
    }

    /// The median of the differences to another contender within each round.
    pub(super) fn added(&self, series: &Series, other: Contender, figure: Figure) -> f64 {
        self.compare(series, other, |own, others| figure(own) - figure(others))
    }

    fn compare(&self, series: &Series, other: Contender, by: impl Fn(&Sample, &Sample) -> f64) -> f64 {
        let Some(other) = self.of(series.shape, other).filter(|_| other != series.contender) else {
            return f64::NAN;
        };
        let pairs = series.samples.iter().filter_map(|own| {
            let others = other.samples.iter().find(|sample| sample.round == own.round)?;
            Some(by(own, others))
        });
        median(&sorted(pairs))
    }

    /// Prints what all did under one shape of load.
    pub(super) fn print(&self, shape: Shape) {
        let unit = shape.unit().name();
        let columns = [
            "contender".to_owned(),
            format!("CPU us/{unit}"),
            "min..max".to_owned(),
            "of it shipping".to_owned(),
            "CPU x bare".to_owned(),
            format!("{unit}s/s"),
            "p50 ms".to_owned(),
            "p99 ms".to_owned(),
            "added p50".to_owned(),
            "added p99".to_owned(),
            "failed".to_owned(),
        ];
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(columns);
        let of_shape = || self.0.iter().filter(|series| series.shape == shape);
        of_shape().for_each(|series| {
            table.add_row(self.row(series));
        });
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        report::say(&format!("\n{}\n{table}", shape.title()));
        report::disturbance(of_shape().flat_map(|series| &series.samples).map(Sample::cores_of_others));
    }

    fn row(&self, series: &Series) -> Vec<String> {
        let of = |figure: Figure| series.median(figure);
        let cpu = sorted(series.samples.iter().map(Sample::cpu_each));
        let (least, most) = (cpu.first().copied(), cpu.last().copied());
        let failed: u64 = series.samples.iter().map(|sample| sample.tally.failed).sum();
        // The provider's own time is not measured.
        let proxied = series.contender != Contender::Direct;
        let if_proxied = |text: String| if proxied { text } else { "-".to_owned() };
        vec![
            series.contender.name().to_owned(),
            if_proxied(number(median(&cpu))),
            if_proxied(format!(
                "{}..{}",
                number(least.unwrap_or(f64::NAN)),
                number(most.unwrap_or(f64::NAN))
            )),
            of_shipping(of(Sample::shipping_each)),
            if_proxied(known(self.ratio(series, Contender::Bare, Sample::cpu_each))),
            number(of(Sample::rate)),
            known(of(Sample::p50)),
            known(of(Sample::p99)),
            known(self.added(series, Contender::Direct, Sample::p50)),
            known(self.added(series, Contender::Direct, Sample::p99)),
            failed.to_string(),
        ]
    }
}

impl Series {
    /// The median of a figure over the rounds.
    pub(super) fn median(&self, figure: Figure) -> f64 {
        median(&sorted(self.samples.iter().map(figure)))
    }
}

fn number(figure: f64) -> String {
    if figure.is_nan() { "-".to_owned() } else { format!("{figure:.1}") }
}

fn of_shipping(figure: f64) -> String {
    if figure > 0.0 { number(figure) } else { "-".to_owned() }
}
