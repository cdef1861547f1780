//! Whole stitches, from files to a file.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// A picture made for a test: its pixels as PNG stores them.
#[derive(Clone)]
struct Picture {
    frame: Frame,
    color: png::ColorType,
    depth: png::BitDepth,
    pixels: Vec<u8>,
}

impl Picture {
    /// Gradients with noise, from a seed.
    fn new(frame: Frame, color: png::ColorType, depth: png::BitDepth, seed: u32) -> Self {
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

    fn pixel(&self) -> usize {
        self.pixels.len() / self.frame.area() as usize
    }

    fn cut(&self, rect: Rect) -> Self {
        let (pixel, width) = (self.pixel(), self.frame.width() as usize);
        let pixels = (rect.y()..rect.bottom())
            .flat_map(|y| {
                let start = (y as usize * width + rect.x() as usize) * pixel;
                self.pixels[start..start + rect.width() as usize * pixel].to_vec()
            })
            .collect();
        Self { frame: rect.size(), pixels, ..*self }
    }

    fn bytes(&self, prepare: impl FnOnce(&mut png::Encoder<&mut Vec<u8>>)) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.frame.width(), self.frame.height());
        encoder.set_color(self.color);
        encoder.set_depth(self.depth);
        prepare(&mut encoder);
        encoder.write_header().unwrap().write_image_data(&self.pixels).unwrap();
        file
    }

    fn save(&self, path: &Path) {
        std::fs::write(path, self.bytes(|_| ())).unwrap();
    }

    fn load(path: &Path) -> Self {
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
fn save_parts(picture: &Picture, regions: &[Rect], overlap: u32, folder: &Path) -> Vec<Part> {
    regions
        .iter()
        .enumerate()
        .map(|(i, &region)| {
            let rendered = region.grown(crate::geometry::Overlap(overlap), picture.frame);
            let path = folder.join(format!("{i}.png"));
            picture.cut(rendered).save(&path);
            Part { path, region, rendered }
        })
        .collect()
}

/// Cuts a rectangle into up to `depth` generations of halves at places drawn from `seed`.
fn cuts(rect: Rect, seed: u32, depth: u32) -> Vec<Rect> {
    let next = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let vertical = next >> 30 & 1 == 0;
    let side = if vertical { rect.width() } else { rect.height() };
    match (depth > 0).then(|| rect.cut(vertical, (next >> 8) % side)).flatten() {
        Some((a, b)) => {
            let mut all = cuts(a, next, depth - 1);
            all.extend(cuts(b, next ^ 0x5bd1_e995, depth - 1));
            all
        }
        None => vec![rect],
    }
}

fn layouts() -> impl Strategy<Value = (png::ColorType, png::BitDepth)> {
    use png::{BitDepth, ColorType};
    (
        prop::sample::select(vec![
            ColorType::Grayscale,
            ColorType::GrayscaleAlpha,
            ColorType::Rgb,
            ColorType::Rgba,
        ]),
        prop::sample::select(vec![BitDepth::Eight, BitDepth::Sixteen]),
    )
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
    Rect::new(x, y, width, height).unwrap()
}

fn rgb8(width: u32, height: u32) -> Picture {
    Picture::new(Frame::new(width, height).unwrap(), png::ColorType::Rgb, png::BitDepth::Eight, 7)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_tiling_shows_the_same_pixels(
        (width, height) in (1u32..300, 1u32..300),
        (color, depth) in layouts(),
        seed: u32,
        overlap in 0u32..12,
        compression in prop::sample::select(vec![Compression::Fast, Compression::Default, Compression::Small]),
        segment_bytes in prop_oneof![1usize..300, 300usize..100_000],
        threads in 1usize..4,
    ) {
        let picture = Picture::new(Frame::new(width, height).unwrap(), color, depth, seed);
        let folder = folder();
        let parts = save_parts(&picture, &cuts(picture.frame.rect(), seed, 4), overlap, folder.path());
        let out = folder.path().join("out.png");
        let options = PngOptions { compression, threads, segment_bytes, ..PngOptions::default() };
        let summary = png(&parts, picture.frame, &out, &options).unwrap();
        prop_assert_eq!(summary.bytes, std::fs::metadata(&out).unwrap().len());
        let got = Picture::load(&out);
        prop_assert_eq!((got.frame, got.color, got.depth), (picture.frame, color, depth));
        prop_assert!(got.pixels == picture.pixels);
    }
}

#[test]
fn several_segments_and_any_number_of_threads_give_the_same_bytes() {
    let picture = Picture::new(Frame::new(1500, 900).unwrap(), png::ColorType::Rgba, png::BitDepth::Eight, 3);
    let folder = folder();
    let parts = save_parts(&picture, &cuts(picture.frame.rect(), 5, 4), 8, folder.path());
    let outputs: Vec<Vec<u8>> = [1, 2, 5]
        .map(|threads| {
            let out = folder.path().join("out.png");
            png(&parts, picture.frame, &out, &PngOptions::default().threads(threads)).unwrap();
            assert!(Picture::load(&out).pixels == picture.pixels);
            std::fs::read(&out).unwrap()
        })
        .into();
    assert!(outputs[0] == outputs[1] && outputs[1] == outputs[2]);
}

#[test]
fn a_hole_is_named_and_nothing_is_written() {
    let folder = folder();
    let picture = rgb8(64, 64);
    let parts = save_parts(&picture, &[rect(0, 0, 64, 32), rect(0, 32, 32, 32)], 0, folder.path());
    let out = folder.path().join("out.png");
    let error = png(&parts, picture.frame, &out, &PngOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "no tile covers 32x32+32+32 of the frame 64x64");
    assert_eq!(files(folder.path()).len(), 2);
}

#[test]
fn holes_become_transparent_or_hatched() {
    let folder = folder();
    let picture = rgb8(64, 48);
    let parts = save_parts(&picture, &[rect(0, 0, 40, 48)], 0, folder.path());
    let out = folder.path().join("out.png");
    let options = PngOptions::default().holes(Holes::Transparent);
    let summary = png(&parts, picture.frame, &out, &options).unwrap();
    assert_eq!(summary.missing, [rect(40, 0, 24, 48)]);
    let got = Picture::load(&out);
    assert_eq!(got.color, png::ColorType::Rgba);
    assert!(got.cut(rect(40, 0, 24, 48)).pixels.iter().all(|&b| b == 0));
    assert!(got.cut(rect(0, 0, 40, 48)).pixels.chunks(4).all(|p| p[3] == 255));

    png(&parts, picture.frame, &out, &PngOptions::default().holes(Holes::Hatched)).unwrap();
    let got = Picture::load(&out);
    assert_eq!(got.color, png::ColorType::Rgb);
    assert!(got.cut(rect(0, 0, 40, 48)).pixels == picture.cut(rect(0, 0, 40, 48)).pixels);
    let hole = got.cut(rect(40, 0, 24, 48)).pixels;
    assert!(hole.iter().all(|b| [0x40, 0xc0].contains(b)) && hole.contains(&0x40) && hole.contains(&0xc0));
}
