//! The values that keys take: each kind can only be made valid.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

pub use lockstep_controller::Share;

pub use super::names::{HostPattern, PathPrefix};

/// Units of durations with their milliseconds, largest first.
const TIME_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Units of sizes with their bytes, largest first.
const SIZE_UNITS: &[(&str, u64)] =
    &[("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A duration of one unit that lies in a range.
pub(super) fn duration_in(range: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let duration = with_unit(text, TIME_UNITS).map(Duration::from_millis).ok_or_else(|| {
            format!(
                "{} is not a duration; write a whole number with a unit, such as 500ms, 30s, 30m, 12h or 1d",
                quoted(text)
            )
        })?;
        within(text, duration, &range, |bound| duration_text(*bound))
    }
}

/// A size of one unit that lies in a range.
pub(super) fn size_in(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let size = with_unit(text, SIZE_UNITS).ok_or_else(|| {
            format!(
                "{} is not a size; write a whole number with a unit, such as 512B, 64KiB, 10MiB or 1GiB",
                quoted(text)
            )
        })?;
        within(text, size, &range, |bound| size_text(*bound))
    }
}

/// A whole number that lies in a range.
pub(super) fn number_in<T: FromStr + PartialOrd + Display>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let number = text.parse().map_err(|_| {
            format!("{} is not a whole number from {} to {}", quoted(text), range.start(), range.end())
        })?;
        within(text, number, &range, T::to_string)
    }
}

/// One of several words.
pub(super) fn choice<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| {
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words = words.iter().map(|(word, _)| *word).collect::<Vec<_>>();
            format!("{} is not allowed; write one of {}", quoted(text), words.join(", "))
        })
    }
}

/// The word of a value.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

/// A duration as it is written in the file.
#[must_use]
pub fn duration_text(duration: Duration) -> String {
    text_with_unit(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), TIME_UNITS, "s")
}

/// A size as it is written in the file.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    text_with_unit(bytes, SIZE_UNITS, "B")
}

/// A text from the file as it is shown in messages.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// The beginning of a text.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let (_, scale) = units.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn text_with_unit(value: u64, units: &[(&str, u64)], of_zero: &str) -> String {
    let whole = units.iter().find(|(_, scale)| value > 0 && value.is_multiple_of(*scale));
    whole.map_or_else(|| format!("{value}{of_zero}"), |(unit, scale)| format!("{}{unit}", value / scale))
}

fn within<T: PartialOrd>(
    text: &str,
    value: T,
    range: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(format!(
        "{} is out of range; allowed is {} to {}",
        quoted(text),
        show(range.start()),
        show(range.end())
    ))
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
