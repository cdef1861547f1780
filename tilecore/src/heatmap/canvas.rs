//! A small RGB picture in memory to draw into, and the PNG file it becomes.

use super::font;
use crate::error::{Error, Result};

/// An RGB picture, `height x width x 3` bytes, row by row from the top left, sRGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Canvas {
    /// A picture of one colour. Neither side is zero.
    pub(super) fn new(width: u32, height: u32, color: [u8; 3]) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let pixels = width as usize * height as usize;
        Self { width, height, rgb: color.repeat(pixels) }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Its bytes, `height x width x 3`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The colour of a pixel; `None` outside.
    pub fn get(&self, x: u32, y: u32) -> Option<[u8; 3]> {
        let at = self.at(x, y)?;
        self.rgb.get(at..at + 3)?.try_into().ok()
    }

    fn at(&self, x: u32, y: u32) -> Option<usize> {
        (x < self.width && y < self.height).then(|| (y as usize * self.width as usize + x as usize) * 3)
    }

    /// Sets a pixel; outside, nothing happens.
    pub(super) fn set(&mut self, x: u32, y: u32, color: [u8; 3]) {
        if let Some(at) = self.at(x, y)
            && let Some(pixel) = self.rgb.get_mut(at..at + 3)
        {
            pixel.copy_from_slice(&color);
        }
    }

    /// Fills the columns `x0..x1` of the rows `y0..y1`.
    pub(super) fn fill(&mut self, x0: u32, y0: u32, x1: u32, y1: u32, color: [u8; 3]) {
        for y in y0..y1.min(self.height) {
            for x in x0..x1.min(self.width) {
                self.set(x, y, color);
            }
        }
    }

    /// Writes one line of text with its top left at (`x`, `y`), each dot `size` pixels.
    pub(super) fn text(&mut self, x: u32, y: u32, size: u32, color: [u8; 3], text: &str) {
        for (n, letter) in (0u32..).zip(text.chars()) {
            for (row, dots) in (0u32..).zip(font::glyph(letter)) {
                for column in (0..5u32).filter(|c| dots >> (4 - c) & 1 == 1) {
                    let (left, top) = (x + (n * font::ADVANCE + column) * size, y + row * size);
                    self.fill(left, top, left + size, top + size, color);
                }
            }
        }
    }

    /// How wide a line of text is.
    pub(super) fn text_width(size: u32, text: &str) -> u32 {
        (text.chars().count() as u32 * font::ADVANCE).saturating_sub(1) * size
    }

    /// It as a PNG file's bytes.
    pub fn png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
        let mut writer = encoder.write_header().map_err(|e| broken(&e))?;
        writer.write_image_data(&self.rgb).map_err(|e| broken(&e))?;
        writer.finish().map_err(|e| broken(&e))?;
        Ok(bytes)
    }
}

fn broken(e: &png::EncodingError) -> Error {
    Error::render(format!("the heat map could not be encoded: {e}"))
        .remedy("Report this as a defect of tilectl.")
}
