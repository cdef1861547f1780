//! A tile being read: rows from the top, cropped to what the tile contributes.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::Part;
use super::blocks::Blocks;
use super::header::{Header, damaged, read_error};
use super::layout::Layout;
use super::pixels::Pixels;
use super::samples::Samples;
use super::unfilter::unfilter;
use crate::error::{IoContext, Result};

/// Bytes of filtered rows that are decoded at a time.
const STRIDE: usize = 64 << 10;

/// An open tile.
pub(super) struct Rows<'a> {
    path: &'a Path,
    header: &'a Header,
    target: Layout,
    /// First pixel of the region in a row and the first behind it.
    columns: (usize, usize),
    /// Pixels in a row, rows the region still has, and rows of the file behind the region.
    width: usize,
    left: u32,
    behind: u32,
    source: Source<'a>,
}

enum Source<'a> {
    /// Rows are decoded when they are asked for; `above` is the last one.
    Streamed { pixels: Box<Pixels<'a>>, above: Vec<u8>, filtered: Vec<u8> },
    /// An interlaced image, which is whole only when all of it is read: its pixels and how many bytes were used.
    Held { pixels: Vec<u8>, at: usize },
}

impl<'a> Rows<'a> {
    /// Opens the tile, whose header must still be `header`, and goes to the first row of its region.
    pub(super) fn open(part: &'a Part, header: &'a Header, target: Layout, keep_open: bool) -> Result<Self> {
        let path = part.path.as_path();
        let mut blocks = Blocks::open(path, keep_open).at("open", path)?;
        if Header::parse(&mut blocks, path, part.rendered.size())? != *header {
            return Err(damaged(path, "it changed while it was being stitched"));
        }
        let width = part.rendered.width() as usize;
        let x = (part.region.x() - part.rendered.x()) as usize;
        let source = if header.interlaced {
            drop(blocks);
            Source::Held { pixels: whole(part, header.layout)?, at: 0 }
        } else {
            let pixels = Box::new(Pixels::new(path, blocks, header.pixel_bytes));
            let above = vec![0; header.samples.stored_row(header.layout, width)];
            Source::Streamed { pixels, above, filtered: Vec::new() }
        };
        let mut rows = Self {
            path,
            header,
            target,
            columns: (x, x + part.region.width() as usize),
            width,
            left: part.region.height(),
            behind: part.rendered.bottom() - part.region.bottom(),
            source,
        };
        rows.pass(part.region.y() - part.rendered.y(), &mut |_, _| true)?;
        Ok(rows)
    }

    /// Appends the next `count` rows of the region to `into`, in the layout of the output. After the last one, the
    /// rest of the file is read too, so that its checksums are known to be right.
    pub(super) fn read(&mut self, count: u32, into: &mut Vec<u8>) -> Result<()> {
        let (layout, target, columns) = (self.header.layout, self.target, self.columns);
        let mut place = |samples: &Samples, row: &[u8]| samples.pixels(row, columns, layout, target, into);
        self.pass(count, &mut place)?;
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.pass(self.behind, &mut |_, _| true)?;
            if let Source::Streamed { pixels, .. } = &mut self.source {
                pixels.finish()?;
            }
        }
        Ok(())
    }

    /// Decodes `count` rows and shows each to `with`, which says whether it is right.
    fn pass(&mut self, count: u32, with: &mut dyn FnMut(&Samples, &[u8]) -> bool) -> Result<()> {
        let Header { layout, samples, .. } = self.header;
        let bad = || damaged(self.path, "a row of it is not valid");
        match &mut self.source {
            Source::Held { pixels, at } => {
                let row = self.width * layout.bytes_per_pixel();
                for _ in 0..count {
                    let pixels = pixels.get(*at..*at + row).ok_or_else(bad)?;
                    if !with(&Samples::Plain, pixels) {
                        return Err(bad());
                    }
                    *at += row;
                }
            }
            Source::Streamed { pixels, above, filtered } => {
                let stored = samples.stored_pixel(*layout);
                let line = above.len() + 1;
                let mut left = count as usize;
                while left > 0 {
                    let now = left.min(STRIDE.div_ceil(line));
                    filtered.resize(now * line, 0);
                    pixels.read(filtered)?;
                    let mut previous = above.as_slice();
                    for line in filtered.chunks_exact_mut(line) {
                        let Some((filter, row)) = line.split_first_mut() else { continue };
                        if !unfilter(*filter, stored, row, previous) || !with(samples, row) {
                            return Err(bad());
                        }
                        previous = row;
                    }
                    let last = filtered.len() - above.len();
                    above.copy_from_slice(filtered.get(last..).ok_or_else(bad)?);
                    left -= now;
                }
            }
        }
        Ok(())
    }
}

/// All pixels of an interlaced tile, in its own layout.
fn whole(part: &Part, layout: Layout) -> Result<Vec<u8>> {
    let path = part.path.as_path();
    let lost = |e: png::DecodingError| match e {
        png::DecodingError::IoError(e) => read_error(path, e),
        other => damaged(path, other),
    };
    let mut options = png::DecodeOptions::default();
    options.set_ignore_checksums(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let file = BufReader::new(File::open(path).at("open", path)?);
    let mut decoder = png::Decoder::new_with_options(file, options);
    let size = part.rendered.area() as usize * layout.bytes_per_pixel();
    decoder.set_limits(png::Limits { bytes: 2 * size + (1 << 20) });
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(lost)?;
    if reader.output_buffer_size() != Some(size) {
        return Err(damaged(path, "its pixels are not what its header says"));
    }
    let mut pixels = vec![0; size];
    reader.next_frame(&mut pixels).map_err(lost)?;
    reader.finish().map_err(lost)?;
    Ok(pixels)
}
