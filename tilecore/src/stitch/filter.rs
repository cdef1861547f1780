//! PNG's row filters, and the choice among them.

/// Bytes of a row before which there is nothing count as zero.
fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let (ia, ib, ic) = (i16::from(a), i16::from(b), i16::from(c));
    let (pa, pb, pc) = ((ib - ic).abs(), (ia - ic).abs(), (ia + ib - 2 * ic).abs());
    if pa <= pb && pa <= pc {
        a
    } else if pb <= pc {
        b
    } else {
        c
    }
}

/// Appends `row`, filtered after its filter number, to `into`. `above` is the row before it in the picture, all zero
/// for the first; both have the same length. The filter is the one whose bytes, taken as signed, are smallest in sum.
pub(super) fn adaptive(row: &[u8], above: &[u8], pixel: usize, into: &mut Vec<u8>) {
    let left = |i: usize, r: &[u8]| if i < pixel { 0 } else { r[i - pixel] };
    let start = into.len();
    let mut best = u64::MAX;
    let mut candidate = Vec::with_capacity(row.len() + 1);
    for kind in 0..5u8 {
        candidate.clear();
        candidate.push(kind);
        candidate.extend((0..row.len().min(above.len())).map(|i| {
            let (a, b, c) = (left(i, row), above[i], left(i, above));
            row[i].wrapping_sub(match kind {
                0 => 0,
                1 => a,
                2 => b,
                3 => u16::midpoint(u16::from(a), u16::from(b)) as u8,
                _ => paeth(a, b, c),
            })
        }));
        let cost: u64 = candidate[1..].iter().map(|&v| u64::from(v.cast_signed().unsigned_abs())).sum();
        if cost < best {
            best = cost;
            into.truncate(start);
            into.extend_from_slice(&candidate);
        }
    }
}
