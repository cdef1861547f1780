//! The yardstick itself: Blender repeats its own pixels, and the comparison sees a single bit.

mod support;

use std::time::Duration;

use support::blender::Blender;
use support::picture::{Picture, differing_pixels, max_abs_diff};
use support::processes;
use support::scene;

/// Cuts the fixture scenes short: what they look like does not matter here.
fn small(blender: &Blender, name: &str) -> support::blender::Reference {
    blender.reference(&scene(name)).resolution(96, 54).samples(4)
}

#[test]
fn blender_repeats_its_own_pixels() {
    let blender = Blender::of_the_tests();
    for name in ["plain", "adaptive", "finish", "uneven"] {
        let wanted = small(&blender, name);
        let (kept, dir) = (Picture::read(&wanted.png()), tempfile::tempdir().unwrap());
        let again = dir.path().join("again.png");
        wanted.render_to(&again);
        let again = Picture::read(&again);
        assert_eq!((kept.width, kept.height), (96, 54), "{name}");
        assert_eq!((max_abs_diff(&kept, &again), differing_pixels(&kept, &again)), (0, 0), "{name}");
        let first = kept.pixel(0, 0).to_vec();
        assert!(kept.samples.chunks(kept.channels).any(|pixel| pixel != first), "{name} is a single colour");
    }
}

#[test]
fn another_seed_is_another_picture() {
    let blender = Blender::of_the_tests();
    let (a, b) = (small(&blender, "plain"), small(&blender, "plain").seed(8));
    let (a, b) = (Picture::read(&a.png()), Picture::read(&b.png()));
    assert!(differing_pixels(&a, &b) > 100 && max_abs_diff(&a, &b) > 0);
}

#[test]
fn a_reference_is_rendered_once() {
    let reference = small(&Blender::of_the_tests(), "plain").seed(9);
    let png = reference.png();
    let rendered = std::fs::metadata(&png).unwrap().modified().unwrap();
    assert_eq!(reference.png(), png);
    assert_eq!(std::fs::metadata(&png).unwrap().modified().unwrap(), rendered);
}

#[test]
fn the_newest_blender_opens_the_scenes_of_the_oldest() {
    let newest = Blender::newest();
    let picture = Picture::read(&small(&newest, "denoise").png());
    assert_eq!((picture.width, picture.height, picture.channels, picture.depth), (96, 54, 3, 8));
    assert!(newest.version.contains("build hash"), "{}", newest.version);
}

#[test]
fn one_bit_is_seen() {
    let a = Picture { width: 3, height: 2, channels: 3, depth: 16, samples: (0..18).collect() };
    let mut b = a.clone();
    assert_eq!((max_abs_diff(&a, &b), differing_pixels(&a, &b)), (0, 0));
    b.samples[17] ^= 1;
    assert_eq!((max_abs_diff(&a, &b), differing_pixels(&a, &b)), (1, 1));
    assert_eq!(a.part(1, 1, 2, 1).samples, [12, 13, 14, 15, 16, 17]);
}

#[test]
fn a_process_is_found_by_its_mark() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(processes::marked(dir.path()), []);
    let child = std::process::Command::new("sleep").arg("60").env("MARK", dir.path()).spawn().unwrap();
    let mut child = support::sshd::Guard(child);
    let found = processes::there(dir.path(), Duration::from_secs(10));
    assert_eq!(found.iter().map(|p| p.pid).collect::<Vec<_>>(), [child.0.id()]);
    processes::signal(child.0.id(), "KILL");
    child.0.wait().unwrap();
    processes::gone(dir.path(), Duration::from_secs(10));
}
