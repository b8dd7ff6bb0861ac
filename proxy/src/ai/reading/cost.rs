//! What a call costs, in exact arithmetic.
//!
//! A price per million tokens with up to six decimals is a whole number of picodollars per token
//! (1 USD = 10^12 picodollars), so sums of many small calls lose nothing.

use std::fmt;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Usage;

const PICODOLLARS: u128 = 1_000_000_000_000;
const DECIMALS_OF_RATE: usize = 6;

/// What one token costs: picodollars, which is also millionths of USD per million tokens.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u64);

/// The price of a model.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of tokens read.
    pub input: Rate,
    /// Of tokens written.
    pub output: Rate,
    /// Of tokens read from a cache; `None`: as `input`.
    pub cached_input: Option<Rate>,
}

/// An amount of money in picodollars. Shown and serialised in USD.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u128);

/// A text that is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a price is a number of USD per million tokens, from 0, with up to six decimals")]
pub struct InvalidRate;

impl Price {
    /// What `usage` costs. Tokens written to a cache cost as much as other input.
    #[must_use]
    pub fn cost(&self, usage: Usage) -> Cost {
        let cached = usage.cached_input.min(usage.input);
        let fresh = usage.input - cached;
        self.input.times(fresh)
            + self.cached_input.unwrap_or(self.input).times(cached)
            + self.output.times(usage.output)
    }
}

impl Rate {
    fn times(self, tokens: u64) -> Cost {
        Cost(u128::from(self.0) * u128::from(tokens))
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    /// Reads USD per million tokens, such as `2.50`.
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let decimals = decimals.trim_end_matches('0');
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS_OF_RATE {
            return Err(InvalidRate);
        }
        format!("{whole}{decimals:0<DECIMALS_OF_RATE$}").parse().map(Self).map_err(|_| InvalidRate)
    }
}

impl Cost {
    /// In USD, as near as a float can be.
    #[must_use]
    pub fn usd(self) -> f64 {
        self.0 as f64 / PICODOLLARS as f64
    }
}

impl fmt::Display for Cost {
    /// USD, all decimals that count.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:012}", self.0 % PICODOLLARS);
        let whole = self.0 / PICODOLLARS;
        match decimals.trim_end_matches('0') {
            "" => write!(formatter, "{whole}"),
            decimals => write!(formatter, "{whole}.{decimals}"),
        }
    }
}

impl Serialize for Cost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(input: &str, output: &str, cached_input: Option<&str>) -> Price {
        let rate = |text: &str| text.parse().unwrap();
        Price { input: rate(input), output: rate(output), cached_input: cached_input.map(rate) }
    }

    #[test]
    fn rates() {
        let cases = [
            ("2.50", Ok(Rate(2_500_000))),
            ("0", Ok(Rate(0))),
            ("10", Ok(Rate(10_000_000))),
            ("0.000001", Ok(Rate(1))),
            ("0.0750000000", Ok(Rate(75_000))),
            ("1.", Ok(Rate(1_000_000))),
            ("0.0000001", Err(InvalidRate)),
            (".5", Err(InvalidRate)),
            ("-1", Err(InvalidRate)),
            ("1e3", Err(InvalidRate)),
            ("1.2.3", Err(InvalidRate)),
            ("", Err(InvalidRate)),
            ("99999999999999999999", Err(InvalidRate)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Rate>(), expected, "{text:?}");
        }
    }

    #[test]
    fn costs() {
        let usage = |input, output, cached_input| Usage { input, output, cached_input, reasoning: 0 };
        let gpt = price("2.50", "10.00", Some("1.25"));
        let cases = [
            (gpt, usage(1_000_000, 0, 0), "2.5"),
            (gpt, usage(1_000_000, 1_000_000, 1_000_000), "11.25"),
            (gpt, usage(19, 10, 0), "0.0001475"),
            (gpt, usage(19, 10, 8), "0.0001375"),
            (gpt, usage(0, 0, 0), "0"),
            (gpt, usage(5, 0, 9), "0.00000625"),
            (price("0.1", "0.3", None), usage(3, 0, 3), "0.0000003"),
        ];
        for (price, usage, usd) in cases {
            let cost = price.cost(usage);
            assert_eq!(cost.to_string(), usd, "{usage:?}");
            assert_eq!(
                serde_json::to_string(&cost).unwrap().parse::<f64>().unwrap(),
                usd.parse::<f64>().unwrap()
            );
        }
    }

    #[test]
    fn sums_are_exact() {
        let small = price("0.1", "0", None).cost(Usage { input: 1, ..Usage::default() });
        let sum: Cost = std::iter::repeat_n(small, 10_000_000).sum();
        assert_eq!(sum.to_string(), "1");
        let most = price("18446744073709.551615", "18446744073709.551615", None);
        assert!(most.cost(Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() }).usd() > 1e26);
    }
}
