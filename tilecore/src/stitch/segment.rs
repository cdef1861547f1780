//! A segment: whole rows of the picture, filtered and deflated on their own, so that segments can be made in parallel
//! and their bytes do not depend on how many are.

use flate2::{Compress, FlushCompress, Status};

use super::filter;
use crate::error::{Error, Result};

/// Filtered bytes a segment has at least, unless it is the last.
const SEGMENT_BYTES: usize = 1 << 20;

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

/// Rows in every segment but the last, for rows of this many bytes.
pub(super) fn rows_per_segment(row_bytes: usize) -> usize {
    SEGMENT_BYTES.div_ceil(row_bytes + 1)
}

/// A deflated segment: a piece of one zlib stream.
pub(super) struct Deflated {
    pub(super) bytes: Vec<u8>,
    pub(super) adler: u32,
    pub(super) raw: u64,
}

/// Filters and deflates `rows`; `above` is the row before the first. The stream ends at a byte boundary and, if `last`,
/// altogether.
pub(super) fn deflate(
    rows: &[u8],
    above: &[u8],
    pixel: usize,
    compression: Compression,
    last: bool,
) -> Result<Deflated> {
    let broken = || Error::render("the compressor failed").remedy("Report this as a defect of tilectl.");
    let mut filtered = Vec::with_capacity(rows.len() + rows.len() / above.len().max(1));
    let mut previous = above;
    for row in rows.chunks_exact(above.len()) {
        filter::adaptive(row, previous, pixel, &mut filtered);
        previous = row;
    }
    let level = match compression {
        Compression::Fast => 1,
        Compression::Default => 6,
        Compression::Small => 9,
    };
    let mut stream = Compress::new(flate2::Compression::new(level), false);
    let mut bytes = Vec::with_capacity(filtered.len() + filtered.len() / 8 + 1024);
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    loop {
        let at = usize::try_from(stream.total_in()).map_err(|_| broken())?;
        let before = bytes.len();
        let status = stream
            .compress_vec(filtered.get(at..).ok_or_else(broken)?, &mut bytes, flush)
            .map_err(|_| broken())?;
        let done = stream.total_in() == filtered.len() as u64;
        match status {
            Status::StreamEnd => break,
            _ if !last && done && bytes.len() < bytes.capacity() => break,
            Status::BufError if bytes.len() == before && bytes.len() < bytes.capacity() => {
                return Err(broken());
            }
            _ => bytes.reserve(filtered.len() / 8 + 1024),
        }
    }
    let mut adler = simd_adler32::Adler32::new();
    adler.write(&filtered);
    Ok(Deflated { bytes, adler: adler.finish(), raw: filtered.len() as u64 })
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
