//! The ledger of regions: which are stored, which fly, and which result counts when several cover the same pixels.
//!
//! A part is a region that has to be stored. It may be rendered whole, by several slots at once, and may at the same
//! time be split into children; it is done when a piece of it is stored or when all its children are done, whichever
//! comes first. The stored pieces that count are the topmost ones, so they never overlap.

use std::collections::HashMap;

use crate::dispatch::SlotId;
use crate::geometry::Rect;

pub(super) type PartId = usize;

/// A region that has to be stored.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) picture: u32,
    pub(super) region: Rect,
    /// Expected cost with its overlap.
    pub(super) cost: f64,
    pub(super) parent: Option<PartId>,
    pub(super) children: Vec<PartId>,
    pub(super) done: bool,
    /// The stored piece that covers it, while no larger one does.
    stored: Option<u64>,
    /// Pieces of it that are rendered or delivered now, and by whom.
    pub(super) flying: Vec<(u64, SlotId)>,
    /// Slots on which it failed.
    pub(super) tried: Vec<SlotId>,
}

/// What a stored piece makes superfluous.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Pieces that still fly.
    pub(super) cancel: Vec<(SlotId, u64)>,
    /// Stored pieces that no longer count.
    pub(super) discard: Vec<u64>,
    /// The piece itself was needed.
    pub(super) counts: bool,
}

/// Every part of the job.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    parts: Vec<Part>,
    /// Part of every piece ever handed out.
    pieces: HashMap<u64, PartId>,
    /// Parts without parent that are not done.
    open: usize,
}

impl Ledger {
    pub(super) fn add(&mut self, picture: u32, region: Rect, cost: f64) -> PartId {
        self.open += 1;
        self.push(picture, region, cost, None)
    }

    fn push(&mut self, picture: u32, region: Rect, cost: f64, parent: Option<PartId>) -> PartId {
        self.parts.push(Part {
            picture,
            region,
            cost,
            parent,
            children: Vec::new(),
            done: false,
            stored: None,
            flying: Vec::new(),
            tried: Vec::new(),
        });
        self.parts.len() - 1
    }

    pub(super) fn get(&self, part: PartId) -> &Part {
        &self.parts[part]
    }

    pub(super) fn part_of(&self, piece: u64) -> Option<PartId> {
        self.pieces.get(&piece).copied()
    }

    /// Whether every pixel is stored.
    pub(super) fn all_done(&self) -> bool {
        self.open == 0
    }

    /// Whether the part, or a larger one that contains it, is done.
    pub(super) fn is_settled(&self, part: PartId) -> bool {
        let mut at = Some(part);
        while let Some(id) = at {
            if self.parts[id].done {
                return true;
            }
            at = self.parts[id].parent;
        }
        false
    }

    /// Notes that the slot renders the part as this piece.
    pub(super) fn hand_out(&mut self, part: PartId, piece: u64, slot: SlotId) {
        self.pieces.insert(piece, part);
        self.parts[part].flying.push((piece, slot));
    }

    /// Notes that the piece will not come; returns its part if the part is still needed and nobody else renders it.
    pub(super) fn drop_piece(&mut self, piece: u64) -> Option<PartId> {
        let part = self.part_of(piece)?;
        let flying = &mut self.parts[part].flying;
        let before = flying.len();
        flying.retain(|(id, _)| *id != piece);
        let was_flying = flying.len() < before;
        let idle = flying.is_empty() && self.parts[part].children.is_empty();
        (was_flying && idle && !self.is_settled(part)).then_some(part)
    }

    /// Notes that the part failed on the slot; returns on how many attempts it has failed by now.
    pub(super) fn failed_on(&mut self, part: PartId, slot: SlotId) -> usize {
        self.parts[part].tried.push(slot);
        self.parts[part].tried.len()
    }

    /// Notes that the piece is on the disk.
    pub(super) fn store(&mut self, piece: u64) -> Settled {
        let mut settled = Settled::default();
        let Some(part) = self.part_of(piece) else { return settled };
        self.parts[part].flying.retain(|(id, _)| *id != piece);
        if self.is_settled(part) {
            // A twin was faster. The same piece reported twice is not its own twin.
            if self.parts[part].stored != Some(piece) {
                settled.discard.push(piece);
            }
            return settled;
        }
        settled.counts = true;
        self.parts[part].stored = Some(piece);
        self.clear_below(part, &mut settled);
        self.finish(part, &mut settled);
        settled
    }

    /// What is below a stored part is superfluous.
    fn clear_below(&mut self, part: PartId, settled: &mut Settled) {
        let mut below = self.parts[part].children.clone();
        while let Some(id) = below.pop() {
            let child = &mut self.parts[id];
            settled.cancel.extend(child.flying.iter().map(|(piece, slot)| (*slot, *piece)));
            settled.discard.extend(child.stored.take());
            below.extend(child.children.iter().copied());
        }
    }

    /// Marks the part done, and every larger one whose parts are all done.
    fn finish(&mut self, part: PartId, settled: &mut Settled) {
        let mut at = Some(part);
        while let Some(id) = at {
            self.parts[id].done = true;
            settled.cancel.extend(self.parts[id].flying.iter().map(|(piece, slot)| (*slot, *piece)));
            at = self.parts[id].parent;
            match at {
                None => self.open -= 1,
                Some(parent) if self.parts[parent].children.iter().all(|c| self.parts[*c].done) => {}
                Some(_) => return,
            }
        }
    }
}
