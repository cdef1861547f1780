//! The cost model: where a frame is costly (a summed-area table), how fast a slot is, and where a region is cut.

mod cut;
mod map;
mod node;
mod work;

pub use cut::{MinSide, cut};
pub use map::{Cells, CostMap, MAX_CELLS};
pub use node::{NodeModel, USUAL_FIXED_S, fill};
pub use work::{Picture, Tiling, Work};
