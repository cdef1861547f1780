//! The rendered frame as a picture small enough to show: a PNG file read row by row and drawn smaller by a whole factor.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::canvas::Canvas;
use crate::error::{Error, IoContext, Result};
use crate::geometry::Frame;

/// What lies behind transparent pixels.
const BEHIND: u64 = 221;

impl Canvas {
    /// The PNG file at `path`, each drawn pixel the mean of `shrink x shrink`; depth is cut to 8 bits.
    ///
    /// Memory grows with the drawn size, not with the file's. An error where the file is no PNG of the size of `frame`.
    pub fn of_png(path: &Path, frame: Frame, shrink: u32) -> Result<Self> {
        let file = File::open(path).at("read", path)?;
        let wrong = |what: String| {
            Error::input(format!("{} {what}", path.display()))
                .remedy("Give the PNG file that was rendered, or leave the overlay out.")
        };
        let shrink = shrink.max(1);
        let mut decoder = png::Decoder::new(BufReader::new(file));
        decoder.set_transformations(png::Transformations::normalize_to_color8());
        let mut reader =
            decoder.read_info().map_err(|e| wrong(format!("is not a readable PNG file: {e}")))?;
        let info = reader.info();
        if (info.width, info.height) != (frame.width(), frame.height()) {
            return Err(wrong(format!("has {}x{} pixels, the frame {frame}", info.width, info.height)));
        }
        if info.interlaced {
            return Err(wrong("is interlaced".into()));
        }
        let channels = reader.output_color_type().0.samples();
        let (width, height) = (frame.width().div_ceil(shrink), frame.height().div_ceil(shrink));
        let mut canvas = Canvas::new(width, height, [0; 3]);
        let mut sums = vec![[0u64; 3]; width as usize];
        let mut y = 0;
        while let Some(row) = reader.next_row().map_err(|e| wrong(format!("is damaged: {e}")))? {
            for (x, pixel) in row.data().chunks_exact(channels).enumerate() {
                if let Some(sum) = sums.get_mut(x / shrink as usize) {
                    for (sum, value) in sum.iter_mut().zip(rgb(pixel)) {
                        *sum += value;
                    }
                }
            }
            y += 1;
            if y % shrink == 0 || y == frame.height() {
                let rows = u64::from((y - 1) % shrink + 1);
                for (x, sum) in (0u32..).zip(&mut sums) {
                    let pixels = rows * u64::from((frame.width() - x * shrink).min(shrink));
                    canvas.set(x, (y - 1) / shrink, sum.map(|s| ((s + pixels / 2) / pixels) as u8));
                    *sum = [0; 3];
                }
            }
        }
        Ok(canvas)
    }
}

/// A grey, grey and alpha, RGB or RGBA pixel as RGB, what is transparent over light grey.
fn rgb(pixel: &[u8]) -> [u64; 3] {
    let over = |value: u8, alpha: u8| {
        let (value, alpha) = (u64::from(value), u64::from(alpha));
        (value * alpha + BEHIND * (255 - alpha) + 127) / 255
    };
    match *pixel {
        [r, g, b, a] => [r, g, b].map(|v| over(v, a)),
        [r, g, b] => [r, g, b].map(u64::from),
        [grey, a] => [over(grey, a); 3],
        [grey, ..] => [u64::from(grey); 3],
        [] => [0; 3],
    }
}
