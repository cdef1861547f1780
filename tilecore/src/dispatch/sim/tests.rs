//! Whole jobs on the virtual clock, calm and with random faults.

use super::*;
use crate::dispatch::Options;
use crate::geometry::Frame;
use crate::plan::{NodeModel, Plan, Work, plan};

fn nodes(rates: impl IntoIterator<Item = f64>) -> Vec<SimNode> {
    rates
        .into_iter()
        .enumerate()
        .map(|(i, rate)| {
            SimNode::new(NodeModel {
                rate,
                known: true,
                start_s: 1.0,
                sync_s: 2.0,
                ..NodeModel::unknown(format!("n{i}"))
            })
        })
        .collect()
}

fn planned(world: &World) -> Plan {
    let frame = world.truth[0].0.frame();
    let models: Vec<NodeModel> = world.nodes.iter().map(|n| n.model.clone()).collect();
    plan(Work::whole(frame), &models).unwrap()
}

#[test]
fn a_hundred_unlike_nodes_finish() {
    let frame = Frame::new(3840, 2160).unwrap();
    let rates = (0..100).map(|i| 2000.0 * (0.5 + f64::from(i * 37 % 100) / 50.0));
    let world = World { limit_s: 500.0, ..World::new(CostMap::uniform(frame), nodes(rates)) };
    let out = run(&world, &planned(&world), Options::default(), 1);
    assert!(out.is_complete(), "{:?} at {}", out.end, out.seconds);
}
