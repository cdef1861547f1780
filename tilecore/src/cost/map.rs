//! Where the frame is costly: relative cost per pixel, with the cost of any rectangle in constant time.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect};

/// Most cells a map may have on a side.
pub const MAX_CELLS: u32 = 512;
/// No cell is believed to cost less than this share of the average: something is always done for a pixel.
const LEAST: f32 = 0.01;

/// Relative cost per pixel over a frame, in cells of equal size (`rows` × `columns`, row by row from the top left);
/// the mean is 1, so that the whole frame costs as many units as it has pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Cells", into = "Cells")]
pub struct CostMap {
    cells: Cells,
    /// Sum of the cells above and to the left: (rows + 1) × (columns + 1).
    sums: Vec<f64>,
    /// Cost units per pixel of a cell of value 1.
    unit: f64,
}

/// A [`CostMap`] as it is written to files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    /// The picture it is a map of.
    pub frame: Frame,
    /// Cells from left to right.
    pub columns: u32,
    /// Cells from top to bottom.
    pub rows: u32,
    /// Cost per pixel in each cell, rows × columns, in any unit.
    pub cost: Vec<f32>,
}

impl CostMap {
    /// Every pixel costs the same.
    pub fn uniform(frame: Frame) -> Self {
        Self::build(Cells { frame, columns: 1, rows: 1, cost: vec![1.0] })
    }

    /// The map with these cells; their mean is made 1.
    pub fn new(cells: Cells) -> Result<Self> {
        let count = u64::from(cells.columns) * u64::from(cells.rows);
        let fits = (1..=MAX_CELLS).contains(&cells.columns) && (1..=MAX_CELLS).contains(&cells.rows);
        if !fits || count != cells.cost.len() as u64 {
            return Err(Error::input(format!(
                "a cost map of {}x{} cells with {} values cannot be used",
                cells.columns,
                cells.rows,
                cells.cost.len()
            ))
            .remedy(format!("Give 1 to {MAX_CELLS} cells a side and one value for each.")));
        }
        if cells.cost.iter().any(|c| !c.is_finite() || *c < 0.0) {
            return Err(Error::input("a cost map has cells that are negative or not a number")
                .remedy("Measure it again."));
        }
        Ok(Self::build(cells))
    }

    /// The map measured on patches: (region, cost per pixel in any unit). Where patches lie apart, the cells between
    /// them are interpolated by distance; `columns` × `rows` is the resolution of the result.
    pub fn from_patches(frame: Frame, columns: u32, rows: u32, patches: &[(Rect, f64)]) -> Result<Self> {
        let (columns, rows) =
            (columns.clamp(1, MAX_CELLS.min(frame.width())), rows.clamp(1, MAX_CELLS.min(frame.height())));
        // Logarithms are interpolated: cost is a ratio, and a patch in a costly place must not spread over all.
        let points: Vec<(f64, f64, f64)> = patches
            .iter()
            .filter(|(_, cost)| cost.is_finite() && *cost >= 0.0)
            .map(|(r, cost)| {
                let x = f64::from(r.x()) + f64::from(r.width()) / 2.0;
                let y = f64::from(r.y()) + f64::from(r.height()) / 2.0;
                (x, y, cost.max(1e-12).ln())
            })
            .collect();
        if points.is_empty() {
            return Ok(Self::uniform(frame));
        }
        let (cw, ch) =
            (f64::from(frame.width()) / f64::from(columns), f64::from(frame.height()) / f64::from(rows));
        let mut cost = Vec::with_capacity((columns * rows) as usize);
        for row in 0..rows {
            for column in 0..columns {
                let (x, y) = ((f64::from(column) + 0.5) * cw, (f64::from(row) + 0.5) * ch);
                let (mut sum, mut weights) = (0.0, 0.0);
                for (px, py, value) in &points {
                    let d2 = ((px - x) / cw).powi(2) + ((py - y) / ch).powi(2);
                    let weight = 1.0 / (d2 * d2 + 1e-3);
                    sum += weight * value;
                    weights += weight;
                }
                cost.push((sum / weights).exp() as f32);
            }
        }
        Self::new(Cells { frame, columns, rows, cost })
    }

    fn build(mut cells: Cells) -> Self {
        let count = cells.cost.len() as f64;
        let mean = cells.cost.iter().map(|c| f64::from(*c)).sum::<f64>() / count;
        for c in &mut cells.cost {
            let share = (f64::from(*c) / mean) as f32;
            // A cell that was raised before stays as it is: a map that is written and read again is the same.
            *c = match share {
                _ if mean <= 0.0 => 1.0,
                _ if share < LEAST / 2.0 => LEAST,
                _ => share,
            };
        }
        // The floor raised the mean a little: the sums are scaled so that the frame costs exactly its pixels.
        let cost: Vec<f64> = cells.cost.iter().map(|c| f64::from(*c)).collect();
        let unit = count / cost.iter().sum::<f64>();
        let sums = sums(cells.frame, cells.columns, cells.rows, &cost, unit);
        Self { cells, sums, unit }
    }

    /// The same map with every part of a grid of `columns` × `rows` multiplied by its factor. The mean is not made 1
    /// again: the whole frame may turn out to cost more or less than its pixels.
    pub(crate) fn corrected(&self, columns: u32, rows: u32, factors: &[f64]) -> Self {
        let frame = self.cells.frame;
        let (c, r) = (self.cells.columns.max(columns), self.cells.rows.max(rows));
        let resampled = |column: u32, row: u32| {
            let at = |i: u32, of: u32, n: u32| (f64::from(i) + 0.5) / f64::from(of) * f64::from(n);
            let (x, y) = (at(column, c, self.cells.columns), at(row, r, self.cells.rows));
            let own = self.cells.cost.get(y as usize * self.cells.columns as usize + x as usize);
            let (x, y) = (at(column, c, columns), at(row, r, rows));
            let factor = factors.get(y as usize * columns as usize + x as usize);
            f64::from(own.copied().unwrap_or(1.0)) * factor.copied().unwrap_or(1.0)
        };
        let cost: Vec<f64> = (0..r)
            .flat_map(|row| (0..c).map(move |column| (column, row)))
            .map(|(x, y)| resampled(x, y))
            .collect();
        let sums = sums(frame, c, r, &cost, self.unit);
        Self {
            cells: Cells { frame, columns: c, rows: r, cost: cost.iter().map(|c| *c as f32).collect() },
            sums,
            unit: self.unit,
        }
    }

    /// The picture it is a map of.
    pub fn frame(&self) -> Frame {
        self.cells.frame
    }

    /// The cells it is made of.
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// Cost units of a region; the part outside the frame costs nothing.
    pub fn cost_of(&self, region: Rect) -> f64 {
        let (x0, x1) = (self.column(region.x()), self.column(region.right()));
        let (y0, y1) = (self.row(region.y()), self.row(region.bottom()));
        (self.sum(x1, y1) - self.sum(x0, y1) - self.sum(x1, y0) + self.sum(x0, y0)).max(0.0)
    }

    /// Cells from the frame's left edge to this pixel edge.
    fn column(&self, x: u32) -> f64 {
        f64::from(x) * f64::from(self.cells.columns) / f64::from(self.cells.frame.width())
    }

    /// Cells from the frame's top edge to this pixel edge.
    fn row(&self, y: u32) -> f64 {
        f64::from(y) * f64::from(self.cells.rows) / f64::from(self.cells.frame.height())
    }

    /// Cost of everything above and to the left of a point, in cells.
    fn sum(&self, x: f64, y: f64) -> f64 {
        let stride = self.cells.columns as usize + 1;
        let part = |v: f64, n: u32| {
            let whole = (v as usize).min(n as usize - 1);
            (whole, (v - whole as f64).clamp(0.0, 1.0))
        };
        let (c, fx) = part(x, self.cells.columns);
        let (r, fy) = part(y, self.cells.rows);
        let at = |r: usize, c: usize| self.sums[r * stride + c];
        let top = at(r, c) * (1.0 - fx) + at(r, c + 1) * fx;
        let bottom = at(r + 1, c) * (1.0 - fx) + at(r + 1, c + 1) * fx;
        top * (1.0 - fy) + bottom * fy
    }
}

/// Sums of the cells above and to the left of every corner, in cost units.
fn sums(frame: Frame, columns: u32, rows: u32, cost: &[f64], unit: f64) -> Vec<f64> {
    let (columns, rows) = (columns as usize, rows as usize);
    let cell = frame.area() as f64 / (columns * rows) as f64 * unit;
    let mut sums = vec![0.0; (columns + 1) * (rows + 1)];
    for row in 0..rows {
        let mut line = 0.0;
        for column in 0..columns {
            line += cost[row * columns + column] * cell;
            sums[(row + 1) * (columns + 1) + column + 1] = sums[row * (columns + 1) + column + 1] + line;
        }
    }
    sums
}

impl TryFrom<Cells> for CostMap {
    type Error = Error;
    fn try_from(cells: Cells) -> Result<Self> {
        Self::new(cells)
    }
}

impl From<CostMap> for Cells {
    fn from(map: CostMap) -> Self {
        map.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map(width: u32, height: u32, columns: u32, rows: u32, seed: u32) -> CostMap {
        let cost = (0..columns * rows)
            .map(|i| ((i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 8) % 100) as f32)
            .collect();
        CostMap::new(Cells { frame: Frame::new(width, height).unwrap(), columns, rows, cost }).unwrap()
    }

    #[test]
    fn a_uniform_frame_costs_its_pixels() {
        let map = CostMap::uniform(Frame::new(333, 217).unwrap());
        assert!((map.cost_of(Rect::new(5, 7, 100, 50).unwrap()) - 5000.0).abs() < 1e-6);
    }

    #[test]
    fn impossible_maps_are_refused() {
        let frame = Frame::new(10, 10).unwrap();
        for (columns, rows, cost) in [
            (0, 1, vec![]),
            (2, 2, vec![1.0; 3]),
            (1, 1, vec![f32::NAN]),
            (1, 1, vec![-1.0]),
            (100_000, 100_000, vec![1.0]),
        ] {
            assert!(CostMap::new(Cells { frame, columns, rows, cost }).is_err());
        }
    }

    #[test]
    fn a_frame_without_any_cost_is_uniform() {
        let map = map(10, 10, 1, 1, 0);
        assert!((map.cost_of(map.frame().rect()) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn patches_say_where_it_is_costly() {
        let frame = Frame::new(100, 100).unwrap();
        let map = CostMap::from_patches(
            frame,
            10,
            10,
            &[
                (Rect::new(0, 0, 10, 10).unwrap(), 1.0),
                (Rect::new(90, 90, 10, 10).unwrap(), 9.0),
                (Rect::new(0, 90, 10, 10).unwrap(), f64::NAN),
            ],
        )
        .unwrap();
        let cheap = map.cost_of(Rect::new(0, 0, 20, 20).unwrap());
        let costly = map.cost_of(Rect::new(80, 80, 20, 20).unwrap());
        assert!(costly > 5.0 * cheap, "{cheap} {costly}");
    }

    proptest! {
        #[test]
        fn the_parts_of_a_cut_cost_the_whole(
            (w, h, c, r) in (2u32..300, 2u32..300, 1u32..9, 1u32..9), seed: u32, at in 1u32..300, vertical: bool,
        ) {
            let map = map(w, h, c, r, seed);
            let whole = map.frame().rect();
            prop_assert!((map.cost_of(whole) - whole.area() as f64).abs() < 1e-6 * whole.area() as f64);
            if let Some((a, b)) = whole.cut(vertical, at) {
                let sum = map.cost_of(a) + map.cost_of(b);
                prop_assert!((sum - map.cost_of(whole)).abs() < 1e-6 * sum);
            }
        }

        #[test]
        fn maps_survive_being_written(w in 1u32..300, h in 1u32..300, c in 1u32..9, r in 1u32..9, seed: u32) {
            let map = map(w, h, c, r, seed);
            let again: CostMap = ron::from_str(&ron::to_string(&map).unwrap()).unwrap();
            let rect = Rect::new(0, 0, w.div_ceil(2), h.div_ceil(2)).unwrap();
            prop_assert!((again.cost_of(rect) - map.cost_of(rect)).abs() < 1e-3 * map.cost_of(rect) + 1e-6);
        }
    }
}
