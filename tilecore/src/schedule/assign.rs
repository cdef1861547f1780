//! Handing out: which slot gets how much, cut from where.
//!
//! A slot that asks gets the part of its fair share of the remaining time that the uncertainty of its rate and of the
//! map allows. So the first tiles are large, later ones smaller, and the last ones as small as their fixed cost makes
//! sensible; the better the costs are known, the fewer tiles that takes.

use super::fair;
use super::pace::Running;
use super::region_tree::PartId;
use super::scheduler::{Phase, Scheduler};
use super::slot::Slot;
use super::{Action, Piece, SlotId};
use crate::cost::{MinSide, cut};

/// Share of a tile's time that may go into what is not its own pixels, for the smallest tiles of all.
pub const MOST_OVERHEAD: f64 = 0.2;
/// The same where a still smaller tile is the only way to be done in time.
const LAST_OVERHEAD: f64 = 0.5;
/// How many standard deviations late a tile may be and still end before everything else.
const CAUTION: f64 = 3.0;
/// A waiting part that is larger than wanted by no more than this is taken whole.
const NEAR: f64 = 1.3;

/// From this variance of the map on, tiles are cut where most is left, not where least is left over.
const SPREAD_OUT: f64 = 0.04;

impl Scheduler {
    /// Gives idle slots what waits, the fastest first.
    pub(super) fn assign(&mut self, now: f64, actions: &mut Vec<Action>) {
        if self.phase != Phase::Handing || self.queue.is_empty() {
            return;
        }
        let mut idle: Vec<SlotId> = if self.reconsider {
            self.idle.iter().copied().collect()
        } else {
            self.fresh.iter().copied().filter(|s| self.idle.contains(s)).collect()
        };
        idle.sort_by(|a, b| self.slots[*b].model.rate.total_cmp(&self.slots[*a].model.rate).then(a.cmp(b)));
        let mut refused = 0;
        for slot in idle {
            // What a few slots in a row are too slow for, the still slower ones are too.
            if self.queue.is_empty() || refused >= 4 {
                break;
            }
            if let Some(part) = self.offer(now, slot) {
                self.give(now, slot, part, actions);
            } else {
                refused += 1;
            }
        }
    }

    fn give(&mut self, now: f64, slot: SlotId, part: PartId, actions: &mut Vec<Action>) {
        let cost = self.tree.get(part).queued.unwrap_or_default();
        self.dequeue(part);
        let (picture, region) = (self.tree.get(part).picture, self.tree.get(part).region);
        let piece = Piece { id: self.next_piece, picture, region };
        self.next_piece += 1;
        self.idle.remove(&slot);
        self.tree.hand_out(part, piece.id, slot);
        let s = &mut self.slots[slot];
        let (expected, fixed) = (s.render_s(picture, cost), s.fixed_s(picture));
        let switch = fixed - s.model.fixed_s;
        let variance = s.speed.variance() + self.costs.variance();
        s.picture = Some(picture);
        s.running = Some(Running {
            piece: piece.id,
            part,
            picture,
            cost,
            pixels: self.costs.pixels_of(picture, region),
            since: now,
            expected,
            fixed,
            switch,
            cancelled: None,
            variance,
            progress: 0.0,
            first: None,
            // Only adaptive sampling needs an overlap: it reads neighbouring pixels to decide when to stop.
            adaptive: self.overlap > 0,
            heard: now,
            gap: 0.0,
        });
        actions.push(Action::Render(slot, piece));
    }

    /// When the waiting work would be done if it could be cut at will. Worked out anew after a sixteenth of the slots
    /// have reported, which is often enough to size tiles by.
    fn horizon(&mut self, now: f64) -> f64 {
        match &mut self.horizon {
            Some((end, left)) if *left > 0 && *end > now => {
                *left -= 1;
                *end
            }
            _ => {
                let end = self.finish(now, None, self.queue.cost());
                self.horizon = Some((end, self.slots.len() / 16));
                end
            }
        }
    }

    /// The part for an idle slot, or none if the others are done sooner without it.
    fn offer(&mut self, now: f64, slot: SlotId) -> Option<PartId> {
        let horizon = self.horizon(now);
        let picture = self.picture_for(slot)?;
        if !self.cuts {
            let (cost, part) = self.costliest_for(slot, picture)?;
            return self.worth(now, horizon, slot, part, cost).ok().map(|()| part);
        }
        let wanted = self.wanted(now, horizon, slot, picture);
        let (cost, part) = self.fitting(slot, picture, wanted)?;
        if cost <= NEAR * wanted {
            match self.worth(now, horizon, slot, part, cost) {
                Ok(()) => return Some(part),
                Err(by) => return self.last_bit(now, by, slot, part),
            }
        }
        match self.worth(now, horizon, slot, part, wanted) {
            Ok(()) => Some(self.carve(part, wanted)),
            Err(by) => self.last_bit(now, by, slot, part),
        }
    }

    /// What a slot that is too slow for a tile of the usual smallest size can still do before the others are done.
    fn last_bit(&mut self, now: f64, by: f64, slot: SlotId, part: PartId) -> Option<PartId> {
        let s = &self.slots[slot];
        let picture = self.tree.get(part).picture;
        let cost = (by - now - s.fixed_s(picture)) * s.throughput(1.0);
        let least = self.cost_at(s, picture, LAST_OVERHEAD);
        let whole = self.tree.get(part).queued.unwrap_or_default();
        (cost >= least && cost * NEAR < whole).then(|| self.carve(part, cost))
    }

    /// The picture the slot goes on with: the one it has in memory; else the one with most left for every slot on it.
    fn picture_for(&self, slot: SlotId) -> Option<u32> {
        let mut pictures = self.queue.pictures();
        let first = pictures.next()?;
        if pictures.next().is_none() {
            return Some(first);
        }
        let own = self.slots[slot].picture;
        if let Some(own) = own.filter(|own| self.queue.pictures().any(|p| p == *own)) {
            return Some(own);
        }
        let on =
            |p: u32| self.slots.iter().filter_map(|s| s.running.as_ref()).filter(|r| r.picture == p).count();
        let left = |p: u32| self.queue.cost_of(p) / (1 + on(p)) as f64;
        // The earlier one among equals: pictures are wanted in order.
        self.queue
            .pictures()
            .map(|p| (left(p), p))
            .reduce(|a, b| if b.0 > a.0 * 1.01 { b } else { a })
            .map(|best| best.1)
    }

    /// Cost of the tile that suits the slot now.
    fn wanted(&self, now: f64, horizon: f64, slot: SlotId, picture: u32) -> f64 {
        let s = &self.slots[slot];
        // A slot of which nothing is known gets the share of one that is eight times worse than expected.
        let spread = (s.speed.variance() + self.costs.variance()).sqrt().min(3.5);
        let seconds = (horizon - now - s.fixed_s(picture)).max(0.0);
        let all = seconds * s.throughput(1.0);
        // Where one more tile costs more than this one could come late, there need not be one more.
        let more = self.more_s(s, picture) + 4.0 * f64::from(self.overlap) * all.sqrt() / s.model.rate;
        let part = (1.0 / (1.0 + CAUTION * spread)).max((more / (spread * seconds)).min(1.0));
        let share = all * part;
        // While there are more pictures than slots, a picture is one tile: whoever is late is helped all the same.
        let pictures = self.queue.picture_count();
        let whole = pictures > 1 && pictures > self.slots.iter().filter(|s| s.lives()).count();
        let known = s.model.known && !whole;
        let most = if known { self.cost_at(s, picture, self.grain) } else { f64::INFINITY };
        share.min(most).max(self.cost_at(s, picture, MOST_OVERHEAD))
    }

    /// Seconds that one more tile costs besides its pixels. A single picture is built once on every slot, however it is
    /// cut; of several, what is left to others costs each of them a building.
    fn more_s(&self, slot: &Slot, picture: u32) -> f64 {
        if self.queue.picture_count() > 1 { slot.fixed_s(picture) } else { slot.model.fixed_s }
    }

    /// Cost of the tile of which this share goes into what is not its own pixels: what comes on top of every tile,
    /// and the overlap around a square.
    fn cost_at(&self, slot: &Slot, picture: u32, share: f64) -> f64 {
        let fixed = self.more_s(slot, picture) * slot.model.rate;
        let around = 4.0 * f64::from(self.overlap);
        // share * side² = fixed + around * side
        let side = (around + (around * around + 4.0 * share * fixed).sqrt()) / (2.0 * share);
        side * side
    }

    /// Whether it serves the job that the slot renders this much: it is done before the others would be with all that
    /// waits. If not, says when the others would be.
    fn worth(&self, now: f64, horizon: f64, slot: SlotId, part: PartId, cost: f64) -> Result<(), f64> {
        let (picture, region) = (self.tree.get(part).picture, self.tree.get(part).region);
        let pixels = self.costs.pixels_of(picture, region) as f64;
        let whole = self.tree.get(part).queued.unwrap_or(cost).max(f64::MIN_POSITIVE);
        let pixels = pixels * (cost / whole).min(1.0);
        let end = self.slots[slot].stored_at(now, picture, cost, pixels);
        if end <= horizon || !self.options.stragglers {
            return Ok(());
        }
        // Other idle slots do not count: the faster ones among them have been asked before.
        let others = || {
            let busy = |(i, s): &(SlotId, &Slot)| s.lives() && *i != slot && !self.idle.contains(i);
            self.slots.iter().enumerate().filter(busy).map(|(_, s)| s)
        };
        let soonest = others()
            .map(|s| s.stored_at(s.free_at(now), picture, cost, pixels))
            .fold(f64::INFINITY, f64::min);
        let only = self.queue.only_picture();
        let all =
            fair::finish(others().map(|s| (s.begins_at(now, only), s.throughput(1.0))), self.queue.cost());
        let by = soonest.max(all);
        if end <= by { Ok(()) } else { Err(by) }
    }

    /// Whether the slot may have the part: one that failed there only if no other living slot has not tried it.
    fn may_have(&self, slot: SlotId, part: PartId) -> bool {
        let tried = &self.tree.get(part).tried;
        let here = self.tree.get(part).flying.iter().any(|(_, s)| *s == slot);
        !here
            && (!tried.contains(&slot)
                || !self.slots.iter().enumerate().any(|(i, s)| s.lives() && !tried.contains(&i)))
    }

    fn costliest_for(&self, slot: SlotId, picture: u32) -> Option<(f64, PartId)> {
        self.queue.costliest(picture).find(|(_, part)| self.may_have(slot, *part))
    }

    /// The waiting part nearest above what is wanted; if all are smaller, the costliest.
    fn fitting(&self, slot: SlotId, picture: u32, wanted: f64) -> Option<(f64, PartId)> {
        if self.costs.variance() > SPREAD_OUT && self.costs.learnt() < self.slots.len() {
            // While little is known about the frame, tiles far from each other say most about it.
            return self.costliest_for(slot, picture);
        }
        self.queue
            .at_least(picture, wanted / NEAR)
            .find(|(_, part)| self.may_have(slot, *part))
            .or_else(|| self.costliest_for(slot, picture))
    }

    fn least_side(&self) -> u32 {
        (2 * self.overlap).max(8)
    }

    /// Whether a part is large enough to be cut in two.
    pub(super) fn can_be_cut(&self, part: PartId) -> bool {
        let region = self.tree.get(part).region;
        self.cuts && region.width().max(region.height()) >= 2 * self.least_side()
    }

    /// Cuts about this cost off a waiting part: first a strip as wide as a square of that cost would be, then the tile
    /// off the strip, so that no more than two parts are left over and both can be cut on. What is left waits.
    fn carve(&mut self, part: PartId, wanted: f64) -> PartId {
        let mut part = part;
        loop {
            let whole = self.tree.get(part).queued.unwrap_or_default();
            let times = whole / wanted;
            if times < NEAR {
                return part;
            }
            let region = self.tree.get(part).region;
            let (long, short) = (region.width().max(region.height()), region.width().min(region.height()));
            // Tiles across the strip, if they are squares.
            let across = (times * f64::from(short) / f64::from(long)).sqrt().round().max(1.0);
            let strip = (across / times).min(1.0);
            let share = if 1.0 - strip < strip / across { 1.0 / times } else { strip };
            match self.cut_off(part, share) {
                Some(first) => part = first,
                None => return part,
            }
        }
    }

    pub(super) fn cut_off(&mut self, part: PartId, share: f64) -> Option<PartId> {
        let (picture, region) = (self.tree.get(part).picture, self.tree.get(part).region);
        let halves = cut(self.costs.map(picture)?, region, share, MinSide(self.least_side()))?;
        self.dequeue(part);
        let (first, rest) = self.tree.split(part, halves);
        self.enqueue(first);
        self.enqueue(rest);
        Some(first)
    }
}
