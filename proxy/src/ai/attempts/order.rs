//! Whom to ask first.

use rand::RngExt as _;

use crate::config::ai::model::{Strategy, Target};

/// The targets of a model in the order in which they are asked. With weights, each next one is
/// drawn among those that are left; without a weight a target is asked after all others.
#[must_use]
pub fn of<'t>(
    targets: impl Iterator<Item = &'t Target>,
    strategy: Strategy,
    draw: &mut impl rand::Rng,
) -> Vec<usize> {
    let mut left: Vec<(usize, u32)> = targets.map(|target| target.weight).enumerate().collect();
    if strategy == Strategy::Priority {
        return left.into_iter().map(|(index, _)| index).collect();
    }
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let total: u64 = left.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let mut drawn = if total > 0 { draw.random_range(0..total) } else { 0 };
        let at = left.iter().position(|(_, weight)| {
            let weight = u64::from(*weight);
            let chosen = drawn < weight;
            drawn = drawn.saturating_sub(weight);
            chosen
        });
        order.push(left.remove(at.unwrap_or(0)).0);
    }
    order
}
