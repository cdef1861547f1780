//! A PNG's samples, and how much two pictures differ: exactly, in the file's own depth.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// A picture: `height x width x channels` samples, 8 or 16 bits each.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Samples per pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub channels: usize,
    /// Bits per sample.
    pub depth: u8,
    /// Row by row from the top left, channels interleaved.
    pub samples: Vec<u16>,
}

impl Picture {
    /// Reads a PNG. Panics on anything else.
    pub fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut reader = png::Decoder::new(BufReader::new(file)).read_info().expect("a PNG file");
        let mut bytes = vec![0; reader.output_buffer_size().expect("a picture that fits into memory")];
        let info = reader.next_frame(&mut bytes).expect("a whole PNG file");
        bytes.truncate(info.buffer_size());
        let (depth, samples) = match info.bit_depth {
            png::BitDepth::Eight => (8, bytes.into_iter().map(u16::from).collect()),
            png::BitDepth::Sixteen => {
                (16, bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
            }
            other => panic!("{}: {other:?} bits a sample", path.display()),
        };
        let channels = info.color_type.samples();
        Self { width: info.width, height: info.height, channels, depth, samples }
    }

    /// The samples of one pixel.
    pub fn pixel(&self, x: u32, y: u32) -> &[u16] {
        let at = (y as usize * self.width as usize + x as usize) * self.channels;
        &self.samples[at..at + self.channels]
    }

    /// The part with its top left pixel at (`x`, `y`).
    pub fn part(&self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let rows = y..y + height;
        let samples = rows
            .flat_map(|row| (x..x + width).flat_map(move |column| self.pixel(column, row)))
            .copied()
            .collect();
        Self { width, height, samples, ..*self }
    }

    fn shape(&self) -> (u32, u32, usize, u8) {
        (self.width, self.height, self.channels, self.depth)
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}, {} channels of {} bits", self.width, self.height, self.channels, self.depth)
    }
}

/// The largest difference of any sample. Panics where size, channels or depth differ.
pub fn max_abs_diff(a: &Picture, b: &Picture) -> u16 {
    assert_eq!(a.shape(), b.shape(), "width, height, channels, bits");
    a.samples.iter().zip(&b.samples).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

/// In how many pixels anything differs. Panics where size, channels or depth differ.
pub fn differing_pixels(a: &Picture, b: &Picture) -> usize {
    assert_eq!(a.shape(), b.shape(), "width, height, channels, bits");
    a.samples.chunks_exact(a.channels).zip(b.samples.chunks_exact(b.channels)).filter(|(a, b)| a != b).count()
}

/// Asserts that two PNG files show the same picture, bit for bit.
pub fn assert_same(got: &Path, wanted: &Path) {
    let (a, b) = (Picture::read(got), Picture::read(wanted));
    let (difference, pixels) = (max_abs_diff(&a, &b), differing_pixels(&a, &b));
    assert_eq!(
        (difference, pixels),
        (0, 0),
        "max abs diff and differing pixels of {} and {} ({a:?})",
        got.display(),
        wanted.display()
    );
}
