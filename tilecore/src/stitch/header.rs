//! What a PNG tile says before its pixels, read with every size checked before anything is allocated.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::ancillary::Ancillary;
use super::chunk;
use super::layout::Layout;
use super::samples::Samples;
use crate::error::{Error, IoContext, Result};
use crate::geometry::Frame;

/// Most bytes of metadata a tile may carry; a large ICC profile has three million.
const MAX_ANCILLARY: u64 = 16 << 20;
/// Most bytes of pixels of an interlaced tile, which has to be held whole: 4096x4096 RGBA.
const MAX_INTERLACED: u64 = 64 << 20;

/// A tile's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The pixels' layout after palettes and small depths are expanded.
    pub(super) layout: Layout,
    pub(super) samples: Samples,
    pub(super) interlaced: bool,
    pub(super) ancillary: Ancillary,
    /// Bytes in the first chunk of pixels.
    pub(super) pixel_bytes: u32,
}

/// An error about a tile's content, as opposed to the disk it lies on.
pub(super) fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    let what: String = what.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Error::render(format!("the tile {} cannot be used: {what}", path.display()))
        .remedy("Render or export that tile again; the other tiles are kept.")
}

/// A read error: the end of the file is damage, everything else is the disk.
pub(super) fn read_error(path: &Path, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => damaged(path, "the file ends too early"),
        _ => Err::<(), _>(e).at("read", path).err().unwrap_or_else(|| damaged(path, "it cannot be read")),
    }
}

/// Width and height, depth, colour type and whether it is interlaced.
struct ImageHeader {
    size: (u32, u32),
    depth: u8,
    colour_type: u8,
    interlaced: bool,
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

    /// Width and height that the file at `path` says it has.
    pub(super) fn size_of(path: &Path) -> Result<(u32, u32)> {
        let mut file = BufReader::with_capacity(64, File::open(path).at("open", path)?);
        Ok(image_header(&mut file, path)?.size)
    }

    /// Reads up to the first byte of pixels.
    pub(super) fn parse(input: &mut dyn Read, path: &Path, size: Frame) -> Result<Self> {
        let bad = |what: &str| damaged(path, what);
        let image = image_header(input, path)?;
        let (width, height) = image.size;
        if image.size != (size.width(), size.height()) {
            return Err(damaged(path, format!("it is {width}x{height} pixels where {size} are expected")));
        }
        let mut ancillary = Ancillary::default();
        let mut left = MAX_ANCILLARY;
        let (mut palette, mut transparency) = (None, None);
        let pixel_bytes = loop {
            let (length, name) = chunk::read_head(input).map_err(|e| read_error(path, e))?;
            match &name {
                b"IDAT" => break length,
                b"IEND" => return Err(bad("it has no pixels")),
                b"IHDR" => return Err(bad("it has two image headers")),
                b"acTL" | b"fcTL" | b"fdAT" => {
                    return Err(bad("it is animated").remedy("Export it as a still image."));
                }
                _ => {}
            }
            left = left
                .checked_sub(u64::from(length))
                .ok_or_else(|| bad("it carries more than 16 MiB of metadata"))?;
            let data = chunk::read_data(input, length, name)
                .map_err(|e| read_error(path, e))?
                .ok_or_else(|| damaged(path, format!("the checksum of {} is wrong", chunk::shown(name))))?;
            match &name {
                b"PLTE" if palette.is_none() => palette = Some(data),
                b"tRNS" if transparency.is_none() => transparency = Some(data),
                b"PLTE" | b"tRNS" => return Err(bad("it has two palettes")),
                _ => ancillary.add(name, data),
            }
        };
        let (samples, layout) =
            Samples::of(image.colour_type, image.depth, palette.as_deref(), transparency.as_deref())
                .ok_or_else(|| {
                    let ImageHeader { colour_type, depth, .. } = image;
                    damaged(
                        path,
                        format!("colour type {colour_type} with {depth} bits and its palette is not PNG's"),
                    )
                })?;
        if image.interlaced && size.area() * layout.bytes_per_pixel() as u64 > MAX_INTERLACED {
            return Err(bad("it is interlaced and too large to be held in memory")
                .remedy("Save it without interlacing."));
        }
        Ok(Self { layout, samples, interlaced: image.interlaced, ancillary, pixel_bytes })
    }
}

/// Reads the signature and the image header.
fn image_header(input: &mut dyn Read, path: &Path) -> Result<ImageHeader> {
    let bad = |what: &str| damaged(path, what);
    let lost = |e: io::Error| read_error(path, e);
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
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour_type, 0, 0, interlace @ (0 | 1)] = ihdr.as_slice()
    else {
        return Err(bad("its image header is not valid"));
    };
    Ok(ImageHeader {
        size: (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3])),
        depth,
        colour_type,
        interlaced: interlace == 1,
    })
}
