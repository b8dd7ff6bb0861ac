//! Everything that the commands print.

use std::io::{self, Write as _};

use comfy_table::{Table, presets};
use serde::Serialize;

/// Prints a line to standard output. A reader that went away is no failure of ours.
pub(crate) fn line(text: &str) {
    let _gone = followed_line(text);
}

/// Prints a line to standard output; says whether anybody reads it.
pub(crate) fn followed_line(text: &str) -> bool {
    writeln!(io::stdout().lock(), "{text}").is_ok()
}

/// Prints a failure to standard error.
pub(crate) fn error(text: &str) {
    let _gone = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(cause) => error(&cause.to_string()),
    }
}

/// Prints rows under a header, without lines that would get in the way of other tools.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    line(&table.trim_fmt());
}
