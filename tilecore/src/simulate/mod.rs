//! The real scheduler on a virtual clock: simulated slots with noise, stalls, deaths, late joins and slow uplinks.
//!
//! Planning foretells with it, the benchmark compares with it, and the tests throw faults at it. Nothing in it looks at
//! a real clock, and the same seed gives the same run.

mod ideal;
mod node;
mod run;

#[cfg(test)]
mod tests;

pub use ideal::ideal;
pub use node::{Fault, SimNode};
pub use run::{End, Outcome, run};

use crate::cost::CostMap;
use crate::geometry::{Overlap, Rect};
use crate::schedule::Input;

/// What is really there, whatever the planner believes.
#[derive(Clone, Debug)]
pub struct World {
    /// What the job's pictures really cost, and how many cost units a pixel of each costs on average.
    pub truth: Vec<(CostMap, f64)>,
    /// What every tile renders beyond its region.
    pub overlap: Overlap,
    /// Size of a finished tile's file, per pixel.
    pub bytes_per_pixel: f64,
    /// The slots of the start in their order, then those that join later.
    pub nodes: Vec<SimNode>,
    /// What the user does, and when, seconds.
    pub user: Vec<(f64, Input)>,
    /// Seconds between two [`Input::Tick`]s.
    pub tick_s: f64,
    /// Regions that fail wherever they are rendered.
    pub poison: Option<Rect>,
    /// The run is given up after this many seconds.
    pub limit_s: f64,
}

impl World {
    /// One picture whose map is right, rendered by these.
    pub fn new(truth: CostMap, nodes: Vec<SimNode>) -> Self {
        Self {
            truth: vec![(truth, 1.0)],
            overlap: Overlap(0),
            bytes_per_pixel: 4.0,
            nodes,
            user: Vec::new(),
            tick_s: 0.5,
            poison: None,
            limit_s: 1e6,
        }
    }

    /// Cost units that a region really costs, with its overlap.
    pub fn cost_of(&self, picture: u32, region: Rect) -> f64 {
        self.truth
            .get(picture as usize)
            .map_or(0.0, |(map, weight)| map.cost_of(region.grown(self.overlap, map.frame())) * weight)
    }
}
