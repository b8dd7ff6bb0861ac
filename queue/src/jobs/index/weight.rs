//! How much a log would have to hold of all records, kept up to date with every step.

use std::iter::Sum;

use super::record::Record;

/// Bytes of records, roughly as a log holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weight {
    /// Of all.
    pub all: u64,
    /// Of those that stay until something is done to them.
    pub lasting: u64,
}

impl Weight {
    pub(super) fn add(&mut self, record: &Record) {
        let of = Self::of(record);
        self.all += of.all;
        self.lasting += of.lasting;
    }

    pub(super) fn take(&mut self, record: &Record) {
        let of = Self::of(record);
        self.all -= of.all;
        self.lasting -= of.lasting;
    }

    pub(super) fn of(record: &Record) -> Self {
        let all = u64::try_from(record.size()).unwrap_or(u64::MAX);
        Self { all, lasting: if record.expires() { 0 } else { all } }
    }
}

impl Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(weights: I) -> Self {
        weights.fold(Self::default(), |one, other| Self {
            all: one.all + other.all,
            lasting: one.lasting + other.lasting,
        })
    }
}
