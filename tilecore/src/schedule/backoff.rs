//! How long to wait before a slot is tried again: doubling, with jitter that is the same in every run.

use crate::random::SplitMix64;

/// First wait, seconds.
const FIRST: f64 = 1.0;
/// Longest wait, seconds.
const LONGEST: f64 = 60.0;

/// Seconds to wait after this many losses in a row (from 1): 1, 2, 4 … 60, a quarter more or less.
///
/// The jitter keeps slots that were lost together from coming back together, and depends on nothing but the seed.
pub(super) fn delay(seed: u64, slot: usize, losses: u32) -> f64 {
    let doubled = FIRST * f64::from(1u32 << losses.saturating_sub(1).min(16));
    let seed = seed ^ (slot as u64).wrapping_mul(0x9E37_79B9) ^ (u64::from(losses) << 40);
    let jitter = SplitMix64::new(seed).unit();
    doubled.min(LONGEST) * (0.75 + 0.5 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_a_minute_and_differ_between_slots() {
        for (losses, about) in [(1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0), (u32::MAX, 60.0)] {
            for slot in 0..50 {
                let wait = delay(7, slot, losses);
                assert!((about * 0.75..=about * 1.25).contains(&wait), "{losses}: {wait}");
                assert!((wait - delay(7, slot, losses)).abs() < 1e-12);
            }
        }
        assert!((delay(7, 0, 3) - delay(7, 1, 3)).abs() > 1e-6);
    }
}
