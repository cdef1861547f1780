//! A block of deflate: literals and matches, their statistics, and the cheapest of the three ways to send them
//! (RFC 1951).

use super::bits::Bits;
use super::huffman;
use super::price;

/// Symbols for literals, the end of a block and lengths.
pub(super) const LITERALS: usize = 286;
/// Symbols for distances.
pub(super) const DISTANCES: usize = 30;
/// Longest code: four of them fit into one flush of the bit sink.
const LONGEST: u32 = super::bits::PER_FLUSH / 4;
const END: usize = 256;

/// Literals, then a match; a length of 0 means none follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) literals: u32,
    pub(super) length: u16,
    pub(super) distance: u16,
}

/// How often each symbol occurs.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) literals: [u32; LITERALS],
    pub(super) distances: [u32; DISTANCES],
}

impl Default for Counts {
    fn default() -> Self {
        Self { literals: [0; LITERALS], distances: [0; DISTANCES] }
    }
}

impl Counts {
    /// Counts what `sequences` make of `data`.
    pub(super) fn of(data: &[u8], sequences: &[Sequence]) -> Self {
        let mut this = Self::default();
        // Neighbours are often equal, and a counter just written is slow to read again: four counters in turn.
        let mut lanes = [[0u32; 256]; 4];
        let mut at = 0;
        for sequence in sequences {
            let end = at + sequence.literals as usize;
            let literals = data.get(at..end).unwrap_or_default();
            let mut fours = literals.chunks_exact(4);
            for four in &mut fours {
                lanes[0][usize::from(four[0])] += 1;
                lanes[1][usize::from(four[1])] += 1;
                lanes[2][usize::from(four[2])] += 1;
                lanes[3][usize::from(four[3])] += 1;
            }
            for &byte in fours.remainder() {
                lanes[0][usize::from(byte)] += 1;
            }
            at = end + usize::from(sequence.length);
            if sequence.length > 0 {
                this.literals[length_symbol(sequence.length).0] += 1;
                this.distances[distance_symbol(sequence.distance).0] += 1;
            }
        }
        for (i, total) in this.literals.iter_mut().take(256).enumerate() {
            *total = lanes.iter().map(|lane| lane[i]).sum();
        }
        this.literals[END] = 1;
        this
    }

    /// Both together, as one block.
    pub(super) fn merged(&self, other: &Self) -> Self {
        let mut this = self.clone();
        for (a, b) in this.literals.iter_mut().zip(&other.literals) {
            *a += b;
        }
        for (a, b) in this.distances.iter_mut().zip(&other.distances) {
            *a += b;
        }
        this.literals[END] = 1;
        this
    }

    /// About what the symbols cost under their own code, the code's description included, in parts of a bit.
    pub(super) fn price(&self) -> u64 {
        [&self.literals[..], &self.distances[..]]
            .iter()
            .map(|counts| {
                let used = counts.iter().filter(|c| **c > 0).count() as u64;
                price::entropy(counts) + used * DESCRIPTION
            })
            .sum()
    }
}

/// What it costs to describe the code of one symbol: about five bits.
const DESCRIPTION: u64 = 5 * price::BIT as u64;

/// Symbol, extra bits and their value for a match length of 3 to 258.
pub(super) fn length_symbol(length: u16) -> (usize, u32, u32) {
    let l = u32::from(length.clamp(3, 258)) - 3;
    match l {
        0..8 => (257 + l as usize, 0, 0),
        255 => (285, 0, 0),
        _ => {
            let extra = l.ilog2() - 2;
            (257 + (4 * extra + (l >> extra)) as usize, extra, l & ((1 << extra) - 1))
        }
    }
}

/// Symbol, extra bits and their value for a distance of 1 to 32,768.
pub(super) fn distance_symbol(distance: u16) -> (usize, u32, u32) {
    let d = u32::from(distance.wrapping_sub(1)) & 0x7fff;
    if d < 4 {
        return (d as usize, 0, 0);
    }
    let extra = d.ilog2() - 1;
    ((2 * extra + (d >> extra)) as usize, extra, d & ((1 << extra) - 1))
}

/// The two codes of a block, and how many of their lengths are sent.
struct Codes {
    literal_lengths: [u8; LITERALS],
    distance_lengths: [u8; DISTANCES],
}

impl Codes {
    /// The codes that suit `counts` best.
    fn of(counts: &Counts) -> Self {
        let mut this = Self { literal_lengths: [0; LITERALS], distance_lengths: [0; DISTANCES] };
        huffman::lengths(&counts.literals, LONGEST, &mut this.literal_lengths);
        huffman::lengths(&counts.distances, LONGEST, &mut this.distance_lengths);
        // Some decoders take only complete codes, even for distances that do not occur.
        if this.distance_lengths.iter().filter(|l| **l > 0).count() < 2 {
            let lone = this.distance_lengths.iter().position(|l| *l > 0).unwrap_or(0);
            this.distance_lengths[lone] = 1;
            this.distance_lengths[usize::from(lone == 0)] = 1;
        }
        this
    }

    /// The standard's fixed codes.
    fn fixed() -> Self {
        let mut literal_lengths = [8; LITERALS];
        literal_lengths[144..256].fill(9);
        literal_lengths[256..280].fill(7);
        Self { literal_lengths, distance_lengths: [5; DISTANCES] }
    }

    /// Bits that the symbols of a block take, their extra bits included.
    fn bits(&self, counts: &Counts) -> u64 {
        let sum = |counts: &[u32], lengths: &[u8], extra: fn(usize) -> u32| -> u64 {
            (0..)
                .zip(counts.iter().zip(lengths))
                .map(|(s, (&c, &l))| u64::from(c) * u64::from(u32::from(l) + extra(s)))
                .sum()
        };
        let length_extra = |s: usize| if (265..285).contains(&s) { (s as u32 - 261) / 4 } else { 0 };
        let distance_extra = |s: usize| if s < 4 { 0 } else { s as u32 / 2 - 1 };
        sum(&counts.literals, &self.literal_lengths, length_extra)
            + sum(&counts.distances, &self.distance_lengths, distance_extra)
    }
}

/// The description of a block's codes: their lengths, run-length coded under a third code.
struct Description {
    literals: usize,
    distances: usize,
    /// Symbol, extra bits and their value.
    symbols: Vec<(u8, u32, u32)>,
    lengths: [u8; 19],
    sent: usize,
}

/// The order in which the third code's lengths are sent.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Description {
    fn of(codes: &Codes) -> Self {
        let trimmed = |lengths: &[u8], least: usize| {
            lengths.iter().rposition(|l| *l > 0).map_or(least, |last| (last + 1).max(least))
        };
        let literals = trimmed(&codes.literal_lengths, 257);
        let distances = trimmed(&codes.distance_lengths, 1);
        let all: Vec<u8> =
            [&codes.literal_lengths[..literals], &codes.distance_lengths[..distances]].concat();
        let mut symbols = Vec::with_capacity(all.len());
        for run in all.chunk_by(|a, b| a == b) {
            let (value, mut left) = (run[0], run.len() as u32);
            if value > 0 {
                symbols.push((value, 0, 0));
                left -= 1;
            }
            while left > 0 {
                let (symbol, extra, least, most) = match (value, left) {
                    (0, 11..) => (18, 7, 11, 138),
                    (0, 3..) => (17, 3, 3, 10),
                    (1.., 3..) => (16, 2, 3, 6),
                    _ => (value, 0, 1, 1),
                };
                let n = left.min(most);
                symbols.push((symbol, extra, n - least));
                left -= n;
            }
        }
        let mut counts = [0u32; 19];
        for (symbol, ..) in &symbols {
            counts[usize::from(*symbol)] += 1;
        }
        let mut lengths = [0u8; 19];
        huffman::lengths(&counts, 7, &mut lengths);
        let sent = ORDER.iter().rposition(|&s| lengths[s] > 0).map_or(4, |last| (last + 1).max(4));
        Self { literals, distances, symbols, lengths, sent }
    }

    fn bits(&self) -> u64 {
        let symbols: u64 = self
            .symbols
            .iter()
            .map(|&(s, extra, _)| u64::from(u32::from(self.lengths[usize::from(s)]) + extra))
            .sum();
        14 + 3 * self.sent as u64 + symbols
    }

    fn write(&self, bits: &mut Bits) {
        bits.push(self.literals as u32 - 257, 5);
        bits.push(self.distances as u32 - 1, 5);
        bits.push(self.sent as u32 - 4, 4);
        for &s in &ORDER[..self.sent] {
            bits.push(u32::from(self.lengths[s]), 3);
            bits.flush();
        }
        let mut codes = [0; 19];
        huffman::codes(&self.lengths, &mut codes);
        for &(symbol, extra, value) in &self.symbols {
            let code = codes[usize::from(symbol)];
            bits.push(code >> 4, code & 15);
            bits.push(value, extra);
            bits.flush();
        }
    }
}

/// Writes `data`, which `sequences` describe and `counts` count, as a block that is not the last.
pub(super) fn write(bits: &mut Bits, data: &[u8], sequences: &[Sequence], counts: &Counts) {
    let own = Codes::of(counts);
    let description = Description::of(&own);
    let fixed = Codes::fixed();
    let (own_bits, fixed_bits) = (own.bits(counts) + description.bits(), fixed.bits(counts));
    let stored_bits = (data.len() as u64 + 5 * data.len().div_ceil(STORED) as u64) * 8;
    if stored_bits <= own_bits.min(fixed_bits) {
        stored(bits, data);
        return;
    }
    bits.reserve(own_bits.min(fixed_bits) as usize / 8 + 64);
    if fixed_bits <= own_bits {
        bits.push(0b010, 3);
        symbols(bits, data, sequences, &fixed);
    } else {
        bits.push(0b100, 3);
        description.write(bits);
        symbols(bits, data, sequences, &own);
    }
}

fn symbols(bits: &mut Bits, data: &[u8], sequences: &[Sequence], codes: &Codes) {
    let mut literals = [0; 288];
    let mut distances = [0; DISTANCES];
    let mut lengths = [8; 288];
    lengths[..LITERALS].copy_from_slice(&codes.literal_lengths);
    // The fixed code has two symbols more than may be used; in any other they have no code.
    if codes.literal_lengths[END] != 7 || codes.distance_lengths != [5; DISTANCES] {
        lengths[LITERALS..].fill(0);
    }
    huffman::codes(&lengths, &mut literals);
    huffman::codes(&codes.distance_lengths, &mut distances);
    let Some((bytes, _)) = literals.split_first_chunk::<256>() else { return };
    let mut at = 0;
    for sequence in sequences {
        let end = at + sequence.literals as usize;
        bits.literals(data.get(at..end).unwrap_or_default(), bytes);
        at = end + usize::from(sequence.length);
        if sequence.length > 0 {
            let (symbol, extra, value) = length_symbol(sequence.length);
            bits.push(literals[symbol] >> 4, literals[symbol] & 15);
            bits.push(value, extra);
            let (symbol, extra, value) = distance_symbol(sequence.distance);
            bits.push(distances[symbol] >> 4, distances[symbol] & 15);
            bits.push(value, extra);
            bits.flush();
        }
    }
    bits.push(literals[END] >> 4, literals[END] & 15);
    bits.flush();
}

/// Most bytes of one stored block.
const STORED: usize = 65_535;

/// Writes bytes as they are; with none, the empty block that brings the stream to a whole byte.
pub(super) fn stored(bits: &mut Bits, data: &[u8]) {
    let mut rest = data;
    loop {
        let (now, later) = rest.split_at(rest.len().min(STORED));
        bits.reserve(now.len() + 8);
        bits.push(0, 3);
        bits.align();
        let length = now.len() as u16;
        bits.bytes(&length.to_le_bytes());
        bits.bytes(&(!length).to_le_bytes());
        bits.bytes(now);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_of_lengths_and_distances_are_the_standards() {
        // RFC 1951, section 3.2.5: first value of every symbol, in order.
        let lengths = [
            3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
            163, 195, 227, 258,
        ];
        let distances = [
            1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049,
            3073, 4097, 6145, 8193, 12289, 16385, 24577,
        ];
        let last_not_above = |starts: &[u16], v: u16| starts.iter().rposition(|s| *s <= v).unwrap();
        for length in 3..=258 {
            let (symbol, extra, value) = length_symbol(length);
            let i = last_not_above(&lengths, length);
            assert_eq!((symbol, value), (257 + i, u32::from(length - lengths[i])), "length {length}");
            assert!(value < 1 << extra);
        }
        for distance in 1..=32_768 {
            let (symbol, extra, value) = distance_symbol(distance);
            let i = last_not_above(&distances, distance);
            assert_eq!((symbol, value), (i, u32::from(distance - distances[i])), "distance {distance}");
            assert!(value < 1 << extra);
        }
    }
}
