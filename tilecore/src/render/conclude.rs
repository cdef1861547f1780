//! The end of a job: tiles become frames, frames become the picture, the picture goes where it was asked for.

use std::path::PathBuf;

use super::Outcome;
use super::control::Control;
use super::output;
use super::seat::Stage;
use super::slot::{FinishOrder, FinishedFile, Order, Report};
use crate::blender::{Picture, TileFormat};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::geometry::Rect;
use crate::hindsight;
use crate::state::{History, Record, now};
use crate::stitch::{self, ExrOptions, Packing, Part, PngOptions};

/// How many nodes may fail at the finish before the job does.
const TRIES: u32 = 4;

impl Control<'_, '_> {
    /// Stitches, finishes where the scene needs it, and puts the result in its place.
    pub(super) fn conclude(&mut self) -> Result<Outcome> {
        self.tell_progress();
        if let Some(work) = self.work.as_ref().filter(|w| w.only.is_some()) {
            return Ok(Outcome {
                output: self.target.path.clone(),
                files: Vec::new(),
                tiles: self.rendered,
                adopted: work.adopted,
                seconds: self.clock(),
                parts: work.parts(0),
            });
        }
        self.emit(Event::Stitching);
        // The last tiles are shown before their files can go.
        drop(self.work.as_mut().and_then(|w| w.preview.take()));
        let mut files = Vec::new();
        let Some(work) = self.work.as_ref() else { return Err(Error::render("there is no job")) };
        match work.format() {
            TileFormat::Png => {
                let canvas = &work.canvases[0];
                let parts = moved(work.parts(0), canvas.region);
                let frame = canvas.region.size();
                let options = PngOptions::default().compression(self.options.compression);
                stitch::png(&parts, frame, &self.target.path, &options)?;
            }
            TileFormat::Exr => files = self.finish()?,
        }
        self.done(files)
    }

    fn done(&mut self, files: Vec<PathBuf>) -> Result<Outcome> {
        // Views with files of their own leave none under the plain name.
        let output = match files.first() {
            Some(first) if !self.target.path.is_file() => first.clone(),
            _ => self.target.path.clone(),
        };
        let sha256 = crate::sync::sha256_of(&output)?;
        let seconds = self.clock();
        let (rendered, mut adopted) = (self.rendered, 0);
        if let Some(work) = self.work.as_mut() {
            adopted = work.adopted;
            work.dir.append(&Record::Done { output: output.clone(), sha256, seconds, at: now() })?;
        }
        // Of a run that found tiles of another, its time says nothing.
        let state = self.work.as_ref().filter(|w| w.adopted == 0).map(|w| w.dir.root().join("state.ron"));
        let speedup = state.and_then(|path| hindsight::speedup(&History::read(&path).ok()?));
        self.emit(Event::Done { output: output.clone(), seconds, tiles: rendered, adopted, speedup });
        Ok(Outcome { output, files, tiles: rendered, adopted, seconds, parts: Vec::new() })
    }

    /// Stitches the pictures into EXR files and has a warm Blender make the result of them.
    fn finish(&mut self) -> Result<Vec<PathBuf>> {
        let Some(work) = self.work.as_ref() else { return Ok(Vec::new()) };
        let mut stitched = Vec::new();
        let mut nans = 0;
        for (index, canvas) in (0u32..).zip(&work.canvases) {
            let out = work.stitched(index);
            let parts = moved(work.parts(index), canvas.region);
            // Read once and soon: time spent on packing it would not come back.
            let options = ExrOptions::default().packing(Packing::None);
            nans += stitch::exr(&parts, canvas.region.size(), &out, &options)?.nans.len();
            stitched.push((canvas.picture.scene.clone().unwrap_or_default(), out));
        }
        let order = FinishOrder {
            picture: work.canvases[0].picture.clone(),
            stitched: stitched.clone(),
            format: self.meeting.format().map(|f| f.name().to_owned()),
            into: work.dir.root().to_owned(),
        };
        if nans > 0 {
            let text = format!(
                "{nans} tiles hold pixels that are not a number (NaN): denoising and filters can spread them."
            );
            self.emit(Event::Warning { text });
        }
        let made = self.finish_somewhere(&order)?;
        let mut files = Vec::new();
        for FinishedFile { path, target, suffix } in made {
            let place = match target {
                None if suffix.is_empty() => self.target.path.clone(),
                None => output::with_suffix(&self.target.path, &suffix),
                Some(target) => output::beside(&self.target.path, &target)?,
            };
            output::place(&path, &place)?;
            if place != self.target.path {
                files.push(place);
            }
        }
        for (_, path) in stitched {
            let _ = std::fs::remove_file(path);
        }
        Ok(files)
    }

    /// Finishes on a node that is there; when it fails, on another.
    fn finish_somewhere(&mut self, order: &FinishOrder) -> Result<Vec<FinishedFile>> {
        let mut last = Error::render("no node is there for the finish")
            .remedy("Run the same command again when a node is reachable; all tiles are kept.");
        let mut tried = Vec::new();
        for _ in 0..TRIES {
            let Some(slot) = self.finisher(&tried)? else { break };
            let seat = &self.seats[slot];
            let picture = Picture { device: seat.device, threads: seat.threads, ..order.picture.clone() };
            seat.order(Order::Finish(Box::new(FinishOrder { picture, ..order.clone() })));
            let node = seat.name.clone();
            self.emit(Event::Finishing { node });
            self.awaited = Some(slot);
            loop {
                self.step()?;
                match self.finished.take() {
                    Some(Ok(files)) => return Ok(files),
                    Some(Err(e)) => {
                        if !e.is_retryable() {
                            return Err(e);
                        }
                        last = e;
                        tried.push(slot);
                        break;
                    }
                    None => {}
                }
            }
        }
        Err(last)
    }

    /// A ready slot, the fastest first, preferring those not tried; waits for one that is on its way.
    fn finisher(&mut self, tried: &[usize]) -> Result<Option<usize>> {
        loop {
            let ready = (0..self.seats.len()).filter(|s| self.seats[*s].stage == Stage::Ready);
            let best = ready.min_by(|a, b| {
                let key = |s: usize| (tried.contains(&s), -self.seats[s].rate.unwrap_or(0.0));
                let ((ta, ra), (tb, rb)) = (key(*a), key(*b));
                ta.cmp(&tb).then(ra.total_cmp(&rb))
            });
            if best.is_some() || self.seats.iter().all(|s| s.stage == Stage::Off) {
                return Ok(best);
            }
            self.step()?;
        }
    }

    /// What a slot says about the finish.
    pub(super) fn hear_finish(&mut self, slot: usize, report: Report) -> Option<Report> {
        if self.awaited != Some(slot) {
            return Some(report);
        }
        match report {
            Report::Finished(files) => self.finished = Some(Ok(files)),
            Report::Refused(error) => self.finished = Some(Err(error)),
            Report::Lost(error) => {
                self.finished = Some(Err(error.clone()));
                self.awaited = None;
                return Some(Report::Lost(error));
            }
            other => return Some(other),
        }
        self.awaited = None;
        None
    }
}

/// Parts with their places counted from the top left of `region`.
fn moved(parts: Vec<Part>, region: Rect) -> Vec<Part> {
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
    use crate::geometry::Frame;

    #[test]
    fn parts_are_counted_from_the_region() {
        let region = Rect::new(10, 20, 30, 30).unwrap();
        let part = Part::whole("a", Rect::new(15, 25, 5, 5).unwrap());
        let moved = moved(vec![part], region);
        assert_eq!(moved[0].region, Rect::new(5, 5, 5, 5).unwrap());
        assert!(Frame::new(30, 30).unwrap().rect().contains(moved[0].rendered));
    }
}
