//! Looking after what runs: parts that would be here after everything else are cut anew or rendered twice, and slots
//! that give no sign of life are started anew.

use super::fair;
use super::hand::MOST_OVERHEAD;
use super::machine::{Dispatch, Phase};
use super::pace::Running;
use super::parts::PartId;
use super::slot::Slot;
use super::{Action, SlotId};

/// Of all that comes late, this many are looked at each time.
const AT_ONCE: usize = 8;
/// What is done about a late part must save this share of the time that is left.
const WORTH: f64 = 0.1;
/// A stalled slot is started anew after this many times the silence that made it count as stalled.
const GIVE_UP: f64 = 3.0;
/// A part is rendered by no more than this many slots at the same time, stalled ones not counted.
const TWINS: usize = 2;
/// A part is put back no more often than this while it is rendered; what it is cut into counts anew.
const RECLAIMS: u8 = 3;

/// A part that is rendered or on its way, as it looks now.
#[derive(Clone, Debug)]
struct Late {
    part: PartId,
    /// When the first of its pieces should be here.
    end: f64,
    /// Cost as others would find it.
    cost: f64,
    /// Slots that render it and can be asked to give it up.
    running: Vec<(SlotId, u64)>,
    /// Pieces of it from which something is still heard.
    alive: usize,
    /// One of them has only just begun.
    new: bool,
}

impl Dispatch {
    /// What is to be done about slow and stalled slots.
    pub(super) fn look_after(&mut self, now: f64, actions: &mut Vec<Action>) {
        self.restart_stalled(now, actions);
        if self.phase == Phase::Handing && self.options.steal {
            self.reclaim(now, actions);
        }
    }

    fn restart_stalled(&mut self, now: f64, actions: &mut Vec<Action>) {
        for slot in 0..self.slots.len() {
            let s = &self.slots[slot];
            let Some(r) = &s.running else { continue };
            let silent = now - r.heard.max(r.cancelled.unwrap_or(0.0));
            if silent > GIVE_UP * r.patience(s) {
                self.drop_stalled(now, slot, silent, actions);
            }
        }
    }

    /// Puts late parts back to be rendered by others too, or cut anew, where that ends sooner.
    fn reclaim(&mut self, now: f64, actions: &mut Vec<Action>) {
        let base = if self.pool.is_empty() { now } else { self.finish(now, None, self.pool.cost()) };
        let mut late: Vec<Late> = self.flying(now).into_iter().filter(|l| l.end > base && !l.new).collect();
        late.sort_by(|a, b| b.end.total_cmp(&a.end).then(a.part.cmp(&b.part)));
        late.truncate(AT_ONCE);
        for late in late {
            let work = self.pool.cost();
            let keep = late.end.max(self.finish(now, None, work).min(1e300));
            let (beside, instead) = self.without(now, &late, work);
            let fixed = late.running.first().map_or(0.0, |(slot, _)| self.slots[*slot].model.fixed_s);
            if beside.min(instead) >= keep - (WORTH * (keep - now)).max(fixed) {
                continue;
            }
            self.ledger.reclaim(late.part);
            self.enqueue(late.part);
            self.changed();
            if instead < beside - WORTH * (beside - now) {
                for (slot, piece) in late.running {
                    self.cancel(now, slot, piece, actions);
                }
            }
        }
    }

    /// The parts that are rendered or on their way, still needed, and not waiting or cut anew already.
    fn flying(&self, now: f64) -> Vec<Late> {
        let variance = self.terrain.variance();
        let mut found: Vec<Late> = Vec::new();
        let mut add = |part: PartId, end: f64, cost: f64, running: Option<(SlotId, &Running)>| {
            let p = self.ledger.get(part);
            let left = p.children.is_empty() && p.reclaimed < RECLAIMS && !self.ledger.is_settled(part);
            if p.queued.is_some() || !left {
                return;
            }
            let alive = usize::from(end.is_finite());
            // Of a piece that has only begun nothing more is known than when it was handed out.
            let begun = |r: &Running| r.progress > 0.0 || now - r.since > r.fixed.max(r.expected / 10.0);
            let new = running.is_some_and(|(_, r)| !begun(r));
            let running = running.map(|(slot, r)| (slot, r.piece));
            let twin = if p.flying.len() > 1 { found.iter_mut().find(|l| l.part == part) } else { None };
            if let Some(late) = twin {
                late.end = late.end.min(end);
                late.cost = late.cost.max(cost);
                late.running.extend(running);
                late.alive += alive;
                late.new |= new;
            } else {
                found.push(Late { part, end, cost, running: running.into_iter().collect(), alive, new });
            }
        };
        for (slot, s) in self.slots.iter().enumerate() {
            if let Some(r) = s.running.as_ref().filter(|r| r.cancelled.is_none()) {
                // How far it is off may be the slot's fault or the region's.
                let off = (r.projected_s(now, r.variance) / r.expected).max(0.1);
                let cost = r.cost * off.powf(variance / (variance + s.speed.variance()));
                add(r.part, s.ends_at(now, r), cost, Some((slot, r)));
            }
            for d in &s.delivering {
                add(d.part, d.expected.max(now + (now - d.since) / 2.0), d.cost, None);
            }
        }
        found
    }

    /// When everything would be done if others rendered the late part too, and if its slots gave it up for that.
    fn without(&self, now: f64, late: &Late, work: f64) -> (f64, f64) {
        let part = self.ledger.get(late.part);
        let own = |i: &SlotId| late.running.iter().any(|(slot, _)| slot == i);
        let others = || self.slots.iter().enumerate().filter(|(i, s)| !own(i) && s.lives()).map(|(_, s)| s);
        let free = |s: &Slot| (s.free_at(now), s.throughput(1.0));
        if !self.can_be_cut(late.part) {
            if late.alive >= TWINS {
                return (f64::INFINITY, f64::INFINITY);
            }
            let pixels = self.terrain.pixels_of(part.picture, part.region) as f64;
            let end = |s: &Slot| s.stored_at(s.free_at(now), part.picture, late.cost, pixels);
            return (others().map(end).fold(f64::INFINITY, f64::min), f64::INFINITY);
        }
        // Tiles cannot be cut at will: what comes on top of each, and half of the smallest one at the end.
        let top = others().map(|s| s.fixed_s(part.picture)).fold(f64::INFINITY, f64::min);
        let extra = if top.is_finite() { top * (1.0 + 0.5 / MOST_OVERHEAD) } else { 0.0 };
        let beside = if late.alive >= TWINS {
            f64::INFINITY
        } else {
            fair::finish(others().map(free), work + late.cost) + extra
        };
        // What is here already but for its way, and what does not answer, cannot be given up.
        let given_up = late.running.iter().map(|(slot, _)| &self.slots[*slot]);
        let freed = given_up.filter(|s| s.free_at(now).is_finite());
        let freed: Vec<(f64, f64)> = freed.map(|s| (now + s.model.fixed_s, s.throughput(1.0))).collect();
        if freed.is_empty() {
            return (beside, f64::INFINITY);
        }
        let all: Vec<(f64, f64)> = others().map(free).chain(freed).collect();
        (beside, fair::finish(all.into_iter(), work + late.cost) + extra)
    }
}
