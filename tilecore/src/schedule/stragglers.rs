//! Looking after what runs: parts that would be here after everything else are cut anew or rendered twice, and slots
//! that give no sign of life are started anew.

use super::assign::MOST_OVERHEAD;
use super::fair;
use super::pace::Running;
use super::region_tree::PartId;
use super::scheduler::{Phase, Scheduler};
use super::slot::Slot;
use super::{Action, SlotId};

/// Of all that comes late, this many are looked at each time.
const AT_ONCE: usize = 8;
/// Late parts are looked for so often until all that waits should be done.
const OFTEN: f64 = 64.0;
/// Late parts are looked for when one slot of so many has become idle.
const MANY: usize = 64;
/// What is done about a late part must save this share of the time that is left.
const WORTH: f64 = 0.1;
/// Cutting late parts anew must save this share of it.
const LITTLE: f64 = 0.03;
/// Five equally likely values of a standard normal distribution.
const QUANTILES: [f64; 5] = [-1.28, -0.52, 0.0, 0.52, 1.28];
/// A stalled slot is started anew after this many times the silence that made it count as stalled.
const GIVE_UP: f64 = 3.0;
/// A worker says every 5 s that it is at work. One that ever did has not stalled before it is silent for so long, seconds.
const LEAST_SILENCE: f64 = 45.0;
/// A part is rendered by no more than this many slots at the same time, stalled ones not counted.
const TWINS: usize = 2;
/// What never ends, ends this much later, seconds.
const FOREVER: f64 = 1e6;
/// A part is rendered twice no more often than this.
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
    /// All of them have reported how fast they are.
    paced: bool,
    /// Every one of them should have been here long ago, by what was expected and by its own pace.
    overdue: bool,
}

impl Scheduler {
    /// What is to be done about slow and stalled slots.
    pub(super) fn look_after(&mut self, now: f64, tick: bool, actions: &mut Vec<Action>) {
        // One slot of very many that has nothing to do is no reason to look at all the others.
        self.idled += self.fresh.len();
        if !tick && self.idled * MANY < self.slots.len() {
            return;
        }
        self.idled = 0;
        self.restart_stalled(now, actions);
        // Nothing new is to be seen sooner than a fraction of what a tile costs by itself, or of all that waits.
        let pause = self.extra(None, 0) / 4.0;
        let due = now - self.looked_at >= pause && now >= self.look_again;
        if due && self.phase == Phase::Handing && self.options.stragglers {
            self.looked_at = now;
            self.reclaim(now, actions);
            let known = !self.unknown_rates && !self.queue.is_empty();
            let end = if known { self.finish(now, None, self.queue.cost()) } else { now };
            self.look_again = if end.is_finite() { now + (end - now) / OFTEN } else { now };
        }
    }

    fn restart_stalled(&mut self, now: f64, actions: &mut Vec<Action>) {
        for slot in 0..self.slots.len() {
            let s = &self.slots[slot];
            let Some(r) = &s.running else { continue };
            let silent = now - r.heard.max(r.cancelled.unwrap_or(0.0)).max(s.alive.unwrap_or(0.0));
            // Who says that it is at work is believed; how often it does is known.
            let least = if s.alive.is_some() { LEAST_SILENCE } else { 0.0 };
            if silent > (GIVE_UP * r.patience(s)).max(least) {
                self.drop_stalled(now, slot, silent, actions);
            }
        }
    }

    /// Puts late parts back to be rendered by others too, or cut anew, where that ends sooner.
    fn reclaim(&mut self, now: f64, actions: &mut Vec<Action>) {
        let (mut paced, unsure): (Vec<Late>, Vec<Late>) =
            self.flying(now).into_iter().filter(|l| !l.new).partition(|l| l.paced && self.can_be_cut(l.part));
        let latest_first = |a: &Late, b: &Late| b.end.total_cmp(&a.end).then(a.part.cmp(&b.part));
        self.render_twice(now, unsure, latest_first);
        paced.sort_by(latest_first);
        let cut = self.to_be_cut(now, &paced).len();
        for late in paced.into_iter().take(cut) {
            let (picture, region) = (self.tree.get(late.part).picture, self.tree.get(late.part).region);
            let factor = late.cost / self.costs.measured_cost_of(picture, region);
            if factor.is_finite() && factor > 0.0 {
                self.tree.set_known(late.part, factor);
            }
            self.put_back(late.part);
            // Whatever comes of it is smaller than what was given up, so this comes to an end.
            self.cut_off(late.part, 0.5);
            for (slot, piece) in &late.running {
                self.cancel(now, *slot, *piece, actions);
            }
        }
    }

    fn put_back(&mut self, part: PartId) {
        self.tree.reclaim(part);
        self.enqueue(part);
        self.changed();
    }

    /// Parts whose pieces are silent, late without a known pace, on a slow way here, or too small to be cut: others
    /// begin them too, and whoever is first wins.
    fn render_twice(
        &mut self,
        now: f64,
        mut late: Vec<Late>,
        latest_first: impl Fn(&Late, &Late) -> std::cmp::Ordering,
    ) {
        let base = if self.queue.is_empty() { now } else { self.finish(now, None, self.queue.cost()) };
        late.retain(|l| l.end > base && l.alive < TWINS && self.tree.get(l.part).reclaimed < RECLAIMS);
        late.sort_by(latest_first);
        // An idle slot may as well try what is overdue.
        let mut spare = if self.queue.is_empty() { self.idle.len() } else { 0 };
        for late in late.into_iter().take(AT_ONCE) {
            let fixed = late.running.first().map_or(0.0, |(slot, _)| self.slots[*slot].model.fixed_s);
            let keep = late.end;
            let tried = late.overdue && spare > 0 && !self.only_idle_there(&late);
            if tried || self.beside(now, &late) < keep - (WORTH * (keep - now)).max(fixed) {
                spare = spare.saturating_sub(1);
                self.put_back(late.part);
            }
        }
    }

    /// Whether the only idle slots are those that have the part in hand.
    fn only_idle_there(&self, late: &Late) -> bool {
        let flying = &self.tree.get(late.part).flying;
        self.idle.iter().all(|slot| flying.iter().any(|(_, by)| by == slot))
    }

    /// Which of the parts whose pace is known are to be given up and cut anew: the latest ones, as many as make
    /// everything end soonest. Each costs what was rendered of it; and when the waiting work will be done is uncertain
    /// as long as the map is.
    fn to_be_cut<'a>(&self, now: f64, late: &'a [Late]) -> &'a [Late] {
        // The first tiles to end are the cheap ones, so it takes a few from every slot to know better.
        let rounds = self.costs.learnt() as f64 / self.slots.len().max(1) as f64;
        let spread = (self.costs.variance() / rounds.max(1.0)).sqrt();
        let expected = |rest: f64, last: f64| {
            let sum: f64 = QUANTILES.iter().map(|z| last.max(now + (rest - now) * (z * spread).exp())).sum();
            sum / QUANTILES.len() as f64
        };
        let only = self.queue.only_picture();
        let mut slots: Vec<(f64, f64)> = self
            .slots
            .iter()
            .map(|s| (if s.lives() { s.begins_at(now, only) } else { f64::INFINITY }, s.throughput(1.0)))
            .collect();
        let last = |k: usize| late.get(k).map_or(now, |l| l.end);
        let mut work = self.queue.cost();
        let rest = if work > 0.0 { fair::finish(slots.iter().copied(), work) } else { now };
        let before = expected(rest, last(0));
        let (mut best, mut count) = (before, 0);
        let extra = self.extra(None, late.first().map_or(0, |l| self.tree.get(l.part).picture));
        let mut next = 1;
        for (k, l) in late.iter().enumerate() {
            work += l.cost;
            for (slot, _) in &l.running {
                slots[*slot].0 = now + self.slots[*slot].model.fixed_s;
            }
            // With very many slots not every number of parts need be tried.
            if k + 1 < next && k + 1 < late.len() {
                continue;
            }
            next = (k + 2).max((k + 1) * 9 / 8);
            let after = expected(fair::finish(slots.iter().copied(), work) + extra, last(k + 1));
            if after < best {
                (best, count) = (after, k + 1);
            }
        }
        let least = (LITTLE * (before - now)).max(extra / 3.0);
        if best < before - least { &late[..count] } else { &[] }
    }

    /// The parts that are rendered or on their way, still needed, and not waiting or cut anew already.
    fn flying(&self, now: f64) -> Vec<Late> {
        let variance = self.costs.variance();
        let mut found: Vec<Late> = Vec::new();
        let mut add =
            |part: PartId, end: f64, cost: f64, overdue: bool, running: Option<(SlotId, &Running)>| {
                let p = self.tree.get(part);
                let left = p.children.is_empty() && !self.tree.is_settled(part);
                if p.queued.is_some() || !left {
                    return;
                }
                let alive = usize::from(end.is_finite());
                let end = end.min(now + FOREVER);
                // Of a piece that has only begun nothing more is known than when it was handed out.
                let begun = |r: &Running| r.progress > 0.0 || now - r.since > r.fixed.max(r.expected / 10.0);
                let new = running.is_some_and(|(_, r)| !begun(r));
                let paced = running.is_some_and(|(_, r)| r.pace().is_some());
                let running = running.map(|(slot, r)| (slot, r.piece));
                let twin = if p.flying.len() > 1 { found.iter_mut().find(|l| l.part == part) } else { None };
                if let Some(late) = twin {
                    late.end = late.end.min(end);
                    late.cost = late.cost.max(cost);
                    late.running.extend(running);
                    late.alive += alive;
                    late.new |= new;
                    late.paced &= paced;
                    late.overdue &= overdue;
                } else {
                    found.push(Late {
                        part,
                        end,
                        cost,
                        running: running.into_iter().collect(),
                        alive,
                        new,
                        paced,
                        overdue,
                    });
                }
            };
        for (slot, s) in self.slots.iter().enumerate() {
            if let Some(r) = s.running.as_ref().filter(|r| r.cancelled.is_none()) {
                // How far it is off may be the slot's fault or the region's. Silence is the slot's.
                let due = r.by_pace().unwrap_or(r.expected).max(r.expected);
                let off = (r.projected_s(now, r.variance).min(2.0 * due) / r.expected).max(0.1);
                let overdue = now - r.since > 2.0 * due;
                let cost = r.cost * off.powf(variance / (variance + s.speed.variance()));
                add(r.part, s.ends_at(now, r), cost, overdue, Some((slot, r)));
            }
            for d in &s.delivering {
                let overdue = now - d.since > 2.0 * (d.expected - d.since).max(s.model.fixed_s);
                add(d.part, d.expected.max(now + (now - d.since) / 2.0), d.cost, overdue, None);
            }
        }
        found
    }

    /// When the part would be here if others rendered it too.
    fn beside(&self, now: f64, late: &Late) -> f64 {
        let part = self.tree.get(late.part);
        let own = |i: &SlotId| late.running.iter().any(|(slot, _)| slot == i);
        let others = || self.slots.iter().enumerate().filter(|(i, s)| !own(i) && s.lives()).map(|(_, s)| s);
        if !self.can_be_cut(late.part) {
            let pixels = self.costs.pixels_of(part.picture, part.region) as f64;
            let end = |s: &Slot| s.stored_at(s.free_at(now), part.picture, late.cost, pixels);
            return others().map(end).fold(f64::INFINITY, f64::min);
        }
        let free = |s: &Slot| (s.free_at(now) + s.build_s(part.picture), s.throughput(1.0));
        fair::finish(others().map(free), self.queue.cost() + late.cost)
            + self.extra(late.running.first().map(|(slot, _)| *slot), part.picture)
    }

    /// Tiles cannot be cut at will: what comes on top of each, and half of the smallest one at the end.
    fn extra(&self, without: Option<SlotId>, picture: u32) -> f64 {
        let others = self.slots.iter().enumerate().filter(|(i, s)| s.lives() && Some(*i) != without);
        let top = others.map(|(_, s)| s.fixed_s(picture)).fold(f64::INFINITY, f64::min);
        if top.is_finite() { top * (1.0 + 0.5 / MOST_OVERHEAD) } else { 0.0 }
    }
}
