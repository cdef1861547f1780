//! Learning from every finished piece how fast a slot is, and what a tile costs it besides its pixels.
//!
//! A piece of cost `C` takes `fixed + C / rate` seconds. Both are estimated together, as logarithms, by an extended Kalman
//! filter (R. E. Kalman 1960): a large piece says something about the rate, a small one about the fixed cost, and what is
//! left over is the region's, as far as the map is less certain than the slot.

use crate::cost::NodeModel;

/// Variance of the logarithm of a rate of which nothing is known, not even the order of magnitude.
const UNKNOWN: f64 = 100.0;
/// The same where other slots' rates are known: it may be five times higher or lower.
const LIKE_OTHERS: f64 = 3.0;
/// The same for a rate that a probe or an earlier run measured: a fifth more or less.
const MEASURED: f64 = 0.03;
/// The same for a fixed cost.
const FIXED: f64 = 0.5;
/// What the same piece differs by when it is rendered again.
const NOISE: f64 = 0.001;
/// How much of a rate may have changed from one piece to the next.
const DRIFT: f64 = 0.0005;
/// One piece this many standard deviations off is believed only so far; two in a row mean that the rate has changed.
const ODD: f64 = 3.0;

/// What a piece says about its region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lesson {
    /// What the region seems to have been misjudged by (logarithm).
    pub(super) off: f64,
    /// How far the piece was off beyond what the slot explains, squared.
    pub(super) excess: f64,
}

/// How sure a slot's figures are: the covariance of the logarithms of its rate and its fixed cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    rate: f64,
    fixed: f64,
    both: f64,
    /// Whether the last piece was odd, and which way.
    odd: i8,
}

impl Speed {
    pub(super) fn new(known: bool) -> Self {
        Self { rate: if known { MEASURED } else { UNKNOWN }, fixed: FIXED, both: 0.0, odd: 0 }
    }

    /// The rate was taken from other slots.
    pub(super) fn like_others(&mut self) {
        self.rate = LIKE_OTHERS;
    }

    /// Variance of the logarithm of the rate.
    pub(super) fn variance(&self) -> f64 {
        self.rate
    }

    /// Corrects the model by a piece that took so long, measured with this variance besides what pieces always differ
    /// by; returns what that says about its region, of which so much variance was expected.
    pub(super) fn learn(
        &mut self,
        model: &mut NodeModel,
        cost: f64,
        seconds: f64,
        map_variance: f64,
        noise: f64,
    ) -> Option<Lesson> {
        let rendering = cost / model.rate;
        let expected = model.fixed_s + rendering;
        if !(seconds > 0.0 && seconds.is_finite() && rendering > 0.0 && expected.is_finite()) {
            return None;
        }
        let off = (seconds / expected).ln();
        // How the logarithm of the duration changes with those of the rate and of the fixed cost.
        let (by_rate, by_fixed) = (-rendering / expected, model.fixed_s / expected);
        let spread = |s: &Self| {
            by_rate * by_rate * (s.rate + map_variance)
                + by_fixed * by_fixed * s.fixed
                + 2.0 * by_rate * by_fixed * s.both
                + NOISE
                + noise
        };
        let limit = ODD * spread(self).sqrt();
        let odd = if off.abs() > limit { off.signum() as i8 } else { 0 };
        let mut believed = off;
        if odd != 0 && odd == self.odd {
            self.rate += off * off / 2.0;
        } else {
            believed = off.clamp(-limit, limit);
        }
        self.odd = odd;
        let all = spread(self);
        let own = (all - by_rate * by_rate * map_variance).max(0.0);
        let excess = (off * off - own).max(0.0);
        let of_rate = (by_rate * self.rate + by_fixed * self.both) / all;
        let of_fixed = (by_rate * self.both + by_fixed * self.fixed) / all;
        let of_map = -by_rate * map_variance / all;
        model.rate *= (of_rate * believed).clamp(-10.0, 10.0).exp();
        model.fixed_s = (model.fixed_s * (of_fixed * believed).clamp(-1.0, 1.0).exp()).max(1e-3);
        self.rate += DRIFT - of_rate * of_rate * all;
        self.fixed += DRIFT - of_fixed * of_fixed * all;
        self.both -= of_rate * of_fixed * all;
        self.rate = self.rate.max(DRIFT);
        self.fixed = self.fixed.max(DRIFT);
        let most = (self.rate * self.fixed).sqrt() * 0.99;
        self.both = self.both.clamp(-most, most);
        // What is too odd to be the slot's is the region's.
        Some(Lesson { off: of_map * believed + (off - believed), excess })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    fn taught(known: bool, rate: f64, fixed: f64, costs: &[f64]) -> NodeModel {
        let mut model = NodeModel { rate: 100.0, known, fixed_s: 0.1, ..NodeModel::unknown("a") };
        let mut speed = Speed::new(known);
        let mut chance = SplitMix64::new(5);
        for cost in costs {
            let seconds = (fixed + cost / rate) * chance.factor(0.03);
            speed.learn(&mut model, *cost, seconds, 0.01, 0.0);
        }
        model
    }

    #[test]
    fn large_and_small_pieces_tell_rate_and_fixed_cost() {
        let costs: Vec<f64> = (0..30).map(|i| if i % 2 == 0 { 2000.0 } else { 20.0 }).collect();
        let model = taught(true, 130.0, 0.4, &costs);
        assert!((model.rate / 130.0 - 1.0).abs() < 0.05, "{model:?}");
        assert!((model.fixed_s / 0.4 - 1.0).abs() < 0.2, "{model:?}");
    }

    #[test]
    fn one_piece_tells_the_order_of_an_unknown_rate() {
        let model = taught(false, 40_000.0, 0.1, &[100_000.0]);
        assert!((model.rate / 40_000.0 - 1.0).abs() < 0.3, "{model:?}");
    }

    #[test]
    fn a_slot_that_slows_down_is_believed() {
        let mut model = NodeModel { rate: 100.0, known: true, ..NodeModel::unknown("a") };
        let mut speed = Speed::new(true);
        for _ in 0..10 {
            speed.learn(&mut model, 1000.0, 10.1, 0.01, 0.0);
        }
        speed.learn(&mut model, 1000.0, 40.1, 0.01, 0.0);
        assert!(model.rate > 70.0, "once can be the region: {model:?}");
        speed.learn(&mut model, 1000.0, 40.1, 0.01, 0.0);
        assert!(model.rate < 35.0, "{model:?}");
    }

    #[test]
    fn pieces_that_took_no_time_teach_nothing() {
        let mut model = NodeModel { rate: 100.0, known: true, ..NodeModel::unknown("a") };
        let before = model.clone();
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Speed::new(true).learn(&mut model, 10.0, seconds, 0.01, 0.0).is_none());
        }
        assert_eq!(model, before);
    }
}
