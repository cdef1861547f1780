//! The future by simulation: the real scheduler on a virtual clock, with what is known of the slots.

use std::collections::BTreeSet;

use super::words;
use super::{NodePlan, Plan};
use crate::cost::{NodeModel, Tiling, Work, fill};
use crate::schedule::{Options, Piece};
use crate::simulate::{Outcome, SimNode, World, run};

/// How much overhead the largest tiles may have, from coarse to fine. Fine tiles lose less when a slot fails, are split
/// better when a forecast was wrong, and cost more.
const GRAINS: [f64; 4] = [0.0025, 0.005, 0.0075, 0.01];
/// Finer tiles may lengthen the job by this share.
const ACCEPTED: f64 = 0.003;
/// A slot with a smaller share than this is left out if the others are as fast without it.
const SMALL: f64 = 0.01;
/// As fast means within this share.
const AS_FAST: f64 = 0.002;
/// With more slots than this the finer grains differ too little to try them all.
const MANY: usize = 100;

/// Makes the plan; `tiles` are those of a uniform grid, costliest first, if one is wanted.
pub(super) fn foretell(work: Work, models: &[NodeModel], tiles: Vec<Piece>) -> Plan {
    let (models, known) = fill(models);
    let alone = best_alone(&work, &models).filter(|_| known);
    let mut draft = Plan {
        work,
        nodes: models.into_iter().map(unused).collect(),
        pieces: tiles,
        owners: Vec::new(),
        grain: GRAINS[GRAINS.len() - 1],
        overhead: 0.0,
        seconds: None,
        alone: None,
        limit: String::new(),
    };
    if !known && draft.work.tiling == Tiling::Auto {
        // Tiles are cut by the slots' rates, and nothing can be foretold without any: with a guessed rate, as many
        // tiles as the frame has thousands of pixels would be made here while the slots wait.
        draft.limit = words::limit(&draft);
        return draft;
    }
    let world = world(&draft);
    let mut future = simulate(&world, &mut draft);
    if known && !draft.nodes.is_empty() {
        leave_out(&world, &mut draft, &mut future, alone.as_ref().map_or(f64::INFINITY, |a| a.1));
    }
    describe(&world, draft, &future, alone.filter(|_| known), known)
}

fn unused(model: NodeModel) -> NodePlan {
    NodePlan { model, tiles: 0, share: 0.0, busy_s: 0.0, left_out: None }
}

/// A world in which everything is as it is believed to be.
fn world(draft: &Plan) -> World {
    let node = |n: &NodePlan| SimNode { reports: 0, ..SimNode::new(n.model.clone()) };
    World {
        truth: draft.work.pictures.iter().map(|p| (p.cost.clone(), 1.0)).collect(),
        overlap: draft.work.overlap,
        bytes_per_pixel: draft.work.bytes_per_pixel,
        nodes: draft.nodes.iter().map(node).collect(),
        user: Vec::new(),
        // The rates may be anything, and nothing unforeseen happens here.
        tick_s: f64::INFINITY,
        poison: None,
        limit_s: 1e300,
    }
}

/// Finds the finest tiles that cost next to nothing, and what happens with them.
fn simulate(world: &World, draft: &mut Plan) -> Outcome {
    if draft.work.tiling != Tiling::Auto {
        return run(world, &draft.start(), Options::default(), 0);
    }
    let grains = if draft.nodes.len() > MANY { &GRAINS[2..3] } else { &GRAINS[..] };
    let mut futures: Vec<(f64, Outcome)> = grains
        .iter()
        .map(|grain| {
            draft.grain = *grain;
            (*grain, run(world, &draft.start(), Options::default(), 0))
        })
        .collect();
    let best = futures.iter().map(|f| f.1.seconds).fold(f64::INFINITY, f64::min);
    let at = futures.iter().rposition(|f| f.1.seconds <= best * (1.0 + ACCEPTED)).unwrap_or(0);
    let (grain, future) = futures.swap_remove(at);
    draft.grain = grain;
    future
}

/// Leaves out who does not serve the job: those that got nothing to do, all but one where one alone is as fast, and
/// those of little use without which the others are as fast.
fn leave_out(world: &World, draft: &mut Plan, future: &mut Outcome, alone: f64) {
    let mut cost = vec![0.0; draft.nodes.len()];
    for (slot, piece, ..) in &future.rendered {
        cost[*slot] += draft.work.cost_of(piece.picture, piece.region);
    }
    let total: f64 = cost.iter().sum();
    let small = SMALL.min(0.1 / draft.nodes.len() as f64);
    let idle: Vec<usize> = (0..cost.len()).filter(|i| cost[*i] <= 0.0).collect();
    for i in &idle {
        draft.nodes[*i].left_out = Some(words::no_use(&draft.nodes[*i].model, future.seconds));
    }
    // A slot whose rate is a guess gets its chance: the first tile will tell.
    let weak: Vec<usize> = (0..cost.len())
        .filter(|i| cost[*i] > 0.0 && cost[*i] < small * total && draft.nodes[*i].model.known)
        .collect();
    if !weak.is_empty() && weak.len() + idle.len() < cost.len() {
        let before = draft.nodes.clone();
        for i in &weak {
            draft.nodes[*i].left_out = Some(words::little_use(cost[*i] / total));
        }
        let without = run(world, &draft.start(), Options::default(), 0);
        if without.is_complete() && without.seconds <= future.seconds * (1.0 + AS_FAST) {
            *future = without;
        } else {
            draft.nodes = before;
        }
    }
    let several = draft.nodes.iter().filter(|n| n.left_out.is_none()).count() > 1;
    if several && alone <= future.seconds * (1.0 + AS_FAST) && draft.nodes.iter().all(|n| n.model.known) {
        one_alone(world, draft, future);
    }
}

/// One slot by itself is as fast as all together.
fn one_alone(world: &World, draft: &mut Plan, future: &mut Outcome) {
    let Some(best) = (0..draft.nodes.len()).min_by(|a, b| {
        let end = |i: &usize| alone(&draft.work, &draft.nodes[*i].model);
        end(a).total_cmp(&end(b))
    }) else {
        return;
    };
    let before = draft.nodes.clone();
    for (i, node) in draft.nodes.iter_mut().enumerate() {
        node.left_out = (i != best).then(|| words::not_needed(&before[best].model.name));
    }
    let without = run(world, &draft.start(), Options::default(), 0);
    if without.is_complete() && without.seconds <= future.seconds * (1.0 + AS_FAST) {
        *future = without;
    } else {
        draft.nodes = before;
    }
}

/// Seconds that a slot would take by itself, in one tile for every region.
fn alone(work: &Work, model: &NodeModel) -> f64 {
    let regions: usize = work.pictures.iter().map(|p| p.todo.len()).sum();
    let pixels: f64 = work.pictures.iter().flat_map(|p| &p.todo).map(|r| r.area() as f64).sum();
    let pictures = work.pictures.iter().filter(|p| !p.todo.is_empty()).count();
    let builds = if model.unbuilt { pictures } else { pictures.saturating_sub(1) };
    model.ready_s()
        + model.sync_s * builds as f64
        + model.fixed_s * regions as f64
        + (work.cost() / model.rate).max(pixels * work.bytes_per_pixel / model.transfer_bytes_per_s)
}

fn best_alone(work: &Work, models: &[NodeModel]) -> Option<(String, f64)> {
    models.iter().map(|m| (m.name.clone(), alone(work, m))).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Fills the plan in from what will happen.
fn describe(
    world: &World,
    mut plan: Plan,
    future: &Outcome,
    alone: Option<(String, f64)>,
    known: bool,
) -> Plan {
    let mut handed = future.rendered.clone();
    handed.sort_by_key(|(_, piece, ..)| piece.id);
    // What was rendered twice, or given up and cut anew, is to be done once.
    let counts: BTreeSet<u64> = future.stored.iter().map(|piece| piece.id).collect();
    let (mut own, mut busy) = (0.0, 0.0);
    for (slot, piece, from, to) in &handed {
        let cost = world.cost_of(piece.picture, piece.region);
        let node = &mut plan.nodes[*slot];
        node.tiles += usize::from(counts.contains(&piece.id));
        node.share += cost;
        node.busy_s += to - from;
        busy += to - from;
        own += plan.work.pictures[piece.picture as usize].cost.cost_of(piece.region) / node.model.rate;
    }
    let total: f64 = plan.nodes.iter().map(|n| n.share).sum();
    for node in &mut plan.nodes {
        node.share = if total > 0.0 { node.share / total } else { 0.0 };
    }
    plan.overhead = if busy > 0.0 { (1.0 - own / busy).clamp(0.0, 1.0) } else { 0.0 };
    // A grid is to be done whole even where it cannot be foretold by whom.
    if future.is_complete() || plan.work.tiling == Tiling::Auto {
        handed.retain(|(_, piece, ..)| counts.contains(&piece.id));
        plan.pieces = handed.iter().map(|(_, piece, ..)| *piece).collect();
        plan.owners = handed.iter().map(|(slot, ..)| *slot).collect();
    }
    plan.seconds = (known && future.is_complete()).then_some(future.seconds);
    plan.alone = alone;
    plan.limit = words::limit(&plan);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Frame;

    #[test]
    fn without_any_rate_nothing_is_foretold_however_large_the_frame() {
        let work = Work::whole(Frame::new(32_768, 32_768).unwrap());
        let plan = foretell(work, &[NodeModel::unknown("a"), NodeModel::unknown("b")], Vec::new());
        assert!(plan.pieces.is_empty() && plan.owners.is_empty() && plan.seconds.is_none());
        assert!(plan.nodes.iter().all(|n| n.left_out.is_none()), "all are to be tried");
        assert!(plan.limit.contains("the first tiles will tell"), "{}", plan.limit);
    }
}
