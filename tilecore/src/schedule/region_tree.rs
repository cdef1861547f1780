//! The tree of regions: which are stored, which fly, and which result counts when several cover the same pixels.
//!
//! A part is a region that has to be stored. It may be rendered whole, by several slots at once, and may at the same
//! time be split into children; it is done when a piece of it is stored or when all its children are done, whichever
//! comes first. The stored pieces that count are the topmost ones, so they never overlap.

use std::collections::HashMap;

use super::SlotId;
use crate::geometry::Rect;

pub(super) type PartId = usize;

/// A region that has to be stored.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) picture: u32,
    pub(super) region: Rect,
    /// What it costs for sure, as a factor on the map that was measured: it was rendered far enough to tell.
    pub(super) known: Option<f64>,
    /// The cost under which it waits in the queue, if it does.
    pub(super) queued: Option<f64>,
    pub(super) parent: Option<PartId>,
    pub(super) children: Vec<PartId>,
    done: bool,
    /// The stored piece that covers it, while no larger one does.
    stored: Option<u64>,
    /// Pieces of it that are rendered or delivered now, and by whom.
    pub(super) flying: Vec<(u64, SlotId)>,
    /// Slots on which it failed.
    pub(super) tried: Vec<SlotId>,
    /// How often it was put back while it was rendered.
    pub(super) reclaimed: u8,
}

/// What a stored piece makes superfluous.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Pieces that still fly.
    pub(super) cancel: Vec<(SlotId, u64)>,
    /// Stored pieces that no longer count.
    pub(super) discard: Vec<u64>,
    /// Parts that need not wait any more.
    pub(super) unqueue: Vec<PartId>,
    /// Regions of the stored pieces that no longer count.
    pub(super) freed: Vec<Rect>,
    /// The piece itself was needed.
    pub(super) counts: bool,
}

/// Every part of the job.
#[derive(Clone, Debug, Default)]
pub(super) struct RegionTree {
    parts: Vec<Part>,
    /// Part of every piece ever handed out.
    pieces: HashMap<u64, PartId>,
    /// Parts without parent that are not done.
    open: usize,
}

impl RegionTree {
    /// Adds a region of its own.
    pub(super) fn add(&mut self, picture: u32, region: Rect) -> PartId {
        self.open += 1;
        self.push(picture, region, None, Vec::new())
    }

    fn push(&mut self, picture: u32, region: Rect, parent: Option<PartId>, tried: Vec<SlotId>) -> PartId {
        self.parts.push(Part {
            picture,
            region,
            known: None,
            queued: None,
            parent,
            children: Vec::new(),
            done: false,
            stored: None,
            flying: Vec::new(),
            tried,
            reclaimed: 0,
        });
        self.parts.len() - 1
    }

    /// Replaces a part by two that make it up. What failed for the whole has failed for both.
    pub(super) fn split(&mut self, part: PartId, regions: (Rect, Rect)) -> (PartId, PartId) {
        let (picture, tried) = (self.parts[part].picture, self.parts[part].tried.clone());
        let a = self.push(picture, regions.0, Some(part), tried.clone());
        let b = self.push(picture, regions.1, Some(part), tried);
        for child in [a, b] {
            self.parts[child].known = self.parts[part].known;
        }
        self.parts[part].children = vec![a, b];
        (a, b)
    }

    pub(super) fn get(&self, part: PartId) -> &Part {
        &self.parts[part]
    }

    /// Notes whether the part waits in the queue, and under which cost.
    pub(super) fn set_queued(&mut self, part: PartId, cost: Option<f64>) {
        self.parts[part].queued = cost;
    }

    /// Notes that the part was put back while it was rendered.
    pub(super) fn reclaim(&mut self, part: PartId) {
        self.parts[part].reclaimed = self.parts[part].reclaimed.saturating_add(1);
    }

    /// Notes what the part costs for sure, as a factor on the map that was measured.
    pub(super) fn set_known(&mut self, part: PartId, factor: f64) {
        self.parts[part].known = Some(factor);
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

    /// Notes that the piece will not come; returns its part if it is still needed and nobody else has it in hand.
    pub(super) fn drop_piece(&mut self, piece: u64) -> Option<PartId> {
        let id = self.part_of(piece)?;
        let part = &mut self.parts[id];
        let before = part.flying.len();
        part.flying.retain(|(p, _)| *p != piece);
        let alone = part.flying.len() < before
            && part.flying.is_empty()
            && part.children.is_empty()
            && part.queued.is_none();
        (alone && !self.is_settled(id)).then_some(id)
    }

    /// Notes that the part failed on the slot; returns how often it has failed by now.
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
            settled.unqueue.extend(child.queued.map(|_| id));
            if let Some(piece) = child.stored.take() {
                settled.discard.push(piece);
                settled.freed.push(child.region);
            }
            below.extend(child.children.iter().copied());
        }
    }

    /// Marks the part done, and every larger one whose parts are all done.
    fn finish(&mut self, part: PartId, settled: &mut Settled) {
        let mut at = Some(part);
        while let Some(id) = at {
            let done = &mut self.parts[id];
            done.done = true;
            settled.cancel.extend(done.flying.iter().map(|(piece, slot)| (*slot, *piece)));
            settled.unqueue.extend(done.queued.map(|_| id));
            at = done.parent;
            match at {
                None => self.open -= 1,
                Some(parent) if self.parts[parent].children.iter().all(|c| self.parts[*c].done) => {}
                Some(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves() -> (RegionTree, PartId, PartId, PartId) {
        let whole = Rect::new(0, 0, 10, 10).unwrap();
        let mut tree = RegionTree::default();
        let root = tree.add(0, whole);
        tree.hand_out(root, 0, 0);
        let (a, b) = tree.split(root, whole.cut(true, 5).unwrap());
        tree.hand_out(a, 1, 1);
        tree.hand_out(b, 2, 2);
        (tree, root, a, b)
    }

    #[test]
    fn both_halves_make_the_whole_and_its_slot_is_let_off() {
        let (mut tree, root, ..) = halves();
        assert!(tree.store(1).cancel.is_empty());
        assert!(!tree.all_done());
        let settled = tree.store(2);
        assert_eq!(settled.cancel, [(0, 0)]);
        assert!(settled.counts && tree.all_done() && tree.is_settled(root));
        assert_eq!(tree.store(0), Settled { discard: vec![0], ..Settled::default() }, "too late");
    }

    #[test]
    fn the_whole_outdoes_a_stored_half() {
        let (mut tree, ..) = halves();
        tree.store(1);
        let settled = tree.store(0);
        assert_eq!((settled.discard, settled.cancel), (vec![1], vec![(2, 2)]));
        assert_eq!(settled.freed, [Rect::new(0, 0, 5, 10).unwrap()]);
        assert!(tree.all_done());
        assert_eq!(tree.store(1).discard, [1], "it stays superfluous");
    }

    #[test]
    fn a_piece_reported_twice_stays() {
        let (mut tree, ..) = halves();
        tree.store(1);
        assert_eq!(tree.store(1), Settled::default());
    }

    #[test]
    fn a_dropped_piece_is_needed_again_only_if_nobody_else_has_it() {
        let (mut tree, _, a, _) = halves();
        assert_eq!(tree.drop_piece(0), None, "its halves are under way");
        tree.hand_out(a, 3, 5);
        assert_eq!(tree.drop_piece(1), None, "its twin is under way");
        assert_eq!(tree.drop_piece(3), Some(a));
        assert_eq!(tree.drop_piece(3), None, "only once");
    }
}
