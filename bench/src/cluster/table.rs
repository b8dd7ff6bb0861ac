//! Prints what was measured.

use comfy_table::{CellAlignment, Table, presets};

use super::replica::Start;
use super::steady::Steady;
use crate::report;

const COLUMNS: [&str; 8] =
    ["start", "ready s", "complete s", "CPU s", "MiB", "MiB at most", "table compiles", "ms together"];

/// Prints the starts, and the steady state.
pub(super) fn print(starts: &[Start], steady: &Steady) {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(COLUMNS);
    for start in starts {
        table.add_row(row(start));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    report::say(&format!("\n{table}"));
    for start in starts {
        report::say(&format!("requests, {}: {}", start.what, list(&start.requests)));
    }
    let Steady { seconds, cpu, requests, memory: (resident, most), scrape: (took, bytes) } = steady;
    report::say(&format!(
        "\nsteady state, {seconds:.0} s: {:.1} % of a core, {resident:.0} MiB resident ({most:.0} at most)",
        cpu.as_secs_f64() / seconds * 100.0,
    ));
    report::say(&format!("requests: {}", list(requests)));
    let kilobytes = bytes / 1000;
    report::say(&format!("a scrape of the metrics: {} ms, {kilobytes} kB", took.as_millis()));
}

fn row(start: &Start) -> [String; 8] {
    let Start { what, ready, complete, compiles: (seconds, count), memory, cpu, .. } = start;
    [
        (*what).to_owned(),
        format!("{:.2}", ready.as_secs_f64()),
        format!("{:.2}", complete.as_secs_f64()),
        format!("{:.2}", cpu.as_secs_f64()),
        format!("{:.0}", memory.0),
        format!("{:.0}", memory.1),
        format!("{count:.0}"),
        format!("{:.1}", seconds * 1e3),
    ]
}

fn list(requests: &[(String, usize)]) -> String {
    let total: usize = requests.iter().map(|(_, count)| count).sum();
    let each: Vec<_> = requests.iter().map(|(what, count)| format!("{what} {count}")).collect();
    format!("{total} ({})", each.join(", "))
}
