//! A deflate encoder for filtered pixels.
//!
//! Rendered pixels carry noise: after a filter there is little left to match, and what compresses them is the choice of
//! good prefix codes. General encoders search every byte and then take short matches that cost more than their
//! literals. This one passes noise in growing steps, takes a match only where it is cheaper than its literals, and
//! spends its time on literals at several per store.

mod bits;
mod block;
mod huffman;
mod matches;
mod optimal;
mod price;

use bits::Bits;
use block::{Counts, Sequence};
use matches::{Effort, Input, Matcher};
use optimal::Optimal;

use super::segment::Compression;

pub(super) use price::entropy;

/// How far back a stream may refer.
pub(super) const WINDOW: usize = matches::WINDOW;

/// Bytes that get statistics of their own before it is decided whether they share a block with their neighbours.
const CHUNK: usize = 32 << 10;

/// An encoder; holds nothing between calls but memory.
#[derive(Default)]
pub(super) struct Deflater {
    matcher: Matcher,
    optimal: Optimal,
}

impl Deflater {
    /// Deflates `data[from..]`, which may refer to what is before it, and appends the blocks to `out`. None of them is
    /// marked as the last; the last ends at a whole byte.
    pub(super) fn deflate(
        &mut self,
        data: &[u8],
        from: usize,
        pixel: usize,
        compression: Compression,
        out: Vec<u8>,
    ) -> Vec<u8> {
        let effort = match compression {
            Compression::Fast => {
                Effort { patience: 3, stride: 32, chain: 1, hashed: 5, lazy: 0, remembered: 2 }
            }
            Compression::Default => {
                Effort { patience: 5, stride: 32, chain: 4, hashed: 4, lazy: 8, remembered: 16 }
            }
            Compression::Small => {
                Effort { patience: 6, stride: 4, chain: 32, hashed: 4, lazy: 8, remembered: 64 }
            }
        };
        self.matcher.begin(data, from, effort);
        self.optimal.begin();
        let mut bits = Bits::continuing(out);
        let (mut start, mut at) = (from, from);
        let mut sequences: Vec<Sequence> = Vec::new();
        let mut counts: Option<Counts> = None;
        while at < data.len() {
            let end = (at + CHUNK).min(data.len());
            let before = sequences.len();
            let input = Input { data, from: at, to: end, pixel };
            if compression == Compression::Small {
                self.optimal.parse(&mut self.matcher, input, effort, &mut sequences);
            } else {
                self.matcher.parse(input, effort, &mut sequences);
            }
            let own = Counts::of(&data[at..end], &sequences[before..]);
            counts = Some(match counts {
                None => own,
                Some(shared) => {
                    let merged = shared.merged(&own);
                    if merged.price() <= shared.price() + own.price() {
                        merged
                    } else {
                        block::write(&mut bits, &data[start..at], &sequences[..before], &shared);
                        sequences.drain(..before);
                        start = at;
                        own
                    }
                }
            });
            at = end;
        }
        if let Some(counts) = counts {
            block::write(&mut bits, &data[start..], &sequences, &counts);
        }
        block::stored(&mut bits, &[]);
        bits.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn inflated(deflated: &[u8], dictionary: &[u8], length: usize) -> Vec<u8> {
        let mut whole = deflated.to_vec();
        whole.extend_from_slice(&[3, 0]);
        let mut stream = flate2::Decompress::new(false);
        if !dictionary.is_empty() {
            stream.set_dictionary(dictionary).unwrap();
        }
        let mut out = Vec::with_capacity(length + 1);
        let status = stream.decompress_vec(&whole, &mut out, flate2::FlushDecompress::Finish).unwrap();
        assert_eq!(status, flate2::Status::StreamEnd);
        assert_eq!(stream.total_in(), whole.len() as u64);
        out
    }

    /// Bytes of many kinds one after the other: noise of any width, runs, repeats.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        let piece = (0u8..5, any::<u8>(), 1usize..40_000, any::<u64>()).prop_map(|(kind, value, n, seed)| {
            let mut state = seed | 1;
            (0..n)
                .map(|i| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    match kind {
                        0 => value,
                        1 => (state >> 56) as u8,
                        2 => (state >> 61) as u8,
                        3 => (i % (usize::from(value) + 1)) as u8,
                        _ => {
                            if state >> 58 == 0 {
                                value
                            } else {
                                0
                            }
                        }
                    }
                })
                .collect::<Vec<u8>>()
        });
        prop::collection::vec(piece, 0..6).prop_map(|p| p.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_deflated_inflates(
            data in data(),
            dictionary in 0usize..40_000,
            pixel in 1usize..9,
            level in prop::sample::select(vec![Compression::Fast, Compression::Default, Compression::Small]),
        ) {
            let from = dictionary.min(data.len()).min(WINDOW);
            let out = Deflater::default().deflate(&data, from, pixel, level, Vec::new());
            prop_assert!(inflated(&out, &data[..from], data.len() - from) == data[from..]);
        }
    }

    #[test]
    fn random_bytes_grow_by_next_to_nothing() {
        let mut state = 1u64;
        let data: Vec<u8> = (0..300_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let out = Deflater::default().deflate(&data, 0, 3, Compression::Default, Vec::new());
        assert!(out.len() < data.len() + 64);
    }

    #[test]
    fn a_flat_picture_shrinks_a_thousandfold() {
        let data = vec![0; 1 << 20];
        let out = Deflater::default().deflate(&data, 0, 3, Compression::Fast, Vec::new());
        assert!(out.len() < 1500, "{}", out.len());
    }
}
