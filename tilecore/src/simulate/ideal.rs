//! The time nobody can beat: every slot busy from when it is ready, work cut at will, and everything known before.

use super::World;
use crate::schedule::{Input, SlotId};

/// Seconds in which the regions' pixels could be rendered and delivered at the very earliest.
///
/// A lower bound: it knows rates, start, sync and uplinks and what befalls the slots, and none of what tiles cost
/// (fixed cost, overlap, noise). A slot renders of several pictures only those that it has built, and building costs it
/// its sync each time. A slot behind a slow uplink delivers only so many pixels, and is granted the costliest.
pub fn ideal(world: &World) -> f64 {
    let (total, costliest) = costs(world);
    let pictures = pictures(world);
    let enough = |end: f64| done_by(world, end, &costliest, &pictures) >= total;
    let mut high = 1.0;
    while !enough(high) {
        high *= 2.0;
        if high > world.limit_s {
            return f64::INFINITY;
        }
    }
    let mut low = 0.0;
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if enough(middle) { high = middle } else { low = middle }
    }
    high
}

/// Cost of all pictures, and of their cells as (pixels, cost), costliest pixels first, both running sums.
fn costs(world: &World) -> (f64, Vec<(f64, f64)>) {
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut total = 0.0;
    for (map, weight) in &world.truth {
        let whole = map.cost_of(map.frame().rect()) * weight;
        total += whole;
        let values = &map.cells().cost;
        let sum: f64 = values.iter().map(|c| f64::from(*c)).sum();
        let pixels = map.frame().area() as f64 / values.len() as f64;
        cells.extend(values.iter().map(|c| (pixels, whole * f64::from(*c) / sum)));
    }
    cells.sort_by(|a, b| (b.1 / b.0).total_cmp(&(a.1 / a.0)));
    let mut running = (0.0, 0.0);
    for cell in &mut cells {
        running = (running.0 + cell.0, running.1 + cell.1);
        *cell = running;
    }
    (total, cells)
}

/// Costs of the pictures, costliest first, running sums.
fn pictures(world: &World) -> Vec<f64> {
    let mut costs: Vec<f64> =
        world.truth.iter().map(|(map, w)| map.cost_of(map.frame().rect()) * w).collect();
    costs.sort_by(|a, b| b.total_cmp(a));
    let mut sum = 0.0;
    for cost in &mut costs {
        sum += *cost;
        *cost = sum;
    }
    costs
}

/// The most that can be rendered in some seconds of which every picture after the first costs `sync_s`.
fn rendered(seconds: f64, sync_s: f64, rate: f64, pictures: &[f64]) -> f64 {
    let with = |(built, most): (usize, &f64)| ((seconds - sync_s * built as f64) * rate).min(*most);
    pictures.iter().enumerate().map(with).fold(0.0, f64::max)
}

/// When the user lets a slot go. The tile that it still finishes then is not counted: one more reason why real runs can
/// do without it.
fn leaves_at(world: &World, slot: SlotId) -> f64 {
    let leaves = world.user.iter().filter(|(_, input)| matches!(input, Input::Leave(s) if *s == slot));
    leaves.map(|(at, _)| *at).fold(f64::INFINITY, f64::min)
}

fn done_by(world: &World, end: f64, costliest: &[(f64, f64)], pictures: &[f64]) -> f64 {
    world
        .nodes
        .iter()
        .enumerate()
        .map(|(slot, node)| {
            let mut cost = 0.0;
            for (from, to) in node.alive(end) {
                let to = to.min(leaves_at(world, slot));
                let ready = node.done_at(from, node.model.start_s + node.model.sync_s);
                if ready >= to {
                    continue;
                }
                let seconds = node.capacity(ready, to);
                let rendered = rendered(seconds, node.model.sync_s, node.model.rate, pictures);
                let pixels =
                    node.capacity(ready, to) * node.model.transfer_bytes_per_s / world.bytes_per_pixel;
                cost += rendered.min(cost_of_costliest(pixels, costliest));
            }
            cost
        })
        .sum()
}

/// The most that this many pixels can cost.
fn cost_of_costliest(pixels: f64, costliest: &[(f64, f64)]) -> f64 {
    let at = costliest.partition_point(|c| c.0 < pixels);
    let before = if at == 0 { (0.0, 0.0) } else { costliest[at - 1] };
    match costliest.get(at) {
        Some(cell) if pixels.is_finite() => {
            before.1 + (cell.1 - before.1) * (pixels - before.0) / (cell.0 - before.0)
        }
        _ => costliest.last().map_or(0.0, |c| c.1),
    }
}
