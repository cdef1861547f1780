//! What is to be rendered: pictures, how much of them is not finished, and what a region of them costs.

use serde::Serialize;

use super::CostMap;
use crate::geometry::{Frame, Overlap, Rect};

/// How the user wants the frame cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Tiling {
    /// By cost, as many as end soonest.
    #[default]
    Auto,
    /// A uniform grid of this many tiles.
    Count(u32),
    /// A uniform grid of tiles of at most this width and height.
    Size(u32, u32),
}

/// One picture of a job and what of it is not finished.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// Its size.
    pub frame: Frame,
    /// Regions to render; they do not overlap.
    pub todo: Vec<Rect>,
    /// Where it is costly.
    pub cost: CostMap,
}

/// Everything there is to do.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// The job's pictures; a [`Piece`](crate::schedule::Piece)'s `picture` is an index into it.
    pub pictures: Vec<Picture>,
    /// What every tile renders beyond its region.
    pub overlap: Overlap,
    /// How the frame is cut.
    pub tiling: Tiling,
    /// Size of a finished tile's file, per pixel.
    pub bytes_per_pixel: f64,
}

impl Work {
    /// One whole frame of even cost.
    pub fn whole(frame: Frame) -> Self {
        Self {
            pictures: vec![Picture { frame, todo: vec![frame.rect()], cost: CostMap::uniform(frame) }],
            overlap: Overlap(0),
            tiling: Tiling::Auto,
            bytes_per_pixel: 4.0,
        }
    }

    /// Cost units to render a region, with its overlap.
    pub fn cost_of(&self, picture: u32, region: Rect) -> f64 {
        self.pictures
            .get(picture as usize)
            .map_or(0.0, |p| p.cost.cost_of(region.grown(self.overlap, p.frame)))
    }

    /// Cost units of everything to do, without overlap.
    pub fn cost(&self) -> f64 {
        self.pictures.iter().flat_map(|p| p.todo.iter().map(|r| p.cost.cost_of(*r))).sum()
    }
}
