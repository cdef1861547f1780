//! Whether a tile can be stitched: all of it is decoded once, a few rows at a time, and thrown away.

use std::path::Path;

use super::Part;
use super::exr::inspect as inspect_exr;
use super::header::Header;
use super::tile::Rows;
use crate::error::Result;
use crate::formats::TileFormat;
use crate::geometry::Rect;

/// Rows of a tile that are decoded at a time.
const ROWS: u32 = 16;

/// Reads all of a file that shows `rendered`, as stitching would: an error says what is wrong with it.
pub(crate) fn inspect(path: &Path, format: TileFormat, rendered: Rect) -> Result<()> {
    let part = Part::whole(path, rendered);
    if format == TileFormat::Exr {
        return inspect_exr(&part);
    }
    let header = Header::read(path, rendered.size())?;
    let mut rows = Rows::open(&part, &header, header.layout, true)?;
    let mut strip = Vec::new();
    let mut left = rendered.height();
    while left > 0 {
        let count = ROWS.min(left);
        strip.clear();
        rows.read(count, &mut strip)?;
        left -= count;
    }
    Ok(())
}
