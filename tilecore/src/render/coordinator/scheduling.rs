//! Feeds the scheduler and carries out what it wants.

use std::time::Duration;

use super::Coordinator;
use super::prove::TASK_S;
use crate::cost::NodeModel;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::render::messages::Order;
use crate::render::slots::{SlotState, Stage};
use crate::schedule::{self, Action, Input, Scheduler};
use crate::state::{NodeRecord, Record, now};

impl Coordinator<'_, '_> {
    /// Tells the scheduler, and carries out what it wants.
    pub(super) fn feed(&mut self, input: Input) -> Result<()> {
        let now = self.clock();
        let actions = self.scheduler.as_mut().map(|d| d.on(now, input)).unwrap_or_default();
        for action in actions {
            self.act(action)?;
        }
        Ok(())
    }

    pub(super) fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Render(slot, piece) => {
                let Some(state) = self.slots.get(slot) else { return Ok(()) };
                if let Some(tile) =
                    self.work.as_ref().and_then(|w| w.tile(piece, slot, state.device, state.threads))
                {
                    state.order(Order::Render(Box::new(tile)));
                    self.slots[slot].begin(piece.id, piece.picture);
                    self.handed.insert(piece.id, piece.region);
                    self.emit(Event::Began { slot, tile: piece.id, region: piece.region });
                }
            }
            Action::Cancel(slot, piece) => self.slots[slot].order(Order::Cancel(piece)),
            Action::Discard(piece) => {
                let file = self.files.remove(&piece);
                if let (Some(file), Some(work)) = (file, self.work.as_mut()) {
                    work.dir.append(&Record::Discarded { file: file.clone() })?;
                    work.tiles.retain(|t| t.file != file);
                    let _ = std::fs::remove_file(work.dir.layout().tile(&file));
                }
            }
            Action::Reconnect(slot, after) => {
                self.slots[slot].reboot();
                self.slots[slot].order(Order::Boot(Duration::from_secs_f64(after.clamp(0.0, 3600.0))));
                let (reason, remedy) = self.trouble(slot);
                let node = self.slots[slot].name.clone();
                self.emit(Event::Lost { slot, node, reason, remedy, again_in: after });
            }
            Action::Retire(slot, reason) => self.retire(slot, reason),
            Action::Complete => self.complete = true,
            Action::Fail(error) => return Err(error),
        }
        Ok(())
    }

    /// What is known of the slots.
    pub(super) fn models(&self) -> Vec<NodeModel> {
        let several = self.work.as_ref().is_some_and(|w| w.canvases.len() > 1);
        let model = |state: &SlotState| {
            let model = state.model();
            // Every picture has to be built, not only the first.
            let ready = state.is_ready();
            match (several, state.memory.built) {
                (true, built) => NodeModel { sync_s: state.build_s, unbuilt: ready && !built, ..model },
                (false, false) if ready => NodeModel { sync_s: state.build_s, unbuilt: true, ..model },
                _ => model,
            }
        };
        self.slots.iter().map(model).collect()
    }

    /// Plans what is not finished and begins to hand it out.
    pub(super) fn plan(&mut self) -> Result<()> {
        let models = self.models();
        let Some(work) = self.work.as_mut() else { return Ok(()) };
        let plan = crate::plan::plan(self.setup.planning(work), &models)?;
        self.planned = plan.tiles().unwrap_or(0);
        work.dir.append(&Record::Planned {
            tiles: self.planned,
            seconds: plan.seconds,
            alone: plan.alone.as_ref().map(|a| a.1),
            at: now(),
        })?;
        if let Some(map) = &self.setup.map {
            work.dir.append(&Record::Costs(map.cells().clone()))?;
        }
        let seed = u64::from_str_radix(&work.identity.id()[..16], 16).unwrap_or(0);
        self.emit(Event::Planned { tiles: self.planned, seconds: plan.seconds, table: plan.to_string() });
        self.scheduler =
            Some(Scheduler::new(&plan.start(), schedule::Options { seed, ..schedule::Options::default() }));
        for slot in 0..self.slots.len() {
            match &self.slots[slot].stage {
                // One that is on a task tells when it is back.
                Stage::Ready { .. } if self.is_proving(slot) => {
                    self.feed(Input::Lent(slot, TASK_S))?;
                    self.feed(Input::Ready(slot))?;
                }
                Stage::Ready { .. } => self.feed(Input::Ready(slot))?,
                Stage::Booting { .. } if self.slots[slot].is_away() => {
                    let error = self.slots[slot].trouble.clone();
                    self.feed(Input::Away(slot, error.unwrap_or_else(|| Error::node("not to be reached"))))?;
                }
                Stage::Off => {
                    let error = self.slots[slot].trouble.clone();
                    let error = error.unwrap_or_else(|| Error::node("takes no part")).fatal();
                    self.feed(Input::Lost(slot, error))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Everything is set up on this slot.
    pub(super) fn ready(&mut self, slot: usize) -> Result<()> {
        let state = &mut self.slots[slot];
        state.stage = Stage::Ready { rendering: None };
        if let (Some(hello), Some(work)) = (&state.hello, self.work.as_mut()) {
            work.dir.append(&Record::Node(NodeRecord {
                name: state.name.clone(),
                blender: hello.version.clone(),
                hash: hello.hash.clone(),
                device: state.device.as_str().to_owned(),
                cores: hello.cores,
                start_s: state.start_s,
                sync_s: state.sync_s(),
                rate: state.rate,
                fixed_s: state.fixed_s,
                bytes_per_s: state.bytes_per_s,
                at: now(),
            }))?;
        }
        self.emit(Event::Ready { slot });
        self.feed(Input::Ready(slot))?;
        self.hand_out_finishes()?;
        self.hand_out_proof()
    }

    pub(super) fn retire(&mut self, slot: usize, reason: String) {
        // A slot that was left out before the plan was has been named.
        if !self.slots[slot].is_off() {
            self.slots[slot].stage = Stage::Off;
            self.tell_retired(slot, reason);
        }
    }

    pub(super) fn tell_retired(&mut self, slot: usize, reason: String) {
        let remedy = self.trouble(slot).1;
        let state = &self.slots[slot];
        state.order(Order::Stop);
        let node = state.name.clone();
        self.emit(Event::Retired { slot, node, reason, remedy });
    }

    pub(super) fn trouble(&self, slot: usize) -> (String, Option<String>) {
        self.slots[slot].trouble.as_ref().map_or_else(
            || ("it gave no sign of life while it rendered".into(), None),
            |e| (e.to_string(), e.hint().map(str::to_owned)),
        )
    }

    /// What it took to come from one picture to another says how much the next one will take.
    pub(super) fn built(&mut self, slot: usize, piece: u64, seconds: f64) -> Result<()> {
        let state = &mut self.slots[slot];
        if state.rendering().is_some_and(|r| r.piece == piece && r.new_picture) {
            // What small renders have built is built already.
            if !state.memory.built && seconds.is_finite() {
                state.build_s = seconds.max(0.0);
            }
            return self.feed(Input::Built(slot, piece, seconds));
        }
        Ok(())
    }

    /// The slot renders nothing now: before the scheduler knows, it may be lent to the finish of a shot.
    pub(super) fn free(&mut self, slot: usize) -> Result<()> {
        self.slots[slot].rest();
        self.hand_out_finishes()?;
        self.consider_proof()?;
        self.hand_out_proof()
    }
}
