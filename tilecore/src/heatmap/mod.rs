//! Where a frame's time goes: the cost of every block relative to the others, whichever node rendered it.
//!
//! [`HeatMap::new`] takes what was measured, [`HeatMap::draw`] and [`HeatMap::overlay`] make pictures of it,
//! [`HeatMap::csv`] and [`HeatMap::json`] tables.

mod canvas;
mod draw;
mod font;
mod legend;
mod palette;
mod photo;
mod table;

use serde::{Deserialize, Serialize};

pub use canvas::Canvas;
pub use draw::{Scale, Style};
pub use palette::Palette;

use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect, uncovered};

/// One measurement: how long a part of the frame took somewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The part, without overlap.
    pub rect: Rect,
    /// Seconds of rendering, without start and synchronisation.
    pub seconds: f64,
    /// Who rendered it.
    pub node: String,
    /// How fast that node is; any unit that is the same for all nodes (cost units a second, or 1 for all).
    pub rate: f64,
    /// Pixels that were rendered for it, overlap included; 0 when that is not known, and then there was none.
    pub rendered_area: u64,
    /// Samples per pixel it was rendered with; 0 when that is not known, and then it counts as all the others do.
    pub samples: u32,
}

/// A block with its cost, as if the fastest node had rendered it without overlap.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// What was measured.
    pub block: Block,
    /// Seconds for a million pixels like these.
    pub seconds_per_megapixel: f64,
    /// The same as a multiple of the frame's mean; 1 where everything costs the same.
    pub relative: f64,
}

/// The cost of every measured part of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    frame: Frame,
    least: f64,
    most: f64,
    mean: f64,
    covered: u64,
    cells: Vec<Cell>,
}

impl HeatMap {
    /// The map of `frame` from what was measured. Parts that nothing covers stay unknown; where two blocks overlap, the
    /// later one counts.
    ///
    /// The cost of a block's pixel is `seconds x rate / rendered_area`, brought to the fastest node's rate and to the
    /// largest number of samples. An error where no block is given, or one cannot be: outside the frame, a time or rate
    /// that is not a positive number.
    pub fn new(frame: Frame, blocks: &[Block]) -> Result<Self> {
        if blocks.is_empty() {
            return Err(Error::input("there is no heat map without a single measured block")
                .remedy("Let at least one tile finish, then ask again."));
        }
        for block in blocks {
            check(frame, block)?;
        }
        let fastest = blocks.iter().map(|b| b.rate).fold(0.0, f64::max);
        let samples = blocks.iter().map(|b| b.samples).max().unwrap_or(0);
        let costs: Vec<f64> = blocks.iter().map(|b| megapixel(b, fastest, samples)).collect();

        let shown = shown_areas(blocks);
        let covered: u64 = shown.iter().sum();
        let weighted: f64 = costs.iter().zip(&shown).map(|(cost, area)| cost * *area as f64).sum();
        // The last block is never covered by a later one, so some area is always shown.
        let mean = weighted / covered.max(1) as f64;
        let seen = || costs.iter().zip(&shown).filter(|(_, area)| **area > 0).map(|(cost, _)| *cost);
        let cells = blocks
            .iter()
            .zip(&costs)
            .map(|(block, cost)| Cell {
                block: block.clone(),
                seconds_per_megapixel: *cost,
                relative: if mean > 0.0 { cost / mean } else { 1.0 },
            })
            .collect();
        Ok(Self {
            frame,
            least: seen().fold(f64::INFINITY, f64::min),
            most: seen().fold(0.0, f64::max),
            mean,
            covered,
            cells,
        })
    }

    /// The frame it is a map of.
    pub fn frame(&self) -> Frame {
        self.frame
    }

    /// All blocks with their costs, in the order given.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Cheapest and dearest, seconds for a million pixels.
    pub fn range(&self) -> (f64, f64) {
        (self.least, self.most)
    }

    /// Mean over all measured pixels, seconds for a million of them.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// How much of the frame was measured, 0 to 1.
    pub fn coverage(&self) -> f64 {
        self.covered as f64 / self.frame.area() as f64
    }

    /// What the whole frame costs the fastest node, seconds; the parts not measured count as the mean.
    pub fn total_seconds(&self) -> f64 {
        self.mean * self.frame.area() as f64 / 1e6
    }

    /// Mean cost in `region`, seconds for a million pixels; `None` where nothing of it was measured.
    pub fn mean_within(&self, region: Rect) -> Option<f64> {
        let (mut cost, mut area) = (0.0, 0u64);
        let mut left = vec![region];
        for cell in self.cells.iter().rev() {
            let rect = cell.block.rect;
            let here: u64 = left.iter().filter_map(|r| r.intersection(rect)).map(Rect::area).sum();
            if here > 0 {
                cost += cell.seconds_per_megapixel * here as f64;
                area += here;
                left = left.into_iter().flat_map(|r| r.without(rect)).collect();
            }
        }
        (area > 0).then(|| cost / area as f64)
    }

    /// The blocks by what they cost the fastest node, dearest first.
    pub fn dearest(&self) -> Vec<&Cell> {
        let mut cells: Vec<_> = self.cells.iter().collect();
        let seconds = |c: &Cell| c.seconds_per_megapixel * c.block.rect.area() as f64;
        cells.sort_by(|a, b| seconds(b).total_cmp(&seconds(a)));
        cells
    }
}

/// Seconds for a million pixels of this block on a node of rate `fastest`, with `samples` samples.
fn megapixel(block: &Block, fastest: f64, samples: u32) -> f64 {
    let area = if block.rendered_area == 0 { block.rect.area() } else { block.rendered_area };
    let deeper = if block.samples == 0 { 1.0 } else { f64::from(samples) / f64::from(block.samples) };
    block.seconds * (block.rate / fastest) * deeper / area as f64 * 1e6
}

/// How many pixels of each block no later block covers.
fn shown_areas(blocks: &[Block]) -> Vec<u64> {
    (0..blocks.len())
        .map(|i| {
            let rect = blocks[i].rect;
            let later = blocks[i + 1..].iter().map(|b| b.rect).filter(|r| r.intersection(rect).is_some());
            uncovered(rect, later).into_iter().map(Rect::area).sum()
        })
        .collect()
}

fn check(frame: Frame, block: &Block) -> Result<()> {
    let wrong = if !frame.rect().contains(block.rect) {
        format!("is not inside the frame {frame}")
    } else if !(block.seconds.is_finite() && block.seconds >= 0.0) {
        format!("has no possible time ({} s)", block.seconds)
    } else if !(block.rate.is_finite() && block.rate > 0.0) {
        format!("has no possible rate ({})", block.rate)
    } else {
        return Ok(());
    };
    Err(Error::input(format!("the measured block {} {wrong}", block.rect))
        .remedy("Start over with --fresh: the work directory's state is damaged."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Grid, Overlap};
    use proptest::prelude::*;

    pub(super) fn frame(width: u32, height: u32) -> Frame {
        Frame::new(width, height).unwrap()
    }

    pub(super) fn block(rect: Rect, seconds: f64) -> Block {
        Block { rect, seconds, node: "a".into(), rate: 1.0, rendered_area: 0, samples: 0 }
    }

    /// The blocks that nodes of different speed measure of a frame whose pixels cost `cost(x, y)` seconds.
    fn measured(frame: Frame, rates: &[f64], overlap: u32, cost: impl Fn(u32, u32) -> f64) -> Vec<Block> {
        let tiles = Grid::with_tile_size(frame, 16, 16).unwrap().tiles();
        let one = |(i, rect): (usize, Rect)| {
            let (rate, grown) = (rates[i % rates.len()], rect.grown(Overlap(overlap), frame));
            let work: f64 = (grown.y()..grown.bottom())
                .flat_map(|y| (grown.x()..grown.right()).map(move |x| (x, y)))
                .map(|(x, y)| cost(x, y))
                .sum();
            Block {
                seconds: work / rate,
                rate,
                rendered_area: grown.area(),
                node: i.to_string(),
                ..block(rect, 0.0)
            }
        };
        tiles.into_iter().enumerate().map(one).collect()
    }

    #[test]
    fn the_hot_corner_is_hot_whoever_rendered_it() {
        let frame = frame(160, 96);
        let hot = Rect::new(0, 0, 48, 32).unwrap();
        let cost = |x, y| if hot.contains(Rect::new(x, y, 1, 1).unwrap()) { 5e-6 } else { 1e-6 };
        let alike = HeatMap::new(frame, &measured(frame, &[1.0], 8, cost)).unwrap();
        let unlike = HeatMap::new(frame, &measured(frame, &[1.0, 3.7, 0.4], 8, cost)).unwrap();
        let cold = Rect::new(64, 48, 96, 48).unwrap();
        for map in [&alike, &unlike] {
            let ratio = map.mean_within(hot).unwrap() / map.mean_within(cold).unwrap();
            assert!(ratio > 3.0 && ratio < 5.0, "the overlap blurs the edge, no more: {ratio}");
        }
        let (a, b) = (&alike.cells, &unlike.cells);
        assert!(a.iter().zip(b).all(|(a, b)| (a.relative - b.relative).abs() < 1e-9));
        // Seconds are those of the fastest node.
        assert!((unlike.mean() * 3.7 - alike.mean()).abs() < 1e-9);
    }

    #[test]
    fn fewer_samples_count_as_many() {
        let frame = frame(20, 10);
        let halves = frame.rect().cut(true, 10).unwrap();
        let a = Block { samples: 4, ..block(halves.0, 1.0) };
        let b = Block { samples: 16, ..block(halves.1, 4.0) };
        let map = HeatMap::new(frame, &[a, b]).unwrap();
        assert!(map.cells.iter().all(|c| (c.relative - 1.0).abs() < 1e-12), "{map:?}");
        assert!((map.total_seconds() - 8.0).abs() < 1e-9);
    }

    #[test]
    fn a_later_block_covers_an_earlier_one() {
        let frame = frame(20, 10);
        let blocks = [block(frame.rect(), 2000.0), block(frame.rect(), 1.0)];
        let map = HeatMap::new(frame, &blocks).unwrap();
        assert_eq!(map.range(), (1.0 / 200.0 * 1e6, 1.0 / 200.0 * 1e6));
        assert!((map.coverage() - 1.0).abs() < 1e-12);
        assert_eq!(map.mean_within(frame.rect()), Some(map.mean()));
    }

    #[test]
    fn what_is_not_measured_is_unknown() {
        let frame = frame(20, 10);
        let map = HeatMap::new(frame, &[block(Rect::new(0, 0, 10, 10).unwrap(), 1.0)]).unwrap();
        assert!((map.coverage() - 0.5).abs() < 1e-12);
        assert_eq!(map.mean_within(Rect::new(10, 0, 10, 10).unwrap()), None);
        assert!((map.total_seconds() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn impossible_measurements_are_refused() {
        let frame = frame(20, 10);
        assert!(HeatMap::new(frame, &[]).is_err());
        let good = block(frame.rect(), 1.0);
        for bad in [
            Block { rect: Rect::new(0, 0, 21, 10).unwrap(), ..good.clone() },
            Block { seconds: f64::NAN, ..good.clone() },
            Block { seconds: -1.0, ..good.clone() },
            Block { rate: 0.0, ..good.clone() },
            Block { rate: f64::INFINITY, ..good.clone() },
        ] {
            assert!(HeatMap::new(frame, &[good.clone(), bad]).unwrap_err().hint().is_some());
        }
        assert!(HeatMap::new(frame, &[Block { seconds: 0.0, ..good }]).is_ok(), "too fast to measure");
    }

    proptest! {
        #[test]
        fn every_cost_is_finite_and_within_the_range(
            parts in prop::collection::vec((0u32..90, 0u32..90, 1u32..40, 1u32..40, 0.0f64..1e6, 1e-3f64..1e3, 0u64..5000, 0u32..512), 1..20),
        ) {
            let frame = frame(130, 130);
            let blocks: Vec<_> = parts
                .into_iter()
                .map(|(x, y, w, h, seconds, rate, rendered_area, samples)| Block {
                    rate, rendered_area, samples, ..block(Rect::new(x, y, w, h).unwrap(), seconds)
                })
                .collect();
            let map = HeatMap::new(frame, &blocks).unwrap();
            let (least, most) = map.range();
            prop_assert!(least.is_finite() && most.is_finite() && least <= map.mean() * (1.0 + 1e-9) && map.mean() <= most * (1.0 + 1e-9));
            prop_assert!(map.coverage() > 0.0 && map.coverage() <= 1.0);
            let whole = map.mean_within(frame.rect()).unwrap();
            prop_assert!((whole - map.mean()).abs() <= 1e-9 * whole.max(1e-300), "{} {}", whole, map.mean());
        }
    }
}
