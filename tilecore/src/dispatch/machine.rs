//! The state machine itself: what every input means, and what is handed to whom next.

use std::collections::{BTreeSet, BinaryHeap};

use serde::Serialize;

use super::backoff;
use super::parts::{Ledger, PartId};
use super::slot::{Running, Slot, State};
use super::{Action, Input, Piece, SlotId};
use crate::error::Error;
use crate::plan::{NodeModel, Plan, fill};

/// Bounds and the seed of everything that looks random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often a tile may fail before the job does.
    pub attempts: u32,
    /// Losses and failures in a row, without a stored tile between them, before a slot is given up.
    pub troubles: u32,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { attempts: 3, troubles: 6, seed: 0 }
    }
}

/// How far the job is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Progress {
    /// Part of the expected cost that is done, running tiles included as far as they are, 0 to 1.
    pub done: f64,
    /// Pixels stored in this run.
    pub pixels: u64,
    /// Pixels to be stored in this run.
    pub of_pixels: u64,
    /// Tiles stored in this run.
    pub tiles: usize,
    /// Expected seconds until everything is here; `None` while no rate is known.
    pub eta: Option<f64>,
}

/// Whether the job still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handing,
    Paused,
    Draining,
    Over,
}

/// Waiting parts, largest expected cost first, in the order of their making among equals.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Waiting(f64, PartId);

impl Eq for Waiting {}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(other.1.cmp(&self.1))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// All scheduling state of a running job.
#[derive(Debug)]
pub struct Dispatch {
    options: Options,
    phase: Phase,
    slots: Vec<Slot>,
    ledger: Ledger,
    queue: BinaryHeap<Waiting>,
    /// Ready slots without a piece.
    idle: BTreeSet<SlotId>,
    next_piece: u64,
    cost: f64,
    cost_done: f64,
    pixels: u64,
    pixels_done: u64,
    tiles_done: usize,
}

impl Dispatch {
    /// Ready to run a plan; the slots are the plan's, in its order.
    pub fn new(plan: &Plan, options: Options) -> Self {
        let models: Vec<NodeModel> = plan.nodes.iter().map(|n| n.model.clone()).collect();
        let (models, _) = fill(&models);
        let mut dispatch = Self {
            options,
            phase: Phase::Handing,
            slots: models.into_iter().map(Slot::new).collect(),
            ledger: Ledger::default(),
            queue: BinaryHeap::new(),
            idle: BTreeSet::new(),
            next_piece: 0,
            cost: 0.0,
            cost_done: 0.0,
            pixels: 0,
            pixels_done: 0,
            tiles_done: 0,
        };
        for piece in &plan.pieces {
            let cost = plan.work.cost_of(piece.picture, piece.region);
            let part = dispatch.ledger.add(piece.picture, piece.region, cost);
            dispatch.queue.push(Waiting(cost, part));
            dispatch.cost += cost;
            dispatch.pixels += piece.region.area();
        }
        dispatch
    }

    /// What is to be done now that this happened. `now` never runs backwards.
    pub fn on(&mut self, now: f64, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Over {
            return actions;
        }
        self.take(input, &mut actions);
        if self.phase != Phase::Over {
            self.hand_out(now, &mut actions);
            self.check_end(&mut actions);
        }
        actions
    }

    /// How far it is.
    pub fn progress(&self, now: f64) -> Progress {
        let running: f64 =
            self.slots.iter().filter_map(|s| s.running.as_ref()).map(|r| r.cost * r.progress).sum();
        let done = if self.cost > 0.0 { ((self.cost_done + running) / self.cost).min(1.0) } else { 1.0 };
        Progress {
            done,
            pixels: self.pixels_done,
            of_pixels: self.pixels,
            tiles: self.tiles_done,
            eta: self.eta(now),
        }
    }

    /// Expected seconds until everything is here.
    pub fn eta(&self, now: f64) -> Option<f64> {
        let live = || self.slots.iter().filter(|s| s.lives());
        let rate: f64 = live().filter(|s| s.model.known).map(|s| s.model.rate).sum();
        let begun: f64 = live()
            .filter_map(|s| s.running.as_ref().map(|r| ((now - r.since) * s.model.rate).min(r.cost)))
            .sum();
        (rate > 0.0).then(|| ((self.cost - self.cost_done - begun) / rate).max(0.0))
    }

    fn take(&mut self, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Ready(slot) => {
                if let Some(s) = self.slots.get_mut(slot).filter(|s| s.state == State::Starting) {
                    s.state = State::Ready;
                    self.idle.insert(slot);
                }
            }
            Input::Progress(slot, piece, done) => {
                let running = self.slots.get_mut(slot).and_then(|s| s.running.as_mut());
                if let Some(r) = running.filter(|r| r.piece == piece && done.is_finite()) {
                    r.progress = r.progress.max(done.clamp(0.0, 1.0));
                }
            }
            Input::Rendered(slot, piece, seconds) => self.rendered(slot, piece, seconds),
            Input::Stored(slot, piece, seconds) => {
                self.rendered(slot, piece, seconds);
                self.stored(slot, piece, actions);
            }
            Input::Cancelled(slot, piece) => {
                self.forget(slot, piece);
                self.requeue(piece);
            }
            Input::Failed(slot, piece, error) => self.failed(slot, piece, &error, actions),
            Input::Lost(slot, error) => self.lost(slot, &error, actions),
            Input::Drain => self.phase = Phase::Draining,
            Input::Joined(model) => {
                let (models, _) =
                    fill(&self.slots.iter().map(|s| s.model.clone()).chain([model]).collect::<Vec<_>>());
                self.slots.extend(models.into_iter().next_back().map(Slot::new));
            }
            Input::Removed(slot) => self.retire(slot, "removed by the user".into(), actions),
            Input::Pause if self.phase == Phase::Handing => self.phase = Phase::Paused,
            Input::Resume if self.phase == Phase::Paused => self.phase = Phase::Handing,
            Input::Tick | Input::Pause | Input::Resume => {}
        }
    }

    /// The slot renders this piece no longer.
    fn forget(&mut self, slot: SlotId, piece: u64) -> Option<Running> {
        let s = self.slots.get_mut(slot)?;
        s.delivering.retain(|p| *p != piece);
        let running = s.running.take_if(|r| r.piece == piece)?;
        if s.state == State::Ready {
            self.idle.insert(slot);
        }
        Some(running)
    }

    fn rendered(&mut self, slot: SlotId, piece: u64, seconds: f64) {
        if let Some(running) = self.forget(slot, piece) {
            let s = &mut self.slots[slot];
            s.learn(running.cost, seconds);
            s.delivering.push(piece);
        }
    }

    fn stored(&mut self, slot: SlotId, piece: u64, actions: &mut Vec<Action>) {
        self.forget(slot, piece);
        let Some(part) = self.ledger.part_of(piece) else { return };
        if let Some(s) = self.slots.get_mut(slot) {
            s.troubles = 0;
        }
        let settled = self.ledger.store(piece);
        actions.extend(settled.discard.into_iter().map(Action::Discard));
        for (slot, piece) in settled.cancel {
            self.cancel(slot, piece, actions);
        }
        if settled.counts {
            let part = self.ledger.get(part);
            self.cost_done += part.cost;
            self.pixels_done += part.region.area();
            self.tiles_done += 1;
        }
    }

    fn cancel(&mut self, slot: SlotId, piece: u64, actions: &mut Vec<Action>) {
        let running = self.slots.get_mut(slot).and_then(|s| s.running.as_mut());
        if let Some(r) = running.filter(|r| r.piece == piece && !r.cancelled) {
            r.cancelled = true;
            actions.push(Action::Cancel(slot, piece));
        }
    }

    /// The piece will not come; its part waits again if nobody else renders it.
    fn requeue(&mut self, piece: u64) {
        if let Some(part) = self.ledger.drop_piece(piece) {
            self.queue.push(Waiting(self.ledger.get(part).cost, part));
        }
    }

    fn failed(&mut self, slot: SlotId, piece: u64, error: &Error, actions: &mut Vec<Action>) {
        if self.slots.get(slot).is_none() || self.ledger.part_of(piece).is_none() {
            return;
        }
        self.forget(slot, piece);
        self.blame(slot, piece, error, actions);
        if self.phase == Phase::Over {
            return;
        }
        self.slots[slot].last_error = Some(error.clone());
        if error.kind() == crate::error::Kind::Node && !error.is_retryable() {
            self.retire(slot, error.to_string(), actions);
        } else {
            self.trouble(slot, error, actions);
        }
    }

    /// Counts a failed attempt at the piece's part and puts it back, or fails the job.
    fn blame(&mut self, slot: SlotId, piece: u64, error: &Error, actions: &mut Vec<Action>) {
        let Some(part) = self.ledger.part_of(piece) else { return };
        if !self.ledger.is_settled(part)
            && self.ledger.failed_on(part, slot) >= self.options.attempts.max(1) as usize
        {
            let region = self.ledger.get(part).region;
            self.phase = Phase::Over;
            actions.push(Action::Fail(error.clone().within(&format!(
                "the tile {region} failed {} times, the last time on {}",
                self.ledger.get(part).tried.len(),
                self.slots[slot].model.name
            ))));
            return;
        }
        self.requeue(piece);
    }

    /// One more loss or failure: too many without a tile between them, and the slot is given up.
    fn trouble(&mut self, slot: SlotId, error: &Error, actions: &mut Vec<Action>) -> bool {
        self.slots[slot].troubles += 1;
        let given_up = self.slots[slot].troubles >= self.options.troubles.max(1);
        if given_up {
            let reason = format!("{error} ({} times in a row)", self.slots[slot].troubles);
            self.retire(slot, reason, actions);
        }
        given_up
    }

    fn lost(&mut self, slot: SlotId, error: &Error, actions: &mut Vec<Action>) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| s.lives()) else { return };
        s.state = State::Starting;
        s.last_error = Some(error.clone());
        self.idle.remove(&slot);
        let running = s.running.take();
        let delivering = std::mem::take(&mut s.delivering);
        for piece in delivering {
            self.requeue(piece);
        }
        match running {
            // It may have ended because of the cancelling.
            Some(running) if running.cancelled => self.requeue(running.piece),
            Some(running) => self.blame(slot, running.piece, error, actions),
            None => {}
        }
        if self.phase == Phase::Over {
            return;
        }
        if !error.is_retryable() {
            self.retire(slot, error.to_string(), actions);
        } else if !self.trouble(slot, error, actions) {
            let wait = backoff::delay(self.options.seed, slot, self.slots[slot].troubles);
            actions.push(Action::Reconnect(slot, wait));
        }
    }

    fn retire(&mut self, slot: SlotId, reason: String, actions: &mut Vec<Action>) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| s.lives()) else { return };
        s.state = State::Retired(reason.clone());
        self.idle.remove(&slot);
        let pieces: Vec<u64> =
            s.running.take().map(|r| r.piece).into_iter().chain(std::mem::take(&mut s.delivering)).collect();
        for piece in pieces {
            self.requeue(piece);
        }
        actions.push(Action::Retire(slot, reason));
    }

    fn hand_out(&mut self, now: f64, actions: &mut Vec<Action>) {
        if self.phase != Phase::Handing {
            return;
        }
        let idle: Vec<SlotId> =
            if self.queue.is_empty() { Vec::new() } else { self.idle.iter().copied().collect() };
        for slot in idle {
            if let Some(part) = self.next_for(slot) {
                let piece = Piece {
                    id: self.next_piece,
                    picture: self.ledger.get(part).picture,
                    region: self.ledger.get(part).region,
                };
                self.next_piece += 1;
                self.idle.remove(&slot);
                self.ledger.hand_out(part, piece.id, slot);
                self.slots[slot].running = Some(Running {
                    piece: piece.id,
                    cost: self.ledger.get(part).cost,
                    since: now,
                    cancelled: false,
                    progress: 0.0,
                });
                actions.push(Action::Render(slot, piece));
            }
        }
    }

    /// The costliest waiting part for the slot: one that failed there only if no other living slot has not tried it.
    fn next_for(&mut self, slot: SlotId) -> Option<PartId> {
        let mut set_aside = Vec::new();
        let found = loop {
            let Some(waiting) = self.queue.pop() else { break None };
            if self.ledger.is_settled(waiting.1) {
                continue;
            }
            let tried = &self.ledger.get(waiting.1).tried;
            let elsewhere = || (0..self.slots.len()).any(|s| self.slots[s].lives() && !tried.contains(&s));
            if !tried.contains(&slot) || !elsewhere() {
                break Some(waiting.1);
            }
            set_aside.push(waiting);
        };
        self.queue.extend(set_aside);
        found
    }

    fn check_end(&mut self, actions: &mut Vec<Action>) {
        let busy =
            || self.slots.iter().any(|s| s.lives() && (s.running.is_some() || !s.delivering.is_empty()));
        if self.ledger.all_done() || (self.phase == Phase::Draining && !busy()) {
            self.phase = Phase::Over;
            actions.push(Action::Complete);
        } else if !self.slots.iter().any(Slot::lives) {
            self.phase = Phase::Over;
            let reasons: Vec<String> = self
                .slots
                .iter()
                .filter_map(|s| match &s.state {
                    State::Retired(reason) => Some(format!("{}: {reason}", s.model.name)),
                    _ => None,
                })
                .collect();
            let log = self.slots.iter().rev().find_map(|s| s.last_error.as_ref()?.process_log());
            actions.push(Action::Fail(
                Error::node(if reasons.is_empty() {
                    "there is no node to render on".to_owned()
                } else {
                    format!("no node is left: {}", reasons.join("; "))
                })
                .remedy("Mend a node and run the same command again: everything finished is kept.")
                .log(log.unwrap_or_default()),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Frame, uncovered};
    use crate::plan::{Tiling, Work, plan};

    fn job(tiles: u32, slots: usize) -> (Dispatch, Frame) {
        let frame = Frame::new(64, 64).unwrap();
        let work = Work { tiling: Tiling::Count(tiles), ..Work::whole(frame) };
        let models: Vec<NodeModel> = (0..slots)
            .map(|i| NodeModel { rate: 100.0, known: true, ..NodeModel::unknown(format!("n{i}")) })
            .collect();
        (Dispatch::new(&plan(work, &models).unwrap(), Options::default()), frame)
    }

    fn renders(actions: &[Action]) -> Vec<(SlotId, Piece)> {
        actions
            .iter()
            .filter_map(|a| if let Action::Render(s, p) = a { Some((*s, *p)) } else { None })
            .collect()
    }

    fn complete(actions: &[Action]) -> bool {
        actions.iter().any(|a| matches!(a, Action::Complete))
    }

    #[test]
    fn every_tile_is_stored_once_and_then_it_is_complete() {
        let (mut d, frame) = job(12, 2);
        let mut flying = renders(&d.on(0.0, Input::Ready(0)));
        flying.extend(renders(&d.on(0.0, Input::Ready(1))));
        let (mut stored, mut now, mut done) = (Vec::new(), 0.0, false);
        while let Some((slot, piece)) = flying.pop() {
            assert!(!done);
            now += 1.0;
            flying.extend(renders(&d.on(now, Input::Rendered(slot, piece.id, 1.0))));
            stored.push(piece.region);
            let actions = d.on(now, Input::Stored(slot, piece.id, 1.0));
            done = complete(&actions);
            flying.extend(renders(&actions));
        }
        assert!(done);
        assert_eq!(stored.iter().map(|r| r.area()).sum::<u64>(), frame.area());
        assert!(uncovered(frame.rect(), stored).is_empty());
        assert!(d.progress(now).done >= 1.0);
        assert!(d.on(now, Input::Ready(0)).is_empty(), "nothing happens after the end");
    }

    #[test]
    fn a_tile_that_fails_goes_elsewhere_and_three_times_fails_the_job() {
        let (mut d, _) = job(1, 2);
        let (_, first) = renders(&d.on(0.0, Input::Ready(0)))[0];
        assert!(renders(&d.on(0.0, Input::Ready(1))).is_empty());
        let bad = || Error::render("out of memory").log("last words");
        let next = renders(&d.on(1.0, Input::Failed(0, first.id, bad())));
        assert_eq!(next[0].0, 1, "elsewhere");
        assert_ne!(next[0].1.id, first.id);
        let next = renders(&d.on(2.0, Input::Failed(1, next[0].1.id, bad())));
        let end = d.on(3.0, Input::Failed(next[0].0, next[0].1.id, bad()));
        let Some(Action::Fail(error)) = end.last() else { panic!("{end:?}") };
        assert!(error.to_string().contains("out of memory") && error.process_log() == Some("last words"));
    }

    #[test]
    fn a_lost_slot_comes_back_and_its_tile_is_rendered_again() {
        let (mut d, _) = job(1, 1);
        let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
        d.on(1.0, Input::Rendered(0, piece.id, 1.0));
        let actions = d.on(1.5, Input::Lost(0, Error::node("gone")));
        assert!(matches!(actions[..], [Action::Reconnect(0, wait)] if wait > 0.0), "{actions:?}");
        let again = renders(&d.on(5.0, Input::Ready(0)));
        assert_eq!(again[0].1.region, piece.region);
        assert!(complete(&d.on(6.0, Input::Stored(0, again[0].1.id, 1.0))));
    }

    #[test]
    fn with_every_node_gone_the_job_fails_with_each_reason() {
        let (mut d, _) = job(4, 2);
        d.on(0.0, Input::Ready(0));
        let actions = d.on(1.0, Input::Lost(0, Error::node("wrong key").fatal()));
        assert!(matches!(&actions[..], [Action::Retire(0, reason)] if reason == "wrong key"));
        let actions = d.on(2.0, Input::Lost(1, Error::node("no Blender").fatal()));
        let Some(Action::Fail(error)) = actions.last() else { panic!("{actions:?}") };
        assert!(error.to_string().contains("n0: wrong key") && error.to_string().contains("n1: no Blender"));
    }

    #[test]
    fn a_slot_that_only_ever_vanishes_is_given_up() {
        let (mut d, _) = job(1, 1);
        let mut reconnects = 0;
        for i in 0..100 {
            match &d.on(f64::from(i), Input::Lost(0, Error::node("gone")))[..] {
                [Action::Reconnect(0, _)] => reconnects += 1,
                [Action::Retire(0, _), Action::Fail(_)] => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(reconnects, 5);
    }

    #[test]
    fn draining_finishes_what_runs_and_no_more() {
        let (mut d, _) = job(12, 1);
        let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
        assert!(d.on(1.0, Input::Drain).is_empty());
        assert!(renders(&d.on(2.0, Input::Rendered(0, piece.id, 1.0))).is_empty());
        assert!(complete(&d.on(3.0, Input::Stored(0, piece.id, 1.0))));
    }

    #[test]
    fn pause_holds_and_resume_goes_on() {
        let (mut d, _) = job(12, 1);
        d.on(0.0, Input::Pause);
        assert!(d.on(0.0, Input::Ready(0)).is_empty());
        assert_eq!(renders(&d.on(1.0, Input::Resume)).len(), 1);
    }

    #[test]
    fn a_slot_that_joins_takes_part() {
        let (mut d, _) = job(12, 1);
        d.on(0.0, Input::Joined(NodeModel::unknown("late")));
        assert_eq!(renders(&d.on(0.0, Input::Ready(1)))[0].0, 1);
    }

    #[test]
    fn nothing_to_do_is_complete_at_once() {
        let work = Work { pictures: Vec::new(), ..Work::whole(Frame::new(1, 1).unwrap()) };
        let mut d = Dispatch::new(&plan(work, &[NodeModel::unknown("a")]).unwrap(), Options::default());
        assert!(complete(&d.on(0.0, Input::Tick)));
    }

    #[test]
    fn reports_about_what_nobody_asked_for_change_nothing() {
        let (mut d, _) = job(2, 1);
        for input in [
            Input::Ready(99),
            Input::Stored(99, 99, f64::NAN),
            Input::Failed(0, 99, Error::render("x")),
            Input::Lost(99, Error::node("x")),
            Input::Cancelled(0, 7),
            Input::Progress(0, 0, f64::NAN),
            Input::Removed(99),
        ] {
            assert!(d.on(0.0, input).is_empty());
        }
        assert_eq!(renders(&d.on(0.0, Input::Ready(0))).len(), 1);
    }
}
