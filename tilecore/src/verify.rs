//! A finished job checked by rendering some of it again: the number of pixels that come out differently.
//!
//! Where pixels differ, the same places are rendered again by a Blender that starts anew: a scene on which Blender
//! does not repeat itself differs there too, and that is no fault of the tiles.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::blender::TileFormat;
use crate::error::{Error, IoContext, Result};
use crate::events::Sink;
use crate::geometry::Rect;
use crate::job::{Cameras, Identity, Request};
use crate::node::Node;
use crate::plan::Tiling;
use crate::render::{self, Cancel, Options};
use crate::state::History;
use crate::stitch::{self, ExrOptions, Packing, Part, PngOptions};

/// How often a place is rendered again to see whether Blender repeats itself there.
const MOST_REPEATS: u32 = 8;

/// What to check.
#[derive(Clone, Debug)]
pub struct Check {
    /// How many rectangles, chosen at random.
    pub rects: usize,
    /// Seed of the choice.
    pub seed: u64,
    /// The whole frame instead of rectangles.
    pub whole: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The rectangles that were rendered again.
    pub rects: Vec<Rect>,
    /// Their pixels.
    pub pixels: u64,
    /// Pixels that differ in any channel.
    pub differing: u64,
    /// Of these, pixels in which two renders by one Blender differ as well.
    pub unrepeatable: u64,
    /// The most pixels in which two renders by Blender alone differed in the places where something differed.
    pub varying: u64,
    /// Seconds it took.
    pub seconds: f64,
}

impl Verdict {
    /// Whether nothing speaks against the job: every pixel is the same or one that Blender does not repeat, or there
    /// are no more of the others than two renders by Blender alone have.
    pub fn holds(&self) -> bool {
        self.differing == self.unrepeatable || self.differing <= self.varying
    }
}

/// Renders parts of the finished job in `dir` again on `nodes` and compares them with its tiles.
pub fn verify(
    dir: &Path,
    nodes: &[Arc<dyn Node>],
    check: &Check,
    cancel: &Cancel,
    sink: &mut Sink<'_>,
) -> Result<Verdict> {
    let history = History::read(&dir.join("state.ron"))?;
    let job = &history.job;
    let kept: Vec<Part> = history
        .tiles()
        .into_iter()
        .filter(|t| t.picture == 0)
        .map(|t| Part { path: dir.join("tiles").join(&t.file), region: t.region, rendered: t.rendered })
        .collect();
    // What Cycles denoised in one piece is the same only in one piece.
    let rects =
        if check.whole || job.whole { vec![job.region] } else { choose(job.region, check.rects, check.seed) };
    let scratch = tempfile::tempdir().map_err(|e| {
        Error::render(format!("cannot make a temporary directory: {}", crate::error::reason(&e)))
            .remedy("Point TMPDIR at a place with room.")
    })?;
    let mut bench = Bench { job, nodes, cancel, sink, scratch: scratch.path(), number: 0, seconds: 0.0 };
    let again = bench.render(&rects)?;
    let mut verdict = Verdict {
        pixels: rects.iter().map(|r| r.area()).sum(),
        rects: rects.clone(),
        differing: 0,
        unrepeatable: 0,
        varying: 0,
        seconds: 0.0,
    };
    let mut odd = Vec::new();
    for rect in &rects {
        let differs = bench.differences(&kept, &again, *rect)?;
        let count = differs.iter().filter(|d| **d).count() as u64;
        verdict.differing += count;
        if count > 0 {
            odd.push((*rect, differs));
        }
    }
    (verdict.unrepeatable, verdict.varying) = bench.unrepeatable(&again, odd)?;
    verdict.seconds = bench.seconds;
    Ok(verdict)
}

/// Renders and compares; every render is by a Blender that starts anew.
struct Bench<'a, 'b> {
    job: &'a Identity,
    nodes: &'a [Arc<dyn Node>],
    cancel: &'a Cancel,
    sink: &'a mut Sink<'b>,
    scratch: &'a Path,
    number: usize,
    seconds: f64,
}

impl Bench<'_, '_> {
    fn render(&mut self, rects: &[Rect]) -> Result<Vec<Part>> {
        self.number += 1;
        let job = self.job;
        let blend = job.files.first().map(|f| PathBuf::from(&f.path)).unwrap_or_default();
        let hash = crate::sync::sha256_of(&blend)?;
        if job.files.first().is_none_or(|f| f.sha256 != hash) {
            return Err(Error::input(format!("{} has changed since the job was rendered", blend.display()))
                .remedy("Put the file back, or render it again."));
        }
        let request = Request {
            scenes: vec![job.scene.clone()],
            cameras: job.camera.clone().map_or(Cameras::Own, |c| Cameras::Named(vec![c])),
            seed: i32::try_from(job.seed).ok(),
            samples: Some(job.samples),
            resolution: Some(job.resolution),
            percentage: Some(job.percentage),
            tile_format: Some(job.format),
            overlap: Some(job.overlap),
            force_tiles: !job.whole,
            tiling: if rects == [job.region] { Tiling::Count(1) } else { Tiling::Auto },
            scripts: job.scripts,
            allow_missing: true,
            // What lay outside the .blend's folder then was allowed to be sent, and is again.
            roots: job
                .files
                .iter()
                .skip(1)
                .filter_map(|f| Path::new(&f.path).parent())
                .filter(|dir| dir.is_absolute() && dir.is_dir())
                .map(Path::to_owned)
                .collect(),
            ..Request::new(blend, job.frame)
        };
        let options = Options {
            work_dir: self.scratch.join(format!("work-{}", self.number)),
            keep: true,
            only: Some(rects.to_vec()),
            ..Options::new(self.scratch.join("picture.png"))
        };
        let outcome = render::run(&request, self.nodes, &options, self.cancel, self.sink)?;
        self.seconds += outcome.seconds;
        Ok(outcome.parts)
    }

    /// How many of the pixels that differ are such that Blender makes them differently from one time to the next, and
    /// in how many pixels it did so at most between two renders.
    ///
    /// One that varies need not do so in any two renders, so it is rendered again as long as that explains more.
    fn unrepeatable(&mut self, again: &[Part], mut odd: Vec<(Rect, Vec<bool>)>) -> Result<(u64, u64)> {
        let (mut explained, mut in_vain, mut varying) = (0, 0, 0);
        for _ in 0..MOST_REPEATS {
            if odd.is_empty() || in_vain > if varying > 0 { 3 } else { 0 } {
                break;
            }
            let places: Vec<Rect> = odd.iter().map(|(rect, _)| *rect).collect();
            let once_more = self.render(&places)?;
            let (mut news, mut vary) = (0, 0);
            for (rect, differs) in &mut odd {
                let varies = self.differences(again, &once_more, *rect)?;
                vary += varies.iter().filter(|v| **v).count() as u64;
                for (open, varies) in differs.iter_mut().zip(varies) {
                    if *open && varies {
                        (*open, news) = (false, news + 1);
                    }
                }
            }
            odd.retain(|(_, differs)| differs.contains(&true));
            explained += news;
            varying = varying.max(vary);
            in_vain = if news > 0 { 0 } else { in_vain + 1 };
        }
        Ok((explained, varying))
    }

    fn differences(&self, a: &[Part], b: &[Part], rect: Rect) -> Result<Vec<bool>> {
        differences(self.job.format, a, b, rect, self.scratch)
    }
}

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
    use exr::prelude::*;
    let image = read()
        .no_deep_data()
        .largest_resolution_level()
        .all_channels()
        .all_layers()
        .all_attributes()
        .from_file(path)
        .map_err(|e| crate::error::Error::render(format!("cannot read {}: {e}", path.display())))?;
    let mut pixels = Vec::new();
    for y in rect.y()..rect.bottom() {
        for x in rect.x()..rect.right() {
            for layer in &image.layer_data {
                let at = y as usize * layer.size.width() + x as usize;
                for channel in &layer.channel_data.list {
                    if channel.name.to_string().contains(crate::proof::compare::CLOCK_PASS) {
                        continue;
                    }
                    match &channel.sample_data {
                        FlatSamples::F16(s) => {
                            pixels.extend(s.get(at).map_or(0, |v| u32::from(v.to_bits())).to_le_bytes());
                        }
                        FlatSamples::F32(s) => {
                            pixels.extend(s.get(at).map_or(0, |v| v.to_bits()).to_le_bytes());
                        }
                        FlatSamples::U32(s) => pixels.extend(s.get(at).copied().unwrap_or(0).to_le_bytes()),
                    }
                }
            }
        }
    }
    Ok(pixels)
}

/// Rectangles at random places, about a thirtieth of the region each, that do not overlap.
fn choose(region: Rect, count: usize, seed: u64) -> Vec<Rect> {
    let mut state = seed;
    // SplitMix64 (Steele, Lea, Flood 2014): good enough to choose places, and the same everywhere.
    let mut random = move |below: u32| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(below.max(1))) as u32
    };
    let (w, h) = (region.width().div_ceil(6).max(1), region.height().div_ceil(5).max(1));
    let mut rects: Vec<Rect> = Vec::new();
    for _ in 0..count.min(1000) * 8 {
        if rects.len() >= count {
            break;
        }
        let (x, y) = (random(region.width() - w + 1), random(region.height() - h + 1));
        if let Ok(rect) = Rect::new(region.x() + x, region.y() + y, w, h)
            && rects.iter().all(|r| r.intersection(rect).is_none())
        {
            rects.push(rect);
        }
    }
    rects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_rectangles_lie_inside_and_apart() {
        for (region, seed) in [((0, 0, 320, 180), 1), ((7, 9, 1, 1), 2), ((0, 0, 17, 3), 3)] {
            let region = Rect::try_from(region).unwrap();
            let rects = choose(region, 6, seed);
            assert!(!rects.is_empty() && rects.len() <= 6);
            for (i, r) in rects.iter().enumerate() {
                assert!(region.contains(*r));
                assert!(rects[..i].iter().all(|o| o.intersection(*r).is_none()));
            }
            assert_eq!(rects, choose(region, 6, seed), "the same seed chooses the same");
        }
    }
}
