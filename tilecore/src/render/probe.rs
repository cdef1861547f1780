//! What small renders tell about a slot and a picture: the fixed cost of a tile, the rate, and where it is costly.
//!
//! A patch takes `fixed + pixels × samples × relative cost / (samples of the job × rate)` seconds. First a patch that
//! builds the scene, then patches of next to nothing for the fixed cost, then some of substance for the rate; only where
//! the picture will take long are more patches worth their time, to map its cost.

use crate::cost::CostMap;
use crate::geometry::{Frame, Rect};

/// Side of a patch for the fixed cost, pixels.
const TINY: u32 = 4;
/// Side of a patch of substance, pixels.
const PATCH: u32 = 48;
/// Samples of the first patches of substance.
const FEW: u32 = 8;
/// Pictures that take less than this alone are not mapped, seconds.
const WORTH_MAPPING: f64 = 20.0;
/// Part of the picture's expected time that the map may take.
const SHARE: f64 = 0.02;
/// No map has more patches.
const MOST: u32 = 60;

/// Small renders to be timed: region and samples.
pub(super) type Patches = Vec<(Rect, u32)>;

/// What the first patches told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Gauge {
    /// Seconds the scene took to build.
    pub(super) sync_s: f64,
    /// Seconds a tile costs besides its pixels.
    pub(super) fixed_s: f64,
    /// Pixels of average cost per second at the job's samples.
    pub(super) rate: f64,
}

/// The first patches: one that builds the scene, two for the fixed cost, three of substance.
pub(super) fn first(region: Rect, samples: u32) -> Patches {
    let tiny = square(region, 0.5, 0.5, TINY);
    let few = samples.clamp(1, FEW);
    // All with the same samples: Blender looks the scene through again when they change.
    let mut patches = vec![(tiny, few); 3];
    patches.extend([(0.5, 0.5), (0.2, 0.3), (0.8, 0.7)].map(|(x, y)| (square(region, x, y, PATCH), few)));
    patches
}

/// What the first patches took; `None` when the answers make no sense.
pub(super) fn gauge(patches: &[(Rect, u32)], seconds: &[f64], samples: u32) -> Option<Gauge> {
    let sane = |s: &f64| s.is_finite() && *s >= 0.0;
    if seconds.len() != patches.len() || seconds.len() < 4 || !seconds.iter().all(sane) {
        return None;
    }
    let fixed_s = seconds[1].min(seconds[2]);
    let (mut units, mut spent) = (0.0, 0.0);
    for ((rect, few), took) in patches.iter().zip(seconds).skip(3) {
        units += rect.area() as f64 * f64::from(*few) / f64::from(samples.max(1));
        // A patch that took no longer than nothing still took some time.
        spent += (took - fixed_s).max(0.02 * fixed_s).max(1e-4);
    }
    let sync_s = (seconds[0] - fixed_s).max(0.0);
    Some(Gauge { sync_s, fixed_s, rate: units / spent })
}

/// Patches that map the picture, if it will take long enough. The first lets Blender take in the new number of samples
/// and says nothing about the picture.
pub(super) fn survey(region: Rect, samples: u32, gauge: Gauge, slots: usize) -> Patches {
    let alone = region.area() as f64 / gauge.rate;
    let together = alone / slots.max(1) as f64;
    if together < WORTH_MAPPING {
        return Vec::new();
    }
    // Each patch is given about its fixed cost again to work with.
    let each = 2.0 * gauge.fixed_s + 0.05;
    let count = (SHARE * together / each).min(f64::from(MOST)) as u32;
    if count < 6 {
        return Vec::new();
    }
    let aspect = f64::from(region.width()) / f64::from(region.height());
    let columns = ((f64::from(count) * aspect).sqrt().round() as u32).clamp(1, count);
    let rows = (count / columns).max(1);
    let side = PATCH.min(region.width() / columns).min(region.height() / rows).max(1);
    let area = f64::from(side) * f64::from(side);
    let wanted = (gauge.fixed_s + 0.05) * gauge.rate * f64::from(samples) / area;
    let samples = (wanted.ceil() as u32).clamp(1, samples.max(1));
    let at = |i: u32, of: u32| (f64::from(i) + 0.5) / f64::from(of);
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (column, row)));
    std::iter::once((square(region, 0.5, 0.5, TINY), samples))
        .chain(cells.map(|(column, row)| (square(region, at(column, columns), at(row, rows), side), samples)))
        .collect()
}

/// Pixels of average cost per second by the patches of a map: they lie all over the picture, the first ones did not.
pub(super) fn rate_of_map(
    patches: &[(Rect, u32)],
    seconds: &[f64],
    fixed_s: f64,
    samples: u32,
) -> Option<f64> {
    let (mut units, mut spent) = (0.0, 0.0);
    for ((rect, few), took) in patches.iter().zip(seconds).filter(|(_, s)| s.is_finite()) {
        units += rect.area() as f64 * f64::from(*few) / f64::from(samples.max(1));
        spent += own(*took, fixed_s);
    }
    (spent > 0.0).then(|| units / spent)
}

/// What of a patch's time its pixels took.
fn own(took: f64, fixed_s: f64) -> f64 {
    (took - fixed_s).max(0.05 * fixed_s).max(1e-4)
}

/// The map that the patches give.
pub(super) fn map(frame: Frame, patches: &[(Rect, u32)], seconds: &[f64], fixed_s: f64) -> Option<CostMap> {
    let costs: Vec<(Rect, f64)> = patches
        .iter()
        .zip(seconds)
        .filter(|(_, s)| s.is_finite())
        .map(|((rect, samples), s)| (*rect, own(*s, fixed_s) / (rect.area() as f64 * f64::from(*samples))))
        .collect();
    if costs.len() < patches.len().min(6) {
        return None;
    }
    let columns = (f64::from(frame.width()) / 64.0).ceil().clamp(1.0, 48.0) as u32;
    let rows = (f64::from(frame.height()) / 64.0).ceil().clamp(1.0, 48.0) as u32;
    CostMap::from_patches(frame, columns, rows, &costs).ok()
}

/// A square of at most `side` pixels around a place in the region, 0 to 1 from its top left.
fn square(region: Rect, x: f64, y: f64, side: u32) -> Rect {
    let (w, h) = (side.min(region.width()), side.min(region.height()));
    let start = |at: f64, len: u32, part: u32| {
        ((at * f64::from(len)) as u32).saturating_sub(part / 2).min(len - part)
    };
    let (left, top) = (start(x, region.width(), w), start(y, region.height(), h));
    Rect::new(region.x() + left, region.y() + top, w, h).unwrap_or(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> Rect {
        Rect::new(100, 50, 1600, 900).unwrap()
    }

    /// A node that takes what the formula says.
    fn takes(
        patches: &[(Rect, u32)],
        samples: u32,
        fixed: f64,
        rate: f64,
        cost: impl Fn(Rect) -> f64,
    ) -> Vec<f64> {
        let own = |(rect, few): &(Rect, u32)| {
            rect.area() as f64 * f64::from(*few) / f64::from(samples) * cost(*rect) / rate
        };
        patches.iter().map(|p| fixed + own(p)).collect()
    }

    #[test]
    fn rate_and_fixed_cost_are_told_apart() {
        let patches = first(region(), 128);
        let mut seconds = takes(&patches, 128, 0.2, 5000.0, |_| 1.0);
        seconds[0] += 12.0;
        let gauge = gauge(&patches, &seconds, 128).unwrap();
        assert!((gauge.sync_s - 12.0).abs() < 0.01 && (gauge.fixed_s - 0.2).abs() < 0.01);
        assert!((gauge.rate / 5000.0 - 1.0).abs() < 0.05, "{gauge:?}");
    }

    #[test]
    fn a_hot_corner_shows_in_the_map() {
        let gauge = Gauge { sync_s: 0.0, fixed_s: 0.1, rate: 3000.0 };
        let patches = survey(region(), 256, gauge, 2);
        assert!(patches.len() >= 7 && patches.len() <= MOST as usize + 1);
        assert!(patches.iter().all(|(r, s)| region().contains(*r) && *s >= 1));
        let hot = |r: Rect| if r.x() > 900 && r.y() < 500 { 8.0 } else { 1.0 };
        let told = &patches[1..];
        let seconds = takes(told, 256, 0.1, 3000.0, hot);
        let frame = Frame::new(1800, 1000).unwrap();
        let map = map(frame, told, &seconds, 0.1).unwrap();
        let at = |x, y| map.cost_of(Rect::new(x, y, 40, 40).unwrap());
        assert!(at(1400, 200) > 4.0 * at(300, 800), "{} {}", at(1400, 200), at(300, 800));
        let share = told.iter().filter(|(r, _)| hot(*r) > 1.0).count() as f64 / told.len() as f64;
        let rate = rate_of_map(told, &seconds, 0.1, 256).unwrap();
        assert!((rate / (3000.0 / (1.0 + 7.0 * share)) - 1.0).abs() < 0.01, "{rate} {share}");
    }

    #[test]
    fn a_picture_that_is_soon_done_is_not_mapped() {
        let gauge = Gauge { sync_s: 0.0, fixed_s: 0.1, rate: 1e6 };
        assert!(survey(region(), 256, gauge, 1).is_empty());
    }

    #[test]
    fn nonsense_is_no_measurement() {
        let patches = first(region(), 16);
        assert!(gauge(&patches, &[], 16).is_none());
        assert!(gauge(&patches, &[f64::NAN; 6], 16).is_none());
        assert!(gauge(&patches, &[0.0; 6], 16).is_some_and(|g| g.rate.is_finite()));
        let one = Rect::new(0, 0, 1, 1).unwrap();
        assert!(first(one, 1).iter().all(|(r, s)| *r == one && *s == 1));
    }
}
