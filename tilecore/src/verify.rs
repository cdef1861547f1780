//! A finished job checked by rendering some of it again: the number of pixels that come out differently.
//!
//! Where pixels differ, the same places are rendered again by a Blender that starts anew: a scene on which Blender
//! does not repeat itself differs there too, and that is no fault of the tiles.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::cost::Tiling;
use crate::error::{Error, Result};
use crate::events::Sink;
use crate::geometry::Rect;
use crate::job::{Cameras, Identity, Request};
use crate::node::Node;
use crate::proof::places::differences;
use crate::random::SplitMix64;
use crate::render::{self, Cancel, Options};
use crate::state::{History, WorkDirLayout};
use crate::stitch::Part;

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
    let history = History::read(&WorkDirLayout::new(dir).state())?;
    let job = &history.job;
    let kept: Vec<Part> = history
        .tiles()
        .into_iter()
        .filter(|t| t.picture == 0)
        .map(|t| Part { path: WorkDirLayout::new(dir).tile(&t.file), region: t.region, rendered: t.rendered })
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
        let hash = crate::hash::of_file(&blend)?;
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

/// Rectangles at random places, about a thirtieth of the region each, that do not overlap.
fn choose(region: Rect, count: usize, seed: u64) -> Vec<Rect> {
    let mut random = SplitMix64::new(seed);
    let (w, h) = (region.width().div_ceil(6).max(1), region.height().div_ceil(5).max(1));
    let mut rects: Vec<Rect> = Vec::new();
    for _ in 0..count.min(1000) * 8 {
        if rects.len() >= count {
            break;
        }
        let (x, y) = (random.below(region.width() - w + 1), random.below(region.height() - h + 1));
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
