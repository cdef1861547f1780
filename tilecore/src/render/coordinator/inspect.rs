//! The scout: the first slot that is up opens the scene, lists its files and says what it needs. The others receive the
//! files as soon as they are known.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::Coordinator;
use crate::blender::{Facts, Opened};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::frames::Frames;
use crate::geometry::Overlap;
use crate::render::messages::{FilesOrder, Order};
use crate::render::seat::Stage;
use crate::sync::{self, Survey};

/// Steps from library to library.
const SURVEYS: u32 = 64;
/// Other scenes that a scene's compositor may read.
const SCENES: usize = 64;

impl Coordinator<'_, '_> {
    /// Moves every waiting slot on as far as it can go.
    pub(super) fn advance(&mut self) {
        for slot in 0..self.seats.len() {
            if self.seats[slot].stage != Stage::Waiting {
                continue;
            }
            let node = self.seats[slot].node;
            let receiving =
                self.seats.iter().any(|s| s.node == node && s.stage == Stage::Opening && !s.astray);
            let open = if self.meeting.settled {
                !receiving && !self.meeting.canvases.is_empty()
            } else {
                self.meeting.scout.is_none()
            };
            if open {
                if !self.meeting.settled {
                    self.meeting.scout = Some(slot);
                    self.meeting.scouted = Instant::now();
                }
                self.open(slot);
            }
        }
    }

    fn open(&mut self, slot: usize) {
        self.seats[slot].stage = Stage::Opening;
        self.seats[slot].order(Order::Open(Arc::clone(&self.meeting.inputs), self.request.scripts));
    }

    pub(super) fn opened(&mut self, slot: usize, seconds: f64, opened: Opened) -> Result<()> {
        self.seats[slot].open_s = seconds;
        self.emit(Event::Opened { slot, seconds });
        if !self.opened_in(slot, opened)? {
            return Ok(());
        }
        if !self.meeting.settled {
            self.seats[slot].stage = Stage::Looking;
            self.seats[slot].order(Order::Files(Box::new(FilesOrder {
                scenes: self.request.scenes.clone(),
                frames: match &self.request.frames {
                    Frames::These(frames) => json!(frames),
                    Frames::All => Value::Null,
                    Frames::Current => json!("current"),
                },
                inputs: Arc::clone(&self.meeting.inputs),
                roots: self.meeting.roots.clone(),
            })));
            return Ok(());
        }
        if self.meeting.canvases.is_empty() {
            return self.look(slot);
        }
        self.begin_set_up(slot);
        self.advance();
        Ok(())
    }

    /// More of the scene's files are known. A library says what it refers to only where it is there itself, so the
    /// scout receives what is new and looks again, until nothing is.
    pub(super) fn settle(&mut self, slot: usize, survey: Survey) -> Result<()> {
        let blend = self.meeting.inputs.blend().to_owned();
        if survey.grew {
            self.meeting.inputs = Arc::new(survey.inputs);
            self.meeting.surveys += 1;
            if self.meeting.surveys > SURVEYS {
                return Err(Error::input(format!(
                    "the libraries of the scene lead further after {SURVEYS} steps"
                ))
                .remedy("Look for libraries that link one another in a circle under changing paths."));
            }
            // What made the scout's Blender too old leaves it out; another one looks then.
            if !self.leave_out_the_old(slot)? {
                self.open(slot);
            }
            return Ok(());
        }
        if !survey.missing.is_empty() && !self.request.allow_missing {
            return Err(sync::complaint(&survey.missing, &blend));
        }
        for text in survey.notes.into_iter().chain(sync::warnings(&survey.missing, &blend)) {
            self.emit(Event::Warning { text });
        }
        for text in std::mem::take(&mut self.meeting.lacked) {
            let text = crate::text::printable(&text, 300);
            self.emit(Event::Warning {
                text: format!("The colour configuration lacks something that the scene wants. {text}"),
            });
        }
        self.meeting.settled = true;
        self.look(slot)
    }

    fn look(&mut self, slot: usize) -> Result<()> {
        let known = self.meeting.facts.len();
        let scene = if known < self.request.scenes.len().max(1) {
            self.request.scenes.get(known).cloned()
        } else {
            let read = self.meeting.facts.iter().flat_map(|f| &f.needs.pictures).map(|p| &p.scene);
            let next = read.into_iter().find(|name| !self.meeting.facts.iter().any(|f| f.scene == **name));
            match next.cloned() {
                Some(name) => Some(name),
                None => return self.decide(slot),
            }
        };
        self.seats[slot].stage = Stage::Looking;
        let request = self.request;
        let main = known < request.scenes.len().max(1);
        // What a scene needs hangs on how it is rendered.
        self.seats[slot].order(Order::Look(json!({
            "scene": scene,
            "frame": request.frames.first(),
            "samples": request.samples,
            "resolution": request.resolution.filter(|_| main),
            "percentage": request.percentage.filter(|_| main),
            "passes": request.passes,
        })));
        Ok(())
    }

    pub(super) fn looked(&mut self, slot: usize, mut facts: Facts) -> Result<()> {
        if self.meeting.facts.len() > SCENES + self.request.scenes.len()
            || facts.needs.pictures.len() > SCENES
        {
            return Err(Error::input(format!("the compositor reads more than {SCENES} scenes")).remedy(
                "Have it read fewer, or render with --tile-format png, which leaves the compositor out.",
            ));
        }
        let mut seen = HashSet::new();
        facts.needs.pictures.retain(|p| seen.insert(p.scene.clone()));
        self.meeting.facts.push(facts);
        self.look(slot)
    }

    /// While a scout says nothing, another slot that could look does so too. Whether the first one hangs or has much to
    /// open cannot be told from here.
    pub(super) fn mind_the_scout(&mut self) {
        let Some(slot) = self.meeting.scout.filter(|_| self.meeting.canvases.is_empty()) else { return };
        let busy = matches!(self.seats[slot].stage, Stage::Opening | Stage::Looking);
        let silent = self.meeting.scouted.elapsed().as_secs_f64();
        if !busy || silent < self.meeting.patience_s || !self.seats.iter().any(|s| s.stage == Stage::Waiting)
        {
            return;
        }
        self.meeting.patience_s *= 2.0;
        self.seats[slot].astray = true;
        let name = &self.seats[slot].name;
        let text = format!(
            "{name} has said nothing about the scene for {silent:.0} s: another node looks at it too."
        );
        self.emit(Event::Warning { text });
        self.scout_again(slot);
    }

    /// One that had fallen silent answers. If nobody else has the scene open by now it is the scout again; otherwise it
    /// does what all the others do. Says whether the answer is still wanted.
    pub(super) fn back_from_astray(&mut self, slot: usize, opened: bool) -> bool {
        self.seats[slot].astray = false;
        let other = self.meeting.scout.filter(|other| *other != slot);
        let no_further = other.is_none_or(|other| self.seats[other].stage == Stage::Opening);
        if opened && !self.meeting.settled && self.meeting.surveys == 0 && no_further {
            if let Some(other) = other {
                self.seats[other].astray = true;
            }
            self.meeting.scout = Some(slot);
            self.meeting.scouted = Instant::now();
            return true;
        }
        // It has all that there is, and the others are past looking.
        if opened && self.meeting.surveys == 0 && !self.meeting.canvases.is_empty() {
            return true;
        }
        self.seats[slot].stage = Stage::Waiting;
        self.advance();
        false
    }

    /// The scout is gone: another one looks.
    pub(super) fn scout_again(&mut self, slot: usize) {
        if self.meeting.scout == Some(slot) && self.meeting.canvases.is_empty() {
            self.meeting.scout = None;
            self.meeting.settled = false;
            self.meeting.facts.clear();
        }
        self.advance();
    }

    /// Everything that was found out about the scene was found out by a Blender that takes no part.
    pub(super) fn start_over(&mut self) {
        self.meeting.scout = None;
        self.meeting.settled = false;
        self.meeting.facts.clear();
        self.meeting.canvases.clear();
        self.meeting.shots.clear();
        self.meeting.tiling = self.request.tiling;
        self.meeting.overlap = Overlap(0);
        self.meeting.scene_environment = None;
        self.meeting.lacked.clear();
    }
}
