//! The parse that takes longest: of all ways to describe a stretch of bytes by literals and matches, the cheapest.
//!
//! What is cheap depends on how often symbols occur, and that on the way taken; so the way is sought a few times, each
//! time with the prices that the last one leads to.

use super::block::{Counts, Sequence, distance_symbol, length_symbol};
use super::matches::{Effort, Input, LONGEST, Match, Matcher, common};
use super::price::{BIT, log2};

/// Times a way is sought.
const PASSES: usize = 3;
/// Behind the start of a match this long, nothing else is looked for.
const NICE: usize = 128;

/// Prices of symbols in parts of a bit.
struct Prices {
    literal: [u32; 256],
    length: [u32; LONGEST + 1],
    distance: [u32; 30],
}

impl Prices {
    /// What symbols cost that occur so often.
    fn of(counts: &Counts) -> Self {
        let price = |count: u32, whole: u32| (whole.saturating_sub(log2(count))).clamp(BIT, 13 * BIT);
        let whole = log2(counts.literals.iter().sum());
        let far = log2(counts.distances.iter().sum::<u32>().max(64));
        let mut this = Self { literal: [0; 256], length: [0; LONGEST + 1], distance: [0; 30] };
        for (to, &count) in this.literal.iter_mut().zip(&counts.literals) {
            *to = price(count, whole);
        }
        for (length, to) in this.length.iter_mut().enumerate().skip(3) {
            let (symbol, extra, _) = length_symbol(length as u16);
            *to = price(counts.literals[symbol], whole) + extra * BIT;
        }
        for (symbol, to) in this.distance.iter_mut().enumerate() {
            let extra = (symbol as u32 / 2).saturating_sub(1);
            *to = price(counts.distances[symbol], far) + extra * BIT;
        }
        this
    }
}

/// Finds the cheapest way; keeps memory and statistics from one stretch to the next.
#[derive(Default)]
pub(super) struct Optimal {
    /// Matches of all positions, shortest first within one; and where each position's begin.
    matches: Vec<Match>,
    starts: Vec<usize>,
    /// Price of the cheapest way to each position, and its last step; a step of length 1 is a literal.
    price: Vec<u32>,
    step: Vec<(u16, u16)>,
    /// What the last way led to.
    counts: Option<Counts>,
}

impl Optimal {
    /// Forgets the statistics.
    pub(super) fn begin(&mut self) {
        self.counts = None;
    }

    /// Appends sequences that describe the input to `into`.
    pub(super) fn parse(
        &mut self,
        matcher: &mut Matcher,
        input: Input<'_>,
        effort: Effort,
        into: &mut Vec<Sequence>,
    ) {
        let Input { data, from, to, .. } = input;
        self.collect(matcher, input, effort);
        let mut counts = self.counts.take().unwrap_or_else(|| {
            // To begin with, matches are assumed to be one symbol in five.
            let sequence = Sequence { literals: (to - from) as u32, length: 0, distance: 0 };
            let mut counts = Counts::of(&data[from..to], &[sequence]);
            let some = ((to - from) / 128).max(1) as u32;
            counts.literals[257..].fill(some);
            counts.distances.fill(some);
            counts
        });
        let start = into.len();
        for _ in 0..PASSES {
            into.truncate(start);
            self.walk(data, from, to, &Prices::of(&counts));
            self.sequences(into);
            counts = Counts::of(&data[from..to], &into[start..]);
        }
        self.counts = Some(counts);
    }

    /// Finds the matches of every position.
    fn collect(&mut self, matcher: &mut Matcher, input: Input<'_>, effort: Effort) {
        let Input { data, from, to, pixel } = input;
        self.matches.clear();
        self.starts.clear();
        let mut running: Option<Match> = None;
        for at in from..to {
            self.starts.push(self.matches.len());
            // Within a long match, only the rest of it counts.
            running = running.and_then(|m| (m.length > 4).then(|| Match { length: m.length - 1, ..m }));
            if let Some(rest) = running {
                self.matches.push(rest);
                matcher.insert(data, at, effort);
                continue;
            }
            let mut longest = 2;
            let mut consider = |position: usize| {
                let length = common(data, position, at, to);
                if length > longest {
                    longest = length;
                    self.matches.push(Match { length, distance: at - position });
                }
                longest >= NICE
            };
            for distance in [1, pixel] {
                if at >= distance {
                    consider(at - distance);
                }
            }
            matcher.candidates(data, at, effort, consider);
            running = self.matches.last().copied().filter(|m| longest >= NICE && m.length == longest);
        }
        self.starts.push(self.matches.len());
    }

    /// Finds the cheapest way to every position.
    fn walk(&mut self, data: &[u8], from: usize, to: usize, prices: &Prices) {
        let n = to - from;
        self.price.clear();
        self.price.resize(n + 1, u32::MAX);
        self.step.clear();
        self.step.resize(n + 1, (1, 0));
        self.price[0] = 0;
        for (i, bounds) in self.starts.windows(2).enumerate() {
            let here = self.price[i];
            let literal = here + prices.literal[usize::from(data[from + i])];
            if literal < self.price[i + 1] {
                self.price[i + 1] = literal;
                self.step[i + 1] = (1, 0);
            }
            let mut shorter = 3;
            for found in &self.matches[bounds[0]..bounds[1]] {
                let distance = found.distance as u16;
                let base = here + prices.distance[distance_symbol(distance).0];
                // The rest of a long match is taken whole or not at all.
                let first = if found.length >= NICE { found.length } else { shorter };
                for length in first..=found.length {
                    let price = base + prices.length[length];
                    if price < self.price[i + length] {
                        self.price[i + length] = price;
                        self.step[i + length] = (length as u16, distance);
                    }
                }
                shorter = found.length + 1;
            }
        }
    }

    /// Appends the way that [`Optimal::walk`] found.
    fn sequences(&self, into: &mut Vec<Sequence>) {
        let start = into.len();
        let mut at = self.step.len() - 1;
        let mut literals = 0;
        let mut next = (0, 0);
        while at > 0 {
            let (length, distance) = self.step[at];
            at -= usize::from(length);
            if length == 1 {
                literals += 1;
                continue;
            }
            if literals > 0 || next.0 > 0 {
                into.push(Sequence { literals, length: next.0, distance: next.1 });
            }
            literals = 0;
            next = (length, distance);
        }
        if literals > 0 || next.0 > 0 {
            into.push(Sequence { literals, length: next.0, distance: next.1 });
        }
        into[start..].reverse();
    }
}
