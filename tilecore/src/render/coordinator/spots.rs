//! Spot checks: a few places of the finished tiles are rendered once more at full size, each on another node than those
//! that rendered it, where there is one. A small frame cannot show everything (Cycles' own cut of large frames, dicing).

use std::collections::BTreeSet;

use super::Coordinator;
use crate::blender::Picture;
use crate::error::{Error, IoContext, Result};
use crate::events::Event;
use crate::geometry::Rect;
use crate::proof::Mode;
use crate::render::messages::{Order, Report, Tile};
use crate::render::work::{Work, grown_within, name_of};
use crate::schedule::{Input, Piece};
use crate::state::TileRecord;
use crate::stitch::Part;

/// Part of the job's time that spot checks may take.
const SHARE: f64 = 0.01;
/// Side of a spot, pixels.
const SIDE: u32 = 48;
/// No job has more.
const MOST: usize = 16;
/// A spot is not looked at where its tiles are larger than this together, pixels: they are decoded whole.
const LARGEST: u64 = 8_000_000;
/// What a small render costs where nothing was measured, seconds.
const USUAL_S: f64 = 0.3;

/// A place that is rendered once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    picture: u32,
    rect: Rect,
}

/// What a slot on a spot check has said.
#[derive(Default)]
pub(super) struct Spots {
    /// The slot that is at it.
    pub(super) busy: Option<usize>,
    answer: Option<Result<()>>,
}

impl Coordinator<'_, '_> {
    /// Renders a few places once more and compares them with the tiles; an error where they differ and Blender repeats
    /// itself there.
    pub(super) fn check_spots(&mut self) -> Result<()> {
        if self.options.proof == Mode::Never || self.request.force_tiles || self.draining() {
            return Ok(());
        }
        let Some(work) = self.work.as_ref().filter(|w| w.only.is_none()) else { return Ok(()) };
        let each = self.slots.iter().filter_map(|s| s.fixed_s).fold(USUAL_S, f64::max);
        let affordable = (SHARE * self.clock() / each) as usize;
        let wanted = affordable.max(usize::from(self.options.proof == Mode::Always)).min(MOST);
        let spots = choose(&corners(work), wanted);
        let mut checked = 0;
        for spot in spots {
            if self.check(spot)? {
                checked += 1;
            }
        }
        if checked > 0 {
            self.emit(Event::Checked { places: checked });
        }
        Ok(())
    }

    /// Checks one place; says whether it could be.
    fn check(&mut self, spot: Spot) -> Result<bool> {
        let Some(work) = self.work.as_ref() else { return Ok(false) };
        let near: Vec<TileRecord> = work
            .tiles
            .iter()
            .filter(|t| t.picture == spot.picture && t.region.intersection(spot.rect).is_some())
            .cloned()
            .collect();
        let area: u64 = near.iter().map(|t| t.rendered.area()).sum();
        if area > LARGEST {
            return Ok(false);
        }
        let format = work.canvases.get(spot.picture as usize).map(|c| c.picture.format);
        let Some(format) = format else { return Ok(false) };
        let parts: Vec<Part> = near
            .iter()
            .map(|t| Part { path: work.dir.layout().tile(&t.file), region: t.region, rendered: t.rendered })
            .collect();
        let by: BTreeSet<&str> = near.iter().map(|t| t.node.as_str()).collect();
        let Some(slot) = self.checker(&by) else { return Ok(false) };
        let Some(first) = self.render_spot(slot, spot, 0)? else { return Ok(false) };
        let scratch = self.proof_folder();
        let differs = crate::proof::places::differences(
            format,
            &parts,
            std::slice::from_ref(&first),
            spot.rect,
            &scratch,
        )?;
        let count = differs.iter().filter(|d| **d).count();
        if count == 0 {
            return Ok(true);
        }
        // A pixel that Blender does not repeat is no fault of the tiles.
        let Some(second) = self.render_spot(slot, spot, 1)? else { return Ok(false) };
        let varies = crate::proof::places::differences(format, &[first], &[second], spot.rect, &scratch)?;
        if differs.iter().zip(&varies).all(|(d, v)| !d || *v)
            || varies.iter().filter(|v| **v).count() >= count
        {
            return Ok(true);
        }
        let name = self.slots[slot].name.clone();
        let nodes: Vec<&str> = by.into_iter().collect();
        Err(Error::input(format!(
            "{count} of {} pixels at {} differ between the tiles of {} and what {name} renders there",
            spot.rect.area(),
            spot.rect,
            nodes.join(", ")
        ))
        .remedy("Run `tilectl prove` on the scene; --tiles 1 renders the frame in one piece, --proof never goes ahead all the same."))
    }

    /// A ready slot on another node than these, if there is one, or any.
    fn checker(&self, by: &BTreeSet<&str>) -> Option<usize> {
        let ready = |s: &usize| self.slots[*s].is_free();
        let slots: Vec<usize> = (0..self.slots.len()).filter(ready).collect();
        let others = slots.iter().find(|s| !by.contains(self.slots[**s].name.as_str()));
        others.or(slots.first()).copied()
    }

    /// Renders a spot on a slot and waits for its file; nothing where the slot does not render it.
    fn render_spot(&mut self, slot: usize, spot: Spot, number: u32) -> Result<Option<Part>> {
        let folder = self.proof_folder();
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let Some(work) = self.work.as_ref() else { return Ok(None) };
        let Some(canvas) = work.canvases.get(spot.picture as usize) else { return Ok(None) };
        let state = &self.slots[slot];
        let name = format!("spot{number}-{}", name_of(spot.picture, spot.rect));
        let tile = Tile {
            piece: Piece { id: u64::MAX, picture: spot.picture, region: spot.rect },
            rendered: grown_within(spot.rect, work.overlap, canvas.region),
            frame: canvas.frame,
            into: folder.join(format!("{name}.{}", canvas.picture.format.extension())),
            name,
            picture: Picture { device: state.device, threads: state.threads, ..canvas.picture.clone() },
        };
        let part = Part { path: tile.into.clone(), region: spot.rect, rendered: tile.rendered };
        self.feed(Input::Lent(slot, USUAL_S))?;
        self.spots = Spots { busy: Some(slot), answer: None };
        self.slots[slot].order(Order::Prove(vec![tile]));
        while self.spots.answer.is_none() && self.spots.busy.is_some() {
            self.step()?;
        }
        let answer = self.spots.answer.take();
        self.spots.busy = None;
        self.feed(Input::Returned(slot))?;
        Ok(answer.and_then(Result::ok).map(|()| part))
    }

    /// What a slot says about its spot; gives back what is not about it.
    pub(super) fn hear_spot(&mut self, slot: usize, report: Report) -> Option<Report> {
        if self.spots.busy != Some(slot) {
            return Some(report);
        }
        match report {
            Report::Proved => self.spots.answer = Some(Ok(())),
            Report::Refused(error) => self.spots.answer = Some(Err(error)),
            Report::Lost(error) => {
                self.spots.busy = None;
                return Some(Report::Lost(error));
            }
            other => return Some(other),
        }
        None
    }
}

/// Places where tiles meet: corners of tiles inside their pictures.
fn corners(work: &Work) -> Vec<Spot> {
    let mut found: Vec<Spot> = work
        .tiles
        .iter()
        .filter_map(|tile| {
            let region = work.canvases.get(tile.picture as usize)?.region;
            let (x, y) = (tile.region.x(), tile.region.y());
            let edge = (x > region.x()) || (y > region.y());
            let around = |at: u32, from: u32, to: u32| {
                let start = at.saturating_sub(SIDE / 2).max(from);
                (start, (at + SIDE / 2).min(to).saturating_sub(start))
            };
            let (left, width) = around(x, region.x(), region.right());
            let (top, height) = around(y, region.y(), region.bottom());
            let rect = Rect::new(left, top, width, height).ok().filter(|_| edge)?;
            Some(Spot { picture: tile.picture, rect })
        })
        .collect();
    found.sort_by_key(|s| (s.picture, s.rect.y(), s.rect.x()));
    found.dedup();
    found
}

/// So many of them, spread evenly.
fn choose(all: &[Spot], wanted: usize) -> Vec<Spot> {
    let count = wanted.min(all.len());
    (0..count).filter_map(|n| all.get((2 * n + 1) * all.len() / (2 * count)).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_are_spread_over_all_places() {
        let spot = |x| Spot { picture: 0, rect: Rect::new(x, 0, 8, 8).unwrap() };
        let all: Vec<Spot> = (0..10).map(spot).collect();
        let at = |n| choose(&all, n).iter().map(|s| s.rect.x()).collect::<Vec<_>>();
        assert_eq!(at(1), [5]);
        assert_eq!(at(2), [2, 7]);
        assert_eq!(at(99).len(), 10);
        assert!(choose(&[], 3).is_empty() && at(0).is_empty());
    }
}
