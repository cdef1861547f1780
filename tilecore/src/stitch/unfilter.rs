//! PNG's row filters undone.
//!
//! Every byte waits for the one a pixel before it, so that what counts is to keep that pixel in registers: there is one
//! loop for each size of a pixel.

/// Undoes the filter with this number on `row`; `above` is the row before it, all zero for the first. Both have the
/// same length, a multiple of `pixel` (1, 2, 3, 4, 6 or 8). Returns whether there is such a filter.
pub(super) fn unfilter(filter: u8, pixel: usize, row: &mut [u8], above: &[u8]) -> bool {
    match (filter, pixel) {
        (0, _) => {}
        (2, _) => {
            for (x, b) in row.iter_mut().zip(above) {
                *x = x.wrapping_add(*b);
            }
        }
        (1 | 3, 1) => undo_linear::<1>(filter, row, above),
        (1 | 3, 2) => undo_linear::<2>(filter, row, above),
        (1 | 3, 3) => undo_linear::<3>(filter, row, above),
        (1 | 3, 4) => undo_linear::<4>(filter, row, above),
        (1 | 3, 6) => undo_linear::<6>(filter, row, above),
        (1 | 3, 8) => undo_linear::<8>(filter, row, above),
        (4, 1) => undo_paeth::<1, 1>(row, above),
        (4, 2) => undo_paeth::<2, 2>(row, above),
        (4, 3) => undo_paeth::<3, 4>(row, above),
        (4, 4) => undo_paeth::<4, 4>(row, above),
        (4, 6) => undo_paeth::<6, 8>(row, above),
        (4, 8) => undo_paeth::<8, 8>(row, above),
        _ => return false,
    }
    true
}

/// Undoes Sub, or else Average.
fn undo_linear<const N: usize>(filter: u8, row: &mut [u8], above: &[u8]) {
    let mut left = [0; N];
    let pixels = row.as_chunks_mut::<N>().0.iter_mut().zip(above.as_chunks::<N>().0);
    if filter == 1 {
        for (x, _) in pixels {
            for (a, x) in left.iter_mut().zip(x) {
                *x = x.wrapping_add(*a);
                *a = *x;
            }
        }
    } else {
        for (x, b) in pixels {
            for ((a, x), b) in left.iter_mut().zip(x).zip(b) {
                *x = x.wrapping_add(u8::midpoint(*a, *b));
                *a = *x;
            }
        }
    }
}

/// PNG's Paeth predictor with as few steps as possible behind `a`, for which the next pixel waits.
///
/// Of `a` and `b`, let `l` be the lower and `h` the higher; the prediction is whichever of `l`, `h` and `c` is nearest to
/// `l + h - c`. Between `l` and `h`, its distances from them are `h - c` and `c - l`, and `|l + h - 2c|` from `c`. So it
/// is `l` if `h - c <= 2c - l - h`, that is `h <= 3c - l - h`, and `h` if `3c - l - h <= l`; and outside of them, where
/// it is the one opposite of `c`, the same inequalities hold.
#[inline]
fn paeth(a: i16, b: i16, c: i16) -> i16 {
    let (low, high) = (a.min(b), a.max(b));
    let bound = 3 * c - (low + high);
    // Masks instead of branches, which noise makes unpredictable.
    let (not_low, is_high) = ((bound - high) >> 15, (bound - low - 1) >> 15);
    let rather = c ^ ((c ^ high) & is_high);
    low ^ ((low ^ rather) & not_low)
}

/// Undoes the Paeth filter, in sixteen bits throughout, so that nothing is converted while the next pixel waits, and in
/// as many lanes as a vector has.
fn undo_paeth<const N: usize, const LANES: usize>(row: &mut [u8], above: &[u8]) {
    let spread = |pixel: &[u8; N]| {
        let mut lanes = [0i16; LANES];
        for (lane, byte) in lanes.iter_mut().zip(pixel) {
            *lane = i16::from(*byte);
        }
        lanes
    };
    let (mut left, mut corner) = ([0i16; LANES], [0i16; LANES]);
    for (x, b) in row.as_chunks_mut::<N>().0.iter_mut().zip(above.as_chunks::<N>().0) {
        let (here, b) = (spread(x), spread(b));
        for i in 0..LANES {
            left[i] = (here[i] + paeth(left[i], b[i], corner[i])) & 0xff;
        }
        for (byte, lane) in x.iter_mut().zip(left) {
            *byte = lane as u8;
        }
        corner = b;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::filter::{self, Choice, Row};
    use super::*;

    #[test]
    fn both_forms_of_the_predictor_are_the_same() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                for c in 0..=255u8 {
                    let here = paeth(i16::from(a), i16::from(b), i16::from(c));
                    assert_eq!(here, i16::from(filter::paeth(a, b, c)), "{a} {b} {c}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn filtering_and_undoing_it_are_inverse(
            pixel in prop::sample::select(vec![1usize, 2, 3, 4, 6, 8]),
            (row, above) in (0usize..900).prop_flat_map(|n| (
                prop::collection::vec(any::<u8>(), n..=n),
                prop::collection::vec(any::<u8>(), n..=n),
            )),
            steep in 1u8..40,
            choice in prop::sample::select(vec![Choice::Plain, Choice::Smallest { every: 256 }, Choice::LeastEntropy]),
        ) {
            // A little noise on a gradient, so that every filter wins some rows.
            let n = row.len() / pixel * pixel;
            let row: Vec<u8> =
                row.iter().take(n).enumerate().map(|(i, v)| v % steep + (i / 7) as u8 % 200).collect();
            let mut filtered = Vec::new();
            Row::new(&row, &above, pixel).filter(choice, &mut filtered);
            prop_assert!(unfilter(filtered[0], pixel, &mut filtered[1..], &above[..n]));
            prop_assert_eq!(&filtered[1..], row);
        }
    }
}
