//! What a PNG tile says before its pixels, read with every size checked before anything is allocated.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::ancillary::Ancillary;
use super::chunk;
use super::layout::Layout;
use crate::error::{Error, IoContext, Result};
use crate::geometry::Frame;

/// Most bytes of metadata a tile may carry; a large ICC profile has three million.
const MAX_ANCILLARY: u64 = 16 << 20;

/// A tile's header: its pixels' layout after palettes and small depths are expanded, and its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) layout: Layout,
    pub(super) ancillary: Ancillary,
}

/// An error about a tile's content, as opposed to the disk it lies on.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    let what: String = what.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Error::render(format!("the tile {} cannot be used: {what}", path.display()))
        .remedy("Render or export that tile again; the other tiles are kept.")
}

/// A read error: the end of the file is damage, everything else is the disk.
pub(super) fn read_error(path: &Path, e: std::io::Error) -> Error {
    match e.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged(path, "the file ends too early"),
        _ => match Err::<(), _>(e).at("read", path) {
            Err(error) => error,
            Ok(()) => damaged(path, "unreadable"),
        },
    }
}

impl Header {
    /// Reads the header of the tile at `path`, which must be a still PNG image of exactly `size` pixels and end
    /// as a PNG file ends.
    pub(super) fn read(path: &Path, size: Frame) -> Result<Self> {
        let mut file = BufReader::new(File::open(path).at("open", path)?);
        let header = Self::parse(&mut file, path, size)?;
        let mut end = [0u8; 12];
        file.seek(SeekFrom::End(-12))
            .and_then(|_| file.read_exact(&mut end))
            .map_err(|e| read_error(path, e))?;
        if end != *b"\0\0\0\0IEND\xae\x42\x60\x82" {
            return Err(damaged(path, "it is cut off: the end of a PNG file is missing"));
        }
        Ok(header)
    }

    /// Reads up to the first pixel data.
    pub(super) fn parse(input: &mut dyn Read, path: &Path, size: Frame) -> Result<Self> {
        let bad = |what: &str| damaged(path, what);
        let lost = |e: std::io::Error| read_error(path, e);
        let mut signature = [0u8; 8];
        input.read_exact(&mut signature).map_err(lost)?;
        if signature != chunk::SIGNATURE {
            return Err(bad("it is not a PNG file"));
        }
        let (length, name) = chunk::read_head(input).map_err(lost)?;
        if (length, &name) != (13, b"IHDR") {
            return Err(bad("it does not begin with an image header"));
        }
        let ihdr = chunk::read_data(input, length, name)
            .map_err(lost)?
            .ok_or_else(|| bad("the checksum of its header is wrong"))?;
        let mut layout = ihdr_layout(&ihdr, path, size)?;
        let palette = ihdr.get(9) == Some(&3);

        let mut ancillary = Ancillary::default();
        let mut left = MAX_ANCILLARY;
        let mut seen_palette = false;
        loop {
            let (length, name) = chunk::read_head(input).map_err(lost)?;
            match &name {
                b"IDAT" => break,
                b"IEND" => return Err(bad("it has no pixels")),
                b"IHDR" => return Err(bad("it has two image headers")),
                b"acTL" | b"fcTL" | b"fdAT" => return Err(bad("it is animated")),
                _ => {}
            }
            left = left
                .checked_sub(u64::from(length))
                .ok_or_else(|| bad("it carries more than 16 MiB of metadata"))?;
            let data = chunk::read_data(input, length, name)
                .map_err(lost)?
                .ok_or_else(|| damaged(path, format!("the checksum of {} is wrong", chunk::shown(name))))?;
            match &name {
                b"PLTE" => {
                    let entries = data.len() / 3;
                    if seen_palette || !data.len().is_multiple_of(3) || entries == 0 || entries > 256 {
                        return Err(bad("its palette is not valid"));
                    }
                    seen_palette = true;
                }
                b"tRNS" if !layout.alpha => layout.alpha = true,
                _ => ancillary.add(name, data),
            }
        }
        if palette && !seen_palette {
            return Err(bad("its palette is missing"));
        }
        Ok(Self { layout, ancillary })
    }
}

/// The layout an image header promises, if its size is the expected one.
fn ihdr_layout(ihdr: &[u8], path: &Path, size: Frame) -> Result<Layout> {
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour_type, 0, 0, interlace @ (0 | 1)] = ihdr else {
        return Err(damaged(path, "its image header is not valid"));
    };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    if (width, height) != (size.width(), size.height()) {
        return Err(damaged(path, format!("it is {width}x{height} pixels where {size} are expected")));
    }
    let layout = match (colour_type, depth) {
        (0, 1 | 2 | 4 | 8 | 16) => Layout { sixteen: depth == 16, ..Layout::default() },
        (2, 8 | 16) => Layout { colour: true, alpha: false, sixteen: depth == 16 },
        (3, 1 | 2 | 4 | 8) => Layout { colour: true, ..Layout::default() },
        (4, 8 | 16) => Layout { alpha: true, colour: false, sixteen: depth == 16 },
        (6, 8 | 16) => Layout { colour: true, alpha: true, sixteen: depth == 16 },
        _ => {
            return Err(damaged(path, format!("colour type {colour_type} with {depth} bits is not PNG's")));
        }
    };
    // An interlaced image has to be held whole; the bound is what a frame of 8192x4096 RGBA needs.
    if interlace == 1 && size.area() * layout.bytes_per_pixel() as u64 > 128 << 20 {
        return Err(damaged(path, "it is interlaced and too large to be held in memory")
            .remedy("Save it without interlacing."));
    }
    Ok(layout)
}

/// What went wrong with a file, in words.
pub(super) fn decoding(path: &Path, e: png::DecodingError) -> Error {
    match e {
        png::DecodingError::IoError(e) => read_error(path, e),
        png::DecodingError::LimitsExceeded => damaged(path, "it needs more memory than its size allows"),
        other => damaged(path, other),
    }
}
