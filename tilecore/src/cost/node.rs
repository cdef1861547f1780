//! What is known about a slot: how long it takes to get ready, and how fast it renders and delivers.

use serde::{Deserialize, Serialize};

/// Rates beyond these are measuring errors: from one cost unit in three hours to a million megapixels a second.
const RATES: std::ops::RangeInclusive<f64> = 1e-4..=1e12;
/// No start, sync or fixed cost is believed beyond this many seconds.
const LONGEST: f64 = 1e6;
/// Seconds a tile costs besides its pixels, where nothing was measured: request, border change, file.
pub const USUAL_FIXED_S: f64 = 0.1;

/// How one slot (one Blender on one node) is expected to behave.
///
/// One cost unit is one pixel of average cost at the job's full sample count, so that a whole picture costs about as
/// many units as it has pixels. Every figure may come from a cache or a guess: [`NodeModel::checked`] makes it usable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeModel {
    /// The slot's name, as people know it.
    pub name: String,
    /// Seconds until Blender is up and has the file open; 0 once it has.
    pub start_s: f64,
    /// Seconds from there until the scene is built for rendering; 0 once it is.
    pub sync_s: f64,
    /// Whether the scene is built with the first tile, and the slot counts as ready before it is.
    pub unbuilt: bool,
    /// Cost units per second.
    pub rate: f64,
    /// Seconds a tile costs besides its pixels.
    pub fixed_s: f64,
    /// Bytes per second from the node to here.
    pub transfer_bytes_per_s: f64,
    /// Whether `rate` was measured on this scene (by a probe, a tile or an earlier run).
    pub known: bool,
}

impl NodeModel {
    /// A slot of which nothing is known yet.
    pub fn unknown(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            start_s: 0.0,
            sync_s: 0.0,
            unbuilt: false,
            rate: 0.0,
            fixed_s: USUAL_FIXED_S,
            transfer_bytes_per_s: f64::INFINITY,
            known: false,
        }
    }

    /// The same with every figure usable; a rate that cannot be (zero, negative, not a number, absurd) counts as unknown.
    #[must_use]
    pub fn checked(&self) -> Self {
        let seconds = |s: f64, default: f64| if s.is_finite() && s >= 0.0 { s.min(LONGEST) } else { default };
        let sane = RATES.contains(&self.rate);
        Self {
            name: self.name.clone(),
            start_s: seconds(self.start_s, 0.0),
            sync_s: seconds(self.sync_s, 0.0),
            unbuilt: self.unbuilt,
            rate: if sane { self.rate } else { 0.0 },
            fixed_s: seconds(self.fixed_s, USUAL_FIXED_S),
            transfer_bytes_per_s: if self.transfer_bytes_per_s > 0.0 {
                self.transfer_bytes_per_s
            } else {
                f64::INFINITY
            },
            known: self.known && sane,
        }
    }

    /// Seconds to render a piece of this cost on the warm slot, without its transfer.
    pub fn seconds(&self, cost: f64) -> f64 {
        self.fixed_s + cost / self.rate
    }

    /// Seconds from nothing to ready.
    pub fn ready_s(&self) -> f64 {
        self.start_s + if self.unbuilt { 0.0 } else { self.sync_s }
    }
}

/// Makes every model usable and gives the slots without a rate that of the middle one of those that have.
///
/// Returns whether any rate at all was known; without one, all count as equal and no time can be foretold.
pub fn fill(models: &[NodeModel]) -> (Vec<NodeModel>, bool) {
    let mut models: Vec<NodeModel> = models.iter().map(NodeModel::checked).collect();
    let mut rates: Vec<f64> = models.iter().map(|m| m.rate).filter(|r| *r > 0.0).collect();
    rates.sort_by(f64::total_cmp);
    let middle = rates.get(rates.len() / 2).copied();
    for model in &mut models {
        if model.rate <= 0.0 {
            model.rate = middle.unwrap_or(1.0);
        }
    }
    (models, middle.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_rates_count_as_unknown() {
        for rate in [0.0, -3.0, f64::NAN, f64::INFINITY, 1e300, 1e-9] {
            let model = NodeModel { rate, known: true, ..NodeModel::unknown("a") }.checked();
            assert!(!model.known && model.rate == 0.0, "{rate}");
        }
    }

    #[test]
    fn slots_without_a_rate_take_the_middle_one() {
        let with = |rate| NodeModel { rate, known: true, ..NodeModel::unknown("a") };
        let (models, any) = fill(&[with(1.0), with(f64::NAN), with(5.0), with(100.0)]);
        assert!(any);
        assert!((models[1].rate - 5.0).abs() < 1e-12 && !models[1].known);
        let (models, any) = fill(&[with(0.0)]);
        assert!(!any && models[0].rate > 0.0);
    }
}
