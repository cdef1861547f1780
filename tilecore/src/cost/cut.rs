//! Cutting a region where the cost says: k-d style, at whole pixels, always across the longer side.

use super::CostMap;
use crate::geometry::Rect;

/// The smallest tile worth making, pixels on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinSide(pub u32);

/// Cuts off about `share` (0 to 1) of a region's cost, across its longer side; both parts keep at least `min` pixels.
///
/// `None` when the region is too small to be cut in two.
pub fn cut(map: &CostMap, region: Rect, share: f64, min: MinSide) -> Option<(Rect, Rect)> {
    let vertical = region.width() >= region.height();
    let side = if vertical { region.width() } else { region.height() };
    let min = min.0.max(1);
    if side < min.checked_mul(2)? {
        return None;
    }
    let wanted = map.cost_of(region) * share;
    // The cost of the first part grows with the edge: a binary search over whole pixels.
    let (mut low, mut high) = (min, side - min);
    while low < high {
        let middle = low + (high - low) / 2;
        let (first, _) = region.cut(vertical, middle)?;
        if map.cost_of(first) < wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    // The edge before may be nearer.
    let off =
        |at: u32| region.cut(vertical, at).map_or(f64::INFINITY, |(a, _)| (map.cost_of(a) - wanted).abs());
    let at = if low > min && off(low - 1) < off(low) { low - 1 } else { low };
    region.cut(vertical, at)
}

#[cfg(test)]
mod tests {
    use super::super::Cells;
    use super::*;
    use crate::geometry::{Frame, uncovered};
    use proptest::prelude::*;

    fn gradient(width: u32, height: u32) -> CostMap {
        let cost = (0..64).map(|i| (1 + i % 8 + i / 8) as f32).collect();
        CostMap::new(Cells { frame: Frame::new(width, height).unwrap(), columns: 8, rows: 8, cost }).unwrap()
    }

    fn cut_evenly(map: &CostMap, region: Rect, count: u64, min: MinSide, into: &mut Vec<Rect>) {
        if count >= 2 {
            let first = count / 2;
            if let Some((a, b)) = cut(map, region, first as f64 / count as f64, min) {
                cut_evenly(map, a, first, min, into);
                cut_evenly(map, b, count - first, min, into);
                return;
            }
        }
        into.push(region);
    }

    #[test]
    fn parts_cost_about_the_same() {
        let map = gradient(1920, 1080);
        let mut parts = Vec::new();
        cut_evenly(&map, map.frame().rect(), 16, MinSide(8), &mut parts);
        assert_eq!(parts.len(), 16);
        let fair = map.cost_of(map.frame().rect()) / 16.0;
        for part in parts {
            assert!((map.cost_of(part) / fair - 1.0).abs() < 0.02, "{part}");
        }
    }

    proptest! {
        #[test]
        fn parts_cover_the_region_exactly(w in 1u32..400, h in 1u32..400, count in 0u64..100, min in 1u32..20) {
            let map = gradient(w, h);
            let whole = map.frame().rect();
            let mut parts = Vec::new();
            cut_evenly(&map, whole, count, MinSide(min), &mut parts);
            prop_assert_eq!(parts.iter().map(|p| p.area()).sum::<u64>(), whole.area());
            prop_assert!(uncovered(whole, parts.iter().copied()).is_empty());
            prop_assert!(parts.iter().all(|p| p.width() >= min.min(w) && p.height() >= min.min(h)));
        }
    }
}
