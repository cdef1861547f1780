//! Whole stitches, from files to a file.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

mod damage;
mod kinds;
mod picture;
mod preview;

use picture::{Picture, save_parts};

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

#[test]
fn stopping_leaves_nothing_behind() {
    let folder = folder();
    let picture = rgb8(50, 50);
    let parts = save_parts(&picture, &[picture.frame.rect()], 0, folder.path());
    let out = folder.path().join("out.png");
    let options = PngOptions { segment_bytes: 1000, ..PngOptions::default() };
    let mut told = Vec::new();
    let error = png_with(&parts, picture.frame, &out, &options, &mut |rows| {
        told.push(rows);
        told.len() < 3
    })
    .unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Interrupted);
    assert_eq!(told, [7, 14, 21]);
    assert_eq!(files(folder.path()), [parts[0].path.clone()]);
}

#[test]
fn a_picture_that_was_there_is_replaced_only_by_a_whole_one() {
    let folder = folder();
    let picture = rgb8(60, 40);
    let parts = save_parts(&picture, &[rect(0, 0, 60, 20), rect(0, 20, 60, 20)], 0, folder.path());
    let out = folder.path().join("out.png");
    std::fs::write(&out, "the last one").unwrap();
    let lost = std::fs::read(&parts[1].path).unwrap();
    std::fs::write(&parts[1].path, &lost[..lost.len() / 2]).unwrap();
    png(&parts, picture.frame, &out, &PngOptions::default()).unwrap_err();
    assert_eq!(std::fs::read(&out).unwrap(), b"the last one");
    std::fs::write(&parts[1].path, &lost).unwrap();
    png(&parts, picture.frame, &out, &PngOptions::default()).unwrap();
    assert!(Picture::load(&out).pixels == picture.pixels);
}
