//! Pictures of a heat map: the map itself with its legend, and laid over the rendered frame.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::canvas::Canvas;
use super::palette::Palette;
use super::{Cell, HeatMap, legend};
use crate::error::Result;
use crate::geometry::Rect;

/// How a cost becomes a place in the palette.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// In proportion, from the cheapest block to the dearest.
    #[default]
    Linear,
    /// By orders of magnitude: shows differences among cheap blocks beside very dear ones.
    Log,
}

/// How a map is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Colours.
    pub palette: Palette,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// Whether a legend in seconds is put below.
    pub legend: bool,
    /// Largest width or height of the drawn map, pixels; larger frames are drawn smaller by a whole factor.
    pub max_side: u32,
}

impl Default for Style {
    fn default() -> Self {
        Self { palette: Palette::Viridis, scale: Scale::Linear, legend: true, max_side: 4096 }
    }
}

impl Style {
    /// The style of a palette: with a legend, but for grey, which is the bare map (black fastest, white slowest).
    pub fn of(palette: Palette) -> Self {
        Self { palette, legend: palette != Palette::Grey, ..Self::default() }
    }
}

const PAPER: [u8; 3] = [250, 250, 248];
/// Where one part ends and the next begins.
const EDGE: [u8; 3] = [255, 255, 255];
/// The two stripes of what was not measured: of no palette.
const UNKNOWN: [[u8; 3]; 2] = [[92, 92, 98], [118, 118, 124]];

impl HeatMap {
    /// Draws the map.
    pub fn draw(&self, style: Style) -> Canvas {
        let shrink = self.shrink(style);
        let (width, height) = self.drawn_size(shrink);
        let mut canvas = Canvas::new(width, height + legend::height(width, style), PAPER);
        for y in 0..height {
            for x in 0..width {
                canvas.set(x, y, UNKNOWN[((x + y) / 6 % 2) as usize]);
            }
        }
        for cell in self.cells() {
            let color = style.palette.color(self.place(cell.seconds_per_megapixel, style.scale));
            let rect = cell.block.rect;
            canvas.fill(
                rect.x() / shrink,
                rect.y() / shrink,
                rect.right().div_ceil(shrink),
                rect.bottom().div_ceil(shrink).min(height),
                color,
            );
        }
        self.legend(&mut canvas, height, style);
        canvas
    }

    /// Draws the edges of these parts of the frame into a picture that [`HeatMap::draw`] made in this style.
    pub fn outline(&self, canvas: &mut Canvas, style: Style, parts: impl IntoIterator<Item = Rect>) {
        let shrink = self.shrink(style);
        let height = self.drawn_size(shrink).1;
        for part in parts {
            let (left, top) = (part.x() / shrink, part.y() / shrink);
            let (right, bottom) = (part.right().div_ceil(shrink), part.bottom().div_ceil(shrink).min(height));
            if left > 0 {
                canvas.fill(left, top, left + 1, bottom, EDGE);
            }
            if top > 0 {
                canvas.fill(left, top, right, top + 1, EDGE);
            }
        }
    }

    /// Lays the map over the rendered frame: the PNG file at `picture`, without its colours, tinted by cost.
    ///
    /// `strength` is the tint's, 0 to 1. What was not measured stays grey. An error where the file is no PNG of the
    /// frame's size.
    pub fn overlay(&self, picture: &Path, style: Style, strength: f64) -> Result<Canvas> {
        let shrink = self.shrink(style);
        let (width, height) = self.drawn_size(shrink);
        let strength = if strength.is_finite() { strength.clamp(0.0, 1.0) } else { 0.6 };
        let photo = Canvas::of_png(picture, self.frame(), shrink)?;
        let mut canvas = Canvas::new(width, height + legend::height(width, style), PAPER);
        let map = self.draw(Style { legend: false, ..style });
        let known = self.known(shrink);
        for y in 0..height {
            for x in 0..width {
                let at = y as usize * width as usize + x as usize;
                let light = luma(photo.get(x, y).unwrap_or_default());
                let tint = match (known.get(at), map.get(x, y)) {
                    (Some(true), Some(color)) => color,
                    _ => [light; 3],
                };
                let mixed = tint
                    .map(|c| (f64::from(light) * (1.0 - strength) + f64::from(c) * strength).round() as u8);
                canvas.set(x, y, mixed);
            }
        }
        self.legend(&mut canvas, height, style);
        Ok(canvas)
    }

    /// The whole factor by which the frame is drawn smaller.
    pub(crate) fn shrink(&self, style: Style) -> u32 {
        self.frame().width().max(self.frame().height()).div_ceil(style.max_side.max(1))
    }

    fn drawn_size(&self, shrink: u32) -> (u32, u32) {
        (self.frame().width().div_ceil(shrink), self.frame().height().div_ceil(shrink))
    }

    /// Where a cost lies between the cheapest and the dearest, 0 to 1.
    pub(crate) fn place(&self, cost: f64, scale: Scale) -> f64 {
        let (least, most) = self.range();
        // What differs in the last digits is the same.
        if most <= least * (1.0 + 1e-9) {
            return 0.5;
        }
        match scale {
            Scale::Linear => (cost - least) / (most - least),
            Scale::Log => {
                // What is too fast to measure is not infinitely far from the rest.
                let least = least.max(most * 1e-4);
                if least >= most { 0.5 } else { (cost.max(least) / least).ln() / (most / least).ln() }
            }
        }
    }

    /// Which drawn pixels were measured.
    fn known(&self, shrink: u32) -> Vec<bool> {
        let (width, height) = self.drawn_size(shrink);
        let mut known = vec![false; width as usize * height as usize];
        for Cell { block, .. } in self.cells() {
            let rect = block.rect;
            for y in rect.y() / shrink..rect.bottom().div_ceil(shrink).min(height) {
                let row = y as usize * width as usize;
                let columns = row + (rect.x() / shrink) as usize
                    ..row + rect.right().div_ceil(shrink).min(width) as usize;
                if let Some(columns) = known.get_mut(columns) {
                    columns.fill(true);
                }
            }
        }
        known
    }
}

/// Luma (ITU-R BT.709 weights), 0 to 255.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((213 * u32::from(r) + 715 * u32::from(g) + 72 * u32::from(b) + 500) / 1000) as u8
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block, frame};
    use super::*;
    use crate::geometry::Grid;
    use crate::heatmap::Block;

    /// Left half cheap, right half dear.
    fn halves() -> HeatMap {
        let frame = frame(200, 100);
        let (left, right) = frame.rect().cut(true, 100).unwrap();
        HeatMap::new(frame, &[block(left, 1.0), block(right, 5.0)]).unwrap()
    }

    #[test]
    fn grey_is_black_where_fast_and_white_where_slow() {
        let map = halves().draw(Style::of(Palette::Grey));
        assert_eq!((map.width(), map.height()), (200, 100));
        assert_eq!((map.get(99, 50), map.get(100, 50)), (Some([0; 3]), Some([255; 3])));
        assert!(map.rgb().chunks(3).all(|p| p == [0; 3] || p == [255; 3]));
    }

    #[test]
    fn the_legend_lies_below_the_map() {
        let (bare, full) = (Style { legend: false, ..Style::default() }, Style::default());
        let (bare, full) = (halves().draw(bare), halves().draw(full));
        assert_eq!(full.rgb()[..bare.rgb().len()], *bare.rgb());
        assert!(full.height() > bare.height());
        let below = &full.rgb()[bare.rgb().len()..];
        assert!(below.chunks(3).any(|p| p == legend::INK), "it has letters");
        assert!(below.chunks(3).any(|p| p == Palette::Viridis.color(0.0)), "and colours");
    }

    #[test]
    fn an_outline_is_where_parts_meet() {
        let style = Style::default();
        let mut canvas = halves().draw(style);
        let bare = canvas.clone();
        halves().outline(&mut canvas, style, Grid::with_count(frame(200, 100), 4).unwrap().tiles());
        assert_eq!([canvas.get(100, 20), canvas.get(20, 50), canvas.get(100, 50)], [Some(EDGE); 3]);
        for (x, y) in [(0, 0), (99, 49), (199, 99), (0, 99), (101, 51), (20, 100), (100, 105)] {
            assert_eq!(canvas.get(x, y), bare.get(x, y), "{x} {y}");
        }
    }

    #[test]
    fn what_is_unknown_is_striped() {
        let frame = frame(60, 20);
        let map = HeatMap::new(frame, &[block(Rect::new(0, 0, 30, 20).unwrap(), 1.0)]).unwrap();
        let canvas = map.draw(Style { legend: false, ..Style::default() });
        assert_eq!(canvas.get(0, 0), Some(Palette::Viridis.color(0.5)), "one cost is neither cheap nor dear");
        assert!((30..60).all(|x| UNKNOWN.contains(&canvas.get(x, 10).unwrap())));
    }

    #[test]
    fn large_frames_are_drawn_smaller() {
        let frame = frame(16_001, 9_000);
        let blocks: Vec<Block> = Grid::with_tile_size(frame, 1000, 1000)
            .unwrap()
            .tiles()
            .into_iter()
            .map(|r| block(r, r.area() as f64))
            .collect();
        let style = Style { legend: false, max_side: 4096, ..Style::default() };
        let canvas = HeatMap::new(frame, &blocks).unwrap().draw(style);
        assert_eq!((canvas.width(), canvas.height()), (4001, 2250));
        let seen = canvas.get(0, 0).unwrap();
        assert!(canvas.rgb().chunks(3).all(|p| p == seen), "no stripe shows between neighbours");
    }

    fn png_file(width: u32, height: u32, color: png::ColorType, bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = png::Encoder::new(file.reopen().unwrap(), width, height);
        encoder.set_color(color);
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        file
    }

    #[test]
    fn an_overlay_shows_both() {
        let pixels: Vec<u8> = (0..200 * 100).flat_map(|i| [if i % 200 < 150 { 0 } else { 200 }; 3]).collect();
        let file = png_file(200, 100, png::ColorType::Rgb, &pixels);
        let style = Style { legend: false, ..Style::of(Palette::Grey) };
        let canvas = halves().overlay(file.path(), style, 0.5).unwrap();
        assert_eq!([10, 120, 180].map(|x| canvas.get(x, 50).unwrap()[0]), [0, 128, 228]);
        assert_eq!(halves().overlay(file.path(), style, 0.0).unwrap().get(180, 1), Some([200; 3]));
        assert_eq!(halves().overlay(file.path(), style, 1.0).unwrap(), halves().draw(style));
    }

    #[test]
    fn an_overlay_of_a_smaller_drawing_takes_means() {
        let grey: Vec<u8> = (0..7 * 5).map(|i| if (i / 7 + i % 7) % 2 == 0 { 0 } else { 100 }).collect();
        let file = png_file(7, 5, png::ColorType::Grayscale, &grey);
        let map = HeatMap::new(frame(7, 5), &[block(frame(7, 5).rect(), 1.0)]).unwrap();
        let style = Style { max_side: 4, legend: false, ..Style::default() };
        let canvas = map.overlay(file.path(), style, 0.0).unwrap();
        assert_eq!((canvas.width(), canvas.height()), (4, 3));
        assert_eq!(canvas.get(0, 0), Some([50; 3]));
        // The corner is the frame's last pixel alone, which is black.
        assert_eq!(canvas.get(3, 2), Some([0; 3]));
    }

    #[test]
    fn what_is_transparent_lies_over_light_grey() {
        let file = png_file(2, 1, png::ColorType::Rgba, &[9, 9, 9, 255, 9, 9, 9, 0]);
        let canvas = Canvas::of_png(file.path(), frame(2, 1), 1).unwrap();
        assert_eq!(canvas.rgb(), [9, 9, 9, 221, 221, 221]);
    }

    #[test]
    fn an_overlay_needs_the_frame_itself() {
        let style = Style::default();
        let other = png_file(3, 3, png::ColorType::Grayscale, &[0; 9]);
        let error = halves().overlay(other.path(), style, 0.5).unwrap_err();
        assert!(error.to_string().contains("3x3") && error.hint().is_some(), "{error}");
        let text = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(text.path(), b"no picture").unwrap();
        assert!(halves().overlay(text.path(), style, 0.5).is_err());
        assert!(halves().overlay(Path::new("/nonexistent.png"), style, 0.5).is_err());
        let whole = png_file(200, 100, png::ColorType::Grayscale, &vec![7; 20_000]);
        let bytes = std::fs::read(whole.path()).unwrap();
        std::fs::write(whole.path(), &bytes[..bytes.len() - 30]).unwrap();
        assert!(halves().overlay(whole.path(), style, 0.5).is_err(), "cut short");
    }
}
