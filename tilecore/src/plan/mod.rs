//! What is to be rendered and by whom, before anything renders: who takes part, how large tiles are, and what it takes.
//!
//! The plan is made by running the real scheduler on a virtual clock with what is known of the slots. The tiles in it are
//! what will happen if everything is as expected; the scheduler cuts anew whenever it is not.

mod foretell;
mod words;

use serde::Serialize;

use crate::cost::{NodeModel, Tiling, Work};
use crate::error::{Error, Result};
use crate::geometry::{Frame, Grid, Rect, uncovered};
use crate::schedule::{Piece, SlotId, SlotStart, Start};

/// No job is cut into more tiles than this.
pub const MAX_TILES: usize = 1_000_000;

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
    /// What the scheduler starts from to carry the plan out.
    pub fn start(&self) -> Start<'_> {
        let slot = |n: &'_ NodePlan| SlotStart { model: n.model.clone(), reserve: n.left_out.is_some() };
        Start {
            work: &self.work,
            slots: self.nodes.iter().map(slot).collect(),
            pieces: &self.pieces,
            grain: self.grain,
        }
    }

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
