//! Pictures made for tests.

use std::path::Path;

use super::super::Part;
use crate::geometry::{Frame, Overlap, Rect};

/// A picture made for a test: its pixels as PNG stores them.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) frame: Frame,
    pub(super) color: png::ColorType,
    pub(super) depth: png::BitDepth,
    pub(super) pixels: Vec<u8>,
}

impl Picture {
    /// Gradients with noise, from a seed.
    pub(super) fn new(frame: Frame, color: png::ColorType, depth: png::BitDepth, seed: u32) -> Self {
        let pixel = color.samples() * if depth == png::BitDepth::Sixteen { 2 } else { 1 };
        let mut state = seed | 1;
        let pixels = (0..frame.area() as usize * pixel)
            .map(|i| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (i / pixel / 7) as u8 ^ (state >> 29) as u8
            })
            .collect();
        Self { frame, color, depth, pixels }
    }

    pub(super) fn pixel(&self) -> usize {
        self.pixels.len() / self.frame.area() as usize
    }

    pub(super) fn cut(&self, rect: Rect) -> Self {
        let (pixel, width) = (self.pixel(), self.frame.width() as usize);
        let pixels = (rect.y()..rect.bottom())
            .flat_map(|y| {
                let start = (y as usize * width + rect.x() as usize) * pixel;
                self.pixels[start..start + rect.width() as usize * pixel].to_vec()
            })
            .collect();
        Self { frame: rect.size(), pixels, ..*self }
    }

    pub(super) fn bytes(&self, prepare: impl FnOnce(&mut png::Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.frame.width(), self.frame.height());
        encoder.set_color(self.color);
        encoder.set_depth(self.depth);
        prepare(&mut encoder);
        encoder.write_header().unwrap().write_image_data(&self.pixels).unwrap();
        file
    }

    pub(super) fn save(&self, path: &Path) {
        std::fs::write(path, self.bytes(|_| ())).unwrap();
    }

    pub(super) fn load(path: &Path) -> Self {
        let mut options = png::DecodeOptions::default();
        options.set_ignore_checksums(false);
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let mut reader = png::Decoder::new_with_options(file, options).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        reader.finish().unwrap();
        let info = reader.info();
        let frame = Frame::new(info.width, info.height).unwrap();
        Self { frame, color: info.color_type, depth: info.bit_depth, pixels }
    }
}

/// The tiles of `picture` at `regions`, each with `overlap` around it, as files in `folder`.
pub(super) fn save_parts(picture: &Picture, regions: &[Rect], overlap: u32, folder: &Path) -> Vec<Part> {
    regions
        .iter()
        .enumerate()
        .map(|(i, &region)| {
            let rendered = region.grown(Overlap(overlap), picture.frame);
            let path = folder.join(format!("{i}.png"));
            picture.cut(rendered).save(&path);
            Part { path, region, rendered }
        })
        .collect()
}
