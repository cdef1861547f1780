//! The real dispatcher on a virtual clock: simulated slots with noise, stalls, deaths, late joins and slow uplinks.
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

use super::Input;
use crate::geometry::{Overlap, Rect};
use crate::plan::CostMap;

/// What is really there, whatever the planner believes.
#[derive(Clone, Debug)]
pub struct World {
    /// What the job's pictures really cost, and how many cost units a pixel of each costs on average.
    pub truth: Vec<(CostMap, f64)>,
    /// What every tile renders beyond its region.
    pub overlap: Overlap,
    /// Size of a finished tile's file, per pixel.
    pub bytes_per_pixel: f64,
    /// The plan's slots in its order, then those that join later.
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

/// Numbers that look random and are the same in every run (`SplitMix64`; Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A factor around 1 whose logarithm has this standard deviation.
    pub fn factor(&mut self, spread: f64) -> f64 {
        // The sum of twelve is normal enough, and needs no logarithm of nought.
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        (normal * spread).exp()
    }
}
