//! The reduced picture of a render in progress.

use std::time::Duration;

use super::super::preview::{Live, Preview};
use super::*;

fn frame(width: u32, height: u32) -> Frame {
    Frame::new(width, height).unwrap()
}

#[test]
fn a_small_frame_is_shown_as_it_is() {
    let folder = folder();
    let picture = rgb8(300, 200);
    let regions = cuts(picture.frame.rect(), 11, 3);
    let parts = save_parts(&picture, &regions, 4, folder.path());
    let mut preview = Preview::new(picture.frame).unwrap();
    for part in &parts {
        preview.add(part).unwrap();
    }
    let path = folder.path().join("preview.png");
    preview.save(&path).unwrap();
    let got = Picture::load(&path);
    let opaque: Vec<u8> = picture.pixels.chunks(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    assert!(got.pixels == opaque && got.frame == picture.frame);
}

#[test]
fn a_large_frame_is_reduced_to_means_and_what_is_missing_is_transparent() {
    // 2048 wide: two pixels become one, along each side.
    let mut preview = Preview::new(frame(2048, 5)).unwrap();
    assert_eq!(preview.size(), frame(1024, 3));
    preview.add_pixels(rect(0, 0, 3, 2), &[[10; 4], [20; 4], [30; 4], [40; 4], [50; 4], [60; 4]].concat());
    // Beyond the frame and with too few bytes: passed over.
    preview.add_pixels(rect(2040, 4, 100, 9), &[255; 8]);
    let pixels = preview.rgba();
    // Colour is weighted with alpha: (10*10 + 20*20 + 40*40 + 50*50) / 120 = 38.3.
    assert_eq!(pixels[..12], [38, 38, 38, 30, 50, 50, 50, 45, 0, 0, 0, 0]);
    assert_eq!(pixels[(2 * 1024 + 1020) * 4..][..4], [255; 4]);
    assert_eq!(pixels.chunks(4).filter(|p| p[3] > 0).count(), 3);
}

#[test]
fn the_file_is_whole_whenever_it_is_looked_at_and_complete_at_the_end() {
    let folder = folder();
    let picture = rgb8(64, 64);
    let parts = save_parts(&picture, &cuts(picture.frame.rect(), 3, 5), 0, folder.path());
    let path = folder.path().join("preview.png");
    let live = Live::start(picture.frame, path.clone(), Duration::ZERO).unwrap();
    for part in parts {
        live.add(part);
        if path.exists() {
            assert_eq!(Picture::load(&path).frame, picture.frame);
        }
    }
    live.finish().unwrap();
    let opaque: Vec<u8> = picture.pixels.chunks(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    assert!(Picture::load(&path).pixels == opaque);
}

#[test]
fn a_tile_that_cannot_be_read_ends_the_preview_and_nothing_else() {
    let folder = folder();
    let path = folder.path().join("preview.png");
    let live = Live::start(frame(8, 8), path.clone(), Duration::ZERO).unwrap();
    live.add(Part::whole(folder.path().join("gone.png"), rect(0, 0, 8, 8)));
    for _ in 0..100 {
        live.add(Part::whole(folder.path().join("gone.png"), rect(0, 0, 8, 8)));
    }
    assert!(live.finish().unwrap_err().to_string().contains("gone.png"));
    assert!(!path.exists());
}
