//! The steps of a stitch one by one, for benchmarks. Not part of the interface.

use std::path::Path;

use super::Part;
use super::deflate::WINDOW;
use super::header::Header;
use super::segment::{BYTES, Compression, Maker, Shape};
use super::tile::Rows;
use crate::error::Result;

/// Decodes what a part contributes.
pub fn decode(part: &Part) -> Result<Vec<u8>> {
    let header = Header::read(Path::new(&part.path), part.rendered.size())?;
    let mut pixels = Vec::new();
    Rows::open(part, &header, header.layout, true)?.read(part.region.height(), &mut pixels)?;
    Ok(pixels)
}

/// Filters rows of `row_bytes` bytes, pixels of `pixel` bytes, and then deflates them; both as one segment.
pub struct Segment {
    maker: Maker,
    shape: Shape,
    above: Vec<u8>,
    filtered: Vec<u8>,
}

impl Segment {
    /// A segment of such rows.
    pub fn new(row_bytes: usize, pixel: usize, compression: Compression) -> Self {
        let shape = Shape { row_bytes: row_bytes.max(1), pixel, compression, segment_bytes: BYTES };
        Self { maker: Maker::default(), shape, above: vec![0; row_bytes], filtered: Vec::new() }
    }

    /// Bytes of pixels in a segment.
    pub fn bytes(&self) -> usize {
        self.shape.rows() * self.shape.row_bytes
    }

    /// Filters `rows`, as if they were the first, and returns the number of filtered bytes.
    pub fn filter(&mut self, rows: &[u8]) -> usize {
        let memory = std::mem::take(&mut self.filtered);
        (self.filtered, _) = self.maker.filter(rows, &self.above, self.shape, memory);
        self.filtered.len().saturating_sub(WINDOW)
    }

    /// Deflates what was filtered last and returns the number of bytes it takes in a file.
    pub fn deflate(&mut self) -> usize {
        self.maker.deflate(&mut self.filtered, &[], self.shape, Vec::new()).chunk.len()
    }
}

/// Undoes a row's filter.
pub fn unfilter(filter: u8, pixel: usize, row: &mut [u8], above: &[u8]) -> bool {
    super::unfilter::unfilter(filter, pixel, row, above)
}
