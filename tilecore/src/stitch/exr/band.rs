//! Some lines of the frame, put together from the tiles: row by row, in a row channel by channel.

use std::ops::Range;

use ::exr::meta::attribute::{ChannelList, SampleType};

use super::pipeline::Source;
use crate::geometry::{Frame, Rect};

/// What all bands have in common: the size of the frame, its channels, and where stripes are drawn.
pub(super) struct Canvas {
    pub(super) frame: Frame,
    channels: Vec<Channel>,
    holes: Vec<Rect>,
    pixel: usize,
}

/// A channel's place in a row.
struct Channel {
    /// Bytes per pixel of all channels before it.
    before: usize,
    /// Bytes per sample.
    size: usize,
    sample: SampleType,
    /// The sample that a stripe has, dark and bright; empty where stripes leave the channel alone.
    stripes: [Vec<u8>; 2],
}

impl Canvas {
    /// Stripes are drawn into `holes`.
    pub(super) fn new(frame: Frame, channels: &ChannelList, holes: &[Rect]) -> Self {
        let mut pixel = 0;
        let channels = channels
            .list
            .iter()
            .map(|c| {
                let size = c.sample_type.bytes_per_sample();
                let before = pixel;
                pixel += size;
                Channel {
                    before,
                    size,
                    sample: c.sample_type,
                    stripes: stripes(&c.name.to_string(), c.sample_type),
                }
            })
            .collect();
        Self { frame, channels, holes: holes.to_vec(), pixel }
    }

    /// Bytes of a pixel, all channels.
    pub(super) fn pixel(&self) -> usize {
        self.pixel
    }

    /// Bytes of a row of the frame, all channels.
    pub(super) fn row_bytes(&self) -> usize {
        self.pixel * self.frame.width() as usize
    }
}

/// Dark and bright samples of a stripe for a colour or an alpha, nothing for any other channel.
fn stripes(name: &str, sample: SampleType) -> [Vec<u8>; 2] {
    let values = match name.rsplit('.').next() {
        Some("R" | "G" | "B" | "Y") => [0.05_f32, 0.5],
        Some("A") => [1.0, 1.0],
        _ => return [Vec::new(), Vec::new()],
    };
    values.map(|v| match sample {
        SampleType::F32 => v.to_ne_bytes().to_vec(),
        SampleType::F16 => half::f16::from_f32(v).to_ne_bytes().to_vec(),
        SampleType::U32 => Vec::new(),
    })
}

/// Lines of the frame being put together.
pub(super) struct Band<'a> {
    canvas: &'a Canvas,
    rows: Range<u32>,
    pub(super) pixels: Vec<u8>,
}

impl<'a> Band<'a> {
    /// Empty lines: zero, or striped where the canvas has holes.
    pub(super) fn new(canvas: &'a Canvas, rows: Range<u32>) -> Self {
        let pixels = vec![0; rows.len() * canvas.row_bytes()];
        let mut band = Self { canvas, rows, pixels };
        for hole in &canvas.holes {
            band.hatch(*hole);
        }
        band
    }

    /// Copies what the source contributes to these lines; returns how many samples of that are NaN.
    pub(super) fn place(&mut self, source: &Source) -> u64 {
        let (region, rendered) = (source.part.region, source.part.rendered);
        let (tile_width, skip) = (rendered.width() as usize, (region.x() - rendered.x()) as usize);
        let mut nans = 0;
        for lines in &source.lines {
            let from = lines.rows.start.max(region.y()).max(self.rows.start);
            let to = lines.rows.end.min(region.bottom()).min(self.rows.end);
            for y in from..to {
                let tile_row = (y - lines.rows.start) as usize * tile_width * self.canvas.pixel;
                let row = (y - self.rows.start) as usize * self.canvas.row_bytes();
                for channel in &self.canvas.channels {
                    let start = tile_row + channel.before * tile_width + skip * channel.size;
                    let length = region.width() as usize * channel.size;
                    let at = row
                        + channel.before * self.canvas.frame.width() as usize
                        + region.x() as usize * channel.size;
                    if let (Some(samples), Some(place)) =
                        (lines.data.get(start..start + length), self.pixels.get_mut(at..at + length))
                    {
                        place.copy_from_slice(samples);
                        nans += count_nans(samples, channel.sample);
                    }
                }
            }
        }
        nans
    }

    /// Draws diagonal stripes into `hole`.
    fn hatch(&mut self, hole: Rect) {
        let width = self.canvas.frame.width() as usize;
        for y in hole.y().max(self.rows.start)..hole.bottom().min(self.rows.end) {
            let row = (y - self.rows.start) as usize * self.canvas.row_bytes();
            for channel in &self.canvas.channels {
                for x in hole.x()..hole.right() {
                    let [dark, bright] = &channel.stripes;
                    let sample = if ((x + y) / 8).is_multiple_of(2) { dark } else { bright };
                    let at = row + channel.before * width + x as usize * channel.size;
                    if let Some(place) = self.pixels.get_mut(at..at + sample.len()) {
                        place.copy_from_slice(sample);
                    }
                }
            }
        }
    }
}

fn count_nans(samples: &[u8], sample: SampleType) -> u64 {
    let nan32 = |b: &&[u8; 4]| f32::from_ne_bytes(**b).is_nan();
    let nan16 = |b: &&[u8; 2]| half::f16::from_ne_bytes(**b).is_nan();
    match sample {
        SampleType::F32 => samples.as_chunks().0.iter().filter(nan32).count() as u64,
        SampleType::F16 => samples.as_chunks().0.iter().filter(nan16).count() as u64,
        SampleType::U32 => 0,
    }
}
