//! The cost maps of the job's pictures, corrected by what every finished piece really cost.

use super::speed::Lesson;
use crate::cost::{CostMap, Work};
use crate::geometry::{Overlap, Rect};

/// Cells along the longer side in which corrections are kept.
const CELLS: u32 = 24;
/// Variance of the logarithm of a region's cost where nothing was measured, and where a probe was.
const UNMEASURED: f64 = 0.25;
const PROBED: f64 = 0.03;
/// How many pieces the variance above counts as.
const PRIOR: f64 = 3.0;
/// What was seen of a picture counts against nothing having been misjudged on this share of it.
const LITTLE: f64 = 0.1;
/// Corrections that differ by less than this are the same.
const SAME: f64 = 0.002;
/// With more waiting parts than this, working out all their costs anew is worth it less often.
const CROWD: usize = 1000;
/// Weight of what the whole picture was misjudged by against what was seen nearby.
const WHOLE: f64 = 0.5;

/// Where the job's pictures are costly, as far as is known by now.
#[derive(Clone, Debug)]
pub(super) struct CostModel {
    pictures: Vec<PictureCost>,
    overlap: Overlap,
    /// Pieces learnt from, and from how many on the maps are to be drawn anew.
    learnt: usize,
    redraw_at: usize,
    /// Sum of squared misjudgements, and their number.
    squares: f64,
    seen: f64,
}

/// One picture.
#[derive(Clone, Debug)]
struct PictureCost {
    base: CostMap,
    map: CostMap,
    columns: u32,
    rows: u32,
    /// Per cell: weighted sum of corrections (logarithms), and sum of the weights.
    cells: Vec<(f64, f64)>,
    /// Per cell: the correction that the map has, where it has any.
    factors: Vec<f64>,
    /// The same for the whole picture, weighted by pixels.
    whole: (f64, f64),
}

impl CostModel {
    pub(super) fn new(work: &Work) -> Self {
        let probed = work.pictures.first().is_none_or(|p| p.cost.cells().cost.len() > 1);
        Self {
            pictures: work.pictures.iter().map(|p| PictureCost::new(&p.cost)).collect(),
            overlap: work.overlap,
            learnt: 0,
            redraw_at: 1,
            squares: PRIOR * if probed { PROBED } else { UNMEASURED },
            seen: PRIOR,
        }
    }

    /// Expected cost of rendering a region, with its overlap.
    pub(super) fn cost_of(&self, picture: u32, region: Rect) -> f64 {
        self.pictures
            .get(picture as usize)
            .map_or(0.0, |g| g.map.cost_of(region.grown(self.overlap, g.map.frame())))
    }

    /// The same by the map that was measured, whatever was learnt since.
    pub(super) fn measured_cost_of(&self, picture: u32, region: Rect) -> f64 {
        self.pictures
            .get(picture as usize)
            .map_or(0.0, |g| g.base.cost_of(region.grown(self.overlap, g.base.frame())))
    }

    /// The region's own cost by the map that was measured; adds up whatever is learnt.
    pub(super) fn base_cost_of(&self, picture: u32, region: Rect) -> f64 {
        self.pictures.get(picture as usize).map_or(0.0, |g| g.base.cost_of(region))
    }

    /// Pixels to render for a region, with its overlap.
    pub(super) fn pixels_of(&self, picture: u32, region: Rect) -> u64 {
        self.pictures
            .get(picture as usize)
            .map_or(region.area(), |g| region.grown(self.overlap, g.map.frame()).area())
    }

    /// The picture's map as it is known now.
    pub(super) fn map(&self, picture: u32) -> Option<&CostMap> {
        self.pictures.get(picture as usize).map(|g| &g.map)
    }

    /// Variance of the logarithm of a piece's cost.
    pub(super) fn variance(&self) -> f64 {
        self.squares / self.seen
    }

    /// How many pieces it has learnt from.
    pub(super) fn learnt(&self) -> usize {
        self.learnt
    }

    /// Notes what a piece said about its region, which costs this much by it; returns whether it is time to redraw.
    pub(super) fn learn(&mut self, picture: u32, region: Rect, cost: f64, lesson: Lesson) -> bool {
        // Against the map that was measured: the present one contains earlier corrections.
        let off = (cost / self.measured_cost_of(picture, region)).ln();
        let Some(picture_cost) = self.pictures.get_mut(picture as usize) else { return false };
        picture_cost.learn(region, off);
        // Old misjudgements count less and less: the maps were better when the later pieces were cut.
        self.squares = 0.95 * self.squares + lesson.excess;
        self.seen = 0.95 * self.seen + 1.0;
        self.learnt += 1;
        self.learnt >= self.redraw_at
    }

    /// Draws the maps anew; returns whether that changed them. Costs asked for before are out of date then.
    pub(super) fn redraw(&mut self, parts: usize) -> bool {
        // With many parts waiting, working out all their costs anew is worth it less often.
        let share = if parts > CROWD { 2 } else { 16 };
        self.redraw_at = self.learnt + (self.learnt / share).max(parts / CROWD).max(1);
        let (mut before, mut changed) = ((0.0, 0.0), false);
        for picture_cost in &mut self.pictures {
            if picture_cost.whole.1 == 0.0 && before.1 == 0.0 {
                continue;
            }
            if picture_cost.whole.1 > 0.0 {
                before = picture_cost.whole;
            }
            // A picture of which nothing is known yet is taken to be like the one before.
            // What was seen of a small part says little about all of it.
            changed |=
                picture_cost.redraw(before.0 / (before.1 + LITTLE * picture_cost.base.frame().area() as f64));
        }
        changed
    }
}

impl PictureCost {
    fn new(base: &CostMap) -> Self {
        let (w, h) = (base.frame().width(), base.frame().height());
        let cell = f64::from(w.max(h)) / f64::from(CELLS);
        let columns = ((f64::from(w) / cell).round() as u32).clamp(1, w.min(CELLS));
        let rows = ((f64::from(h) / cell).round() as u32).clamp(1, h.min(CELLS));
        Self {
            base: base.clone(),
            map: base.clone(),
            columns,
            rows,
            cells: vec![(0.0, 0.0); (columns * rows) as usize],
            factors: Vec::new(),
            whole: (0.0, 0.0),
        }
    }

    fn learn(&mut self, region: Rect, off: f64) {
        if !off.is_finite() {
            return;
        }
        let area = region.area() as f64;
        self.whole = (self.whole.0 + off * area, self.whole.1 + area);
        let (cw, ch) = (
            f64::from(self.base.frame().width()) / f64::from(self.columns),
            f64::from(self.base.frame().height()) / f64::from(self.rows),
        );
        let (w, h) = (f64::from(region.width()).max(cw), f64::from(region.height()).max(ch));
        let (x, y) = (
            f64::from(region.x()) + f64::from(region.width()) / 2.0,
            f64::from(region.y()) + f64::from(region.height()) / 2.0,
        );
        let near = |at: f64, reach: f64, cell: f64, n: u32| {
            let from = ((at - reach) / cell).floor().max(0.0) as u32;
            (from.min(n), (((at + reach) / cell).ceil().max(0.0) as u32).min(n))
        };
        let (c0, c1) = near(x, 2.5 * w, cw, self.columns);
        let (r0, r1) = near(y, 2.5 * h, ch, self.rows);
        for row in r0..r1 {
            for column in c0..c1 {
                let dx = ((f64::from(column) + 0.5) * cw - x) / w;
                let dy = ((f64::from(row) + 0.5) * ch - y) / h;
                let weight = 1.0 / (0.25 + dx * dx + dy * dy).powi(2);
                let cell = &mut self.cells[(row * self.columns + column) as usize];
                *cell = (cell.0 + weight * off, cell.1 + weight);
            }
        }
    }

    fn redraw(&mut self, whole: f64) -> bool {
        let factors: Vec<f64> =
            self.cells.iter().map(|(sum, weight)| ((sum + WHOLE * whole) / (weight + WHOLE)).exp()).collect();
        let same = |(now, drawn): (&f64, &f64)| (now / drawn - 1.0).abs() < SAME;
        if factors.len() == self.factors.len() && factors.iter().zip(&self.factors).all(same) {
            return false;
        }
        self.map = self.base.corrected(self.columns, self.rows, &factors);
        self.factors = factors;
        true
    }
}
