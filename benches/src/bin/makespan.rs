//! How long jobs take against the time nobody can beat: the real planner and scheduler on a virtual clock, beside what
//! fixed grids with a pull queue, strips by benchmark and one Blender per tile would take.
//!
//! `cargo run --release -p benches --bin makespan [CASE]`

use std::path::Path;
use std::time::Instant;

use rayon::prelude::*;
use tilecore::cost::{Cells, CostMap, NodeModel, Picture, Tiling, Work};
use tilecore::geometry::{Frame, Overlap, Rect};
use tilecore::plan::plan;
use tilecore::random::SplitMix64;
use tilecore::schedule::{Input, Options};
use tilecore::simulate::{Fault, SimNode, World, ideal, run};

/// Every case is run this often, with other noise and other errors of measurement.
const SEEDS: u64 = 9;

/// What the planner is told of the costs.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// What a probe measures: a coarse map, rates and fixed costs, all a little wrong.
    Probed,
    /// Nothing about the frame.
    Uniform,
    /// Nothing about the frame or the slots.
    Nothing,
}

struct Case {
    name: &'static str,
    world: World,
    told: Told,
    /// Slots at the end of the list that the plan does not know: they join.
    late: usize,
}

fn node(name: &str, rate: f64, start_s: f64, sync_s: f64) -> SimNode {
    let model = NodeModel {
        start_s,
        sync_s,
        rate,
        fixed_s: 0.1,
        transfer_bytes_per_s: 50e6,
        known: true,
        ..NodeModel::unknown(name)
    };
    SimNode { noise: 0.03, ..SimNode::new(model) }
}

fn map(name: &str, frame: Frame) -> CostMap {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/costmaps").join(name).with_extension("ron");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let cells: Cells = ron::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    CostMap::new(Cells { frame, ..cells }).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A tiny place that costs as much as all the rest.
fn hotspot(frame: Frame) -> CostMap {
    let mut cost = vec![1.0; 32 * 18];
    for cell in [300, 301, 332, 333] {
        cost[cell] = 32.0 * 18.0 / 4.0;
    }
    CostMap::new(Cells { frame, columns: 32, rows: 18, cost }).unwrap()
}

fn frame(width: u32, height: u32) -> Frame {
    Frame::new(width, height).unwrap()
}

/// Rates such that all together take about `seconds` for the frame.
fn paced(frame: Frame, seconds: f64, weights: &[f64]) -> Vec<f64> {
    let all: f64 = weights.iter().sum();
    weights.iter().map(|w| frame.area() as f64 / seconds * w / all).collect()
}

fn group(frame: Frame, seconds: f64, start_s: f64, sync_s: f64, weights: &[f64]) -> Vec<SimNode> {
    paced(frame, seconds, weights)
        .into_iter()
        .enumerate()
        .map(|(i, rate)| node(&format!("node{i}"), rate, start_s, sync_s))
        .collect()
}

/// As in a second run: the figures are known from the first, and every slot builds the scene with its first tile.
fn unbuilt(mut case: Case) -> Case {
    case.world.nodes.iter_mut().for_each(|n| n.model.unbuilt = true);
    case
}

fn cases() -> Vec<Case> {
    let hd = frame(1920, 1080);
    let uhd = frame(3840, 2160);
    let case =
        |name, truth: CostMap, nodes, told| Case { name, world: World::new(truth, nodes), told, late: 0 };
    let office: Vec<f64> = (0..20).map(|i| 0.7 + 0.03 * f64::from(i * 7 % 20)).collect();
    let farm: Vec<f64> = (0..100).map(|i| 0.5 + f64::from(i * 37 % 100) / 50.0).collect();
    let mut cases = vec![
        case("one node", map("cornell", hd), group(hd, 60.0, 1.0, 2.0, &[1.0]), Told::Probed),
        case(
            "two equal, even cost",
            CostMap::uniform(hd),
            group(hd, 60.0, 1.0, 2.0, &[1.0; 2]),
            Told::Probed,
        ),
        case("two equal, cornell", map("cornell", hd), group(hd, 60.0, 1.0, 2.0, &[1.0; 2]), Told::Probed),
        case("1 and 10", map("suzanne", hd), group(hd, 60.0, 1.0, 2.0, &[1.0, 10.0]), Told::Probed),
        case("four equal, 30 s", map("cornell", hd), group(hd, 27.0, 1.0, 2.0, &[1.0; 4]), Told::Probed),
        case("four equal, 300 s", map("explosion", hd), group(hd, 300.0, 1.0, 2.0, &[1.0; 4]), Told::Probed),
        case(
            "Pi, laptop, desktop, GPU box",
            map("suzanne", uhd),
            group(uhd, 60.0, 2.0, 3.0, &[1.0, 8.0, 40.0, 400.0]),
            Told::Probed,
        ),
        case(
            "8 unlike nodes",
            map("explosion", hd),
            group(hd, 45.0, 1.0, 2.0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
            Told::Probed,
        ),
        case("20 office PCs", map("cornell", uhd), group(uhd, 60.0, 2.0, 3.0, &office), Told::Probed),
        case("100 nodes", map("suzanne", uhd), group(uhd, 60.0, 2.0, 3.0, &farm), Told::Probed),
        case(
            "costly sync",
            map("cornell", hd),
            group(hd, 30.0, 1.0, 12.0, &[1.0, 1.0, 2.0, 4.0]),
            Told::Probed,
        ),
        unbuilt(case(
            "again, nothing built yet",
            map("cornell", hd),
            group(hd, 60.0, 1.0, 2.0, &[1.0; 2]),
            Told::Probed,
        )),
        unbuilt(case(
            "again, costly sync",
            map("cornell", hd),
            group(hd, 30.0, 1.0, 12.0, &[1.0, 1.0, 2.0, 4.0]),
            Told::Probed,
        )),
        unbuilt(case(
            "again, short: 5 s",
            map("cornell", hd),
            group(hd, 2.5, 1.0, 1.5, &[1.0; 2]),
            Told::Probed,
        )),
        case("half the cost in one place", hotspot(hd), group(hd, 60.0, 1.0, 2.0, &[1.0; 6]), Told::Probed),
        case("no map", map("suzanne", hd), group(hd, 60.0, 1.0, 2.0, &[1.0, 1.0, 2.0, 4.0]), Told::Uniform),
        case(
            "nothing known",
            map("suzanne", hd),
            group(hd, 60.0, 1.0, 2.0, &[1.0, 1.0, 2.0, 4.0]),
            Told::Nothing,
        ),
        case(
            "nothing known, hot place",
            hotspot(hd),
            group(hd, 60.0, 1.0, 2.0, &[1.0, 3.0, 9.0]),
            Told::Nothing,
        ),
        case("short: 5 s", map("cornell", hd), group(hd, 4.0, 0.5, 0.5, &[1.0; 4]), Told::Probed),
        case(
            "shorter than its overhead: 1 s",
            map("cornell", hd),
            group(hd, 0.3, 0.5, 0.5, &[1.0; 4]),
            Told::Probed,
        ),
    ];
    let mut with = |name, base: &str, seconds: f64, weights: &[f64], change: &dyn Fn(&mut Case)| {
        let f = if base == "suzanne" { uhd } else { hd };
        let mut case = Case {
            name,
            world: World::new(map(base, f), group(f, seconds, 1.0, 2.0, weights)),
            told: Told::Probed,
            late: 0,
        };
        change(&mut case);
        cases.push(case);
    };
    with("adaptive (overlap 8), 2 nodes", "cornell", 60.0, &[1.0, 2.0], &|c| c.world.overlap = Overlap(8));
    with("adaptive (overlap 8), 4K, 6 nodes", "suzanne", 90.0, &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0], &|c| {
        c.world.overlap = Overlap(8);
    });
    with("noise of a tenth, 8 nodes", "suzanne", 60.0, &[1.0; 8], &|c| {
        c.world.nodes.iter_mut().for_each(|n| n.noise = 0.1);
    });
    with("fixed cost 0.5 s a tile", "cornell", 60.0, &[1.0; 4], &|c| {
        c.world.nodes.iter_mut().for_each(|n| n.model.fixed_s = 0.5);
    });
    with("slow uplinks, EXR", "cornell", 90.0, &[1.0, 1.0, 2.0, 2.0], &|c| {
        c.world.bytes_per_pixel = 30.0;
        c.world.nodes[0].model.transfer_bytes_per_s = 0.3e6;
        c.world.nodes[2].model.transfer_bytes_per_s = 1e6;
    });
    with("ready 25 s late", "explosion", 60.0, &[1.0; 4], &|c| c.world.nodes[3].joins_at = 25.0);
    with("two join after 20 s", "explosion", 60.0, &[1.0; 4], &|c| {
        c.late = 2;
        c.world.nodes[2].joins_at = 20.0;
        c.world.nodes[3].joins_at = 20.0;
    });
    with("one dies at 30 s", "cornell", 60.0, &[1.0; 4], &|c| {
        c.world.nodes[1].faults = vec![Fault::Death { at: 30.0, back_s: None }];
    });
    with("one dies at 20 s, back 10 s later", "cornell", 60.0, &[1.0; 4], &|c| {
        c.world.nodes[1].faults = vec![Fault::Death { at: 20.0, back_s: Some(10.0) }];
    });
    with("one is stopped at 30 s", "cornell", 60.0, &[1.0; 4], &|c| {
        c.world.nodes[1].faults = vec![Fault::Speed { at: 30.0, factor: 0.0 }];
    });
    with("one is stopped from 20 to 40 s", "cornell", 60.0, &[1.0; 4], &|c| {
        c.world.nodes[1].faults =
            vec![Fault::Speed { at: 20.0, factor: 0.0 }, Fault::Speed { at: 40.0, factor: 1.0 }];
    });
    with("one is four times slower from 25 s on", "suzanne", 60.0, &[1.0; 4], &|c| {
        c.world.nodes[1].faults = vec![Fault::Speed { at: 25.0, factor: 0.25 }];
    });
    with("one leaves, one tile fails", "suzanne", 60.0, &[1.0; 5], &|c| {
        c.world.user = vec![(20.0, Input::Leave(4))];
        c.world.nodes[0].faults = vec![Fault::Failure { at: 10.0 }];
    });
    with("6 frames, growing cost", "explosion", 25.0, &[1.0, 1.0, 2.0, 3.0], &|c| {
        let map = c.world.truth[0].0.clone();
        c.world.truth = (0..6).map(|i| (map.clone(), 1.0 + 0.3 * f64::from(i))).collect();
    });
    with("24 frames, 2 unequal nodes", "suzanne", 8.0, &[1.0, 3.0], &|c| {
        let map = c.world.truth[0].0.clone();
        c.world.truth = (0..24).map(|_| (map.clone(), 1.0)).collect();
    });
    with("24 frames, growing cost, 2 unequal nodes", "suzanne", 8.0, &[1.0, 3.0], &|c| {
        let map = c.world.truth[0].0.clone();
        c.world.truth = (0..24).map(|i| (map.clone(), 0.5 + 0.1 * f64::from(i))).collect();
    });
    with(
        "60 frames, falling cost, 8 nodes",
        "cornell",
        4.0,
        &[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0],
        &|c| {
            let map = c.world.truth[0].0.clone();
            c.world.truth = (0..60).map(|i| (map.clone(), 2.0 - 0.03 * f64::from(i))).collect();
        },
    );
    with("9 frames, 6 equal nodes", "explosion", 12.0, &[1.0; 6], &|c| {
        let map = c.world.truth[0].0.clone();
        c.world.truth = (0..9).map(|_| (map.clone(), 1.0)).collect();
    });
    let big = frame(16384, 16384);
    cases.push(case(
        "16,384 x 16,384, 50 nodes",
        map("suzanne", big),
        group(big, 300.0, 2.0, 5.0, &farm[..50]),
        Told::Probed,
    ));
    let crowd: Vec<f64> = (0..1000).map(|i| 0.5 + f64::from(i * 37 % 100) / 50.0).collect();
    cases.push(case(
        "16,384 x 16,384, 1000 nodes",
        map("cornell", big),
        group(big, 120.0, 2.0, 5.0, &crowd),
        Told::Probed,
    ));
    cases
}

/// The map a probe would give: eight patches on every slot, as far as the truth has cells, each a little wrong.
fn probed(truth: &CostMap, slots: usize, chance: &mut SplitMix64) -> CostMap {
    let frame = truth.frame();
    let cells = truth.cells();
    let patches = (8 * slots).max(24) as f64;
    let finer = (f64::from(cells.columns * cells.rows) / patches).sqrt().max(1.0);
    let coarse = |n: u32| (f64::from(n) / finer).round().max(1.0) as u32;
    let (columns, rows) = (coarse(cells.columns), coarse(cells.rows));
    let mut cost = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let at = |side: u32, i: u32, n: u32| u64::from(side) * u64::from(i) / u64::from(n);
            let (x0, x1) =
                (at(frame.width(), column, columns) as u32, at(frame.width(), column + 1, columns) as u32);
            let (y0, y1) = (at(frame.height(), row, rows) as u32, at(frame.height(), row + 1, rows) as u32);
            let cell = Rect::new(x0, y0, x1 - x0, y1 - y0).unwrap();
            cost.push((truth.cost_of(cell) / cell.area() as f64 * chance.factor(0.1)) as f32);
        }
    }
    CostMap::new(Cells { frame, columns, rows, cost }).unwrap()
}

fn work(case: &Case, tiling: Tiling, seed: u64) -> (Work, Vec<NodeModel>) {
    let mut chance = SplitMix64::new(seed ^ 0xABCD);
    let pictures = case
        .world
        .truth
        .iter()
        .map(|(truth, _)| Picture {
            frame: truth.frame(),
            todo: vec![truth.frame().rect()],
            cost: if case.told == Told::Probed {
                probed(truth, case.world.nodes.len() - case.late, &mut chance)
            } else {
                CostMap::uniform(truth.frame())
            },
        })
        .collect();
    let work =
        Work { pictures, overlap: case.world.overlap, tiling, bytes_per_pixel: case.world.bytes_per_pixel };
    let models = case.world.nodes[..case.world.nodes.len() - case.late]
        .iter()
        .map(|n| {
            if case.told == Told::Nothing {
                NodeModel::unknown(n.model.name.clone())
            } else {
                NodeModel {
                    rate: n.model.rate * chance.factor(0.1),
                    fixed_s: n.model.fixed_s * chance.factor(0.3),
                    ..n.model.clone()
                }
            }
        })
        .collect();
    (work, models)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds and tiles of the real thing.
fn ours(case: &Case, seed: u64) -> (f64, usize, f64) {
    let (work, models) = work(case, Tiling::Auto, seed);
    let plan = plan(work, &models).unwrap();
    let out = run(&World { limit_s: 2000.0, ..case.world.clone() }, &plan.start(), Options::default(), seed);
    assert!(out.violations.is_empty(), "{}: {:?}", case.name, out.violations);
    if !out.is_complete() {
        println!("{}: {:?} after {:.1} s", case.name, out.end, out.seconds);
    }
    (if out.is_complete() { out.seconds } else { f64::INFINITY }, out.stored.len(), out.wasted_s)
}

/// A grid of equal tiles and a plain pull queue. Infinite if it never ends.
fn grid(world: &World, case: &Case, tiles: u32, seed: u64) -> f64 {
    let (work, models) = work(case, Tiling::Count(tiles), seed);
    let plan = plan(work, &models).unwrap();
    let options = Options { stragglers: false, troubles: u32::MAX, ..Options::default() };
    let out = run(
        &World { limit_s: if world.nodes.len() == 1 { 1e9 } else { 2000.0 }, tick_s: 5.0, ..world.clone() },
        &plan.start(),
        options,
        seed,
    );
    if out.is_complete() { out.seconds } else { f64::INFINITY }
}

/// One strip per slot, as high as its benchmark says.
fn strips(case: &Case, seed: u64) -> f64 {
    let (_, models) = work(case, Tiling::Auto, seed);
    let rates: Vec<f64> = models.iter().map(|m| if m.rate > 0.0 { m.rate } else { 1.0 }).collect();
    let all: f64 = rates.iter().sum();
    let mut end = 0.0f64;
    for (picture, (truth, weight)) in case.world.truth.iter().enumerate() {
        let frame = truth.frame();
        let mut from = 0.0;
        for (node, rate) in case.world.nodes.iter().zip(&rates) {
            let edge = |share: f64| (f64::from(frame.height()) * share).round() as u32;
            let (y0, y1) = (edge(from), edge(from + rate / all));
            from += rate / all;
            let Ok(strip) = Rect::new(0, y0, frame.width(), y1.saturating_sub(y0)) else { continue };
            let seconds = truth.cost_of(strip.grown(case.world.overlap, frame)) * weight / node.model.rate;
            let ready = if picture == 0 { node.model.start_s + node.model.sync_s } else { node.model.sync_s };
            let begun = if picture == 0 { node.joins_at } else { end };
            let done = node.done_at(begun, ready + node.model.fixed_s + seconds);
            let sent = strip.area() as f64 * case.world.bytes_per_pixel / node.model.transfer_bytes_per_s;
            let alive = node.alive(f64::INFINITY).iter().any(|(a, b)| *a <= begun && done + sent <= *b);
            end = end.max(if alive { done + sent } else { f64::INFINITY });
        }
    }
    end
}

/// The best slot by itself, one tile.
fn single(case: &Case, seed: u64) -> f64 {
    case.world
        .nodes
        .iter()
        .filter(|n| n.joins_at == 0.0)
        .map(|n| {
            let world = World {
                nodes: vec![SimNode { faults: Vec::new(), ..n.clone() }],
                user: Vec::new(),
                ..case.world.clone()
            };
            grid(&world, &Case { name: case.name, world: world.clone(), told: case.told, late: 0 }, 1, seed)
        })
        .fold(f64::INFINITY, f64::min)
}

/// Every tile starts its own Blender.
fn cold(case: &Case, seed: u64) -> f64 {
    let mut world = case.world.clone();
    for node in &mut world.nodes {
        node.model.fixed_s += node.model.start_s + node.model.sync_s;
        (node.model.start_s, node.model.sync_s, node.model.unbuilt) = (0.0, 0.0, false);
    }
    grid(&world, case, 16, seed)
}

fn main() {
    let wanted = std::env::args().nth(1);
    let cases: Vec<Case> =
        cases().into_iter().filter(|c| wanted.as_ref().is_none_or(|w| c.name.contains(w.as_str()))).collect();
    println!(
        "Seconds on a virtual clock, medians of {SEEDS} runs; in brackets times the ideal. `never`: it does not end.\n"
    );
    println!(
        "{:38} {:>7} {:>7} {:>6} {:>6} {:>5} {:>6} | {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "case",
        "ideal",
        "ours",
        "ratio",
        "worst",
        "tiles",
        "wasted",
        "single",
        "4",
        "16",
        "64",
        "256",
        "strips",
        "cold"
    );
    let rows: Vec<_> = cases
        .par_iter()
        .map(|case| {
            let best = ideal(&case.world);
            let runs: Vec<_> = (0..SEEDS).map(|seed| ours(case, seed)).collect();
            let over = |f: &dyn Fn(u64) -> f64| median((0..3).map(f).collect());
            let heavy = case.world.nodes.len() > 500;
            let others = [
                over(&|s| if heavy { f64::NAN } else { single(case, s) }),
                over(&|s| grid(&case.world, case, 4, s)),
                over(&|s| grid(&case.world, case, 16, s)),
                over(&|s| grid(&case.world, case, 64, s)),
                over(&|s| grid(&case.world, case, 256, s)),
                over(&|s| strips(case, s)),
                over(&|s| cold(case, s)),
            ];
            (case, best, runs, others)
        })
        .collect();
    let (mut ratios, mut worst) = (Vec::new(), 0.0f64);
    for (case, best, runs, others) in rows {
        let seconds = median(runs.iter().map(|r| r.0).collect());
        let highest = runs.iter().map(|r| r.0).fold(0.0, f64::max) / best;
        let tiles = median(runs.iter().map(|r| r.1 as f64).collect());
        let wasted = median(runs.iter().map(|r| r.2).collect());
        print!(
            "{:38} {best:7.1} {seconds:7.1} {:6.3} {highest:6.3} {tiles:5} {wasted:6.1} |",
            case.name,
            seconds / best
        );
        for other in others {
            if other.is_finite() {
                print!(" {:6.2}", other / best);
            } else if other.is_nan() {
                print!("      -");
            } else {
                print!("  never");
            }
        }
        println!();
        if best >= 30.0 {
            ratios.extend(runs.iter().map(|r| r.0 / best));
            worst = worst.max(seconds / best);
        }
    }
    if !ratios.is_empty() {
        let all = ratios.iter().copied().fold(0.0, f64::max);
        println!(
            "\njobs of 30 s and more: median {:.3}, worst median of a case {worst:.3}, worst run {all:.3}",
            median(ratios)
        );
    }
    if wanted.is_none_or(|w| w == "scale") {
        scale();
    }
}

/// What planning and scheduling cost by themselves.
fn scale() {
    let big = frame(16384, 16384);
    let crowd: Vec<f64> = (0..1000).map(|i| 0.5 + f64::from(i * 37 % 100) / 50.0).collect();
    let mut world = World::new(CostMap::uniform(big), group(big, 600.0, 2.0, 5.0, &crowd));
    world.nodes.iter_mut().for_each(|n| n.reports = 0);
    for (what, tiling) in
        [("100,000 tiles of a grid", Tiling::Count(100_000)), ("cut as it goes", Tiling::Auto)]
    {
        let models: Vec<NodeModel> = world.nodes.iter().map(|n| n.model.clone()).collect();
        let work = Work { tiling, ..Work::whole(big) };
        let began = Instant::now();
        let plan = plan(work, &models).unwrap();
        let planned = began.elapsed().as_secs_f64();
        let out = run(&world, &plan.start(), Options::default(), 1);
        assert!(out.is_complete());
        println!(
            "1,000 nodes, {what}: {} tiles planned in {planned:.2} s and scheduled, simulation included, in {:.2} s",
            out.stored.len(),
            began.elapsed().as_secs_f64() - planned
        );
    }
}
