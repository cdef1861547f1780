//! What is to be rendered and by whom, before anything renders: tiles cut by cost, and what they will take.

mod cost;
mod cut;
mod model;

pub use cost::{Cells, CostMap, MAX_CELLS};
pub use cut::{MinSide, cut, cut_evenly};
pub use model::{NodeModel, USUAL_FIXED_S, fill};

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::Serialize;

use crate::dispatch::Piece;
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
    pub work: Work,
    /// One entry per slot, in the order given.
    pub nodes: Vec<NodePlan>,
    /// The tiles, largest expected cost first.
    pub pieces: Vec<Piece>,
    /// Share of what is not their own pixels that the largest tiles have at most.
    pub grain: f64,
    /// Seconds until everything is here; `None` while no slot's rate is known.
    pub seconds: Option<f64>,
    /// The best slot by itself, and its seconds.
    pub alone: Option<(String, f64)>,
}

/// Cuts the work and foretells who does what.
///
/// # Errors
/// A grid that does not fit the frame, or that has more than [`MAX_TILES`] tiles.
pub fn plan(work: Work, models: &[NodeModel]) -> Result<Plan> {
    let (models, known) = fill(models);
    let regions = match work.tiling {
        Tiling::Auto => auto(&work, &models),
        Tiling::Count(n) => gridded(&work, |frame| Grid::with_count(frame, n))?,
        Tiling::Size(w, h) => gridded(&work, |frame| Grid::with_tile_size(frame, w, h))?,
    };
    let mut costed: Vec<(f64, u32, Rect)> =
        regions.into_iter().map(|(p, r)| (work.cost_of(p, r), p, r)).collect();
    costed.sort_by(|a, b| b.0.total_cmp(&a.0));
    let foretold = pull(&models, costed.iter().map(|c| c.0));
    let total: f64 = costed.iter().map(|c| c.0).sum();
    let alone = models
        .iter()
        .map(|m| {
            let one = pull(std::slice::from_ref(m), costed.iter().map(|c| c.0));
            (m.name.clone(), one.seconds)
        })
        .min_by(|a, b| a.1.total_cmp(&b.1));
    let pieces = (0u64..)
        .zip(&costed)
        .map(|(id, (_, picture, region))| Piece { id, picture: *picture, region: *region })
        .collect();
    let nodes = models
        .into_iter()
        .zip(foretold.slots)
        .map(|(model, (tiles, cost, busy_s))| NodePlan {
            model,
            tiles,
            share: if total > 0.0 { cost / total } else { 0.0 },
            busy_s,
            left_out: None,
        })
        .collect();
    Ok(Plan {
        work,
        nodes,
        pieces,
        grain: 0.0075,
        seconds: known.then_some(foretold.seconds),
        alone: alone.filter(|_| known),
    })
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

/// Tiles of about equal cost, as many as end soonest by a simulated pull queue.
fn auto(work: &Work, models: &[NodeModel]) -> Vec<(u32, Rect)> {
    let min = MinSide((2 * work.overlap.0).max(8));
    let total = work.cost();
    let cut_into = |count: u64| {
        let mut regions = Vec::new();
        for (index, picture) in (0u32..).zip(&work.pictures) {
            for region in &picture.todo {
                let share = picture.cost.cost_of(*region) / total.max(f64::MIN_POSITIVE) * count as f64;
                let mut parts = Vec::new();
                cut_evenly(&picture.cost, *region, share.round() as u64, min, &mut parts);
                regions.extend(parts.into_iter().map(|r| (index, r)));
            }
        }
        regions
    };
    [1, 2, 3, 4, 6, 8, 12, 16]
        .into_iter()
        .map(|each| {
            let regions = cut_into(each * models.len().max(1) as u64);
            let mut costs: Vec<f64> = regions.iter().map(|(p, r)| work.cost_of(*p, *r)).collect();
            costs.sort_by(|a, b| b.total_cmp(a));
            (pull(models, costs.into_iter()).seconds, regions)
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|best| best.1)
        .unwrap_or_default()
}

/// What a pull queue makes of tiles in this order.
struct Foretold {
    seconds: f64,
    /// Per slot: tiles, cost, seconds busy.
    slots: Vec<(usize, f64, f64)>,
}

fn pull(models: &[NodeModel], costs: impl Iterator<Item = f64>) -> Foretold {
    let order = |s: f64| (s * 1e6) as u64;
    let mut free: BinaryHeap<Reverse<(u64, usize)>> =
        models.iter().enumerate().map(|(i, m)| Reverse((order(m.ready_s()), i))).collect();
    let mut slots = vec![(0, 0.0, 0.0); models.len()];
    let mut seconds = 0.0f64;
    for cost in costs {
        let Some(Reverse((at, i))) = free.pop() else { break };
        let took = models[i].seconds(cost);
        let end = at as f64 / 1e6 + took;
        slots[i].0 += 1;
        slots[i].1 += cost;
        slots[i].2 += took;
        seconds = seconds.max(end);
        free.push(Reverse((order(end), i)));
    }
    Foretold { seconds, slots }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = self.nodes.iter().map(|n| n.model.name.chars().count()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$}  {:>12}  {:>6}  {:>5}  {:>8}", "node", "pixels/s", "share", "tiles", "busy")?;
        for node in &self.nodes {
            let rate = if node.model.known { format!("{:.0}", node.model.rate) } else { "not known".into() };
            let (share, tiles) = (100.0 * node.share, node.tiles);
            write!(
                f,
                "{:width$}  {rate:>12}  {share:5.1}%  {tiles:5}  {:7.1}s",
                node.model.name, node.busy_s
            )?;
            writeln!(
                f,
                "{}",
                node.left_out.as_ref().map(|r| format!("  left out: {r}")).unwrap_or_default()
            )?;
        }
        write!(f, "{} tiles", self.pieces.len())?;
        if let Some(seconds) = self.seconds {
            write!(f, ", about {seconds:.1} s together")?;
        }
        if let Some((name, seconds)) = &self.alone {
            write!(f, ", {seconds:.1} s on {name} alone")?;
        }
        writeln!(f)
    }
}
