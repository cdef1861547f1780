//! Who takes part: slots that join, pause, leave, or stay away until their machine is up again.

use super::scheduler::Scheduler;
use super::slot::{Slot, State};
use super::{Action, SlotId, backoff};
use crate::cost::{NodeModel, fill};
use crate::error::Error;

/// What the user wants of a slot besides rendering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DesiredState {
    /// To render.
    #[default]
    Work,
    /// To finish its tile and wait.
    Pause,
    /// To finish its tile and take no further part.
    Leave,
}

impl Scheduler {
    pub(super) fn joined(&mut self, now: f64, model: &NodeModel) {
        let all: Vec<NodeModel> = self.slots.iter().map(|s| s.model.clone()).chain([model.clone()]).collect();
        if let Some(model) = fill(&all).0.pop() {
            let state = State::Starting { since: now, expected: now + model.ready_s() };
            let mut slot = Slot::new(model, self.bytes_per_pixel, state);
            if !slot.model.known && self.slots.iter().any(|s| s.model.known) {
                slot.speed.like_others();
            }
            self.unknown_rates |= !slot.model.known;
            self.slots.push(slot);
            self.changed();
        }
    }

    /// From now on the slot works, pauses or leaves, each from its next tile on. A slot that leaves is not asked back.
    pub(super) fn desire(
        &mut self,
        now: f64,
        slot: SlotId,
        desired: DesiredState,
        actions: &mut Vec<Action>,
    ) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| !s.retired() && s.desired != DesiredState::Leave)
        else {
            return;
        };
        s.desired = desired;
        self.leaving |= desired == DesiredState::Leave;
        if desired == DesiredState::Work {
            self.rest(slot);
        } else {
            self.idle.remove(&slot);
        }
        self.changed();
        self.release_leaving(actions);
        self.call_reserve(now, actions);
    }

    /// Releases slots that are leaving and hold no tile.
    pub(super) fn release_leaving(&mut self, actions: &mut Vec<Action>) {
        if !self.leaving {
            return;
        }
        for slot in 0..self.slots.len() {
            let s = &self.slots[slot];
            if s.desired == DesiredState::Leave && s.running.is_none() && s.delivering.is_empty() {
                self.retire(slot, "left the job".into(), actions);
            }
        }
    }

    pub(super) fn away(&mut self, slot: SlotId, error: Error, actions: &mut Vec<Action>) {
        if let Some(s) = self.slots.get_mut(slot).filter(|s| !s.retired()) {
            s.last_error = Some(error);
            s.troubles = self.options.troubles.max(1);
            self.stay_away(slot, actions);
        }
    }

    /// The slot's machine cannot be reached: the job goes on without it, and it is welcome when it is up again.
    pub(super) fn stay_away(&mut self, slot: SlotId, actions: &mut Vec<Action>) {
        let wait = backoff::delay(self.options.seed, slot, self.slots[slot].troubles);
        self.slots[slot].state = State::Away;
        self.changed();
        actions.push(Action::Reconnect(slot, wait));
    }
}
