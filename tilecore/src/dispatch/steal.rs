//! Looking after what runs: tiles that would end after everything else are cut anew or rendered twice, and slots
//! that give no sign of life are started anew.

use super::machine::{Dispatch, Phase};
use super::{Action, SlotId};

/// Of all that ends late, this many are looked at each time.
const AT_ONCE: usize = 8;
/// What is done about a late tile must save this share of the time that is left.
const WORTH: f64 = 0.1;
/// A stalled slot is started anew after this many times the silence that made it count as stalled.
const GIVE_UP: f64 = 3.0;

/// A tile that is rendered or on its way.
struct Late {
    slot: SlotId,
    piece: u64,
    part: super::parts::PartId,
    end: f64,
    /// Rendered, on its way here.
    delivering: bool,
    /// Cost as others would find it.
    cost: f64,
    silent: bool,
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

    /// Puts late tiles back to be rendered by others too, where that ends sooner.
    fn reclaim(&mut self, now: f64, actions: &mut Vec<Action>) {
        let work = self.pool.cost();
        let base = if self.pool.is_empty() { now } else { self.finish(now, None, work) };
        let mut late: Vec<Late> = self.flying(now).filter(|l| l.end > base).collect();
        late.sort_by(|a, b| b.end.total_cmp(&a.end).then(a.piece.cmp(&b.piece)));
        late.truncate(AT_ONCE);
        for late in late {
            let work = self.pool.cost();
            let keep = late.end.max(self.finish(now, None, work).min(1e300));
            let (beside, instead) = self.without(now, &late, work);
            let least = (WORTH * (keep - now)).max(self.slots[late.slot].model.fixed_s);
            if beside.min(instead) >= keep - least {
                continue;
            }
            self.share(&late);
            if instead < beside - WORTH * (beside - now) {
                self.cancel(now, late.slot, late.piece, actions);
            }
        }
    }

    /// What is rendered or on its way, is still needed and is not shared out already.
    fn flying(&self, now: f64) -> impl Iterator<Item = Late> {
        let variance = self.terrain.variance();
        self.slots
            .iter()
            .enumerate()
            .flat_map(move |(slot, s)| {
                let running = s.running.as_ref().filter(|r| r.cancelled.is_none()).map(|r| {
                    let silent = r.silent(now, s);
                    // How far it is off may be the slot's fault or the region's.
                    let off = (r.projected_s(now) / r.expected).max(0.1);
                    let cost = r.cost * off.powf(variance / (variance + s.speed.variance()));
                    let end = if silent { f64::INFINITY } else { s.ends_at(now, r) };
                    Late { slot, piece: r.piece, part: r.part, end, delivering: false, cost, silent }
                });
                let arriving = s.delivering.iter().map(move |d| Late {
                    slot,
                    piece: d.piece,
                    part: d.part,
                    end: d.expected.max(now + (now - d.since) / 2.0),
                    delivering: true,
                    cost: d.cost,
                    silent: false,
                });
                running.into_iter().chain(arriving)
            })
            .filter(|l| {
                let part = self.ledger.get(l.part);
                part.queued.is_none()
                    && part.children.is_empty()
                    && part.flying.len() == 1
                    && !self.ledger.is_settled(l.part)
            })
    }

    /// When everything would be done if others rendered the late tile too, and if its slot gave it up for that.
    fn without(&self, now: f64, late: &Late, work: f64) -> (f64, f64) {
        let s = &self.slots[late.slot];
        let part = self.ledger.get(late.part);
        let others =
            || self.slots.iter().enumerate().filter(|(i, o)| *i != late.slot && o.lives()).map(|(_, o)| o);
        if !self.cuts {
            let pixels = self.terrain.pixels_of(part.picture, part.region) as f64;
            let end = others()
                .map(|o| o.stored_at(o.free_at(now), part.picture, late.cost, pixels))
                .fold(f64::INFINITY, f64::min);
            return (end, f64::INFINITY);
        }
        let top = others().map(|o| o.fixed_s(part.picture)).fold(f64::INFINITY, f64::min).max(0.0);
        // Tiles cannot be cut at will: what comes on top of each, and half of the smallest one at the end.
        let extra = top * (1.0 + 0.5 / super::hand::MOST_OVERHEAD);
        let beside = self.finish(now, Some(late.slot), work + late.cost) + extra;
        if late.delivering || late.silent {
            return (beside, f64::INFINITY);
        }
        let own = (now + s.model.fixed_s, s.throughput(1.0));
        let slots = others().map(|o| (o.free_at(now), o.throughput(1.0))).chain(std::iter::once(own));
        (beside, super::fair::finish(slots.collect::<Vec<_>>().into_iter(), work + late.cost) + extra)
    }

    fn share(&mut self, late: &Late) {
        self.enqueue(late.part);
        self.changed();
        if let Some(r) = self.slots[late.slot].running.as_mut().filter(|r| r.piece == late.piece) {
            r.shared = true;
        }
    }
}
