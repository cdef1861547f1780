//! A tile being read: blocks of lines from the top, still packed, for whoever has a core to unpack them.

use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;

use ::exr::block::UncompressedBlock;
use ::exr::block::chunk::{Chunk, CompressedBlock};
use ::exr::block::reader::{AllChunksReader, ChunksReader as _};
use ::exr::meta::MetaData;

use super::super::Part;
use super::counts::{self, Count};
use super::header;
use crate::error::{Error, IoContext, Result};

/// Lines of a tile, packed as they were in the file.
pub(super) struct Packed {
    chunk: Chunk,
    /// Lines of the frame that it shows.
    pub(super) rows: Range<u32>,
}

/// Lines of a tile: row by row, in a row channel by channel.
pub(super) struct Lines {
    /// Lines of the frame that these are.
    pub(super) rows: Range<u32>,
    /// The samples, all columns of the tile.
    pub(super) data: Vec<u8>,
}

/// An open tile.
pub(super) struct Tile<'a> {
    part: &'a Part,
    chunks: AllChunksReader<BufReader<File>>,
    /// The first line of the frame that the next chunk shows.
    next: u32,
}

impl<'a> Tile<'a> {
    /// Opens the tile, whose metadata must still be `expected`.
    pub(super) fn open(part: &'a Part, expected: &MetaData) -> Result<Self> {
        let path = part.path.as_path();
        let reader = header::open(path, part.rendered.size())?;
        if reader.meta_data() != expected {
            return Err(damaged(path, "it changed while it was being stitched"));
        }
        let chunks = reader.all_chunks(false).map_err(|e| decoding(path, e))?;
        Ok(Self { part, chunks, next: part.rendered.y() })
    }

    /// The chunks up to the line `end` of the frame that were not taken yet; those above the region are passed over.
    pub(super) fn take(&mut self, end: u32) -> Result<Vec<Packed>> {
        let mut taken = Vec::new();
        while self.next < end {
            let packed = self.next_chunk()?;
            if packed.rows.end > self.part.region.y() {
                taken.push(packed);
            }
        }
        Ok(taken)
    }

    fn next_chunk(&mut self) -> Result<Packed> {
        let path = self.part.path.as_path();
        let chunk = match self.chunks.read_next_chunk() {
            Some(chunk) => chunk.map_err(|e| decoding(path, e))?,
            None => return Err(damaged(path, "it has fewer lines than its header says")),
        };
        let Some(header) = self.chunks.headers().first() else {
            return Err(damaged(path, "it has no header"));
        };
        let CompressedBlock::ScanLine(block) = &chunk.compressed_block else {
            return Err(damaged(path, "it is not stored in scan lines"));
        };
        let from = i64::from(self.next - self.part.rendered.y());
        let said = i64::from(block.y_coordinate) - i64::from(header.own_attributes.layer_position.1);
        if chunk.layer_index != 0 || said != from {
            return Err(damaged(path, "its lines are not in order"));
        }
        let lines = header.compression.scan_lines_per_block() as u32;
        let rows = self.next..self.next.saturating_add(lines).min(self.part.rendered.bottom());
        self.next = rows.end;
        Ok(Packed { chunk, rows })
    }

    /// Reads what lies below the region too, so that a file that was cut off is found out.
    pub(super) fn finish(mut self) -> Result<()> {
        while self.next < self.part.rendered.bottom() {
            self.next_chunk()?;
        }
        Ok(())
    }
}

/// Unpacks lines of `part`, whose metadata is `meta` and whose sample counts are `counts`.
pub(super) fn unpack(
    packed: Packed,
    part: &Part,
    meta: &MetaData,
    counts: &[Count],
    pixel: usize,
) -> Result<Lines> {
    let path = part.path.as_path();
    let mut block =
        UncompressedBlock::decompress_chunk(packed.chunk, meta, false).map_err(|e| decoding(path, e))?;
    let expected = packed.rows.len() * part.rendered.width() as usize * pixel;
    if block.data.len() != expected {
        return Err(damaged(path, "its lines are shorter than its header says"));
    }
    if !counts.is_empty() {
        counts::apply(counts, &mut block.data, part.rendered.width() as usize, pixel, path)?;
    }
    Ok(Lines { rows: packed.rows, data: block.data })
}

/// A file that is not what it should be.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::render(format!("{} is damaged or not a tile of this frame: {what}", path.display()))
        .remedy("Delete it and run the same command again; it will be rendered anew.")
}

/// What went wrong with a file, in words.
pub(super) fn decoding(path: &Path, e: ::exr::error::Error) -> Error {
    match e {
        ::exr::error::Error::Io(e) => match Err::<(), _>(e).at("read", path) {
            Err(e) => e,
            Ok(()) => damaged(path, "it cannot be read"),
        },
        ::exr::error::Error::Invalid(what) if what.contains("missing bytes") => {
            damaged(path, "it is cut off")
        }
        ::exr::error::Error::Invalid(what) | ::exr::error::Error::NotSupported(what) => {
            damaged(path, format!("invalid EXR ({what})"))
        }
        ::exr::error::Error::Aborted => damaged(path, "it cannot be read"),
    }
}
