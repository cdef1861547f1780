//! What is to be rendered and by whom, before anything renders: who takes part, how large tiles are, and what it takes.
//!
//! The plan is made by running the real dispatcher on a virtual clock with what is known of the slots. The tiles in it are
//! what will happen if everything is as expected; the dispatcher cuts anew whenever it is not.

mod cost;
mod cut;
mod foretell;
mod model;
mod words;

pub use cost::{Cells, CostMap, MAX_CELLS};
pub use cut::{MinSide, cut};
pub use model::{NodeModel, USUAL_FIXED_S, fill};

use serde::Serialize;

use crate::dispatch::{Piece, SlotId};
use crate::error::{Error, Result};
use crate::geometry::{Frame, Grid, Overlap, Rect, uncovered};

/// No job is cut into more tiles than this.
pub const MAX_TILES: usize = 1_000_000;

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
    /// The job's pictures; a [`Piece::picture`] is an index into it.
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

/// What one slot is expected to do.
#[derive(Clone, Debug, Serialize)]
pub struct NodePlan {
    /// How it is expected to behave.
    pub model: NodeModel,
    /// Tiles it will render.
    pub tiles: usize,
    /// Its part of all the cost, 0 to 1.
    pub share: f64,
    /// Seconds it will render.
    pub busy_s: f64,
    /// Why it takes no part, if it does not.
    pub left_out: Option<String>,
}

/// What will be rendered, in which tiles, by whom, and how long it will take.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// What is to be done.
    #[serde(skip)]
    pub work: Work,
    /// One entry per slot, in the order given.
    pub nodes: Vec<NodePlan>,
    /// The tiles, in the order in which they will be handed out.
    pub pieces: Vec<Piece>,
    /// Which slot is expected to render each of them; empty where that cannot be foretold.
    pub owners: Vec<SlotId>,
    /// Share of what is not their own pixels that the largest tiles have at most.
    pub grain: f64,
    /// Share of all rendering time that goes into what is not the tiles' own pixels.
    pub overhead: f64,
    /// Seconds until everything is here; `None` while no slot's rate is known.
    pub seconds: Option<f64>,
    /// The best slot by itself, and its seconds.
    pub alone: Option<(String, f64)>,
    /// What limits it, in words.
    pub limit: String,
}

impl Plan {
    /// How many tiles there will be, as far as can be told: what is cut by cost has as many as the slots' rates ask for.
    pub fn tiles(&self) -> Option<usize> {
        (self.seconds.is_some() || self.work.tiling != Tiling::Auto).then_some(self.pieces.len())
    }
}

/// Finds out who takes part and how large tiles are best, and foretells who does what.
///
/// # Errors
/// A grid that does not fit the frame, or that has more than [`MAX_TILES`] tiles.
pub fn plan(work: Work, models: &[NodeModel]) -> Result<Plan> {
    let grid = match work.tiling {
        Tiling::Auto => Vec::new(),
        Tiling::Count(n) => gridded(&work, |frame| Grid::with_count(frame, n))?,
        Tiling::Size(w, h) => gridded(&work, |frame| Grid::with_tile_size(frame, w, h))?,
    };
    let mut costed: Vec<(f64, u32, Rect)> =
        grid.into_iter().map(|(p, r)| (work.cost_of(p, r), p, r)).collect();
    costed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let tiles =
        (0u64..).zip(costed).map(|(id, (_, picture, region))| Piece { id, picture, region }).collect();
    Ok(foretell::foretell(work, models, tiles))
}

/// The tiles of a uniform grid, less what is finished.
fn gridded(work: &Work, grid: impl Fn(Frame) -> Result<Grid>) -> Result<Vec<(u32, Rect)>> {
    let mut regions = Vec::new();
    for (index, picture) in (0u32..).zip(&work.pictures) {
        let grid = grid(picture.frame)?;
        if u64::from(grid.columns()) * u64::from(grid.rows()) + regions.len() as u64 > MAX_TILES as u64 {
            return Err(Error::input(format!("{}x{} tiles are too many", grid.columns(), grid.rows()))
                .remedy(format!("Choose at most {MAX_TILES} tiles for the whole job.")));
        }
        let whole = uncovered(picture.frame.rect(), picture.todo.iter().copied()).is_empty();
        for tile in grid.tiles() {
            if whole {
                regions.push((index, tile));
            } else {
                regions.extend(picture.todo.iter().filter_map(|t| t.intersection(tile)).map(|r| (index, r)));
            }
        }
    }
    Ok(regions)
}
