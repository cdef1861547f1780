//! The small pictures that a proof is made with: which of the job's, how small, with how many samples, and cut how.

use crate::blender::{Facts, Picture};
use crate::error::{Error, Result};
use crate::formats::TileFormat;
use crate::geometry::{Frame, Grid, Rect};
use crate::job::Request;
use crate::proof::reference::Asked;
use crate::render::canvas::Canvas;
use crate::render::work::Work;
use crate::schedule::Piece;

/// Pixels that a small frame has, about.
const PIXELS: f64 = 3000.0;
/// Samples of a small frame in all, of all its pixels, that are no trouble on any machine.
const CHEAP: f64 = PIXELS * 128.0;
/// Part of the frame's own samples, of all its pixels, that a small frame may have where these are more.
const SAMPLED: f64 = 0.01;
/// Rows and columns of its tiles.
const SIDE: u32 = 3;
/// Pictures of one job that are proved: its first and last frame, and each camera.
const PICTURES: usize = 8;
/// One small picture that is proved.
pub(super) struct Case {
    pub(super) picture: Picture,
    pub(super) canvases: Vec<Canvas>,
    pub(super) scenes: Vec<Asked>,
    pub(super) format: TileFormat,
    pub(super) written_as: Option<String>,
    pub(super) pieces: Vec<Piece>,
}

/// The small pictures: the first and last of the job, and the first through each camera of each scene.
pub(super) fn cases(request: &Request, known: &[Facts], work: &Work) -> Result<Vec<Case>> {
    let mut chosen: Vec<usize> = vec![0];
    for (at, shot) in work.shots.iter().enumerate() {
        let same = |c: &usize| (&work.shots[*c].scene, &work.shots[*c].camera) == (&shot.scene, &shot.camera);
        if !chosen.iter().any(same) {
            chosen.push(at);
        }
    }
    chosen.truncate(PICTURES - 1);
    let last = work.shots.len().saturating_sub(1);
    if !chosen.contains(&last) {
        chosen.push(last);
    }
    chosen.into_iter().map(|shot| case(request, known, work, shot)).collect()
}

fn case(request: &Request, known: &[Facts], work: &Work, at: usize) -> Result<Case> {
    let none = || Error::render("there is nothing to prove");
    let shot = work.shots.get(at).ok_or_else(none)?;
    let facts = |scene: &str| known.iter().find(|f| f.scene == scene);
    let main = facts(&shot.scene).ok_or_else(none)?;
    let base = request.resolution.unwrap_or(main.resolution);
    let before = request.percentage.unwrap_or(main.percentage);
    let percentage = small_percentage(base, before, main);
    let area = |p: u32| Frame::scaled(base.0, base.1, p).map(Frame::area);
    let (full, small) = (area(before)?, area(percentage)?);
    let mut scenes: Vec<Asked> = Vec::new();
    for each in known {
        let is_main = each.scene == main.scene;
        let own = u64::from(each.percentage) * u64::from(percentage) / u64::from(before.max(1));
        scenes.push(Asked {
            scene: each.scene.clone(),
            resolution: request.resolution.filter(|_| is_main),
            percentage: Some(if is_main { percentage } else { (own as u32).max(1) }),
            samples: Some(few(request.samples.unwrap_or(each.samples), full, small)).filter(|s| *s > 0),
            seed: request.seed,
        });
    }
    let smaller = |picture: &Picture| {
        let name = picture.scene.as_deref().unwrap_or(&main.scene);
        let asked = scenes.iter().find(|s| s.scene == name);
        // A scene that the compositor reads is rendered at the size of the one that reads it.
        let percentage = match (picture.percentage, asked) {
            (Some(_), _) | (None, None) => Some(percentage),
            (None, Some(asked)) => asked.percentage,
        };
        Picture { percentage, samples: asked.and_then(|a| a.samples), ..picture.clone() }
    };
    let mut canvases = Vec::new();
    let mut pieces = Vec::new();
    for index in shot.canvases.clone() {
        let canvas = work.canvases.get(index as usize).ok_or_else(none)?;
        let picture = smaller(&canvas.picture);
        let own = picture.scene.as_deref().and_then(facts);
        let resolution = picture.resolution.or(own.map(|f| f.resolution)).unwrap_or(base);
        let frame = Frame::scaled(
            resolution.0.max(4),
            resolution.1.max(4),
            picture.percentage.unwrap_or(percentage),
        )?;
        let region = match own.and_then(|f| f.border) {
            Some(border) => border.rect(frame)?,
            None => frame.rect(),
        };
        let whole = picture.whole;
        for rect in cut(region, whole)? {
            pieces.push(Piece { id: pieces.len() as u64, picture: canvases.len() as u32, region: rect });
        }
        canvases.push(Canvas { picture, frame, region });
    }
    Ok(Case {
        picture: smaller(&shot.picture),
        canvases,
        scenes,
        format: shot.format,
        written_as: shot.written_as.map(|f| f.name().to_owned()),
        pieces,
    })
}

/// The percentage at which a scene has about [`PIXELS`] in what is rendered of it.
fn small_percentage(base: (u32, u32), percentage: u32, facts: &Facts) -> u32 {
    let part = facts.border.as_ref().map_or(1.0, |b| {
        f64::from((b.max_x - b.min_x).clamp(0.0, 1.0)) * f64::from((b.max_y - b.min_y).clamp(0.0, 1.0))
    });
    let area = f64::from(base.0) * f64::from(base.1) * part.max(1e-4);
    let wanted = (100.0 * (PIXELS / area.max(1.0)).sqrt()).ceil() as u32;
    // A tile of less than a few pixels says nothing.
    let least = (100 * 4 * SIDE).div_ceil(base.0.min(base.1).max(1));
    wanted.max(least).clamp(1, percentage.max(1))
}

/// Samples per pixel of a frame of `small` pixels that stands for one of `full` pixels: as many as there are, unless that
/// costs much.
fn few(samples: u32, full: u64, small: u64) -> u32 {
    let affordable = CHEAP.max(SAMPLED * full as f64 * f64::from(samples)) / small.max(1) as f64;
    samples.min(affordable as u32).max(samples.min(1))
}

/// The tiles of a small picture.
fn cut(region: Rect, whole: bool) -> Result<Vec<Rect>> {
    let side = |length: u32| if whole { 1 } else { SIDE.min(length / 2).max(1) };
    let grid = Grid::new(region.size(), side(region.width()), side(region.height()))?;
    grid.tiles()
        .into_iter()
        .map(|r| Rect::new(region.x() + r.x(), region.y() + r.y(), r.width(), r.height()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_picture_is_cut_into_nine_or_as_many_as_fit() {
        let rect = |w, h| Rect::new(5, 7, w, h).unwrap();
        assert_eq!(cut(rect(76, 43), false).unwrap().len(), 9);
        assert_eq!(cut(rect(76, 43), true).unwrap(), [rect(76, 43)]);
        assert_eq!(cut(rect(4, 1), false).unwrap().len(), 2);
        let all = cut(rect(50, 31), false).unwrap();
        assert_eq!(all.iter().map(|r| r.area()).sum::<u64>(), 50 * 31);
        assert!(all.iter().all(|r| rect(50, 31).contains(*r)));
    }

    #[test]
    fn a_small_picture_has_the_frames_own_samples_where_that_is_cheap() {
        let (small, hd) = (3268, 1920 * 1080);
        assert_eq!([0, 1, 96].map(|s| few(s, 320 * 180, small)), [0, 1, 96]);
        assert_eq!(few(4096, hd, small), 4096);
        assert!((700..750).contains(&few(4096, 320 * 180, small)), "{}", few(4096, 320 * 180, small));
    }
}
