//! The same place in two sets of tiles, compared pixel by pixel.

use std::path::Path;

use super::compare::CLOCK_PASS;
use crate::error::{Error, IoContext, Result};
use crate::formats::TileFormat;
use crate::geometry::Rect;
use crate::stitch::{self, ExrOptions, Packing, Part, PngOptions};

/// For each pixel of `rect`, whether the two sets of tiles differ there.
pub(crate) fn differences(
    format: TileFormat,
    a: &[Part],
    b: &[Part],
    rect: Rect,
    scratch: &Path,
) -> Result<Vec<bool>> {
    let (a, b) = (pixels(format, a, rect, &scratch.join("a"))?, pixels(format, b, rect, &scratch.join("b"))?);
    if a.len() != b.len() {
        return Err(Error::render("the tiles have other channels than the check")
            .remedy("Check that the scene and Blender are those of the job."));
    }
    let stride = (a.len() as u64 / rect.area().max(1)) as usize;
    Ok(a.chunks(stride.max(1)).zip(b.chunks(stride.max(1))).map(|(x, y)| x != y).collect())
}

/// The bytes of every pixel of `rect`, all channels of a pixel together, by way of the file `out`.
fn pixels(format: TileFormat, parts: &[Part], rect: Rect, out: &Path) -> Result<Vec<u8>> {
    let parts: Vec<Part> = parts
        .iter()
        .filter_map(|part| {
            let region = part.region.intersection(rect)?;
            // Counted from the rectangle's corner; what a tile shows beyond it on the left or above has no such
            // place, so files are first cut to what they contribute.
            Some(Part { path: part.path.clone(), region, rendered: part.rendered })
        })
        .collect();
    let whole = parts.iter().fold(rect, |all, p| hull(all, p.rendered));
    let moved: Vec<Part> = parts
        .iter()
        .filter_map(|p| {
            Some(Part {
                path: p.path.clone(),
                region: p.region.relative_to(whole)?,
                rendered: p.rendered.relative_to(whole)?,
            })
        })
        .collect();
    let inner = rect.relative_to(whole).unwrap_or(rect);
    match format {
        TileFormat::Png => {
            // Nothing but `rect` is looked at, and transparent holes would add a channel to one picture or both.
            let options = PngOptions::default().holes(stitch::Holes::Hatched);
            stitch::png(&moved, whole.size(), out, &options)?;
            png_pixels(out, inner)
        }
        TileFormat::Exr => {
            let options = ExrOptions::default().packing(Packing::None).holes(stitch::Holes::Transparent);
            stitch::exr(&moved, whole.size(), out, &options)?;
            exr_pixels(out, inner)
        }
    }
}

/// The smallest rectangle with both in it.
fn hull(a: Rect, b: Rect) -> Rect {
    let (x, y) = (a.x().min(b.x()), a.y().min(b.y()));
    let (right, bottom) = (a.right().max(b.right()), a.bottom().max(b.bottom()));
    Rect::new(x, y, right - x, bottom - y).unwrap_or(a)
}

fn png_pixels(path: &Path, rect: Rect) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).at("read", path)?;
    let broken = |e: png::DecodingError| Error::render(format!("cannot read {}: {e}", path.display()));
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().map_err(broken)?;
    let stride = reader.info().bytes_per_pixel();
    let mut pixels = Vec::new();
    let mut y = 0;
    while let Some(row) = reader.next_row().map_err(broken)? {
        if (rect.y()..rect.bottom()).contains(&y) {
            let row = row.data();
            let (from, to) = (rect.x() as usize * stride, rect.right() as usize * stride);
            pixels.extend_from_slice(row.get(from..to).unwrap_or_default());
        }
        y += 1;
    }
    Ok(pixels)
}

fn exr_pixels(path: &Path, rect: Rect) -> Result<Vec<u8>> {
    use exr::prelude::FlatSamples;
    let image = super::compare::read_exr(&std::fs::read(path).at("read", path)?, path)?;
    // The clock's pass is another one in every render.
    let compared: Vec<_> = image
        .layer_data
        .iter()
        .flat_map(|layer| layer.channel_data.list.iter().map(|channel| (layer.size.width(), channel)))
        .filter(|(_, channel)| !channel.name.to_string().contains(CLOCK_PASS))
        .map(|(width, channel)| (width, &channel.sample_data))
        .collect();
    let mut pixels = Vec::new();
    for y in rect.y()..rect.bottom() {
        for x in rect.x()..rect.right() {
            for (width, samples) in &compared {
                let at = y as usize * width + x as usize;
                let bits = match samples {
                    FlatSamples::F16(s) => s.get(at).map_or(0, |v| u32::from(v.to_bits())),
                    FlatSamples::F32(s) => s.get(at).map_or(0, |v| v.to_bits()),
                    FlatSamples::U32(s) => s.get(at).copied().unwrap_or(0),
                };
                pixels.extend(bits.to_le_bytes());
            }
        }
    }
    Ok(pixels)
}
