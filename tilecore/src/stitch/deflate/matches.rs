//! Where bytes occurred before: the search that the levels share.

use super::block::Sequence;
use super::price::{BIT, log2};

/// Furthest a match may reach back.
pub(in super::super) const WINDOW: usize = 32_768;
/// Longest match.
pub(super) const LONGEST: usize = 258;
/// Bits of the hash that finds candidates.
const HASH_BITS: u32 = 14;
/// A match this long is taken without looking for a better one.
const GOOD: usize = 64;

/// [`Effort::patience`] where there was next to nothing to find.
const BARREN: u32 = 2;

/// How hard the search works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Misses after which the search takes one byte more per step, as a power of two; noise is passed quickly.
    pub(super) patience: u32,
    /// Most bytes per step.
    pub(super) stride: usize,
    /// Most candidates tried per position.
    pub(super) chain: u32,
    /// Bytes that have to be the same for a candidate to be found: 4 to 8.
    pub(super) hashed: u32,
    /// Most bytes by which a match is put off for a better one.
    pub(super) lazy: usize,
    /// Most bytes of a match that are found again later.
    pub(super) remembered: usize,
}

/// Bytes to describe: `data[from..to]`, with what is before them to refer to.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) data: &'a [u8],
    pub(super) from: usize,
    pub(super) to: usize,
    /// Bytes of a pixel, at which distance repetition is likely.
    pub(super) pixel: usize,
}

/// A match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) distance: usize,
}

/// Finds matches in a window of bytes, from front to back.
pub(super) struct Matcher {
    /// The last position plus one with each hash; 0 for none.
    head: Vec<u32>,
    /// For each position modulo the window, the one before it with the same hash, plus one.
    previous: Vec<u32>,
    /// The last stretch had next to no matches; the next one is searched in larger steps.
    barren: bool,
}

/// Eight bytes as a number; zero where there are fewer.
pub(super) fn eight(data: &[u8], at: usize) -> u64 {
    data.get(at..at + 8).and_then(|s| s.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// How many bytes from `a` and from `b` on are the same, up to `limit` for `b`; `a` lies before `b`.
pub(super) fn common(data: &[u8], a: usize, b: usize, limit: usize) -> usize {
    let most = (limit - b).min(LONGEST);
    let (Some(earlier), Some(later)) = (data.get(a..a + most), data.get(b..b + most)) else { return 0 };
    let mut n = 0;
    for (x, y) in earlier.chunks_exact(8).zip(later.chunks_exact(8)) {
        let different = eight(x, 0) ^ eight(y, 0);
        if different != 0 {
            return n + different.trailing_zeros() as usize / 8;
        }
        n += 8;
    }
    n + earlier[n..].iter().zip(&later[n..]).take_while(|(x, y)| x == y).count()
}

/// About what a byte and a match cost, in parts of a bit.
struct Prices {
    literal: [u32; 256],
}

impl Prices {
    /// From a sample of the bytes.
    fn of(data: &[u8]) -> Self {
        let mut counts = [0u32; 256];
        let mut total = 0u32;
        for block in data.chunks(256) {
            for &byte in block.iter().take(64) {
                counts[usize::from(byte)] += 1;
                total += 1;
            }
        }
        let whole = log2(total);
        Self { literal: counts.map(|c| whole.saturating_sub(log2(c)).clamp(BIT, 14 * BIT)) }
    }

    /// What a match saves against its literals; nothing or less if it is not worth taking.
    fn gain(&self, matched: &[u8], distance: usize) -> i32 {
        let literals: u32 = matched.iter().take(48).map(|&b| self.literal[usize::from(b)]).sum();
        let rest = matched.len().saturating_sub(48) as u32 * BIT;
        let match_bits = 9 + distance.max(1).ilog2() + matched.len().max(1).ilog2() / 2;
        (literals + rest).cast_signed() - (BIT * match_bits).cast_signed()
    }
}

impl Default for Matcher {
    fn default() -> Self {
        Self { head: vec![0; 1 << HASH_BITS], previous: vec![0; WINDOW], barren: false }
    }
}

impl Matcher {
    /// Forgets what was seen and takes in `data[..upto]`, the window before the first byte to compress.
    pub(super) fn begin(&mut self, data: &[u8], upto: usize, effort: Effort) {
        self.head.fill(0);
        self.barren = false;
        let step = if effort.chain > 1 { 1 } else { 4 };
        for at in (0..upto.saturating_sub(7)).step_by(step) {
            self.insert(data, at, effort);
        }
    }

    /// Notes a position and returns the last one with the same hash, plus one.
    pub(super) fn insert(&mut self, data: &[u8], at: usize, effort: Effort) -> usize {
        let bytes = eight(data, at) << (64 - 8 * effort.hashed);
        // The constant is 2^64 divided by the golden ratio.
        let hash = bytes.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS);
        let before = std::mem::replace(&mut self.head[hash as usize], at as u32 + 1);
        if effort.chain > 1 {
            self.previous[at % WINDOW] = before;
        }
        before as usize
    }

    /// Calls `with` for the positions where the bytes at `at` may have occurred before, nearest first, until it says
    /// that it has enough; and notes `at`.
    pub(super) fn candidates(
        &mut self,
        data: &[u8],
        at: usize,
        effort: Effort,
        mut with: impl FnMut(usize) -> bool,
    ) {
        let mut candidate = self.insert(data, at, effort);
        for _ in 0..effort.chain {
            if candidate == 0 || candidate > at || at + 1 - candidate > WINDOW || with(candidate - 1) {
                break;
            }
            if effort.chain == 1 {
                break;
            }
            candidate = self.previous[(candidate - 1) % WINDOW] as usize;
        }
    }

    /// Appends sequences that describe the input to `into`.
    pub(super) fn parse(&mut self, input: Input<'_>, effort: Effort, into: &mut Vec<Sequence>) {
        let Input { data, from, to, .. } = input;
        let prices = Prices::of(&data[from..to]);
        let mut literals_from = from;
        let mut at = from;
        let mut misses = 0usize;
        let mut matched = 0;
        let patience = if self.barren { effort.patience.min(BARREN) } else { effort.patience };
        while at + 8 <= to {
            let Some((mut found, mut gain)) = self.best(input, at, effort, &prices) else {
                misses += 1;
                at += (1 + (misses >> patience)).min(effort.stride);
                continue;
            };
            misses = 0;
            for _ in 0..effort.lazy {
                if found.length >= GOOD || at + 9 > to {
                    break;
                }
                let Some((later, more)) = self.best(input, at + 1, effort, &prices) else { break };
                if more <= gain {
                    break;
                }
                (found, gain) = (later, more);
                at += 1;
            }
            let Match { mut length, distance } = found;
            // A long step may have passed over the beginning.
            while at > literals_from
                && at > distance
                && length < LONGEST
                && data[at - 1] == data[at - 1 - distance]
            {
                at -= 1;
                length += 1;
            }
            into.push(Sequence {
                literals: (at - literals_from) as u32,
                length: length as u16,
                distance: distance as u16,
            });
            at += length;
            matched += length;
            literals_from = at;
            if at + 8 <= to {
                for back in (1..=effort.remembered.min(length)).rev() {
                    self.insert(data, at - back, effort);
                }
            }
        }
        self.barren = matched < (to - from) / 64;
        if literals_from < to {
            into.push(Sequence { literals: (to - literals_from) as u32, length: 0, distance: 0 });
        }
    }

    /// The match at `at` that saves most, and what it saves, if any does.
    #[inline]
    fn best(&mut self, input: Input<'_>, at: usize, effort: Effort, prices: &Prices) -> Option<(Match, i32)> {
        let Input { data, to, pixel, .. } = input;
        let value = eight(data, at) as u32;
        let mut best: Option<(Match, i32)> = None;
        let mut consider = |position: usize| {
            if eight(data, position) as u32 == value {
                let (length, distance) = (common(data, position, at, to), at - position);
                if best.is_none_or(|(other, _)| length > other.length) {
                    let gain = prices.gain(&data[at..at + length], distance);
                    if gain > best.map_or(0, |(_, gain)| gain) {
                        best = Some((Match { length, distance }, gain));
                    }
                }
            }
            best.is_some_and(|(found, _)| found.length >= GOOD)
        };
        for distance in [1, pixel] {
            if at >= distance {
                consider(at - distance);
            }
        }
        self.candidates(data, at, effort, consider);
        best
    }
}
