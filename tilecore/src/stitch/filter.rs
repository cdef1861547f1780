//! PNG's row filters, and the choice among them.
//!
//! Every loop here runs over bytes that do not depend on each other, so that the compiler makes vectors of them.

use super::deflate::entropy;

/// Rows shorter than this are judged whole.
const SAMPLED: usize = 4096;
/// Bytes of a longer row that are judged together.
const BLOCK: usize = 256;

/// What is left of a byte when the prediction is taken away.
#[derive(Clone, Copy)]
enum Filter {
    None,
    Sub,
    Up,
    Average,
    Paeth,
}

const ALL: [Filter; 5] = [Filter::None, Filter::Sub, Filter::Up, Filter::Average, Filter::Paeth];

fn average(a: u8, b: u8) -> u8 {
    (a & b) + ((a ^ b) >> 1)
}

/// PNG's Paeth predictor in eight bits: where `a` and `b` lie on different sides of `c`, the distance of their sum is
/// the difference of their distances; where they lie on the same side, it is the sum, and the nearer of them wins.
pub(super) fn paeth(a: u8, b: u8, c: u8) -> u8 {
    let (to_a, to_b) = (b.abs_diff(c), a.abs_diff(c));
    let to_c = if (a < c) == (b < c) { u8::MAX } else { to_a.abs_diff(to_b) };
    let nearer = if to_b <= to_c { b } else { c };
    if to_a <= to_b && to_a <= to_c { a } else { nearer }
}

/// A stretch of a row with what the filters look at: the same stretch one pixel to the left, above, and above left.
#[derive(Clone, Copy)]
struct Stretch<'a> {
    here: &'a [u8],
    left: &'a [u8],
    above: &'a [u8],
    corner: &'a [u8],
}

impl Stretch<'_> {
    /// Calls `with` for every byte's remainder, in order.
    #[inline]
    fn remainders(self, filter: Filter, with: impl FnMut(u8)) {
        let bytes = self.here.iter().zip(self.left).zip(self.above).zip(self.corner);
        match filter {
            Filter::None => self.here.iter().copied().for_each(with),
            Filter::Sub => bytes.map(|(((x, a), _), _)| x.wrapping_sub(*a)).for_each(with),
            Filter::Up => bytes.map(|(((x, _), b), _)| x.wrapping_sub(*b)).for_each(with),
            Filter::Average => bytes.map(|(((x, a), b), _)| x.wrapping_sub(average(*a, *b))).for_each(with),
            Filter::Paeth => bytes.map(|(((x, a), b), c)| x.wrapping_sub(paeth(*a, *b, *c))).for_each(with),
        }
    }

    fn write(self, filter: Filter, into: &mut [u8]) {
        let bytes = into.iter_mut().zip(self.here).zip(self.left).zip(self.above).zip(self.corner);
        match filter {
            Filter::None => into.copy_from_slice(self.here),
            Filter::Sub => bytes.for_each(|((((o, x), a), _), _)| *o = x.wrapping_sub(*a)),
            Filter::Up => bytes.for_each(|((((o, x), _), b), _)| *o = x.wrapping_sub(*b)),
            Filter::Average => bytes.for_each(|((((o, x), a), b), _)| *o = x.wrapping_sub(average(*a, *b))),
            Filter::Paeth => bytes.for_each(|((((o, x), a), b), c)| *o = x.wrapping_sub(paeth(*a, *b, *c))),
        }
    }

    /// Sum of the remainders' sizes, taken as signed.
    fn size(self, filter: Filter) -> u64 {
        let mut sum = 0u64;
        for (((here, left), above), corner) in self
            .here
            .chunks(BLOCK)
            .zip(self.left.chunks(BLOCK))
            .zip(self.above.chunks(BLOCK))
            .zip(self.corner.chunks(BLOCK))
        {
            // 256 times 128 fits into sixteen bits.
            let mut small = 0u16;
            Stretch { here, left, above, corner }
                .remainders(filter, |v| small += u16::from(v.min(v.wrapping_neg())));
            sum += u64::from(small);
        }
        sum
    }
}

/// How a row's filter is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// No row is filtered. Drawings, flat colours and repeating patterns often shrink most as they are.
    Plain,
    /// The filter whose remainders are smallest in sum, judged on 256 of so many bytes.
    Smallest { every: usize },
    /// The filter whose remainders have the least entropy.
    LeastEntropy,
}

/// A row and the one above it, which has the same length and is zero for the first row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    here: &'a [u8],
    above: &'a [u8],
    pixel: usize,
}

impl<'a> Row<'a> {
    /// Both slices are cut to the shorter.
    pub(super) fn new(here: &'a [u8], above: &'a [u8], pixel: usize) -> Self {
        let n = here.len().min(above.len());
        Self { here: &here[..n], above: &above[..n], pixel: pixel.min(n) }
    }

    /// All of the row but the first pixel, which has none to its left.
    fn inner(self) -> Stretch<'a> {
        let (pixel, end) = (self.pixel, self.here.len() - self.pixel);
        Stretch {
            here: &self.here[pixel..],
            left: &self.here[..end],
            above: &self.above[pixel..],
            corner: &self.above[..end],
        }
    }

    /// Parts of the row that stand for all of it.
    fn sample(self, every: usize) -> impl Iterator<Item = Stretch<'a>> {
        let all = self.inner();
        let n = all.here.len();
        let (step, take) = if n < SAMPLED { (n.max(1), n) } else { (every, BLOCK) };
        (0..n).step_by(step).map(move |from| {
            let range = from..(from + take).min(n);
            Stretch {
                here: &all.here[range.clone()],
                left: &all.left[range.clone()],
                above: &all.above[range.clone()],
                corner: &all.corner[range],
            }
        })
    }

    fn write(self, filter: Filter, into: &mut Vec<u8>) {
        const ZERO: [u8; 8] = [0; 8];
        into.push(filter as u8);
        let start = into.len();
        into.resize(start + self.here.len(), 0);
        let (first, rest) = into[start..].split_at_mut(self.pixel);
        let zero = &ZERO[..self.pixel.min(8)];
        Stretch {
            here: &self.here[..self.pixel],
            left: zero,
            above: &self.above[..self.pixel],
            corner: zero,
        }
        .write(filter, first);
        self.inner().write(filter, rest);
    }

    /// Appends the filter's number and the filtered row to `into`.
    pub(super) fn filter(self, choice: Choice, into: &mut Vec<u8>) {
        let best = match choice {
            Choice::Plain => Filter::None,
            Choice::Smallest { every } => self.smallest(every),
            Choice::LeastEntropy => self.least_entropy(),
        };
        self.write(best, into);
    }

    fn smallest(self, every: usize) -> Filter {
        let cost = |filter: &Filter| self.sample(every).map(|s| s.size(*filter)).sum::<u64>();
        ALL.into_iter().min_by_key(cost).unwrap_or(Filter::None)
    }

    fn least_entropy(self) -> Filter {
        let cost = |filter: &Filter| {
            let mut counts = [0u32; 256];
            self.inner().remainders(*filter, |v| counts[usize::from(v)] += 1);
            entropy(&counts)
        };
        ALL.into_iter().min_by_key(cost).unwrap_or(Filter::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The predictor in the words of the PNG specification, section 9.4.
    fn paeth_by_the_book(a: u8, b: u8, c: u8) -> u8 {
        let p = i16::from(a) + i16::from(b) - i16::from(c);
        let distance = |v: u8| (p - i16::from(v)).abs();
        let (pa, pb, pc) = (distance(a), distance(b), distance(c));
        if pa <= pb && pa <= pc {
            a
        } else if pb <= pc {
            b
        } else {
            c
        }
    }

    #[test]
    fn predictors_are_the_standards_for_all_bytes() {
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                assert_eq!(average(a, b), u8::midpoint(a, b));
                for c in 0..=255u8 {
                    assert_eq!(paeth(a, b, c), paeth_by_the_book(a, b, c), "{a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn rows_like_the_one_above_become_zero() {
        let row: Vec<u8> = (0..6000u32).map(|i| (i * i / 7) as u8).collect();
        for choice in
            [Choice::Smallest { every: 256 }, Choice::Smallest { every: 4096 }, Choice::LeastEntropy]
        {
            let mut out = vec![9];
            Row::new(&row, &row, 3).filter(choice, &mut out);
            assert_eq!(out[..2], [9, 2]);
            assert!(out[2..].iter().all(|v| *v == 0) && out.len() == 6002);
        }
    }
}
