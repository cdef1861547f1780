//! What comes from a node is checked against what was asked for before it counts.

use std::io::Read;
use std::path::Path;

use super::messages::{FinishedFile, Tile};
use crate::blender::TileDone;
use crate::error::{Error, IoContext, Result};
use crate::formats::{Format, TileFormat};
use crate::geometry::Rect;
use crate::stitch;

/// Whether the worker's word about a tile fits the request.
pub(super) fn expected(tile: &Tile, done: TileDone) -> Result<TileDone> {
    let wrong = |what: &str, asked: String, got: String| {
        Error::render(format!(
            "a tile was rendered with another {what} than asked for: {got} instead of {asked}"
        ))
        .remedy("Check the scene for drivers or scripts that change it while it renders.")
        .retryable()
    };
    let (e, p) = (&done.effective, &tile.picture);
    if done.name != tile.name {
        return Err(wrong("name", tile.name.clone(), crate::text::printable(&done.name, 100)));
    }
    if e.frame != p.frame {
        return Err(wrong("frame", p.frame.to_string(), e.frame.to_string()));
    }
    if let Some(camera) = p.camera.as_ref().filter(|c| Some(*c) != e.camera.as_ref()) {
        let got = e.camera.clone().unwrap_or_else(|| "none".into());
        return Err(wrong("camera", camera.clone(), crate::text::printable(&got, 100)));
    }
    if let Some(samples) = p.samples.filter(|s| *s != e.samples) {
        return Err(wrong("number of samples", samples.to_string(), e.samples.to_string()));
    }
    if let Some(seed) = p.seed.filter(|s| i64::from(*s) != e.seed) {
        return Err(wrong("seed", seed.to_string(), e.seed.to_string()));
    }
    if e.device != p.device.as_str() {
        return Err(wrong("device", p.device.as_str().into(), crate::text::printable(&e.device, 40)));
    }
    let most = most(p.format, tile.rendered.area());
    if done.bytes > most {
        return Err(wrong("file size", format!("at most {most} bytes"), done.bytes.to_string()));
    }
    let sane = |s: f64| s.is_finite() && s >= 0.0;
    if !sane(done.seconds) || !sane(done.sync) || done.sync > done.seconds {
        return Err(wrong("clock", "a duration".into(), "nonsense".into()));
    }
    Ok(done)
}

/// Whether the file is an image of the right kind and size that can be stitched. Its bytes were already confirmed by
/// their hash, which is the node's own word.
pub(super) fn check(path: &Path, format: TileFormat, rendered: Rect) -> Result<()> {
    stitch::inspect(path, format, rendered).map_err(|e| {
        if !path.exists() {
            // Somebody took it away here: no node can help.
            return e;
        }
        Error::render(format!("a tile came that cannot be stitched: {e}"))
            .remedy("It is rendered again; if this repeats, look after that node's memory and disk, or what in the scene changes while it renders.")
            .retryable()
    })
}

/// The most bytes that a file of so many pixels may have.
pub(super) fn most(format: TileFormat, pixels: u64) -> u64 {
    let per_pixel = match format {
        // 16 bits a channel, stored as they are.
        TileFormat::Png => 8 + 1,
        // 32 bits a channel, and as many channels as passes can have.
        TileFormat::Exr => 4 * 1024,
    };
    (16 << 20) + pixels.saturating_mul(per_pixel)
}

/// Whether what a finish made is one picture, or one of each view, and each begins as a picture of that format does.
pub(super) fn picture(files: &[FinishedFile], format: Option<Format>, views: &[String]) -> Result<()> {
    let wrong = |what: String| {
        Error::render(format!("the finish made {what}"))
            .remedy("It is done again on another node; `tilectl nodes check` shows whether they are well.")
            .retryable()
    };
    let mut pictures: Vec<&FinishedFile> = files.iter().filter(|f| f.target.is_none()).collect();
    pictures.sort_by(|a, b| a.suffix.cmp(&b.suffix));
    if pictures.is_empty() {
        return Err(wrong("no picture".into()));
    }
    if pictures.len() > 1 && pictures[0].suffix.is_empty()
        || pictures.windows(2).any(|p| p[0].suffix == p[1].suffix)
    {
        return Err(wrong("several pictures of one name".into()));
    }
    for file in pictures {
        // A digit in that place would make it the name of another frame.
        let odd = file.suffix.starts_with(|c: char| c.is_ascii_digit());
        if !file.suffix.is_empty() && (odd || !views.contains(&file.suffix)) {
            return Err(wrong("a view that the scene does not have".into()));
        }
        let mut head = [0; 12];
        let mut start = std::fs::File::open(&file.path).at("read", &file.path)?;
        let length = start.read(&mut head).at("read", &file.path)?;
        if !format.map_or(length > 0, |f| f.begins(&head[..length])) {
            return Err(wrong("something that is no picture of its format".into()));
        }
    }
    Ok(())
}
