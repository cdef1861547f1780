//! The parts that wait to be handed out, by picture and expected cost.

use std::collections::{BTreeMap, BTreeSet};

use super::region_tree::PartId;

/// An expected cost that can be sorted: it is positive and finite, and the bits of such numbers sort as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost(u64);

impl Cost {
    fn new(cost: f64) -> Self {
        Self(if cost.is_finite() { cost.max(0.0) } else { f64::MAX }.to_bits())
    }

    fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Waiting parts.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadyQueue {
    /// Per picture, cheapest first; among equals the one made last.
    waiting: BTreeMap<u32, BTreeSet<(Cost, std::cmp::Reverse<PartId>)>>,
    /// Sum of their costs.
    cost: f64,
    count: usize,
}

impl ReadyQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many parts wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Expected cost of all that waits.
    pub(super) fn cost(&self) -> f64 {
        self.cost
    }

    /// Pictures of which parts wait, first to last.
    pub(super) fn pictures(&self) -> impl Iterator<Item = u32> {
        self.waiting.keys().copied()
    }

    /// Of how many pictures parts wait.
    pub(super) fn picture_count(&self) -> usize {
        self.waiting.len()
    }

    /// The picture of which parts wait, if it is only one.
    pub(super) fn only_picture(&self) -> Option<u32> {
        self.pictures().next().filter(|_| self.picture_count() == 1)
    }

    pub(super) fn push(&mut self, picture: u32, cost: f64, part: PartId) {
        let cost = Cost::new(cost);
        if self.waiting.entry(picture).or_default().insert((cost, std::cmp::Reverse(part))) {
            self.cost += cost.get();
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, picture: u32, cost: f64, part: PartId) {
        let cost = Cost::new(cost);
        let Some(set) = self.waiting.get_mut(&picture) else { return };
        if set.remove(&(cost, std::cmp::Reverse(part))) {
            self.cost = if self.count == 1 { 0.0 } else { (self.cost - cost.get()).max(0.0) };
            self.count -= 1;
        }
        if set.is_empty() {
            self.waiting.remove(&picture);
        }
    }

    /// The picture's waiting parts, costliest first.
    pub(super) fn costliest(&self, picture: u32) -> impl Iterator<Item = (f64, PartId)> {
        self.waiting.get(&picture).into_iter().flatten().rev().map(|(cost, part)| (cost.get(), part.0))
    }

    /// The picture's waiting parts of at least this cost, cheapest first.
    pub(super) fn at_least(&self, picture: u32, cost: f64) -> impl Iterator<Item = (f64, PartId)> {
        let from = (Cost::new(cost), std::cmp::Reverse(PartId::MAX));
        self.waiting
            .get(&picture)
            .map(|set| set.range(from..))
            .into_iter()
            .flatten()
            .map(|(cost, part)| (cost.get(), part.0))
    }

    /// Expected cost of what waits of one picture.
    pub(super) fn cost_of(&self, picture: u32) -> f64 {
        self.costliest(picture).map(|(cost, _)| cost).sum()
    }

    /// Takes everything out.
    pub(super) fn drain(&mut self) -> Vec<PartId> {
        self.cost = 0.0;
        self.count = 0;
        std::mem::take(&mut self.waiting).into_values().flatten().map(|(_, part)| part.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_out_by_cost() {
        let mut queue = ReadyQueue::default();
        for (cost, part) in [(3.0, 0), (1.0, 1), (2.0, 2), (3.0, 3)] {
            queue.push(0, cost, part);
        }
        assert_eq!(queue.costliest(0).map(|p| p.1).collect::<Vec<_>>(), [0, 3, 2, 1]);
        assert_eq!(queue.at_least(0, 1.5).map(|p| p.1).collect::<Vec<_>>(), [2, 3, 0]);
        assert!((queue.cost() - 9.0).abs() < 1e-12);
        queue.remove(0, 3.0, 0);
        queue.remove(0, 3.0, 0);
        assert!((queue.cost_of(0) - 6.0).abs() < 1e-12 && !queue.is_empty());
        assert_eq!(queue.drain().len(), 3);
        assert!(queue.is_empty() && queue.cost() == 0.0);
    }
}
