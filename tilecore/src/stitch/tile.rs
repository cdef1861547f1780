//! A tile being read: rows from the top, cropped to what the tile contributes.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::Part;
use super::header::{Header, damaged, decoding};
use super::layout::Layout;
use crate::error::{IoContext, Result};

/// Memory the decoder may take for anything but pixels.
const DECODER_BYTES: usize = 64 << 20;

/// An open tile.
pub(super) struct Rows<'a> {
    path: &'a Path,
    reader: png::Reader<BufReader<File>>,
    layout: Layout,
    target: Layout,
    /// Bytes before and of the region in a row of the file.
    skip: usize,
    take: usize,
    /// Rows the region still has.
    left: u32,
    /// An interlaced image, whole, and how far it was read.
    whole: Option<(Vec<u8>, usize)>,
}

impl<'a> Rows<'a> {
    /// Opens the tile, whose header must still be `header`, and goes to the first row of its region.
    pub(super) fn open(part: &'a Part, header: &Header, target: Layout) -> Result<Self> {
        let path = part.path.as_path();
        let mut file = BufReader::with_capacity(64 << 10, File::open(path).at("open", path)?);
        if Header::parse(&mut file, path, part.rendered.size())? != *header {
            return Err(damaged(path, "it changed while it was being stitched"));
        }
        std::io::Seek::rewind(&mut file).at("read", path)?;
        let mut options = png::DecodeOptions::default();
        options.set_ignore_checksums(false);
        options.set_ignore_text_chunk(true);
        options.set_ignore_iccp_chunk(true);
        let mut decoder = png::Decoder::new_with_options(file, options);
        decoder.set_limits(png::Limits { bytes: DECODER_BYTES });
        decoder.set_transformations(png::Transformations::EXPAND);
        let reader = decoder.read_info().map_err(|e| decoding(path, e))?;
        let layout = header.layout;
        let pixel = layout.bytes_per_pixel();
        let mut rows = Self {
            path,
            layout,
            target,
            skip: (part.region.x() - part.rendered.x()) as usize * pixel,
            take: part.region.width() as usize * pixel,
            left: part.region.height(),
            whole: None,
            reader,
        };
        if rows.reader.output_line_size(part.rendered.width()) != Some(part.rendered.width() as usize * pixel)
        {
            return Err(damaged(path, "its pixels are not what its header says"));
        }
        if rows.reader.info().interlaced {
            let size = rows.reader.output_buffer_size().unwrap_or(usize::MAX);
            if size as u64 != part.rendered.area() * pixel as u64 {
                return Err(damaged(path, "its pixels are not what its header says"));
            }
            let mut pixels = vec![0; size];
            rows.reader.next_frame(&mut pixels).map_err(|e| decoding(path, e))?;
            rows.whole = Some((pixels, 0));
        }
        for _ in part.rendered.y()..part.region.y() {
            rows.next(|_| ())?;
        }
        Ok(rows)
    }

    fn next(&mut self, with: impl FnOnce(&[u8])) -> Result<()> {
        let gone = || damaged(self.path, "it has fewer rows than its header says");
        if let Some((pixels, at)) = &mut self.whole {
            let line = self.reader.output_line_size(self.reader.info().width).unwrap_or(0);
            let row = pixels.get(*at..*at + line).ok_or_else(gone)?;
            *at += line;
            with(row);
            return Ok(());
        }
        let row = self.reader.next_row().map_err(|e| decoding(self.path, e))?.ok_or_else(gone)?;
        with(row.data());
        Ok(())
    }

    /// Appends the next `count` rows of the region to `into`, in the layout of the output. After the last one, the
    /// rest of the file is read too, so that its checksums are known to be right.
    pub(super) fn read(&mut self, count: u32, into: &mut Vec<u8>) -> Result<()> {
        let (layout, target, skip, end) = (self.layout, self.target, self.skip, self.skip + self.take);
        let path = self.path;
        for _ in 0..count {
            let mut short = false;
            self.next(|row| match row.get(skip..end) {
                Some(pixels) => layout.widen(pixels, target, into),
                None => short = true,
            })?;
            if short {
                return Err(damaged(path, "its rows are shorter than its header says"));
            }
        }
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            if self.whole.is_none() {
                while self.reader.next_row().map_err(|e| decoding(path, e))?.is_some() {}
            }
            self.reader.finish().map_err(|e| decoding(path, e))?;
        }
        Ok(())
    }
}
