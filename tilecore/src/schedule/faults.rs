//! What goes wrong and what is done about it: failing pieces, lost slots, slots out for good, and the end of the job.

use super::backoff;
use super::scheduler::{Phase, Scheduler};
use super::slot::{Slot, State};
use super::{Action, SlotId};
use crate::error::{Error, Kind};

impl Scheduler {
    /// A piece failed on a slot that lives on.
    pub(super) fn failed(
        &mut self,
        now: f64,
        slot: SlotId,
        piece: u64,
        error: &Error,
        actions: &mut Vec<Action>,
    ) {
        if self.slots.get(slot).is_none() || self.tree.part_of(piece).is_none() {
            return;
        }
        let s = &mut self.slots[slot];
        s.last_error = Some(error.clone());
        s.delivering.retain(|d| d.piece != piece);
        let cancelled = s.running.take_if(|r| r.piece == piece).is_some_and(|r| r.cancelled.is_some());
        self.rest(slot);
        if cancelled {
            // Some workers report a piece they were asked to give up as failed.
            self.requeue(piece);
            return;
        }
        self.blame(slot, piece, error, actions);
        if self.phase == Phase::Over {
            return;
        }
        if error.kind() == Kind::Node && !error.is_retryable() {
            self.retire(slot, error.to_string(), actions);
        } else {
            self.trouble(slot, error, actions);
        }
        self.call_reserve(now, actions);
    }

    /// Counts a failed attempt at the piece's part and puts it back, or fails the job.
    fn blame(&mut self, slot: SlotId, piece: u64, error: &Error, actions: &mut Vec<Action>) {
        let Some(part) = self.tree.part_of(piece) else { return };
        if !self.tree.is_settled(part) {
            let times = self.tree.failed_on(part, slot);
            if times >= self.options.attempts.max(1) as usize {
                let (region, name) = (self.tree.get(part).region, &self.slots[slot].model.name);
                actions.push(Action::Fail(
                    error
                        .clone()
                        .within(&format!("the tile {region} failed {times} times, the last time on {name}")),
                ));
                self.phase = Phase::Over;
                return;
            }
        }
        self.requeue(piece);
    }

    /// One more loss or failure; with too many in a row the slot is given up. Returns whether it was.
    fn trouble(&mut self, slot: SlotId, error: &Error, actions: &mut Vec<Action>) -> bool {
        self.slots[slot].troubles += 1;
        let given_up = self.slots[slot].troubles >= self.options.troubles.max(1);
        if given_up {
            let reason = format!("{error} ({} times in a row)", self.slots[slot].troubles);
            self.retire(slot, reason, actions);
        }
        given_up
    }

    /// The slot's connection is gone.
    pub(super) fn lost(&mut self, now: f64, slot: SlotId, error: &Error, actions: &mut Vec<Action>) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| !s.retired()) else { return };
        s.last_error = Some(error.clone());
        let running = s.running.take();
        let away = matches!(s.state, State::Starting { .. } | State::Away);
        self.disconnect(slot);
        if let Some(r) = running {
            // One that was asked to give up may have ended because of that.
            if r.cancelled.is_some() {
                self.requeue(r.piece);
            } else {
                self.blame(slot, r.piece, error, actions);
            }
        }
        if self.phase != Phase::Over {
            self.reconnect(now, slot, error, away, actions);
        }
    }

    /// The slot's Blender shows no signs of life: its connection is dropped and made anew.
    pub(super) fn drop_stalled(&mut self, now: f64, slot: SlotId, silent_s: f64, actions: &mut Vec<Action>) {
        let Some(running) = self.slots[slot].running.take() else { return };
        let error = Error::node(format!("nothing was heard of it for {silent_s:.0} s while it rendered"));
        // If its own pace was misjudged, it gets more time before this is done to it again.
        self.slots[slot].patience *= 2.0;
        self.slots[slot].last_error = Some(error.clone());
        self.disconnect(slot);
        self.requeue(running.piece);
        self.reconnect(now, slot, &error, false, actions);
    }

    /// Nothing comes from the slot any more; what it was to deliver is needed again.
    fn disconnect(&mut self, slot: SlotId) {
        self.idle.remove(&slot);
        for delivery in std::mem::take(&mut self.slots[slot].delivering) {
            self.requeue(delivery.piece);
        }
        self.changed();
    }

    /// Connects again, after a pause that grows. One that is not even reached any more (`away`) is waited for without
    /// end, but not counted on.
    fn reconnect(&mut self, now: f64, slot: SlotId, error: &Error, away: bool, actions: &mut Vec<Action>) {
        let most = self.options.troubles.max(1);
        if !error.is_retryable() {
            self.retire(slot, error.to_string(), actions);
        } else if away && self.slots[slot].troubles + 1 >= most {
            self.slots[slot].troubles = most;
            self.stay_away(slot, actions);
        } else if !self.trouble(slot, error, actions) {
            let s = &mut self.slots[slot];
            let wait = backoff::delay(self.options.seed, slot, s.troubles);
            s.state = State::Starting { since: now + wait, expected: now + wait + s.model.ready_s() };
            actions.push(Action::Reconnect(slot, wait));
        }
        self.call_reserve(now, actions);
    }

    /// The slot takes no further part.
    pub(super) fn retire(&mut self, slot: SlotId, reason: String, actions: &mut Vec<Action>) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| !s.retired()) else { return };
        s.state = State::Retired(reason.clone());
        let running = s.running.take();
        self.disconnect(slot);
        if let Some(running) = running {
            self.requeue(running.piece);
        }
        actions.push(Action::Retire(slot, reason));
    }

    /// Starts slots that the plan left out, if the job would now end sooner with them.
    pub(super) fn call_reserve(&mut self, now: f64, actions: &mut Vec<Action>) {
        if self.phase == Phase::Over || self.phase == Phase::Draining {
            return;
        }
        for slot in 0..self.slots.len() {
            let State::Reserve { warm } = self.slots[slot].state else { continue };
            let (without, work) = (self.finish(now, None, self.queue.cost()), self.queue.cost());
            let ready = if warm { 0.0 } else { self.slots[slot].model.ready_s() };
            self.slots[slot].state = State::Starting { since: now, expected: now + ready };
            let with = self.finish(now, None, work);
            if without.is_finite() && with - now > 0.95 * (without - now) {
                self.slots[slot].state = State::Reserve { warm };
            } else if warm {
                self.ready(now, slot);
                self.changed();
            } else {
                actions.push(Action::Reconnect(slot, 0.0));
                self.changed();
            }
        }
    }

    /// Whether the job is over, and how.
    pub(super) fn check_end(&mut self, actions: &mut Vec<Action>) {
        self.release_leaving(actions);
        let busy = |s: &Slot| s.lives() && (s.running.is_some() || !s.delivering.is_empty());
        if self.tree.all_done() || (self.phase == Phase::Draining && !self.slots.iter().any(busy)) {
            self.phase = Phase::Over;
            actions.push(Action::Complete);
        } else if !self.slots.iter().any(Slot::lives) {
            self.phase = Phase::Over;
            actions.push(Action::Fail(self.nobody_left()));
        }
    }

    fn nobody_left(&self) -> Error {
        let reasons: Vec<String> = self
            .slots
            .iter()
            .filter_map(|s| match &s.state {
                State::Retired(reason) => Some(format!("{}: {reason}", s.model.name)),
                State::Away => s.last_error.as_ref().map(|e| format!("{}: {e}", s.model.name)),
                _ => None,
            })
            .collect();
        let log = self.slots.iter().rev().find_map(|s| s.last_error.as_ref()?.process_log());
        Error::node(if reasons.is_empty() {
            "there is no node to render on".to_owned()
        } else {
            format!("no node is left: {}", reasons.join("; "))
        })
        .remedy("Mend a node and run the same command again: everything finished is kept.")
        .log(log.unwrap_or_default())
    }
}
