//! A share of a whole, written as a percentage.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A number from 0 % to 100 %, kept as it is written: most percentages have no exact fraction.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share {
    percent: f64,
}

/// A text that is no share.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a share; write a percentage from 0% to 100%, such as 10% or 0.5%")]
pub struct InvalidShare(String);

impl Share {
    /// The whole.
    pub const ALL: Self = Self { percent: 100.0 };
    /// Nothing.
    pub const NONE: Self = Self { percent: 0.0 };

    /// The share as a number from 0 to 1.
    #[must_use]
    pub fn as_fraction(self) -> f64 {
        self.percent / 100.0
    }

    /// How many of `count` are at least this share: rounded up, so that 100 % means all.
    #[must_use]
    pub fn of(self, count: usize) -> usize {
        let whole = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        // Counting up avoids a cast, and counts of endpoints are small.
        (0..count)
            .find(|part| f64::from(u32::try_from(*part).unwrap_or(u32::MAX)) * 100.0 >= whole * self.percent)
            .unwrap_or(count)
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        text.strip_suffix('%')
            .and_then(|number| number.trim_end().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Self { percent })
            .ok_or_else(|| InvalidShare(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        for (text, fraction) in [("0%", 0.0), ("10%", 0.1), ("0.5 %", 0.005), ("100%", 1.0)] {
            assert_eq!(text.parse::<Share>().map(Share::as_fraction), Ok(fraction));
        }
        for text in ["", "%", "10", "101%", "-1%", "NaN%", "inf%", "ten%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_shown_as_they_are_written() {
        for text in ["0%", "0.1%", "7%", "29%", "33.3%", "55%", "57%", "100%"] {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn parts_are_rounded_up() {
        let share = |text: &str| text.parse::<Share>().unwrap();
        assert_eq!([0, 1, 2, 3].map(|count| share("50%").of(count)), [0, 1, 1, 2]);
        assert_eq!((share("55%").of(20), share("55%").of(21)), (11, 12));
        assert_eq!((Share::ALL.of(5), Share::NONE.of(5)), (5, 0));
    }
}
