//! Whole jobs on the virtual clock, calm and with random faults.

use proptest::prelude::*;

use super::*;
use crate::cost::{Cells, NodeModel, Picture, Tiling, Work};
use crate::geometry::{Frame, Rect, uncovered};
use crate::plan::{Plan, plan};
use crate::random::SplitMix64;
use crate::schedule::{Options, Piece};

fn node(i: usize, rate: f64) -> SimNode {
    SimNode::new(NodeModel {
        rate,
        known: true,
        start_s: 1.0,
        sync_s: 2.0,
        unbuilt: false,
        transfer_bytes_per_s: 50e6,
        ..NodeModel::unknown(format!("n{i}"))
    })
}

fn nodes(rates: impl IntoIterator<Item = f64>) -> Vec<SimNode> {
    rates.into_iter().enumerate().map(|(i, rate)| node(i, rate)).collect()
}

/// A plan that knows the slots' rates and nothing of the picture.
fn planned(world: &World, slots: usize, tiling: Tiling) -> Plan {
    let pictures = world
        .truth
        .iter()
        .map(|(map, _)| Picture {
            frame: map.frame(),
            todo: vec![map.frame().rect()],
            cost: CostMap::uniform(map.frame()),
        })
        .collect();
    let work = Work { pictures, overlap: world.overlap, tiling, bytes_per_pixel: world.bytes_per_pixel };
    let models: Vec<NodeModel> = world.nodes[..slots].iter().map(|n| n.model.clone()).collect();
    plan(work, &models).unwrap()
}

fn covered_exactly(world: &World, out: &Outcome) -> bool {
    (0u32..).zip(&world.truth).all(|(picture, (map, _))| {
        let own: Vec<Rect> = out.stored.iter().filter(|s| s.picture == picture).map(|s| s.region).collect();
        own.iter().map(|r| r.area()).sum::<u64>() == map.frame().area()
            && uncovered(map.frame().rect(), own).is_empty()
    })
}

/// A map whose cells differ by a factor of up to `steep`.
fn hilly(frame: Frame, seed: u64, steep: f64) -> CostMap {
    let mut chance = SplitMix64::new(seed);
    let cost = (0..12 * 8).map(|_| steep.powf(chance.unit()) as f32).collect();
    CostMap::new(Cells { frame, columns: 12, rows: 8, cost }).unwrap()
}

#[test]
fn calm_jobs_end_near_the_ideal() {
    let frame = Frame::new(1920, 1080).unwrap();
    for (rates, steep) in [(vec![9000.0; 4], 1.0), (vec![2000.0, 4000.0, 16_000.0], 4.0)] {
        let world = World::new(hilly(frame, 3, steep), nodes(rates));
        let plan = planned(&world, world.nodes.len(), Tiling::Auto);
        let out = run(&world, &plan.start(), Options::default(), 1);
        assert!(out.is_complete() && covered_exactly(&world, &out));
        assert!(out.seconds < 1.10 * ideal(&world), "{} of {}", out.seconds, ideal(&world));
    }
}

#[test]
fn a_picture_that_nobody_has_built_yet_is_shared_all_the_same() {
    let frame = Frame::new(480, 270).unwrap();
    for (rates, sync_s) in
        [(vec![50_000.0; 2], 1.4), (vec![10_000.0; 2], 3.3), (vec![2000.0, 3000.0, 4000.0], 30.0)]
    {
        let mut world = World::new(CostMap::uniform(frame), nodes(rates));
        for node in &mut world.nodes {
            (node.model.sync_s, node.model.unbuilt, node.model.fixed_s) = (sync_s, true, 0.01);
        }
        let plan = planned(&world, world.nodes.len(), Tiling::Auto);
        assert!(plan.nodes.iter().all(|n| n.left_out.is_none()), "{plan}");
        let out = run(&world, &plan.start(), Options::default(), 1);
        assert!(out.is_complete() && covered_exactly(&world, &out));
        assert!(out.seconds < 1.05 * ideal(&world), "{} of {}", out.seconds, ideal(&world));
    }
}

#[test]
fn a_tile_that_is_likely_rendered_twice_is_planned_once() {
    let frame = Frame::new(6, 31).unwrap();
    let pictures = vec![(hilly(frame, 0, 1.0), 1.0), (hilly(frame, 1, 1.0), 1.0)];
    let nodes = nodes([13_042.0, 17_180.0, 824.0, 10.0, 10.0]);
    let world = World { truth: pictures, ..World::new(CostMap::uniform(frame), nodes) };
    let plan = planned(&world, 5, Tiling::Size(40, 40));
    assert_eq!(plan.pieces.len(), 2, "{:?}", plan.pieces);
    assert_eq!(plan.nodes.iter().map(|n| n.tiles).sum::<usize>(), 2);
    assert!(covered_exactly(&world, &run(&world, &plan.start(), Options::default(), 0)));
}

#[test]
fn a_stopped_slot_does_not_hold_the_job_up() {
    let frame = Frame::new(1920, 1080).unwrap();
    let mut world = World::new(hilly(frame, 5, 3.0), nodes([9000.0; 3]));
    world.nodes[1].faults = vec![Fault::Speed { at: 20.0, factor: 0.0 }];
    for tiling in [Tiling::Auto, Tiling::Count(12)] {
        let out = run(&world, &planned(&world, 3, tiling).start(), Options::default(), 1);
        assert!(out.is_complete() && covered_exactly(&world, &out));
        assert!(out.seconds < 1.5 * ideal(&world), "{tiling:?}: {} of {}", out.seconds, ideal(&world));
    }
}

#[test]
fn small_tiles_of_a_stopped_slot_are_rendered_elsewhere() {
    let frame = Frame::new(320, 180).unwrap();
    for reports in [0, 2, 16] {
        let mut world = World::new(hilly(frame, 5, 30.0), nodes([2000.0, 2000.0, 2000.0]));
        for node in &mut world.nodes {
            node.reports = reports;
            node.noise = 0.2;
        }
        world.nodes[1].faults = vec![Fault::Speed { at: 7.0, factor: 0.0 }];
        let out = run(&world, &planned(&world, 3, Tiling::Count(48)).start(), Options::default(), 1);
        assert!(out.is_complete() && covered_exactly(&world, &out));
        assert!(out.seconds < 1.5 * ideal(&world), "{reports}: {} of {}", out.seconds, ideal(&world));
    }
}

#[test]
fn a_slot_that_is_only_slow_to_answer_is_not_given_up() {
    let frame = Frame::new(640, 360).unwrap();
    let mut world = World::new(hilly(frame, 5, 3.0), nodes([900.0]));
    // One report in the middle of every tile, and nothing else.
    world.nodes[0].reports = 2;
    let out = run(&world, &planned(&world, 1, Tiling::Auto).start(), Options::default(), 1);
    assert!(out.is_complete() && out.wasted_s < 1e-6);
}

#[test]
fn a_grid_that_was_asked_for_stays_one() {
    let frame = Frame::new(640, 360).unwrap();
    let mut world = World::new(hilly(frame, 5, 9.0), nodes([900.0, 100.0, 300.0]));
    world.nodes[1].faults = vec![Fault::Death { at: 30.0, back_s: None }];
    let out = run(&world, &planned(&world, 3, Tiling::Count(12)).start(), Options::default(), 1);
    assert!(out.is_complete());
    let mut stored: Vec<Rect> = out.stored.iter().map(|s| s.region).collect();
    let mut grid = crate::geometry::Grid::with_count(frame, 12).unwrap().tiles();
    stored.sort();
    grid.sort();
    assert_eq!(stored, grid);
}

#[test]
fn what_fails_everywhere_fails_the_job_and_keeps_the_rest() {
    let frame = Frame::new(640, 360).unwrap();
    let mut world = World::new(CostMap::uniform(frame), nodes([5000.0, 5000.0]));
    world.poison = Some(Rect::new(300, 200, 1, 1).unwrap());
    let out = run(&world, &planned(&world, 2, Tiling::Count(16)).start(), Options::default(), 1);
    let End::Failed(error) = &out.end else { panic!("{:?}", out.end) };
    assert!(error.to_string().contains("failed 3 times"), "{error}");
    assert!(!out.stored.is_empty());
}

#[test]
fn a_left_out_slot_is_called_when_the_others_die() {
    let frame = Frame::new(640, 360).unwrap();
    let mut slow = node(1, 40.0);
    slow.model.start_s = 100.0;
    let mut world = World::new(CostMap::uniform(frame), vec![node(0, 20_000.0), slow]);
    let plan = planned(&world, 2, Tiling::Auto);
    assert!(plan.nodes[1].left_out.is_some(), "{plan}");
    world.nodes[0].faults = vec![Fault::Death { at: 5.0, back_s: None }];
    let out = run(&world, &plan.start(), Options::default(), 1);
    assert!(out.is_complete() && covered_exactly(&world, &out));
    assert!(out.rendered.iter().any(|r| r.0 == 1));
}

#[test]
fn a_sequence_stays_on_its_pictures() {
    let frame = Frame::new(320, 180).unwrap();
    let mut world = World::new(CostMap::uniform(frame), nodes([4000.0; 3]));
    world.truth = vec![(CostMap::uniform(frame), 1.0); 9];
    let out = run(&world, &planned(&world, 3, Tiling::Auto).start(), Options::default(), 1);
    assert!(out.is_complete() && covered_exactly(&world, &out));
    let mut switches = 0;
    for slot in 0..3 {
        let own: Vec<u32> = out.rendered.iter().filter(|r| r.0 == slot).map(|r| r.1.picture).collect();
        switches += own.windows(2).filter(|w| w[0] != w[1]).count();
    }
    assert!(switches <= 9, "every picture is built about once, not {switches} times");
}

#[test]
fn odd_sizes_and_single_pixels_finish() {
    for (w, h) in [(1, 1), (17, 3), (333, 217), (16_384, 1)] {
        let frame = Frame::new(w, h).unwrap();
        let world =
            World { overlap: Overlap(8), ..World::new(CostMap::uniform(frame), nodes([100.0, 900.0])) };
        let out = run(&world, &planned(&world, 2, Tiling::Auto).start(), Options::default(), 1);
        assert!(out.is_complete() && covered_exactly(&world, &out), "{frame}");
    }
}

/// Anything that can befall a slot within the first two minutes.
fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let one = prop_oneof![
        (0.0..120.0, 0.0..3.0).prop_map(|(at, factor)| Fault::Speed { at, factor }),
        (0.0..120.0f64).prop_map(|at| Fault::Speed { at, factor: 0.0 }),
        (0.0..120.0, prop::option::of(0.0..60.0)).prop_map(|(at, back_s)| Fault::Death { at, back_s }),
        (0.0..120.0f64).prop_map(|at| Fault::Failure { at }),
    ];
    let time = |f: &Fault| match *f {
        Fault::Speed { at, .. } | Fault::Death { at, .. } | Fault::Failure { at } => at,
    };
    prop::collection::vec(one, 0..4).prop_map(move |mut faults| {
        faults.sort_by(|a, b| time(a).total_cmp(&time(b)));
        faults
    })
}

#[derive(Clone, Debug)]
struct Mess {
    nodes: Vec<(f64, Vec<Fault>, f64, u32)>,
    late: usize,
    size: (u32, u32),
    steep: f64,
    overlap: u32,
    tiling: Tiling,
    pictures: usize,
    seed: u64,
}

fn messes() -> impl Strategy<Value = Mess> {
    let node = (10.0..20_000.0, faults(), 0.0..0.3, prop_oneof![Just(0u32), Just(16)]);
    let tiling = prop_oneof![
        3 => Just(Tiling::Auto),
        1 => (1u32..30).prop_map(|n| Tiling::Size(n * 20, n * 20)),
    ];
    (
        prop::collection::vec(node, 1..7),
        0usize..3,
        (1u32..700, 1u32..500),
        1.0..50.0f64,
        prop_oneof![Just(0u32), Just(8)],
        tiling,
        1usize..3,
        any::<u64>(),
    )
        .prop_map(|(nodes, late, size, steep, overlap, tiling, pictures, seed)| Mess {
            nodes,
            late,
            size,
            steep,
            overlap,
            tiling,
            pictures,
            seed,
        })
}

fn worlds(mess: &Mess) -> (World, Plan) {
    let frame = Frame::new(mess.size.0, mess.size.1).unwrap();
    let late = mess.late.min(mess.nodes.len() - 1);
    let slots = mess.nodes.len() - late;
    let mut nodes: Vec<SimNode> = mess
        .nodes
        .iter()
        .enumerate()
        .map(|(i, (rate, faults, noise, reports))| SimNode {
            faults: faults.clone(),
            noise: *noise,
            reports: *reports,
            ..node(i, *rate)
        })
        .collect();
    for (i, node) in nodes[slots..].iter_mut().enumerate() {
        node.joins_at = 5.0 + 7.0 * i as f64;
    }
    let truth = (0..mess.pictures as u64).map(|i| (hilly(frame, mess.seed ^ i, mess.steep), 1.0)).collect();
    let map = CostMap::uniform(frame);
    let world = World { truth, overlap: Overlap(mess.overlap), limit_s: 3e5, ..World::new(map, nodes) };
    let plan = planned(&world, slots, mess.tiling);
    (world, plan)
}

/// Whether a slot is left that is there to the end and runs.
fn somebody_is_sound(world: &World, plan: &Plan) -> bool {
    world.nodes[..plan.nodes.len()].iter().any(|n| n.faults.is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever happens to the slots: it ends, no rule is broken, what is complete is covered exactly once, and with a
    /// sound slot it is complete.
    #[test]
    fn whatever_happens_it_ends_and_covers_every_pixel_once(mess in messes()) {
        let (world, plan) = worlds(&mess);
        for (i, a) in plan.pieces.iter().enumerate() {
            let apart = |b: &Piece| a.picture != b.picture || a.region.intersection(b.region).is_none();
            prop_assert!(plan.pieces[..i].iter().all(apart), "planned twice: {a:?}");
        }
        let out = run(&world, &plan.start(), Options::default(), mess.seed);
        prop_assert!(out.violations.is_empty(), "{:?}", out.violations);
        match &out.end {
            End::Complete => prop_assert!(covered_exactly(&world, &out)),
            End::Failed(_) => prop_assert!(!somebody_is_sound(&world, &plan), "{:?}", out.end),
            End::Stuck => prop_assert!(!somebody_is_sound(&world, &plan), "stuck at {}", out.seconds),
        }
    }

    /// The same world and the same seed give the same run.
    #[test]
    fn runs_repeat(mess in messes()) {
        let (world, plan) = worlds(&mess);
        let limited = World { limit_s: 500.0, ..world };
        let (a, b) = (run(&limited, &plan.start(), Options::default(), 7), run(&limited, &plan.start(), Options::default(), 7));
        prop_assert_eq!(a.seconds.to_bits(), b.seconds.to_bits());
        prop_assert_eq!(a.rendered.len(), b.rendered.len());
        prop_assert_eq!(a.stored, b.stored);
    }

    /// Drained at any moment: it ends, and what is stored does not overlap.
    #[test]
    fn draining_ends(mess in messes(), at in 0.0..60.0f64) {
        let (mut world, plan) = worlds(&mess);
        world.user = vec![(at, Input::Drain)];
        for node in &mut world.nodes {
            node.faults.clear();
        }
        let out = run(&world, &plan.start(), Options::default(), 7);
        prop_assert!(out.is_complete(), "{:?}", out.end);
        prop_assert!(out.violations.is_empty(), "{:?}", out.violations);
        for (i, a) in out.stored.iter().enumerate() {
            prop_assert!(out.stored[..i].iter().all(|b| a.picture != b.picture || a.region.intersection(b.region).is_none()));
        }
    }
}
