//! The steps of a stitch one by one, for benchmarks. Not part of the interface.

use std::path::Path;

use super::Part;
use super::deflate::Deflater;
use super::filter::Row;
use super::header::Header;
use super::segment::Compression;
use super::tile::Rows;
use crate::error::Result;

/// Decodes what a part contributes.
pub fn decode(part: &Part) -> Result<Vec<u8>> {
    let header = Header::read(Path::new(&part.path), part.rendered.size())?;
    let mut pixels = Vec::new();
    Rows::open(part, &header, header.layout)?.read(part.region.height(), &mut pixels)?;
    Ok(pixels)
}

/// Filters rows of `row_bytes` bytes, pixels of `pixel` bytes.
pub fn filter(rows: &[u8], row_bytes: usize, pixel: usize, compression: Compression) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.len() + rows.len() / row_bytes.max(1) + 1);
    let zero = vec![0; row_bytes];
    let mut above = zero.as_slice();
    for row in rows.chunks_exact(row_bytes.max(1)) {
        Row::new(row, above, pixel).filter(compression, &mut out);
        above = row;
    }
    out
}

/// Deflates filtered rows.
pub fn deflate(filtered: &[u8], pixel: usize, compression: Compression) -> Vec<u8> {
    Deflater::default().deflate(filtered, 0, pixel, compression, Vec::new())
}
