//! A look at an EXR tile: its Combined pass as the Standard view transform shows it, a few lines at a time.

use ::exr::meta::attribute::{ChannelList, SampleType};

use super::super::Part;
use super::header;
use super::tile::{Tile, unpack};
use crate::error::Result;
use crate::geometry::Rect;

/// Lines that are taken at a time, at least.
const LINES: u32 = 32;

/// Where a channel's samples are in a row: bytes per pixel of all before it, and what they are.
type Place = (usize, SampleType);

/// Hands over what the tile contributes, line by line: its place in the frame, and four bytes a pixel (red, green, blue
/// and alpha as PNG stores them). A file without a Combined pass contributes nothing.
pub(in super::super) fn look(part: &Part, show: &mut dyn FnMut(Rect, &[u8])) -> Result<()> {
    let meta = header::open(&part.path, part.rendered.size())?.meta_data().clone();
    let Some(channels) = meta.headers.first().map(|h| &h.channels) else { return Ok(()) };
    let Some(places) = combined(channels) else { return Ok(()) };
    let pixel = channels.list.iter().map(|c| c.sample_type.bytes_per_sample()).sum();
    let mut tile = Tile::open(part, &meta)?;
    let (region, width) = (part.region, part.rendered.width() as usize);
    let skip = (region.x() - part.rendered.x()) as usize;
    let mut end = region.y();
    let mut rgba = Vec::new();
    while end < region.bottom() {
        end = end.saturating_add(LINES).min(region.bottom());
        for packed in tile.take(end)? {
            let lines = unpack(packed, part, &meta, &[], pixel)?;
            for (y, row) in lines.rows.clone().zip(lines.data.chunks_exact(pixel * width)) {
                if !(region.y()..region.bottom()).contains(&y) {
                    continue;
                }
                rgba.clear();
                for x in skip..skip + region.width() as usize {
                    rgba.extend(shown(places.map(|place| place.and_then(|p| sample(row, p, width, x)))));
                }
                show(Rect::new(region.x(), y, region.width(), 1)?, &rgba);
            }
        }
    }
    Ok(())
}

/// Unpacks all of a tile, and keeps nothing.
pub(in super::super) fn inspect(part: &Part) -> Result<()> {
    let meta = header::open(&part.path, part.rendered.size())?.meta_data().clone();
    let pixel = meta
        .headers
        .first()
        .map_or(0, |h| h.channels.list.iter().map(|c| c.sample_type.bytes_per_sample()).sum());
    let mut tile = Tile::open(part, &meta)?;
    let mut end = part.region.y();
    while end < part.region.bottom() {
        end = end.saturating_add(LINES).min(part.region.bottom());
        for packed in tile.take(end)? {
            unpack(packed, part, &meta, &[], pixel)?;
        }
    }
    Ok(())
}

/// Red, green, blue and alpha of the first Combined pass; alpha may be missing.
fn combined(channels: &ChannelList) -> Option<[Option<Place>; 4]> {
    let mut places = [None; 4];
    let mut layer: Option<String> = None;
    let mut before = 0;
    for channel in &channels.list {
        let name = channel.name.to_string();
        let size = channel.sample_type.bytes_per_sample();
        if let Some((pass, last)) = name.rsplit_once('.')
            && (pass == "Combined" || pass.ends_with(".Combined") || pass.contains(".Combined."))
            && let Some(n) = ["R", "G", "B", "A"].iter().position(|c| *c == last)
            && layer.get_or_insert_with(|| pass.to_owned()) == pass
        {
            places[n] = Some((before, channel.sample_type));
        }
        before += size;
    }
    places.iter().take(3).all(Option::is_some).then_some(places)
}

/// A sample of a row in which the channels stand one after the other.
fn sample(row: &[u8], (before, kind): Place, width: usize, x: usize) -> Option<f32> {
    let at = before * width + x * kind.bytes_per_sample();
    match kind {
        SampleType::F32 => Some(f32::from_ne_bytes(row.get(at..at + 4)?.try_into().ok()?)),
        SampleType::F16 => Some(half::f16::from_ne_bytes(row.get(at..at + 2)?.try_into().ok()?).to_f32()),
        SampleType::U32 => None,
    }
}

/// Linear light with alpha multiplied in, as four bytes with alpha apart.
fn shown([red, green, blue, alpha]: [Option<f32>; 4]) -> [u8; 4] {
    let alpha = alpha.unwrap_or(1.0).clamp(0.0, 1.0);
    let [red, green, blue] = [red, green, blue].map(|light| {
        let light = (light.unwrap_or(0.0) / alpha.max(1e-6)).clamp(0.0, 1.0);
        // The transfer function of sRGB, IEC 61966-2-1.
        let value = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
        (value * 255.0 + 0.5) as u8
    });
    [red, green, blue, (alpha * 255.0 + 0.5) as u8]
}

#[cfg(test)]
mod tests {
    use ::exr::prelude::*;

    use super::*;

    #[test]
    fn the_combined_pass_is_seen_without_overlap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.exr");
        let size = Vec2(6, 50);
        let fill = |f: fn(usize, usize) -> f32| FlatSamples::F32((0..300).map(|i| f(i % 6, i / 6)).collect());
        let channel = |name: &str, samples| AnyChannel::new(name, samples);
        let channels = AnyChannels::sort(
            [
                channel("Layer.Combined.R", fill(|x, _| x as f32 / 8.0)),
                channel("Layer.Combined.G", fill(|_, y| y as f32 / 50.0)),
                channel("Layer.Combined.B", fill(|_, _| f32::NAN)),
                channel("Layer.Combined.A", fill(|_, _| 0.5)),
                channel("Layer.Depth.Z", fill(|_, _| 7.0)),
            ]
            .into_iter()
            .collect(),
        );
        let layer = Layer::new(size, LayerAttributes::default(), Encoding::SMALL_LOSSLESS, channels);
        Image::from_layer(layer).write().to_file(&path).unwrap();
        let rect = |x, y, w, h| Rect::new(x, y, w, h).unwrap();
        // One pixel of overlap on all sides of 4 x 48.
        let part = Part { path, region: rect(11, 21, 4, 48), rendered: rect(10, 20, 6, 50) };
        let mut seen = Vec::new();
        look(&part, &mut |place, rgba| seen.push((place, rgba.to_vec()))).unwrap();
        assert_eq!(seen.len(), 48);
        assert_eq!((seen[0].0, seen[47].0), (rect(11, 21, 4, 1), rect(11, 68, 4, 1)));
        // Column 4 of row 25: red 0.5 / 0.5, green 0.5 / 0.5, no number is black, half seen through.
        assert_eq!(seen[24].1[12..], [255, 255, 0, 128]);
        // Column 1 of row 1: red 0.125 / 0.5, green 0.02 / 0.5.
        assert_eq!(seen[0].1[..4], [137, 56, 0, 128]);
    }
}
