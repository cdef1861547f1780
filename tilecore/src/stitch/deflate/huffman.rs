//! Prefix codes: lengths from frequencies, codes from lengths.

/// A symbol's code as deflate sends it (bit-reversed) above its length in the lowest four bits; 0 for a symbol that
/// does not occur.
pub(super) type Code = u32;

/// Code lengths for these frequencies, none longer than `limit`, every symbol of frequency above zero with one.
///
/// Huffman's lengths are shortened to the limit where they exceed it, and the shortest of the others lengthened until
/// the code is complete again. A lone symbol gets a code of one bit.
pub(super) fn lengths(frequencies: &[u32], limit: u32, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut used: Vec<(u32, u16)> = frequencies
        .iter()
        .enumerate()
        .filter(|(_, f)| **f > 0)
        .map(|(symbol, &f)| (f, symbol as u16))
        .collect();
    used.sort_unstable();
    if used.len() < 2 {
        for (_, symbol) in used {
            lengths[usize::from(symbol)] = 1;
        }
        return;
    }
    let depths = depths(&used);
    let limit = limit as usize;
    let mut count = vec![0u32; limit + 1];
    for depth in depths {
        count[(depth as usize).min(limit)] += 1;
    }
    // Kraft's sum in units of the longest code; complete when it is `full`.
    let full = 1u64 << limit;
    let mut sum: u64 = count.iter().enumerate().map(|(l, &n)| u64::from(n) << (limit - l)).sum();
    while sum > full {
        let Some(l) = (1..limit).rev().find(|&l| count[l] > 0) else { break };
        count[l] -= 1;
        count[l + 1] += 1;
        sum -= 1 << (limit - l - 1);
    }
    while sum < full && count[limit] > 0 {
        count[limit] -= 1;
        count[limit - 1] += 1;
        sum += 1;
    }
    let by_length = (1..=limit).rev().flat_map(|l| std::iter::repeat_n(l as u8, count[l] as usize));
    for ((_, symbol), length) in used.into_iter().zip(by_length) {
        lengths[usize::from(symbol)] = length;
    }
}

/// Depths of the leaves of Huffman's tree over `used`, which is sorted by frequency and has two or more entries.
///
/// Two queues: leaves in order and inner nodes, which come into being in order.
fn depths(used: &[(u32, u16)]) -> Vec<u32> {
    let n = used.len();
    let mut weight: Vec<u64> = used.iter().map(|&(f, _)| u64::from(f)).collect();
    let mut parent = vec![0usize; 2 * n - 1];
    let (mut leaf, mut inner) = (0, n);
    for node in n..2 * n - 1 {
        let mut sum = 0;
        for _ in 0..2 {
            let from = if leaf < n && (inner >= node || weight[leaf] <= weight[inner]) {
                leaf += 1;
                leaf - 1
            } else {
                inner += 1;
                inner - 1
            };
            parent[from] = node;
            sum += weight[from];
        }
        weight.push(sum);
    }
    let mut depth = vec![0u32; 2 * n - 1];
    for node in (0..2 * n - 2).rev() {
        depth[node] = depth[parent[node]] + 1;
    }
    depth.truncate(n);
    depth
}

/// The canonical codes of these lengths (RFC 1951, section 3.2.2), bit-reversed.
pub(super) fn codes(lengths: &[u8], codes: &mut [Code]) {
    let mut next = [0u32; 16];
    let mut count = [0u32; 16];
    for &l in lengths {
        count[usize::from(l & 15)] += 1;
    }
    count[0] = 0;
    for l in 1..16 {
        next[l] = (next[l - 1] + count[l - 1]) << 1;
    }
    for (code, &l) in codes.iter_mut().zip(lengths) {
        *code = 0;
        if l > 0 {
            let next = &mut next[usize::from(l & 15)];
            *code = (next.reverse_bits() >> (32 - u32::from(l))) << 4 | u32::from(l);
            *next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_are_complete_and_within_the_limit(
            frequencies in prop::collection::vec(prop_oneof![3 => Just(0u32), 3 => 1u32..4, 2 => 1u32..1_000_000], 2..286),
            limit in 9u32..16,
        ) {
            let mut out = vec![0u8; frequencies.len()];
            lengths(&frequencies, limit, &mut out);
            let used = frequencies.iter().filter(|f| **f > 0).count();
            for (f, l) in frequencies.iter().zip(&out) {
                prop_assert!((*f > 0) == (*l > 0) && u32::from(*l) <= limit);
            }
            let kraft: u64 = out.iter().filter(|l| **l > 0).map(|&l| 1u64 << (16 - l)).sum();
            match used {
                0 => prop_assert_eq!(kraft, 0),
                1 => prop_assert_eq!(kraft, 1 << 15),
                _ => prop_assert_eq!(kraft, 1 << 16),
            }
        }
    }

    #[test]
    fn canonical_codes_of_the_standard_example() {
        // RFC 1951, section 3.2.2: lengths of A to H and the codes they lead to.
        let mut out = [0; 8];
        codes(&[3, 3, 3, 3, 3, 2, 4, 4], &mut out);
        let straight = out.map(|c| (c >> 4).reverse_bits() >> (32 - (c & 15)));
        assert_eq!(straight, [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111]);
    }

    #[test]
    fn skewed_frequencies_stay_within_the_limit() {
        let frequencies: Vec<u32> = (0..30).map(|i| 1 << i).collect();
        let mut out = [0u8; 30];
        lengths(&frequencies, 14, &mut out);
        assert_eq!(out.iter().max(), Some(&14));
        assert_eq!(out[29], 1);
    }
}
