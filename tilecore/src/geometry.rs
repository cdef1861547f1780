//! Where a tile is: integer pixel rectangles in a frame, and the one place that turns them into Blender's border.
//!
//! All rectangles have their origin at the **top left**, as image files do. Blender's origin is the bottom left;
//! only [`Border`] knows that.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Largest width or height of a frame, pixels. Blender itself stops at 65,536.
pub const MAX_SIDE: u32 = 65_536;

/// Size of the whole picture in pixels; neither side is ever zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct Frame {
    width: u32,
    height: u32,
}

impl Frame {
    /// A frame of `width` x `height` pixels, each side 1 to [`MAX_SIDE`].
    pub fn new(width: u32, height: u32) -> Result<Self> {
        if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
            return Err(Error::input(format!("a frame of {width}x{height} pixels cannot be rendered"))
                .remedy(format!("Choose a width and height from 1 to {MAX_SIDE}.")));
        }
        Ok(Self { width, height })
    }

    /// The frame Blender renders for a resolution and its percentage: truncated, at least one pixel (F2).
    pub fn scaled(x: u32, y: u32, percentage: u32) -> Result<Self> {
        let side = |v: u32| (u64::from(v) * u64::from(percentage) / 100).max(1);
        Self::new(side(x).min(u64::from(u32::MAX)) as u32, side(y).min(u64::from(u32::MAX)) as u32)
    }

    /// Width in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(self) -> u32 {
        self.height
    }

    /// The rectangle that covers all of it.
    pub fn rect(self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }

    /// Number of pixels.
    pub fn area(self) -> u64 {
        self.rect().area()
    }
}

impl TryFrom<(u32, u32)> for Frame {
    type Error = Error;
    fn try_from((w, h): (u32, u32)) -> Result<Self> {
        Self::new(w, h)
    }
}

impl From<Frame> for (u32, u32) {
    fn from(f: Frame) -> Self {
        (f.width, f.height)
    }
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A rectangle of whole pixels, origin top left, never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32, u32, u32)", into = "(u32, u32, u32, u32)")]
pub struct Rect {
    y: u32,
    x: u32,
    width: u32,
    height: u32,
}

impl Rect {
    /// The rectangle with its top left pixel at (`x`, `y`).
    pub fn new(x: u32, y: u32, width: u32, height: u32) -> Result<Self> {
        let fits =
            |start: u32, len: u32| len > 0 && start.checked_add(len).is_some_and(|end| end <= MAX_SIDE);
        if !fits(x, width) || !fits(y, height) {
            return Err(Error::input(format!("{width}x{height}+{x}+{y} is not a rectangle of pixels"))
                .remedy(format!("Sides are at least 1 and end within {MAX_SIDE}.")));
        }
        Ok(Self { y, x, width, height })
    }

    fn spanning(x0: u32, y0: u32, x1: u32, y1: u32) -> Option<Self> {
        (x1 > x0 && y1 > y0).then(|| Self { y: y0, x: x0, width: x1 - x0, height: y1 - y0 })
    }

    /// Left edge, pixels from the frame's left.
    pub fn x(self) -> u32 {
        self.x
    }

    /// Top edge, pixels from the frame's top.
    pub fn y(self) -> u32 {
        self.y
    }

    /// Width in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(self) -> u32 {
        self.height
    }

    /// First column to the right of it.
    pub fn right(self) -> u32 {
        self.x + self.width
    }

    /// First row below it.
    pub fn bottom(self) -> u32 {
        self.y + self.height
    }

    /// Number of pixels.
    pub fn area(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Its size as a frame.
    pub fn size(self) -> Frame {
        Frame { width: self.width, height: self.height }
    }

    /// Whether `other` lies wholly inside.
    pub fn contains(self, other: Rect) -> bool {
        other.x >= self.x
            && other.y >= self.y
            && other.right() <= self.right()
            && other.bottom() <= self.bottom()
    }

    /// The part both have.
    pub fn intersection(self, other: Rect) -> Option<Rect> {
        Self::spanning(
            self.x.max(other.x),
            self.y.max(other.y),
            self.right().min(other.right()),
            self.bottom().min(other.bottom()),
        )
    }

    /// What is left of it without `other`: up to four rectangles that do not overlap.
    pub fn without(self, other: Rect) -> Vec<Rect> {
        let Some(hole) = self.intersection(other) else {
            return vec![self];
        };
        [
            Self::spanning(self.x, self.y, self.right(), hole.y),
            Self::spanning(self.x, hole.y, hole.x, hole.bottom()),
            Self::spanning(hole.right(), hole.y, self.right(), hole.bottom()),
            Self::spanning(self.x, hole.bottom(), self.right(), self.bottom()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Grown by `overlap` on every side, within the frame.
    #[must_use]
    pub fn grown(self, overlap: Overlap, frame: Frame) -> Rect {
        let by = overlap.0;
        let (x, y) = (self.x.saturating_sub(by), self.y.saturating_sub(by));
        Self {
            x,
            y,
            width: (self.right().saturating_add(by)).min(frame.width) - x,
            height: (self.bottom().saturating_add(by)).min(frame.height) - y,
        }
    }

    /// The same pixels, counted from the top left of `outer`, which contains it.
    pub fn relative_to(self, outer: Rect) -> Option<Rect> {
        outer.contains(self).then(|| Rect { x: self.x - outer.x, y: self.y - outer.y, ..self })
    }

    /// Two halves side by side (`vertical`) or one above the other, cut after `at` columns or rows.
    pub fn cut(self, vertical: bool, at: u32) -> Option<(Rect, Rect)> {
        if vertical {
            (at > 0 && at < self.width).then(|| {
                (Rect { width: at, ..self }, Rect { x: self.x + at, width: self.width - at, ..self })
            })
        } else {
            (at > 0 && at < self.height).then(|| {
                (Rect { height: at, ..self }, Rect { y: self.y + at, height: self.height - at, ..self })
            })
        }
    }
}

impl TryFrom<(u32, u32, u32, u32)> for Rect {
    type Error = Error;
    fn try_from((x, y, w, h): (u32, u32, u32, u32)) -> Result<Self> {
        Self::new(x, y, w, h)
    }
}

impl From<Rect> for (u32, u32, u32, u32) {
    fn from(r: Rect) -> Self {
        (r.x, r.y, r.width, r.height)
    }
}

/// `WIDTHxHEIGHT+X+Y`, the notation of X11 geometries.
impl std::fmt::Display for Rect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}+{}+{}", self.width, self.height, self.x, self.y)
    }
}

/// Pixels rendered beyond a tile's own region on every side and cropped away again (F4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Overlap(pub u32);

/// A border as Blender's render settings take it: fractions of the frame, origin **bottom** left.
///
/// Blender multiplies by the size in float32 and truncates; `x / W` lands one pixel off for 3.6 % of all edges (F2).
/// A quarter of a pixel is added, which is right under truncation and under rounding; the frame's own edges are
/// exactly 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Border {
    /// Left edge, 0 to 1.
    pub min_x: f32,
    /// Right edge, 0 to 1.
    pub max_x: f32,
    /// Bottom edge, 0 to 1.
    pub min_y: f32,
    /// Top edge, 0 to 1.
    pub max_y: f32,
}

impl Border {
    /// The border that makes Blender render exactly `rect` of `frame`.
    pub fn new(rect: Rect, frame: Frame) -> Result<Self> {
        if !frame.rect().contains(rect) {
            return Err(Error::render(format!("the tile {rect} is not inside the frame {frame}"))
                .remedy("Report this as a defect of tilectl."));
        }
        Ok(Self {
            min_x: edge(rect.x, frame.width),
            max_x: edge(rect.right(), frame.width),
            min_y: edge(frame.height - rect.bottom(), frame.height),
            max_y: edge(frame.height - rect.y, frame.height),
        })
    }
}

fn edge(at: u32, side: u32) -> f32 {
    if at == 0 {
        0.0
    } else if at == side {
        1.0
    } else {
        ((f64::from(at) + 0.25) / f64::from(side)) as f32
    }
}

/// Cuts a frame into equal tiles: how many columns and rows, remainders spread over all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    frame: Frame,
    columns: u32,
    rows: u32,
}

impl Grid {
    /// The grid with exactly `count` tiles whose tiles are closest to square.
    pub fn with_count(frame: Frame, count: u32) -> Result<Self> {
        let squareness = |columns: u32| {
            let w = f64::from(frame.width) / f64::from(columns);
            let h = f64::from(frame.height) / f64::from(count / columns);
            (w / h).ln().abs()
        };
        (1..=count.min(frame.width))
            .filter(|c| count.is_multiple_of(*c) && count / c <= frame.height)
            .min_by(|a, b| squareness(*a).total_cmp(&squareness(*b)))
            .map(|columns| Self { frame, columns, rows: count / columns })
            .ok_or_else(|| {
                Error::input(format!("a frame of {frame} cannot be cut into {count} tiles"))
                    .remedy("Choose a number of tiles from 1 that is a product of at most the frame's width and at most its height.")
            })
    }

    /// The grid whose tiles are as close to `width` x `height` pixels as whole tiles allow, never larger.
    pub fn with_tile_size(frame: Frame, width: u32, height: u32) -> Result<Self> {
        if width == 0 || height == 0 {
            return Err(Error::input(format!("a tile of {width}x{height} pixels is empty"))
                .remedy("Choose a tile size of at least 1x1."));
        }
        Ok(Self { frame, columns: frame.width.div_ceil(width), rows: frame.height.div_ceil(height) })
    }

    /// The grid with this many columns and rows.
    pub fn new(frame: Frame, columns: u32, rows: u32) -> Result<Self> {
        if columns == 0 || rows == 0 || columns > frame.width || rows > frame.height {
            return Err(Error::input(format!(
                "a frame of {frame} cannot be cut into {columns}x{rows} tiles"
            ))
            .remedy("Choose at least one and at most one per pixel on each side."));
        }
        Ok(Self { frame, columns, rows })
    }

    /// Number of columns.
    pub fn columns(self) -> u32 {
        self.columns
    }

    /// Number of rows.
    pub fn rows(self) -> u32 {
        self.rows
    }

    /// Every tile's region, row by row from the top left; together they cover each pixel exactly once.
    pub fn tiles(self) -> Vec<Rect> {
        let cut = |side: u32, parts: u32, i: u32| (u64::from(side) * u64::from(i) / u64::from(parts)) as u32;
        let mut tiles = Vec::with_capacity(self.columns as usize * self.rows as usize);
        for row in 0..self.rows {
            let (y0, y1) =
                (cut(self.frame.height, self.rows, row), cut(self.frame.height, self.rows, row + 1));
            for column in 0..self.columns {
                let (x0, x1) = (
                    cut(self.frame.width, self.columns, column),
                    cut(self.frame.width, self.columns, column + 1),
                );
                tiles.extend(Rect::spanning(x0, y0, x1, y1));
            }
        }
        tiles
    }
}

/// The parts of `area` that none of `covered` reaches, as rectangles that do not overlap.
pub fn uncovered(area: Rect, covered: impl IntoIterator<Item = Rect>) -> Vec<Rect> {
    let mut covered: Vec<Rect> = covered.into_iter().filter_map(|r| r.intersection(area)).collect();
    covered.sort_unstable_by_key(|r| (r.y, r.x));
    let mut edges: Vec<u32> = covered.iter().flat_map(|r| [r.y, r.bottom()]).collect();
    edges.extend([area.y, area.bottom()]);
    edges.sort_unstable();
    edges.dedup();
    let mut holes = Vec::new();
    // Gaps of the strip above, with the row they begin at; and what reaches into this strip, from the left.
    let mut open: Vec<(Range<u32>, u32)> = Vec::new();
    let mut here: Vec<Rect> = Vec::new();
    let mut next = covered.iter().peekable();
    for y in edges {
        let mut changed = here.len();
        here.retain(|r| r.bottom() > y);
        changed -= here.len();
        while let Some(r) = next.next_if(|r| r.y == y) {
            here.push(*r);
            changed += 1;
        }
        let gaps = match y {
            y if y == area.bottom() => Vec::new(),
            _ if changed == 0 && !open.is_empty() => continue,
            _ => {
                here.sort_by_key(|r| r.x);
                gaps(&here, area.x..area.right())
            }
        };
        let mut still: Vec<(Range<u32>, u32)> = Vec::with_capacity(gaps.len());
        let mut above = open.drain(..).peekable();
        let close = |(gap, top): (Range<u32>, u32), holes: &mut Vec<Rect>| {
            holes.push(Rect { x: gap.start, y: top, width: gap.end - gap.start, height: y - top });
        };
        for gap in gaps {
            while let Some(gone) = above.next_if(|a| a.0.start < gap.start) {
                close(gone, &mut holes);
            }
            match above.next_if(|a| a.0 == gap) {
                Some(same) => still.push(same),
                None => still.push((gap, y)),
            }
        }
        above.for_each(|gone| close(gone, &mut holes));
        open = still;
    }
    holes
}

/// What rectangles, ordered from the left, leave free of `span`.
fn gaps(rects: &[Rect], span: Range<u32>) -> Vec<Range<u32>> {
    let mut gaps = Vec::new();
    let mut at = span.start;
    for r in rects {
        if r.x > at {
            gaps.push(at..r.x);
        }
        at = at.max(r.right());
    }
    if at < span.end {
        gaps.push(at..span.end);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_left_is_what_cutting_one_by_one_leaves(
            rects in prop::collection::vec((0u32..24, 0u32..24, 1u32..14, 1u32..14), 0..14),
        ) {
            let area = Rect::new(3, 2, 20, 17).unwrap();
            let rects: Vec<Rect> = rects.into_iter().map(|(x, y, w, h)| Rect::new(x, y, w, h).unwrap()).collect();
            let left = uncovered(area, rects.iter().copied());
            for y in area.y..area.bottom() {
                for x in area.x..area.right() {
                    let pixel = Rect::new(x, y, 1, 1).unwrap();
                    let free = !rects.iter().any(|r| r.contains(pixel));
                    prop_assert_eq!(left.iter().filter(|r| r.contains(pixel)).count(), usize::from(free));
                }
            }
            prop_assert!(left.iter().all(|r| area.contains(*r)));
        }
    }

    /// What Blender does with a border edge: float32 product, truncated. Cycles and the compositor of some versions
    /// round instead.
    fn lands_on(value: f32, side: u32) -> (u32, u32) {
        let product = value * side as f32;
        (product as u32, product.round() as u32)
    }

    /// All 134 million edges of all widths to 16,384.
    #[test]
    fn every_edge_lands_on_its_pixel() {
        use rayon::prelude::*;
        (1..=16_384u32).into_par_iter().for_each(|side| {
            for x in 0..=side {
                assert_eq!(lands_on(edge(x, side), side), (x, x), "x {x} of {side}");
            }
        });
    }

    #[test]
    fn the_plain_quotient_misses_26_edges_at_1920() {
        let off = (0..=1920u32).filter(|&x| ((x as f32 / 1920.0) * 1920.0) as u32 != x).count();
        assert_eq!(off, 26, "F2: the reason for the quarter pixel");
    }

    #[test]
    fn border_has_its_origin_at_the_bottom_left() {
        let frame = Frame::new(100, 50).unwrap();
        let top_left = Border::new(Rect::new(0, 0, 10, 5).unwrap(), frame).unwrap();
        assert!((top_left.max_y - 1.0).abs() < f32::EPSILON && top_left.min_y > 0.9);
        assert!(top_left.min_x == 0.0 && top_left.max_x < 0.11);
    }

    #[test]
    fn resolution_percentage_truncates_but_never_to_nothing() {
        assert_eq!(Frame::scaled(333, 217, 50).unwrap(), Frame::new(166, 108).unwrap());
        assert_eq!(Frame::scaled(1, 1, 1).unwrap(), Frame::new(1, 1).unwrap());
    }

    #[test]
    fn counts_that_cannot_fit_are_refused() {
        let frame = Frame::new(17, 3).unwrap();
        assert!(Grid::with_count(frame, 19).is_err());
        assert!(Grid::with_count(frame, 0).is_err());
        assert_eq!(Grid::with_count(frame, 51).unwrap().tiles().len(), 51);
    }

    fn frames() -> impl Strategy<Value = Frame> {
        (1u32..400, 1u32..400).prop_map(|(w, h)| Frame::new(w, h).unwrap())
    }

    fn times_covered(frame: Frame, rects: &[Rect]) -> Vec<u8> {
        let mut seen = vec![0u8; frame.area() as usize];
        for r in rects {
            for y in r.y()..r.bottom() {
                for x in r.x()..r.right() {
                    seen[(y * frame.width() + x) as usize] += 1;
                }
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn grids_cover_every_pixel_once(frame in frames(), columns in 1u32..30, rows in 1u32..30) {
            let (columns, rows) = (columns.min(frame.width()), rows.min(frame.height()));
            let tiles = Grid::new(frame, columns, rows).unwrap().tiles();
            prop_assert_eq!(tiles.len() as u32, columns * rows);
            prop_assert!(times_covered(frame, &tiles).iter().all(|&n| n == 1));
        }

        #[test]
        fn counted_grids_have_that_many_tiles(frame in frames(), count in 1u32..200) {
            if let Ok(grid) = Grid::with_count(frame, count) {
                prop_assert_eq!(grid.tiles().len() as u32, count);
                prop_assert!(times_covered(frame, &grid.tiles()).iter().all(|&n| n == 1));
            }
        }

        #[test]
        fn sized_grids_never_exceed_the_size(frame in frames(), w in 1u32..500, h in 1u32..500) {
            let tiles = Grid::with_tile_size(frame, w, h).unwrap().tiles();
            prop_assert!(tiles.iter().all(|t| t.width() <= w && t.height() <= h));
            prop_assert!(times_covered(frame, &tiles).iter().all(|&n| n == 1));
        }

        #[test]
        fn what_is_uncovered_and_what_covers_make_the_frame(
            frame in frames(),
            parts in prop::collection::vec((0u32..400, 0u32..400, 1u32..200, 1u32..200), 0..12),
        ) {
            let holes: Vec<Rect> = parts
                .into_iter()
                .filter_map(|(x, y, w, h)| Rect::new(x, y, w, h).unwrap().intersection(frame.rect()))
                .collect();
            let left = uncovered(frame.rect(), holes.iter().copied());
            let (a, b) = (times_covered(frame, &holes), times_covered(frame, &left));
            prop_assert!(a.iter().zip(&b).all(|(&h, &l)| (h > 0) != (l > 0) && l <= 1));
        }

        #[test]
        fn growing_and_cropping_are_inverse(frame in frames(), seed in any::<u32>(), by in 0u32..40) {
            let tiles = Grid::with_tile_size(frame, 37, 23).unwrap().tiles();
            let tile = tiles[seed as usize % tiles.len()];
            let grown = tile.grown(Overlap(by), frame);
            prop_assert!(frame.rect().contains(grown) && grown.contains(tile));
            let crop = tile.relative_to(grown).unwrap();
            prop_assert_eq!((crop.x() + grown.x(), crop.y() + grown.y()), (tile.x(), tile.y()));
            prop_assert_eq!(crop.size(), tile.size());
        }

        #[test]
        fn cutting_keeps_every_pixel(x in 0u32..50, y in 0u32..50, w in 1u32..50, h in 1u32..50, at in 0u32..60, vertical: bool) {
            let whole = Rect::new(x, y, w, h).unwrap();
            if let Some((a, b)) = whole.cut(vertical, at) {
                prop_assert_eq!(a.area() + b.area(), whole.area());
                prop_assert!(whole.contains(a) && whole.contains(b) && a.intersection(b).is_none());
            } else {
                let side = if vertical { w } else { h };
                prop_assert!(at == 0 || at >= side);
            }
        }
    }
}
