//! Carries out what the [finalizer](crate::render::finalizer) wants: tiles become frames on a thread of their own, frames the
//! picture in a warm Blender that the scheduler lends out for it, and the picture goes where it was asked for. Other shots
//! are rendered meanwhile.

use std::path::PathBuf;

use super::Coordinator;
use crate::analysis;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::formats::{Format, TileFormat};
use crate::proof::reference::Asked;
use crate::render::finalizer::{Effect, Event as Happened, Ready, Stitched};
use crate::render::messages::{FinishOrder, FinishedFile, Order, Report};
use crate::render::options::Outcome;
use crate::render::output;
use crate::render::slots::SlotState;
use crate::render::stitching::{Sheets, moved};
use crate::render::validate;
use crate::schedule::Input;
use crate::state::{History, Record, now};

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
            if self.request.native.is_some() {
                self.finalize(Happened::Whole(shot))?;
            } else {
                self.close(shot)?;
            }
        }
        self.hand_out_finishes()?;
        while self.finalizer.is_busy() {
            self.anyone_for_the_finish()?;
            self.step()?;
        }
        self.done()
    }

    fn done(&mut self) -> Result<Outcome> {
        self.calibrate();
        let Some(work) = self.work.as_ref() else { return Err(Error::render("there is no job")) };
        if self.finalizer.any_open() {
            return Err(self.interrupted());
        }
        let files = std::mem::take(&mut self.side_files);
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
        let speedup = state.and_then(|path| analysis::speedup(&History::read(&path).ok()?));
        self.emit(Event::Done { output: output.clone(), seconds, tiles, adopted, speedup });
        Ok(Outcome { output, pictures, files, tiles, adopted, seconds, parts: Vec::new() })
    }

    /// A shot of which every tile is here is stitched as soon as possible.
    pub(super) fn close(&mut self, shot: usize) -> Result<()> {
        let proved = self.is_proved();
        let Some(work) = self.work.as_ref().filter(|w| w.only.is_none()) else { return Ok(()) };
        if proved && self.finalizer.is_open(shot) && work.is_complete(shot) {
            self.finalize(Happened::Complete(shot))
        } else {
            Ok(())
        }
    }

    /// The shot that a tile belongs to may be complete now.
    pub(super) fn close_with(&mut self, picture: u32) -> Result<()> {
        // A single one waits for the scheduler, which may still have use for the order of things.
        match self.work.as_ref().filter(|w| w.shots.len() > 1).and_then(|w| w.shot_of(picture)) {
            Some(shot) => self.close(shot),
            None => Ok(()),
        }
    }

    /// Tells the finalizer, and carries out what it wants.
    fn finalize(&mut self, happened: Happened) -> Result<()> {
        let effects = self.finalizer.on(self.clock(), happened);
        self.carry_out(effects)
    }

    fn carry_out(&mut self, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Stitch(shot) => self.begin_stitching(shot)?,
                Effect::Finish { slot, shot, whole, seconds } => {
                    self.feed(Input::Lent(slot, seconds))?;
                    self.send_finish(slot, shot, whole);
                }
                Effect::Return(slot) => self.feed(Input::Returned(slot))?,
                Effect::Record(slot, error) => self.failed(slot, None, error.to_string())?,
                Effect::Place(shot, files) => self.place(shot, files)?,
                Effect::Written(shot) => self.written(shot)?,
                Effect::Fail(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Offers waiting finishes to slots that have nothing to do.
    pub(super) fn hand_out_finishes(&mut self) -> Result<()> {
        while self.finalizer.waits_for_a_slot() {
            let ready = self.ready_slots();
            let Some(effect) = self.finalizer.offer(self.clock(), &ready) else { break };
            self.carry_out(vec![effect])?;
        }
        Ok(())
    }

    /// Slots that could finish something, now or later.
    fn ready_slots(&self) -> Vec<Ready> {
        let ready = (0..self.slots.len()).filter(|s| self.slots[*s].is_ready() && !self.slots[*s].held);
        ready
            .map(|slot| Ready {
                slot,
                rate: self.slots[slot].rate.unwrap_or(0.0),
                idle: self.slots[slot].is_free()
                    && !self.is_finishing(slot)
                    && !self.is_proving(slot)
                    && self.spots.busy != Some(slot),
            })
            .collect()
    }

    /// Whether a slot is busy with a finish.
    pub(super) fn is_finishing(&self, slot: usize) -> bool {
        self.finalizer.shot_of(slot).is_some()
    }

    fn send_finish(&mut self, slot: usize, shot: usize, whole: bool) {
        let Some(mut order) = self.finish_order(shot, whole) else { return };
        let state = &self.slots[slot];
        for picture in order.sources.iter_mut().chain([&mut order.picture]) {
            (picture.device, picture.threads) = (state.device, state.threads);
        }
        state.order(Order::Finish(Box::new(order)));
        if self.work.as_ref().is_some_and(|w| w.shots.len() == 1) {
            let node = state.name.clone();
            self.emit(Event::Finishing { node });
        }
    }

    /// The order to make a shot's picture of what was stitched, or to render it whole as Blender by itself does.
    fn finish_order(&self, shot: usize, whole: bool) -> Option<FinishOrder> {
        let work = self.work.as_ref()?;
        let this = work.shots.get(shot)?;
        let canvases = || this.canvases.clone().filter_map(|at| Some((at, work.canvases.get(at as usize)?)));
        let asked = self.setup.facts.iter().map(|f| {
            let main = f.scene == this.scene;
            Asked {
                scene: f.scene.clone(),
                resolution: self.request.resolution.filter(|_| main),
                percentage: self.request.percentage.filter(|_| main),
                samples: self.request.samples,
                seed: self.request.seed,
            }
        });
        let other = canvases().map(|(_, c)| &c.picture).filter(|p| **p != this.picture);
        let stitched = canvases()
            .map(|(at, c)| (c.picture.scene.clone().unwrap_or_default(), work.dir.layout().stitched(at)));
        Some(FinishOrder {
            picture: this.picture.clone(),
            sources: if whole { Vec::new() } else { other.cloned().collect() },
            stitched: if whole { Vec::new() } else { stitched.collect() },
            format: this.written_as.map(|f| f.name().to_owned()),
            most: validate::most(TileFormat::Exr, canvases().next()?.1.frame.area()),
            into: work.dir.layout().finished(shot),
            native: whole.then(|| asked.collect()),
            repeatable: false,
        })
    }

    fn begin_stitching(&mut self, shot: usize) -> Result<()> {
        let Some(work) = self.work.as_ref() else { return Ok(()) };
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
        self.stitching = Some(thread);
        if single {
            self.emit(Event::Stitching);
        }
        Ok(())
    }

    /// A shot is stitched: a PNG is the picture already, of anything else Blender makes it.
    fn stitched(&mut self, shot: usize, nans: Result<usize>) -> Result<()> {
        self.end_stitching();
        let format = self.work.as_ref().and_then(|w| w.shots.get(shot)).map(|s| s.format);
        if let Ok(nans @ 1..) = nans {
            let text = format!(
                "{nans} tiles hold pixels that are not a number (NaN): denoising and filters can spread them."
            );
            self.emit(Event::Warning { text });
        }
        let made = if format == Some(TileFormat::Png) { Stitched::Picture } else { Stitched::Passes };
        self.finalize(Happened::Stitched(shot, nans.map(|_| made)))?;
        self.hand_out_finishes()
    }

    /// Waits until nothing is stitched any more.
    pub(super) fn end_stitching(&mut self) {
        if let Some(thread) = self.stitching.take() {
            let _ = thread.join();
        }
    }

    /// While a finish waits, somebody must be there or on the way.
    fn anyone_for_the_finish(&self) -> Result<()> {
        let gone = |s: &SlotState| s.is_off() || (s.is_booting() && s.is_away());
        if self.finalizer.waits_for_a_slot() && self.slots.iter().all(gone) {
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
        let Some(shot) = self.finalizer.shot_of(slot) else { return Ok(Some(report)) };
        let happened = match report {
            Report::Finished(files) => match self.is_made(shot, &files) {
                Ok(()) => Happened::Finished(slot, files),
                Err(error) => Happened::Failed(slot, error),
            },
            Report::Refused(error) => Happened::Failed(slot, error),
            Report::Lost(error) => {
                self.finalize(Happened::Lost(slot, error.clone()))?;
                return Ok(Some(Report::Lost(error)));
            }
            other => return Ok(Some(other)),
        };
        self.finalize(happened)?;
        self.hand_out_finishes()?;
        Ok(None)
    }

    /// Whether what came is what a finish makes of its shot.
    fn is_made(&self, shot: usize, files: &[FinishedFile]) -> Result<()> {
        let shot = self.work.as_ref().and_then(|w| w.shots.get(shot));
        let facts = shot.and_then(|shot| self.setup.facts.iter().find(|f| f.scene == shot.scene));
        let own = facts.and_then(|f| Format::named(f.needs.format.as_deref().unwrap_or("PNG")));
        let format = shot.and_then(|s| s.written_as).or(own);
        validate::picture(files, format, facts.map_or(&[], |f| f.views.as_slice()))
    }

    /// Puts what a finish made in its place.
    fn place(&mut self, shot: usize, made: Vec<FinishedFile>) -> Result<()> {
        let Some(target) = self.work.as_ref().and_then(|w| w.shots.get(shot)).map(|s| s.path.clone()) else {
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
        if let Some(work) = &self.work {
            for picture in work.shots[shot].canvases.clone() {
                let _ = std::fs::remove_file(work.dir.layout().stitched(picture));
            }
        }
        // Views with files of their own leave none under the plain name.
        if let (false, Some(first)) = (target.is_file(), views.first())
            && let Some(work) = self.work.as_mut()
        {
            work.shots[shot].path.clone_from(first);
        }
        self.side_files.append(&mut views);
        Ok(())
    }

    /// The shot's file is there.
    fn written(&mut self, shot: usize) -> Result<()> {
        let Some(work) = self.work.as_mut() else { return Ok(()) };
        work.shots[shot].written = true;
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
