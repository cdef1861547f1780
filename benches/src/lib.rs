//! Side-by-side measurements; each binary prints ratios taken in one run.

pub mod bench;
pub mod noise;
pub mod watch;

/// The middle value.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Largest minus smallest.
#[must_use]
pub fn spread(values: &[f64]) -> f64 {
    let of = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick).unwrap_or(f64::NAN);
    of(f64::max) - of(f64::min)
}
