//! The worker's dealings with Blender that no picture shows.

mod support;

use std::path::Path;
use std::process::Command;

use support::blender::Blender;
use support::scene;

/// Runs a script of `support` on a scene in Blender, and returns what it told.
fn told(blender: &Blender, script: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = Command::new(&blender.program)
        .args(["-b", "--factory-startup", "-noaudio", "--python-exit-code", "9"])
        .arg(scene("plain"))
        .arg("-P")
        .arg(here.join("tests/support").join(script))
        .arg("--")
        .arg(here.join("../tilecore/src/blender/worker"))
        .output()
        .expect("Blender can be started");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
    said.lines().find_map(|line| line.strip_prefix("told: ")).unwrap_or_default().to_owned()
}

/// Cycles goes through the scene again after any change but one of the border.
#[test]
fn a_border_is_no_change_of_the_scene() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        assert_eq!(
            told(&blender, "resync.py"),
            "first picture samples animated frame forgotten blur blurred_border not_kept not_kept_border",
            "{}",
            blender.version
        );
    }
}

/// A finish from passes that Blender did not take, all or one of them, would be a wrong picture.
#[test]
fn what_blender_does_not_take_of_a_frame_is_an_error() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let told = told(&blender, "handover.py");
        let told: Vec<&str> = told.split(" | ").collect();
        assert_eq!(told.len(), 4, "{}: {told:?}", blender.version);
        assert_eq!((told[0], told[3]), ("same", "same"), "{}", blender.version);
        assert!(told[1].contains("did not ask for") && told[1].contains("'Second'"), "{told:?}");
        assert!(told[2].contains("'Normal'") && told[2].contains("'Second'"), "{told:?}");
    }
}

/// EEVEE has samples under another name than Cycles; without a graphics card settings can be read all the same.
#[test]
fn samples_are_those_of_the_engine() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let told = told(&blender, "samples.py");
        assert_eq!(
            told,
            "eevee: file 16, cycles untouched, set 7, said 7, native 9, back 16 | cycles: file 16, set 7, said 7, native 9, back 16",
            "{}",
            blender.version
        );
    }
}
