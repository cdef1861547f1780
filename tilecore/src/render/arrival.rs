//! What comes from a node is checked against what was asked for before it counts.

use std::path::Path;

use super::slot::Tile;
use crate::blender::{TileDone, TileFormat};
use crate::error::{Error, IoContext, Result};
use crate::geometry::Rect;

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
        return Err(wrong("name", tile.name.clone(), crate::blender::printable(&done.name, 100)));
    }
    if e.frame != p.frame {
        return Err(wrong("frame", p.frame.to_string(), e.frame.to_string()));
    }
    if let Some(camera) = p.camera.as_ref().filter(|c| Some(*c) != e.camera.as_ref()) {
        let got = e.camera.clone().unwrap_or_else(|| "none".into());
        return Err(wrong("camera", camera.clone(), crate::blender::printable(&got, 100)));
    }
    if let Some(samples) = p.samples.filter(|s| *s != e.samples) {
        return Err(wrong("number of samples", samples.to_string(), e.samples.to_string()));
    }
    if let Some(seed) = p.seed.filter(|s| i64::from(*s) != e.seed) {
        return Err(wrong("seed", seed.to_string(), e.seed.to_string()));
    }
    if e.device != p.device.as_str() {
        return Err(wrong("device", p.device.as_str().into(), crate::blender::printable(&e.device, 40)));
    }
    let sane = |s: f64| s.is_finite() && s >= 0.0;
    if !sane(done.seconds) || !sane(done.sync) || done.sync > done.seconds {
        return Err(wrong("clock", "a duration".into(), "nonsense".into()));
    }
    Ok(done)
}

/// Whether the file is an image of the right kind and size. Its bytes were already confirmed by their hash.
pub(super) fn check(path: &Path, format: TileFormat, rendered: Rect) -> Result<()> {
    let (width, height) = match format {
        TileFormat::Png => {
            let file = std::fs::File::open(path).at("read", path)?;
            let reader =
                png::Decoder::new(std::io::BufReader::new(file)).read_info().map_err(|_| not_image(path))?;
            (u64::from(reader.info().width), u64::from(reader.info().height))
        }
        TileFormat::Exr => {
            let meta = exr::meta::MetaData::read_from_file(path, false).map_err(|_| not_image(path))?;
            let size = meta.headers.first().map(|h| h.layer_size).ok_or_else(|| not_image(path))?;
            (size.width() as u64, size.height() as u64)
        }
    };
    if (width, height) != (u64::from(rendered.width()), u64::from(rendered.height())) {
        return Err(Error::render(format!(
            "a tile came as {width}x{height} pixels instead of {}",
            rendered.size()
        ))
        .remedy("It is rendered again; if this repeats, something in the scene changes the resolution while it renders.")
        .retryable());
    }
    Ok(())
}

fn not_image(path: &Path) -> Error {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Error::render(format!("the tile {name} is not an image")).remedy("It is rendered again.").retryable()
}
