//! The end of a shot: tiles become frames, frames become the picture, the picture goes where it was asked for.
//!
//! Stitching is done here on a thread of its own, the finish by a warm Blender that the scheduler lends out for it;
//! other shots are rendered meanwhile.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::thread::JoinHandle;

use super::Coordinator;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::formats::{Format, TileFormat};
use crate::geometry::{Frame, Rect};
use crate::hindsight;
use crate::proof::reference::Asked;
use crate::render::arrival;
use crate::render::messages::{FinishOrder, FinishedFile, Order, Report};
use crate::render::options::Outcome;
use crate::render::output;
use crate::render::seat::{Seat, Stage as Seated};
use crate::render::shot::Stage;
use crate::schedule::Input;
use crate::state::{History, Record, now};
use crate::stitch::{self, Compression, ExrOptions, Packing, Part, PngOptions};

/// How many nodes may fail at the finish of a shot before the job does.
const TRIES: usize = 4;
/// A slot that is this many times slower than the fastest finishes nothing while others are there.
const TOO_SLOW: f64 = 4.0;
/// How long a finish is believed to take while none is known, seconds.
const USUAL_S: f64 = 2.0;

/// A finish that is to be done.
#[derive(Debug)]
pub(super) struct Finish {
    shot: usize,
    order: FinishOrder,
    /// Slots that failed at it.
    tried: Vec<usize>,
    /// Who does it, and since when.
    by: Option<(usize, f64)>,
}

/// What is being concluded.
#[derive(Default)]
pub(super) struct Closing {
    /// Shots that wait to be stitched.
    waiting: VecDeque<usize>,
    /// The thread that stitches.
    stitching: Option<JoinHandle<()>>,
    finishes: Vec<Finish>,
    /// How long the last finish took, seconds.
    took: Option<f64>,
    /// Files that the scene writes besides its pictures, and views of pictures.
    files: Vec<PathBuf>,
}

impl Closing {
    /// Waits until nothing is written any more.
    pub(super) fn settle(&mut self) {
        if let Some(thread) = self.stitching.take() {
            let _ = thread.join();
        }
    }
}

/// Everything that stitching a shot takes.
pub(super) struct Sheets {
    pub(super) format: TileFormat,
    /// Tiles, size and target of every picture.
    pub(super) pictures: Vec<(Vec<Part>, Frame, PathBuf)>,
    pub(super) compression: Compression,
}

impl Sheets {
    /// Stitches; returns how many tiles hold pixels that are not a number.
    pub(super) fn stitch(&self) -> Result<usize> {
        let mut nans = 0;
        for (parts, size, target) in &self.pictures {
            match self.format {
                TileFormat::Png => {
                    let options = PngOptions::default().compression(self.compression);
                    stitch::png(parts, *size, target, &options)?;
                }
                TileFormat::Exr => {
                    // Read once and soon: time spent on packing it would not come back.
                    let options = ExrOptions::default().packing(Packing::None);
                    nans += stitch::exr(parts, *size, target, &options)?.nans.len();
                }
            }
        }
        Ok(nans)
    }
}

impl Coordinator<'_, '_> {
    /// Everything that is rendered becomes pictures; what comes of the job.
    pub(super) fn conclude(&mut self) -> Result<Outcome> {
        self.tell_progress();
        if let Some(work) = self.work.as_ref().filter(|w| w.only.is_some()) {
            let output = self.target.path.clone();
            return Ok(Outcome {
                pictures: vec![output.clone()],
                output,
                files: Vec::new(),
                tiles: self.rendered,
                adopted: work.adopted,
                seconds: self.clock(),
                parts: work.parts(0),
            });
        }
        // The last tiles are shown before their files can go.
        drop(self.work.as_mut().and_then(|w| w.preview.take()));
        self.wait_for_proof()?;
        self.check_spots()?;
        let shots = self.work.as_ref().map_or(0, |w| w.shots.len());
        for shot in 0..shots {
            if self.request.native.is_some() { self.render_whole(shot)? } else { self.close(shot)? }
        }
        while self.work.as_ref().is_some_and(|w| w.shots.iter().any(|s| s.stage == Stage::Closing)) {
            self.anyone_for_the_finish()?;
            self.step()?;
        }
        self.done()
    }

    fn done(&mut self) -> Result<Outcome> {
        self.keep_lessons();
        let Some(work) = self.work.as_ref() else { return Err(Error::render("there is no job")) };
        if work.shots.iter().any(|s| s.stage == Stage::Open) {
            return Err(self.interrupted());
        }
        let files = std::mem::take(&mut self.closing.files);
        let pictures: Vec<PathBuf> = work.shots.iter().map(|s| s.path.clone()).collect();
        let output = pictures.first().cloned().unwrap_or_default();
        let (tiles, adopted, seconds) = (self.rendered, work.adopted, self.clock());
        let sha256 = if pictures.len() == 1 { crate::hash::of_file(&output)? } else { String::new() };
        if let Some(work) = self.work.as_mut() {
            work.dir.append(&Record::Done { output: output.clone(), sha256, seconds, at: now() })?;
        }
        if pictures.len() > 1 {
            self.tell_progress();
        }
        // Of a run that found tiles of another, its time says nothing; nor does it of many pictures, whose building counts.
        let alone = self.work.as_ref().filter(|w| w.adopted == 0 && w.shots.len() == 1);
        let state = alone.map(|w| w.dir.layout().state());
        let speedup = state.and_then(|path| hindsight::speedup(&History::read(&path).ok()?));
        self.emit(Event::Done { output: output.clone(), seconds, tiles, adopted, speedup });
        Ok(Outcome { output, pictures, files, tiles, adopted, seconds, parts: Vec::new() })
    }

    /// A shot of which every tile is here is stitched as soon as possible.
    pub(super) fn close(&mut self, shot: usize) -> Result<()> {
        let proved = self.is_proved();
        let Some(work) = self.work.as_mut().filter(|w| w.only.is_none()) else { return Ok(()) };
        let open = work.shots.get(shot).is_some_and(|s| s.stage == Stage::Open);
        if open && work.is_complete(shot) && proved {
            work.shots[shot].stage = Stage::Closing;
            self.closing.waiting.push_back(shot);
            self.stitch_next()?;
        }
        Ok(())
    }

    /// The shot that a tile belongs to may be complete now.
    pub(super) fn close_with(&mut self, picture: u32) -> Result<()> {
        // A single one waits for the scheduler, which may still have use for the order of things.
        match self.work.as_ref().filter(|w| w.shots.len() > 1).and_then(|w| w.shot_of(picture)) {
            Some(shot) => self.close(shot),
            None => Ok(()),
        }
    }

    /// A shot that cannot be made from tiles: a node renders it as Blender by itself does.
    fn render_whole(&mut self, shot: usize) -> Result<()> {
        let Some(work) = self.work.as_mut() else { return Ok(()) };
        let Some(this) = work.shots.get_mut(shot).filter(|s| s.stage == Stage::Open) else { return Ok(()) };
        this.stage = Stage::Closing;
        let this = this.clone();
        let Some(first) = work.canvases.get(this.canvases.start as usize) else { return Ok(()) };
        let asked = self.meeting.facts.iter().map(|f| {
            let main = f.scene == this.scene;
            Asked {
                scene: f.scene.clone(),
                resolution: self.request.resolution.filter(|_| main),
                percentage: self.request.percentage.filter(|_| main),
                samples: self.request.samples,
                seed: self.request.seed,
            }
        });
        let order = FinishOrder {
            picture: this.picture.clone(),
            sources: Vec::new(),
            stitched: Vec::new(),
            format: this.written_as.map(|f| f.name().to_owned()),
            most: arrival::most(TileFormat::Exr, first.frame.area()),
            into: work.dir.layout().finished(shot),
            native: Some(asked.collect()),
            repeatable: false,
        };
        self.closing.finishes.push(Finish { shot, order, tried: Vec::new(), by: None });
        self.hand_out_finishes()
    }

    fn stitch_next(&mut self) -> Result<()> {
        if self.closing.stitching.is_some() {
            return Ok(());
        }
        let (Some(shot), Some(work)) = (self.closing.waiting.pop_front(), self.work.as_ref()) else {
            return Ok(());
        };
        let Some(this) = work.shots.get(shot) else { return Ok(()) };
        let single = work.shots.len() == 1;
        let pictures = this.canvases.clone().filter_map(|index| {
            let canvas = work.canvases.get(index as usize)?;
            let target = if this.format == TileFormat::Png {
                this.path.clone()
            } else {
                work.dir.layout().stitched(index)
            };
            Some((moved(work.parts(index), canvas.region), canvas.region.size(), target))
        });
        let sheets = Sheets {
            format: this.format,
            pictures: pictures.collect(),
            compression: self.options.compression,
        };
        let reporting = self.reporting.clone();
        let thread = std::thread::Builder::new()
            .name("stitch".into())
            .spawn(move || {
                let _ = reporting.send((usize::MAX, Report::Stitched(shot, sheets.stitch())));
            })
            .map_err(|e| Error::render(format!("cannot start a thread: {e}")))?;
        self.closing.stitching = Some(thread);
        if single {
            self.emit(Event::Stitching);
        }
        Ok(())
    }

    /// A shot is stitched: a PNG is the picture already, of anything else Blender makes it.
    pub(super) fn stitched(&mut self, shot: usize, nans: Result<usize>) -> Result<()> {
        self.closing.settle();
        let nans = nans?;
        let Some(work) = self.work.as_ref() else { return Ok(()) };
        let Some(this) = work.shots.get(shot) else { return Ok(()) };
        if this.format == TileFormat::Png {
            self.written(shot)?;
        } else {
            let stitched = this.canvases.clone().filter_map(|index| {
                let canvas = work.canvases.get(index as usize)?;
                Some((canvas.picture.scene.clone().unwrap_or_default(), work.dir.layout().stitched(index)))
            });
            let stitched = stitched.collect();
            let canvases: Vec<_> =
                this.canvases.clone().filter_map(|index| work.canvases.get(index as usize)).collect();
            let Some(first) = canvases.first() else { return Ok(()) };
            let order = FinishOrder {
                picture: this.picture.clone(),
                sources: canvases
                    .iter()
                    .map(|c| &c.picture)
                    .filter(|p| **p != this.picture)
                    .cloned()
                    .collect(),
                stitched,
                format: this.written_as.map(|f| f.name().to_owned()),
                most: arrival::most(TileFormat::Exr, first.frame.area()),
                into: work.dir.layout().finished(shot),
                native: None,
                repeatable: false,
            };
            if nans > 0 {
                let text = format!(
                    "{nans} tiles hold pixels that are not a number (NaN): denoising and filters can spread them."
                );
                self.emit(Event::Warning { text });
            }
            self.closing.finishes.push(Finish { shot, order, tried: Vec::new(), by: None });
            self.hand_out_finishes()?;
        }
        self.stitch_next()
    }

    /// Gives waiting finishes to slots that have nothing to render.
    pub(super) fn hand_out_finishes(&mut self) -> Result<()> {
        while let Some(at) = self.closing.finishes.iter().position(|e| e.by.is_none()) {
            let Some(slot) = self.finisher(&self.closing.finishes[at].tried) else { return Ok(()) };
            self.feed(Input::Lent(slot, self.closing.took.unwrap_or(USUAL_S)))?;
            let clock = self.clock();
            let finish = &mut self.closing.finishes[at];
            finish.by = Some((slot, clock));
            let mut order = finish.order.clone();
            let seat = &self.seats[slot];
            for picture in order.sources.iter_mut().chain([&mut order.picture]) {
                (picture.device, picture.threads) = (seat.device, seat.threads);
            }
            seat.order(Order::Finish(Box::new(order)));
            if self.work.as_ref().is_some_and(|w| w.shots.len() == 1) {
                let node = self.seats[slot].name.clone();
                self.emit(Event::Finishing { node });
            }
        }
        Ok(())
    }

    /// Whether a slot is busy with a finish.
    pub(super) fn is_finishing(&self, slot: usize) -> bool {
        self.closing.finishes.iter().any(|e| e.by.is_some_and(|by| by.0 == slot))
    }

    /// A ready slot that renders nothing, the fastest first, preferring those not tried.
    fn finisher(&self, tried: &[usize]) -> Option<usize> {
        let rate = |s: usize| self.seats[s].rate.unwrap_or(0.0);
        let ready = || {
            (0..self.seats.len()).filter(|s| self.seats[*s].stage == Seated::Ready && !self.seats[*s].held)
        };
        let fastest = ready().map(rate).fold(0.0, f64::max);
        let fit = |s: &usize| tried.contains(s) || rate(*s) <= 0.0 || rate(*s) * TOO_SLOW >= fastest;
        let key = |s: usize| (tried.contains(&s), -rate(s));
        ready()
            .filter(|s| {
                !self.seats[*s].rendering
                    && !self.is_finishing(*s)
                    && !self.is_proving(*s)
                    && self.spots.busy != Some(*s)
            })
            .filter(|s| fit(s))
            .min_by(|a, b| {
                let ((ta, ra), (tb, rb)) = (key(*a), key(*b));
                ta.cmp(&tb).then(ra.total_cmp(&rb))
            })
    }

    /// While a finish waits, somebody must be there or on the way.
    fn anyone_for_the_finish(&self) -> Result<()> {
        let waits = self.closing.finishes.iter().any(|e| e.by.is_none());
        let gone = |s: &Seat| s.stage == Seated::Off || (s.stage == Seated::Booting && s.is_away());
        if waits && self.seats.iter().all(gone) {
            return Err(Error::render("no node is there for the finish")
                .remedy("Run the same command again when a node is reachable; all tiles are kept."));
        }
        Ok(())
    }

    /// What a slot says about the finish.
    pub(super) fn hear_finish(&mut self, slot: usize, report: Report) -> Result<Option<Report>> {
        if let Report::Stitched(shot, nans) = report {
            return self.stitched(shot, nans).map(|()| None);
        }
        let by = |e: &Finish| e.by.filter(|by| by.0 == slot).map(|by| by.1);
        let found = self.closing.finishes.iter().enumerate().find_map(|(at, e)| Some((at, by(e)?)));
        let Some((at, since)) = found else { return Ok(Some(report)) };
        match report {
            Report::Finished(files) => {
                if let Err(error) = self.is_made(at, &files) {
                    return self.hear_finish(slot, Report::Refused(error));
                }
                let finish = self.closing.finishes.swap_remove(at);
                self.closing.took = Some(self.clock() - since);
                self.deliver(&finish, files)?;
                self.feed(Input::Returned(slot))?;
                self.hand_out_finishes()?;
                Ok(None)
            }
            Report::Refused(error) => {
                self.feed(Input::Returned(slot))?;
                self.put_back(at, slot, error)?;
                self.hand_out_finishes()?;
                Ok(None)
            }
            Report::Lost(error) => {
                self.put_back(at, slot, error.clone())?;
                Ok(Some(Report::Lost(error)))
            }
            other => Ok(Some(other)),
        }
    }

    /// Whether what came is what a finish makes of its shot.
    fn is_made(&self, finish: usize, files: &[FinishedFile]) -> Result<()> {
        let shot = self.work.as_ref().and_then(|w| w.shots.get(self.closing.finishes.get(finish)?.shot));
        let facts = shot.and_then(|shot| self.meeting.facts.iter().find(|f| f.scene == shot.scene));
        let own = facts.and_then(|f| Format::named(f.needs.format.as_deref().unwrap_or("PNG")));
        let format = shot.and_then(|s| s.written_as).or(own);
        arrival::picture(files, format, facts.map_or(&[], |f| f.views.as_slice()))
    }

    /// A finish failed here; another slot may do better.
    fn put_back(&mut self, at: usize, slot: usize, error: Error) -> Result<()> {
        let finish = &mut self.closing.finishes[at];
        finish.by = None;
        finish.tried.push(slot);
        let last = !error.is_retryable() || finish.tried.len() >= TRIES;
        self.failed(slot, None, error.to_string())?;
        if last {
            return Err(error);
        }
        Ok(())
    }

    /// Puts what a finish made in its place.
    fn deliver(&mut self, finish: &Finish, made: Vec<FinishedFile>) -> Result<()> {
        let Some(target) = self.work.as_ref().and_then(|w| w.shots.get(finish.shot)).map(|s| s.path.clone())
        else {
            return Ok(());
        };
        let mut views = Vec::new();
        for FinishedFile { path, target: own, suffix } in made {
            let place = match own {
                None if suffix.is_empty() => target.clone(),
                None => output::with_suffix(&target, &suffix),
                Some(own) => output::beside(&target, &own)?,
            };
            output::place(&path, &place)?;
            if place != target {
                views.push(place);
            }
        }
        for (_, path) in &finish.order.stitched {
            let _ = std::fs::remove_file(path);
        }
        // Views with files of their own leave none under the plain name.
        if let (false, Some(first)) = (target.is_file(), views.first())
            && let Some(work) = self.work.as_mut()
        {
            work.shots[finish.shot].path.clone_from(first);
        }
        self.closing.files.append(&mut views);
        self.written(finish.shot)
    }

    /// The shot's file is there.
    fn written(&mut self, shot: usize) -> Result<()> {
        let Some(work) = self.work.as_mut() else { return Ok(()) };
        work.shots[shot].stage = Stage::Done;
        if work.shots.len() == 1 {
            return Ok(());
        }
        let this = work.shots[shot].clone();
        let sha256 = crate::hash::of_file(&this.path)?;
        let output = this.path.clone();
        work.dir.append(&Record::Shot { shot: shot as u32, output: output.clone(), sha256, at: now() })?;
        if !self.options.keep {
            work.put_away(shot);
        }
        let (done, of) = (work.shots_done(), work.shots.len());
        let (scene, camera, frame) = (this.scene, this.shown, this.frame);
        self.emit(Event::Shot { scene, camera, frame, output, done, of });
        Ok(())
    }
}

/// Parts with their places counted from the top left of `region`.
pub(super) fn moved(parts: Vec<Part>, region: Rect) -> Vec<Part> {
    parts
        .into_iter()
        .filter_map(|part| {
            Some(Part {
                region: part.region.relative_to(region)?,
                rendered: part.rendered.relative_to(region)?,
                path: part.path,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_the_region() {
        let region = Rect::new(10, 20, 30, 30).unwrap();
        let part = Part::whole("a", Rect::new(15, 25, 5, 5).unwrap());
        let moved = moved(vec![part], region);
        assert_eq!(moved[0].region, Rect::new(5, 5, 5, 5).unwrap());
        assert!(Frame::new(30, 30).unwrap().rect().contains(moved[0].rendered));
    }
}
