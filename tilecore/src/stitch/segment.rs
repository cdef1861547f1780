//! A segment: whole rows of the picture, filtered and deflated on their own, so that segments can be made in parallel
//! and their bytes do not depend on how many are.

use super::chunk;
use super::deflate::{Deflater, WINDOW};
use super::filter::Row;

/// [`Shape::segment_bytes`] of every picture outside tests.
pub(super) const BYTES: usize = 1 << 20;

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

    /// Bytes at the end of a segment that the one below it needs: the row above its first, and before that the rows
    /// that it may refer to, with one more that they are filtered against.
    pub(super) fn end_bytes(self) -> usize {
        let rows = match self.compression {
            Compression::Fast => 1,
            _ => WINDOW.div_ceil(self.row_bytes + 1) + 1,
        };
        self.row_bytes * rows.min(self.rows())
    }

    /// Appends `rows`, filtered, to `into`; `above` is the row before them.
    pub(super) fn filter<'a>(self, rows: &'a [u8], mut above: &'a [u8], into: &mut Vec<u8>) {
        for row in rows.chunks_exact(self.row_bytes) {
            Row::new(row, above, self.pixel).filter(self.compression, into);
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
    filtered: Vec<u8>,
}

impl Maker {
    /// Filters and deflates `rows`; `before` is the end of the segment above. The stream ends at a byte boundary.
    pub(super) fn make(&mut self, rows: &[u8], before: &[u8], shape: Shape, chunk: Vec<u8>) -> Deflated {
        let Shape { row_bytes, pixel, compression, .. } = shape;
        self.filtered.clear();
        let (corner, dictionary) = before.split_at(row_bytes.min(before.len()));
        shape.filter(dictionary, corner, &mut self.filtered);
        self.filtered.drain(..self.filtered.len().saturating_sub(WINDOW));
        let from = self.filtered.len();
        let above = before.len().saturating_sub(row_bytes);
        shape.filter(rows, before.get(above..).unwrap_or_default(), &mut self.filtered);

        let out = chunk::begin(*b"IDAT", chunk);
        let out = self.deflater.deflate(&self.filtered, from, pixel, compression, out);
        let filtered = self.filtered.get(from..).unwrap_or_default();
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
