//! A run from start to end: set-up, proof, plan, rendering, pictures; or only a plan, or only a proof.

use std::sync::atomic::Ordering;

use super::Coordinator;
use crate::cost::NodeModel;
use crate::error::{Error, Kind, Result};
use crate::events::Event;
use crate::geometry::Rect;
use crate::plan::Plan;
use crate::proof::Verdict;
use crate::render::options::{Outcome, Restart};
use crate::render::slots::SlotState;
use crate::render::work::Work;
use crate::state::{Record, now};
use crate::text::printable;

impl Coordinator<'_, '_> {
    /// Renders; also says why to start over, if that is what has to be done.
    pub(in crate::render) fn run(mut self) -> (Result<Outcome>, Option<Restart>) {
        let result = self.drive();
        let restart = self.restart.take();
        (self.end(result), restart)
    }

    pub(super) fn end(mut self, result: Result<Outcome>) -> Result<Outcome> {
        if let (Err(e), Some(work)) = (&result, self.work.as_mut()) {
            // The state file may be what failed; the error that is returned says so already.
            let _ = work.dir.append(&Record::Stopped {
                reason: e.to_string(),
                interrupted: e.kind() == Kind::Interrupted,
                at: now(),
            });
        }
        if result.is_ok() {
            self.tear_down();
        }
        let result = result.and_then(|outcome| self.account(&outcome).map(|()| outcome));
        self.abort.store(true, Ordering::Relaxed);
        self.withdraw();
        self.end_stitching();
        self.proving.settle();
        if let Some(work) = &self.work {
            let _ = std::fs::remove_dir_all(work.dir.layout().proof());
        }
        // A work directory is worth keeping for its tiles.
        let keep =
            self.options.keep || (result.is_err() && self.work.as_ref().is_some_and(|w| w.done_area() > 0));
        if let Some(work) = self.work.take().filter(|_| !keep) {
            work.dir.remove()?;
        }
        result
    }

    /// What a run would do.
    pub(in crate::render) fn plan_only(mut self) -> Result<Plan> {
        let plan = self.set_up_all().and_then(|()| {
            // A run starts its own Blenders.
            let models: Vec<NodeModel> = self.slots.iter().map(SlotState::cold).collect();
            let Some(work) = self.work.as_ref() else { return Err(Error::render("there is no job")) };
            crate::plan::plan(self.setup.planning(work), &models)
        });
        self.tear_down();
        self.abort.store(true, Ordering::Relaxed);
        if let Some(work) = self.work.take().filter(|w| w.tiles.is_empty()) {
            work.dir.remove()?;
        }
        plan
    }

    /// Proves that tiles are exact, and nothing else.
    pub(in crate::render) fn prove_only(mut self) -> Result<Verdict> {
        let proved = self.set_up_all().and_then(|()| self.begin_proof()).and_then(|()| self.wait_for_proof());
        self.tear_down();
        self.abort.store(true, Ordering::Relaxed);
        self.proving.settle();
        let verdict = self.proving.verdict.take();
        if let Some(work) = self.work.take().filter(|w| w.tiles.is_empty()) {
            work.dir.remove()?;
        }
        proved?;
        verdict.ok_or_else(|| Error::render("there is nothing to prove"))
    }

    pub(super) fn drive(&mut self) -> Result<Outcome> {
        self.set_up_all()?;
        if self.request.native.is_some() {
            return self.conclude();
        }
        let alone = self.setup.facts.iter().find_map(|f| f.needs.alone.as_ref());
        if let Some(why) = alone.filter(|_| !self.request.force_tiles).map(|why| printable(why, 300)) {
            self.restart = Some(Restart::Whole(why.clone()));
            return Err(Error::input(why).remedy("--force-tiles cuts the frame all the same."));
        }
        self.begin_proof()?;
        if self.todo().iter().any(|rects| !rects.is_empty()) {
            self.plan()?;
            while !self.complete {
                self.step()?;
            }
        }
        let single = self.work.as_ref().is_some_and(|w| w.shots.len() == 1 || w.only.is_some());
        if self.draining && single && self.todo().iter().any(|rects| !rects.is_empty()) {
            return Err(self.interrupted());
        }
        self.conclude()
    }

    /// Reaches the nodes and finds out what there is to do.
    pub(super) fn set_up_all(&mut self) -> Result<()> {
        if self.request.scripts {
            let text =
                "Scripts and drivers in the .blend may do anything on every node: --allow-scripts is set.";
            self.emit(Event::Warning { text: text.to_owned() });
        }
        for slot in 0..self.slots.len() {
            self.boot(slot);
        }
        while !self.setup.is_done(self.clock(), &self.slots) {
            self.step()?;
        }
        Ok(())
    }

    pub(super) fn todo(&self) -> Vec<Vec<Rect>> {
        self.work.as_ref().map(Work::todo).unwrap_or_default()
    }

    pub(super) fn interrupted(&self) -> Error {
        let done = self.work.as_ref().map_or(0, Work::done_area);
        let of = self.work.as_ref().map_or(0, Work::area);
        let several = self.work.as_ref().is_some_and(|w| w.shots.len() > 1);
        let what = if several { "pixels are" } else { "picture is" };
        let percent = (done.min(of) * 100).checked_div(of).unwrap_or(0);
        Error::interrupted(format!("stopped; {percent} % of the {what} finished and kept"))
            .remedy("Run the same command again to go on from there.")
    }
}
