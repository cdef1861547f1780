//! The scheduler itself: all scheduling state, and what every input means.

use std::collections::BTreeSet;

use serde::Serialize;

use super::cost_model::CostModel;
use super::fair;
use super::members::DesiredState;
use super::pace::Pace;
use super::ready_queue::ReadyQueue;
use super::region_tree::{PartId, RegionTree};
use super::slot::{Slot, State};
use super::{Action, Input, Piece, SlotId};
use crate::cost::{CostMap, NodeModel, Tiling, Work, fill};

/// Bounds, and the seed of everything that looks random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often a tile may fail before the job does.
    pub attempts: u32,
    /// Losses and failures in a row, without a stored tile between them, before a slot is given up.
    pub troubles: u32,
    /// Whether tiles that end late are cut anew or rendered twice; without it this is a plain pull queue.
    pub stragglers: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { attempts: 3, troubles: 6, stragglers: true, seed: 0 }
    }
}

/// What a scheduler starts from.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// What is to be rendered.
    pub work: &'a Work,
    /// The slots, in the order of their [`SlotId`]s.
    pub slots: Vec<SlotStart>,
    /// The tiles of a uniform grid, in the order in which they are handed out; with [`Tiling::Auto`] they are not looked at.
    pub pieces: &'a [Piece],
    /// Share of what is not their own pixels that the largest tiles have at most.
    pub grain: f64,
}

/// One slot at the start.
#[derive(Clone, Debug)]
pub struct SlotStart {
    /// How it is expected to behave.
    pub model: NodeModel,
    /// Whether it is asked only when the others do not suffice.
    pub reserve: bool,
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

/// A running piece's pace is learnt from if it differs by this much (logarithm) from what was expected.
const SURPRISING: f64 = 0.2;

/// Whether the job still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Handing,
    Draining,
    Over,
}

/// All scheduling state of a running job.
#[derive(Debug)]
pub struct Scheduler {
    pub(super) options: Options,
    pub(super) phase: Phase,
    pub(super) slots: Vec<Slot>,
    pub(super) tree: RegionTree,
    pub(super) queue: ReadyQueue,
    pub(super) costs: CostModel,
    pub(super) bytes_per_pixel: f64,
    /// Whether waiting parts may be cut.
    pub(super) cuts: bool,
    /// Share of overhead that the largest tiles have at most.
    pub(super) grain: f64,
    pub(super) overlap: u32,
    /// Ready slots without a piece.
    pub(super) idle: BTreeSet<SlotId>,
    /// Those that became so just now, and whether the others may want work again too.
    pub(super) fresh: Vec<SlotId>,
    pub(super) reconsider: bool,
    /// When the waiting work would be done if it could be cut at will, and for how many more inputs this holds.
    pub(super) horizon: Option<(f64, usize)>,
    pub(super) next_piece: u64,
    /// When late tiles were last looked for, when they are again, and how many slots have become idle since.
    pub(super) looked_at: f64,
    pub(super) look_again: f64,
    pub(super) idled: usize,
    /// Whether of some slot nothing is known, and whether some slot wants to leave: most of the time neither.
    pub(super) unknown_rates: bool,
    pub(super) leaving: bool,
    cost: f64,
    cost_done: f64,
    pixels: u64,
    pixels_done: u64,
    tiles_done: usize,
}

impl Scheduler {
    /// Ready to begin.
    pub fn new(start: &Start<'_>, options: Options) -> Self {
        let models: Vec<NodeModel> = start.slots.iter().map(|s| s.model.clone()).collect();
        let (models, _) = fill(&models);
        let bytes_per_pixel = start.work.bytes_per_pixel;
        let slots = models
            .into_iter()
            .zip(&start.slots)
            .map(|(model, slot)| {
                let state = if slot.reserve {
                    State::Reserve { warm: false }
                } else {
                    State::Starting { since: 0.0, expected: model.ready_s() }
                };
                Slot::new(model, bytes_per_pixel, state)
            })
            .collect();
        let mut scheduler = Self {
            options,
            phase: Phase::Handing,
            slots,
            tree: RegionTree::default(),
            queue: ReadyQueue::default(),
            costs: CostModel::new(start.work),
            bytes_per_pixel,
            cuts: start.work.tiling == Tiling::Auto,
            grain: start.grain,
            overlap: start.work.overlap.0,
            idle: BTreeSet::new(),
            fresh: Vec::new(),
            reconsider: false,
            horizon: None,
            next_piece: 0,
            looked_at: f64::NEG_INFINITY,
            look_again: f64::NEG_INFINITY,
            idled: 0,
            unknown_rates: true,
            leaving: false,
            cost: 0.0,
            cost_done: 0.0,
            pixels: 0,
            pixels_done: 0,
            tiles_done: 0,
        };
        if scheduler.cuts {
            for (picture, todo) in (0u32..).zip(start.work.pictures.iter().map(|p| &p.todo)) {
                for region in todo {
                    scheduler.add(picture, *region);
                }
            }
        } else {
            for piece in start.pieces {
                scheduler.add(piece.picture, piece.region);
            }
        }
        scheduler
    }

    fn add(&mut self, picture: u32, region: crate::geometry::Rect) {
        let part = self.tree.add(picture, region);
        self.enqueue(part);
        self.cost += self.costs.base_cost_of(picture, region);
        self.pixels += region.area();
    }

    /// What is to be done now that this happened. `now` never runs backwards.
    pub fn on(&mut self, now: f64, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Over {
            return actions;
        }
        let tick = matches!(input, Input::Tick);
        self.take(now, input, &mut actions);
        if self.phase == Phase::Over {
            return actions;
        }
        self.assign(now, &mut actions);
        if tick || (!self.fresh.is_empty() && self.queue.is_empty()) {
            self.look_after(now, tick, &mut actions);
            self.assign(now, &mut actions);
        }
        self.fresh.clear();
        self.reconsider = false;
        self.check_end(&mut actions);
        actions
    }

    /// How far it is.
    pub fn progress(&self, now: f64) -> Progress {
        let running: f64 = self
            .slots
            .iter()
            .filter_map(|s| s.running.as_ref())
            .filter(|r| r.cancelled.is_none() && !self.tree.is_settled(r.part))
            .map(|r| {
                let part = self.tree.get(r.part);
                self.costs.base_cost_of(part.picture, part.region) * r.progress
            })
            .sum();
        let done = if self.cost > 0.0 { (self.cost_done + running) / self.cost } else { 1.0 };
        Progress {
            done: if self.tree.all_done() { 1.0 } else { done.clamp(0.0, 1.0) },
            pixels: self.pixels_done,
            of_pixels: self.pixels,
            tiles: self.tiles_done,
            eta: self.eta(now),
        }
    }

    /// Expected seconds until everything is here; `None` while no rate is known.
    pub fn eta(&self, now: f64) -> Option<f64> {
        if self.tree.all_done() {
            return Some(0.0);
        }
        if !self.slots.iter().any(|s| s.lives() && s.model.known) {
            return None;
        }
        let needed = |r: &&super::pace::Running| r.cancelled.is_none() && !self.tree.is_settled(r.part);
        let last = self
            .slots
            .iter()
            .filter_map(|s| s.running.as_ref().filter(needed).map(|r| s.ends_at(now, r)))
            .filter(|end| end.is_finite())
            .fold(now, f64::max);
        let end =
            if self.queue.is_empty() { last } else { self.finish(now, None, self.queue.cost()).max(last) };
        end.is_finite().then(|| (end - now).max(0.0))
    }

    /// What is believed of every slot by now, as far as it was learnt: to be kept for the next run.
    pub fn models(&self) -> impl Iterator<Item = &NodeModel> {
        self.slots.iter().map(|s| &s.model)
    }

    /// A picture's cost map with what the finished tiles taught; its mean need not be 1.
    pub fn cost_map(&self, picture: u32) -> Option<&CostMap> {
        self.costs.map(picture)
    }

    /// When this much work would be done if it could be cut at will among all slots but one.
    pub(super) fn finish(&self, now: f64, without: Option<SlotId>, work: f64) -> f64 {
        let only = self.queue.only_picture();
        let slots = self
            .slots
            .iter()
            .enumerate()
            .filter(|(i, s)| s.lives() && Some(*i) != without)
            .map(|(_, s)| (s.begins_at(now, only), s.throughput(1.0)));
        fair::finish(slots, work)
    }

    fn take(&mut self, now: f64, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Ready(slot) => self.ready(now, slot),
            Input::Progress(slot, piece, done) => self.reported(now, slot, piece, done),
            Input::Alive(slot) => {
                if let Some(s) = self.slots.get_mut(slot) {
                    s.alive = Some(now);
                }
            }
            Input::Rendered(slot, piece) => self.rendered(now, slot, piece),
            Input::Stored(slot, piece) => {
                self.rendered(now, slot, piece);
                self.stored(now, slot, piece, actions);
            }
            Input::Cancelled(slot, piece) => self.given_up(slot, piece),
            Input::Failed(slot, piece, error) => self.failed(now, slot, piece, &error, actions),
            Input::Lost(slot, error) => {
                if let Some(s) = self.slots.get_mut(slot) {
                    s.lent = None;
                }
                self.lost(now, slot, &error, actions);
            }
            Input::Built(slot, piece, seconds) => self.built(slot, piece, seconds),
            Input::Lent(slot, seconds) => self.lend(now, slot, seconds),
            Input::Returned(slot) => {
                if let Some(s) = self.slots.get_mut(slot).filter(|s| s.lent.is_some()) {
                    s.lent = None;
                    self.rest(slot);
                    self.changed();
                }
            }
            Input::Drain => self.phase = Phase::Draining,
            Input::Joined(model) => self.joined(now, &model),
            Input::Away(slot, error) => self.away(slot, error, actions),
            Input::Leave(slot) => self.desire(now, slot, DesiredState::Leave, actions),
            Input::Hold(slot) => self.desire(now, slot, DesiredState::Pause, actions),
            Input::Release(slot) => self.desire(now, slot, DesiredState::Work, actions),
            Input::Tick => {
                self.foresee_again();
                self.call_reserve(now, actions);
            }
        }
    }

    /// What was foreseen does not hold any more.
    pub(super) fn changed(&mut self) {
        self.foresee_again();
        self.look_again = f64::NEG_INFINITY;
    }

    /// Time has passed.
    fn foresee_again(&mut self) {
        self.horizon = None;
        self.reconsider = true;
    }

    pub(super) fn ready(&mut self, now: f64, slot: SlotId) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| !s.retired() && s.state != State::Ready) else {
            return;
        };
        if let State::Reserve { warm } = &mut s.state {
            *warm = true;
            return;
        }
        if let State::Starting { since, .. } = s.state {
            // One that is connected again needs about as long as this time.
            s.model.start_s = (now - since - (s.model.ready_s() - s.model.start_s)).max(0.0);
        }
        s.state = State::Ready;
        s.picture = None;
        s.link_free = now;
        self.rest(slot);
    }

    /// The slot is needed elsewhere: nothing is handed to it meanwhile.
    fn lend(&mut self, now: f64, slot: SlotId, seconds: f64) {
        let Some(s) = self.slots.get_mut(slot).filter(|s| !s.retired()) else { return };
        s.lent = Some(now + if seconds.is_finite() { seconds.max(0.0) } else { 0.0 });
        self.idle.remove(&slot);
        self.changed();
    }

    /// Building the scene is no part of a piece's pixels, and every picture that the slot has not in memory costs it.
    fn built(&mut self, slot: SlotId, piece: u64, seconds: f64) {
        let Some(s) = self.slots.get_mut(slot) else { return };
        let Some(r) = s.running.as_mut().filter(|r| r.piece == piece) else { return };
        if seconds.is_finite() && seconds >= 0.0 {
            r.switch = seconds;
            let before = if s.model.sync_s > 0.0 { s.model.sync_s } else { seconds };
            s.model.sync_s = f64::midpoint(before, seconds);
        }
    }

    /// The slot has nothing to render.
    pub(super) fn rest(&mut self, slot: SlotId) {
        let s = &self.slots[slot];
        if s.state == State::Ready
            && s.desired == DesiredState::Work
            && s.running.is_none()
            && s.lent.is_none()
        {
            self.idle.insert(slot);
            self.fresh.push(slot);
        }
    }

    /// The slot said how far its piece is. Once that says something about the whole piece, it is learnt from at once:
    /// waiting for its end would mean cutting others by costs that are known to be wrong.
    fn reported(&mut self, now: f64, slot: SlotId, piece: u64, done: f64) {
        let variance = self.costs.variance();
        let Some(s) = self.slots.get_mut(slot) else { return };
        let Some(mut r) = s.running.take_if(|r| r.piece == piece) else { return };
        if done.is_finite() {
            r.report(now, done);
        }
        let surprise = |pace: &Pace| (pace.total / r.expected).ln().abs();
        let pace = r.pace().filter(|p| surprise(p) > SURPRISING + 2.0 * r.pace_variance().sqrt());
        if let Some(Pace { total, own }) = pace {
            let lesson = s.learn(r.cost, s.model.fixed_s + own, variance, r.pace_variance());
            let region = self.tree.get(r.part).region;
            self.introduce();
            let mut redraw = false;
            if let Some(lesson) = lesson {
                r.cost *= lesson.off.exp();
                redraw = self.costs.learn(r.picture, region, r.cost, lesson);
            }
            r.expected = total;
            r.variance = r.pace_variance();
            self.slots[slot].running = Some(r);
            if redraw {
                self.redraw();
            }
            return;
        }
        self.slots[slot].running = Some(r);
    }

    fn rendered(&mut self, now: f64, slot: SlotId, piece: u64) {
        let Some(s) = self.slots.get_mut(slot) else { return };
        let Some(r) = s.running.take_if(|r| r.piece == piece) else { return };
        s.delivered_from(now, &r);
        let lesson = s.learn(r.cost, now - r.since - r.switch, self.costs.variance(), 0.0);
        if r.progress > 0.0 {
            s.gap = Some(s.gap.unwrap_or(0.0).max(r.gap / (now - r.since).max(r.gap)));
        }
        self.rest(slot);
        self.introduce();
        if let Some(lesson) = lesson {
            let region = self.tree.get(r.part).region;
            if self.costs.learn(r.picture, region, r.cost * lesson.off.exp(), lesson) {
                self.redraw();
            }
        }
    }

    /// A slot's rate has become known: those of which nothing is known are taken to be like the middle one.
    fn introduce(&mut self) {
        self.unknown_rates = self.unknown_rates && self.slots.iter().any(|s| !s.model.known);
        if !self.unknown_rates {
            return;
        }
        let mut rates: Vec<f64> = self.slots.iter().filter(|s| s.model.known).map(|s| s.model.rate).collect();
        rates.sort_by(f64::total_cmp);
        let Some(middle) = rates.get(rates.len() / 2) else { return };
        for s in self.slots.iter_mut().filter(|s| !s.model.known) {
            s.model.rate = *middle;
            s.speed.like_others();
            if let Some(r) = s.running.as_mut().filter(|r| r.progress == 0.0) {
                r.expected = r.fixed + r.cost / s.model.rate;
            }
        }
        self.horizon = None;
    }

    /// Costs of what waits, by the corrected maps.
    fn redraw(&mut self) {
        if !self.costs.redraw(self.queue.len()) {
            return;
        }
        for part in self.queue.drain() {
            self.tree.set_queued(part, None);
            self.enqueue(part);
        }
        self.horizon = None;
        self.look_again = f64::NEG_INFINITY;
    }

    /// The part waits to be rendered.
    pub(super) fn enqueue(&mut self, part: PartId) {
        if self.tree.get(part).queued.is_some() {
            return;
        }
        let (picture, region) = (self.tree.get(part).picture, self.tree.get(part).region);
        let cost = match self.tree.get(part).known {
            Some(factor) => factor * self.costs.measured_cost_of(picture, region),
            None => self.costs.cost_of(picture, region),
        };
        self.tree.set_queued(part, Some(cost));
        self.queue.push(picture, cost, part);
    }

    /// The part waits no longer.
    pub(super) fn dequeue(&mut self, part: PartId) {
        if let Some(cost) = self.tree.get(part).queued {
            self.queue.remove(self.tree.get(part).picture, cost, part);
            self.tree.set_queued(part, None);
        }
    }

    /// The piece will not come; its part waits again if nobody else has it in hand.
    pub(super) fn requeue(&mut self, piece: u64) {
        if let Some(part) = self.tree.drop_piece(piece) {
            self.enqueue(part);
            self.changed();
        }
    }

    fn stored(&mut self, now: f64, slot: SlotId, piece: u64, actions: &mut Vec<Action>) {
        let Some(part) = self.tree.part_of(piece) else { return };
        if let Some(s) = self.slots.get_mut(slot) {
            s.delivered(now, piece);
        }
        let settled = self.tree.store(piece);
        actions.extend(settled.discard.into_iter().map(Action::Discard));
        for part in settled.unqueue {
            self.dequeue(part);
        }
        for (slot, piece) in settled.cancel {
            self.cancel(now, slot, piece, actions);
        }
        let (picture, region) = (self.tree.get(part).picture, self.tree.get(part).region);
        if settled.counts {
            self.cost_done += self.costs.base_cost_of(picture, region);
            self.pixels_done += region.area();
            self.tiles_done += 1;
        }
        for region in settled.freed {
            self.cost_done -= self.costs.base_cost_of(picture, region);
            self.pixels_done -= region.area();
            self.tiles_done -= 1;
        }
    }

    /// Asks the slot to give the piece up, once.
    pub(super) fn cancel(&mut self, now: f64, slot: SlotId, piece: u64, actions: &mut Vec<Action>) {
        let running = self.slots.get_mut(slot).and_then(|s| s.running.as_mut());
        if let Some(r) = running.filter(|r| r.piece == piece && r.cancelled.is_none()) {
            r.cancelled = Some(now);
            actions.push(Action::Cancel(slot, piece));
        }
    }

    /// The slot gave the piece up because it was asked to.
    fn given_up(&mut self, slot: SlotId, piece: u64) {
        let running = self.slots.get_mut(slot).and_then(|s| s.running.take_if(|r| r.piece == piece));
        if running.is_some() {
            self.rest(slot);
        }
        self.requeue(piece);
    }
}
