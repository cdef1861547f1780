//! A segment: whole rows of the picture, filtered and deflated on their own, so that segments can be made in parallel
//! and their bytes do not depend on how many are.

use super::chunk;
use super::deflate::{Deflater, WINDOW};
use super::filter::{Choice, Row};

/// [`Shape::segment_bytes`] of every picture outside tests.
pub(super) const BYTES: usize = 1 << 20;

/// Bytes on which ways to choose filters are tried.
const TRIAL: usize = 32 << 10;

/// How much time goes into a smaller file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Least time.
    Fast,
    /// What time buys at a good price.
    #[default]
    Default,
    /// Smallest file.
    Small,
}

impl std::str::FromStr for Compression {
    type Err = crate::Error;

    fn from_str(name: &str) -> crate::Result<Self> {
        match name {
            "fast" => Ok(Self::Fast),
            "default" => Ok(Self::Default),
            "small" => Ok(Self::Small),
            _ => Err(crate::Error::input(format!("{name:?} is not a compression"))
                .remedy("Choose fast, default or small.")),
        }
    }
}

/// What all segments of a picture have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) row_bytes: usize,
    pub(super) pixel: usize,
    pub(super) compression: Compression,
    /// Filtered bytes a segment has at least, unless it is the last.
    pub(super) segment_bytes: usize,
}

impl Shape {
    /// Rows in every segment but the last.
    pub(super) fn rows(self) -> usize {
        self.segment_bytes.div_ceil(self.row_bytes + 1).max(1)
    }

    /// Appends `rows`, filtered, to `into`; `above` is the row before them.
    fn filter<'a>(self, rows: &'a [u8], mut above: &'a [u8], choice: Choice, into: &mut Vec<u8>) {
        for row in rows.chunks_exact(self.row_bytes) {
            Row::new(row, above, self.pixel).filter(choice, into);
            above = row;
        }
    }
}

/// A deflated segment as a chunk of the file: a piece of one zlib stream.
#[derive(Default)]
pub(super) struct Deflated {
    pub(super) chunk: Vec<u8>,
    /// Adler-32 and number of the filtered bytes.
    pub(super) adler: u32,
    pub(super) raw: u64,
}

/// Makes segments; keeps memory from one to the next.
#[derive(Default)]
pub(super) struct Maker {
    deflater: Deflater,
}

impl Maker {
    /// Filters `rows`; `above` is the row before them. Returns the filtered bytes with room for a window before them
    /// in `memory`, and a copy of their end.
    pub(super) fn filter(
        &mut self,
        rows: &[u8],
        above: &[u8],
        shape: Shape,
        mut memory: Vec<u8>,
    ) -> (Vec<u8>, Vec<u8>) {
        let choice = self.choice(rows, above, shape);
        memory.clear();
        memory.resize(WINDOW, 0);
        shape.filter(rows, above, choice, &mut memory);
        let end = memory.get(memory.len().saturating_sub(WINDOW).max(WINDOW)..).unwrap_or_default().to_vec();
        (memory, end)
    }

    /// How the rows' filters are to be chosen: by trial on a part of the rows, or on all of them for
    /// [`Compression::Small`].
    fn choice(&mut self, rows: &[u8], above: &[u8], shape: Shape) -> Choice {
        let filtered = match shape.compression {
            Compression::Fast => return Choice::Smallest { every: 4096 },
            Compression::Default => Choice::Smallest { every: 1024 },
            Compression::Small => Choice::LeastEntropy,
        };
        let (mut sample, mut before) = (rows, above);
        if shape.compression == Compression::Default {
            let all = rows.len() / shape.row_bytes;
            let some = TRIAL.div_ceil(shape.row_bytes).min(all);
            let from = (all - some) / 2 * shape.row_bytes;
            sample = rows.get(from..from + some * shape.row_bytes).unwrap_or_default();
            before = rows.get(from.wrapping_sub(shape.row_bytes)..from).unwrap_or(above);
        }
        let mut bytes = Vec::new();
        let mut size = |choice: Choice| {
            bytes.clear();
            shape.filter(sample, before, choice, &mut bytes);
            self.deflater.deflate(&bytes, 0, shape.pixel, Compression::Fast, Vec::new()).len()
        };
        if size(Choice::Plain) < size(filtered) { Choice::Plain } else { filtered }
    }

    /// Deflates what [`Maker::filter`] returned; `before` is the end of what it returned for the segment above. The
    /// stream ends at a byte boundary.
    pub(super) fn deflate(
        &mut self,
        filtered: &mut [u8],
        before: &[u8],
        shape: Shape,
        memory: Vec<u8>,
    ) -> Deflated {
        let room = WINDOW - before.len().min(WINDOW);
        if let Some(place) = filtered.get_mut(room..room + before.len()) {
            place.copy_from_slice(before);
        }
        let data = filtered.get(room..).unwrap_or_default();
        let out = chunk::begin(*b"IDAT", memory);
        let out = self.deflater.deflate(data, before.len(), shape.pixel, shape.compression, out);
        let filtered = data.get(before.len()..).unwrap_or_default();
        Deflated {
            chunk: chunk::end(out),
            adler: simd_adler32::adler32(&filtered),
            raw: filtered.len() as u64,
        }
    }
}

/// The Adler-32 of two pieces one after the other, from theirs; the second has `length` bytes. (RFC 1950, section 8.2:
/// both sums are linear modulo 65521.)
pub(super) fn adler_combine(first: u32, second: u32, length: u64) -> u32 {
    const BASE: u64 = 65_521;
    let (a1, b1) = (u64::from(first & 0xffff), u64::from(first >> 16));
    let (a2, b2) = (u64::from(second & 0xffff), u64::from(second >> 16));
    let a = (a1 + a2 + BASE - 1) % BASE;
    let b = (b1 + b2 + (length % BASE) * ((a1 + BASE - 1) % BASE)) % BASE;
    (b as u32) << 16 | a as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_of_pieces_combine(data in prop::collection::vec(any::<u8>(), 0..5000), cut in 0usize..5000) {
            let (a, b) = data.split_at(cut.min(data.len()));
            let sum = |d: &[u8]| simd_adler32::adler32(&d);
            prop_assert_eq!(adler_combine(sum(a), sum(b), b.len() as u64), sum(&data));
        }
    }
}
