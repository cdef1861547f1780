//! Where bytes occurred before: the search that the levels share.

use super::block::Sequence;

/// Furthest a match may reach back.
pub(super) const WINDOW: usize = 32_768;
/// Longest match.
const LONGEST: usize = 258;
/// Bits of the hash that finds candidates.
const HASH_BITS: u32 = 14;

/// How hard the search works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Misses after which the search takes one byte more per step, as a power of two; noise is passed quickly.
    pub(super) patience: u32,
    /// Most bytes per step.
    pub(super) stride: usize,
    /// Most candidates tried per position.
    pub(super) chain: u32,
}

/// Finds matches in a window of bytes, from front to back.
pub(super) struct Matcher {
    /// The last position plus one with each hash; 0 for none.
    head: Vec<u32>,
    /// For each position modulo the window, the one before it with the same hash, plus one.
    previous: Vec<u32>,
}

fn eight(data: &[u8], at: usize) -> u64 {
    data.get(at..at + 8).and_then(|s| s.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn hash(value: u64) -> usize {
    // Five bytes; the constant is 2^64 divided by the golden ratio.
    ((value << 24).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS)) as usize
}

/// How many bytes from `a` and from `b` on are the same, up to `limit` for `b`.
fn common(data: &[u8], a: usize, b: usize, limit: usize) -> usize {
    let most = (limit - b).min(LONGEST);
    let mut n = 0;
    while n + 8 <= most {
        let different = eight(data, a + n) ^ eight(data, b + n);
        if different != 0 {
            return n + different.trailing_zeros() as usize / 8;
        }
        n += 8;
    }
    while n < most && data[a + n] == data[b + n] {
        n += 1;
    }
    n
}

/// About what a byte and a match cost, in sixteenths of a bit.
struct Prices {
    literal: [u16; 256],
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
        let whole = (total.max(1) as f32).log2();
        Self {
            literal: counts.map(|c| ((whole - (c.max(1) as f32).log2()) * 16.0).clamp(16.0, 224.0) as u16),
        }
    }

    /// What a match saves against its literals; nothing or less if it is not worth taking.
    fn gain(&self, matched: &[u8], distance: usize) -> i32 {
        let literals: i32 = matched.iter().take(48).map(|&b| i32::from(self.literal[usize::from(b)])).sum();
        let rest = matched.len().saturating_sub(48) as u32 * 16;
        let match_bits = 9 + distance.max(1).ilog2() + matched.len().max(1).ilog2() / 2;
        literals + rest.cast_signed() - 16 * match_bits.cast_signed()
    }
}

impl Default for Matcher {
    fn default() -> Self {
        Self { head: vec![0; 1 << HASH_BITS], previous: vec![0; WINDOW] }
    }
}

impl Matcher {
    /// Forgets what was seen and takes in `data[..upto]`, the window before the first byte to compress.
    pub(super) fn begin(&mut self, data: &[u8], upto: usize, effort: Effort) {
        self.head.fill(0);
        let step = if effort.chain > 1 { 1 } else { 4 };
        for at in (0..upto.saturating_sub(7)).step_by(step) {
            self.insert(data, at, effort);
        }
    }

    fn insert(&mut self, data: &[u8], at: usize, effort: Effort) -> usize {
        let head = &mut self.head[hash(eight(data, at))];
        let before = *head;
        *head = at as u32 + 1;
        if effort.chain > 1 {
            self.previous[at % WINDOW] = before;
        }
        before as usize
    }

    /// Appends sequences that describe `data[from..to]` to `into`.
    pub(super) fn parse(
        &mut self,
        data: &[u8],
        from: usize,
        to: usize,
        pixel: usize,
        effort: Effort,
        into: &mut Vec<Sequence>,
    ) {
        let prices = Prices::of(&data[from..to]);
        let mut literals_from = from;
        let mut at = from;
        let mut misses = 0usize;
        while at + 8 <= to {
            let Some((length, distance, _)) = self.best(data, at, to, pixel, effort, &prices) else {
                misses += 1;
                at += (1 + (misses >> effort.patience)).min(effort.stride);
                continue;
            };
            misses = 0;
            let mut start = at;
            let mut length = length;
            while start > literals_from
                && start > distance
                && length < LONGEST
                && data[start - 1] == data[start - 1 - distance]
            {
                start -= 1;
                length += 1;
            }
            into.push(Sequence {
                literals: (start - literals_from) as u32,
                length: length as u16,
                distance: distance as u16,
            });
            at = start + length;
            literals_from = at;
            if at + 8 <= to {
                self.insert(data, at - 2, effort);
            }
        }
        if literals_from < to {
            into.push(Sequence { literals: (to - literals_from) as u32, length: 0, distance: 0 });
        }
    }

    /// The match at `at` that saves most, if any does.
    fn best(
        &mut self,
        data: &[u8],
        at: usize,
        to: usize,
        pixel: usize,
        effort: Effort,
        prices: &Prices,
    ) -> Option<(usize, usize, i32)> {
        let value = eight(data, at);
        let mut best: Option<(usize, usize, i32)> = None;
        let consider = |distance: usize, best: &mut Option<(usize, usize, i32)>| {
            let length = common(data, at - distance, at, to);
            if length >= 4 && best.is_none_or(|(longest, ..)| length > longest) {
                let gain = prices.gain(&data[at..at + length], distance);
                if gain > best.map_or(0, |(.., g)| g) {
                    *best = Some((length, distance, gain));
                }
            }
        };
        for distance in [1, pixel] {
            if at >= distance && eight(data, at - distance) as u32 == value as u32 {
                consider(distance, &mut best);
            }
        }
        let mut candidate = self.insert(data, at, effort);
        for _ in 0..effort.chain {
            if candidate == 0
                || candidate > at
                || at + 1 - candidate > WINDOW
                || best.is_some_and(|b| b.0 >= 64)
            {
                break;
            }
            let position = candidate - 1;
            if eight(data, position) as u32 == value as u32 {
                consider(at - position, &mut best);
            }
            if effort.chain == 1 {
                break;
            }
            candidate = self.previous[position % WINDOW] as usize;
        }
        best
    }
}
