//! The worker's dealings with Blender that no picture shows.

mod support;

use std::path::Path;
use std::process::Command;

use support::blender::Blender;
use support::scene;

/// Cycles goes through the scene again after any change but one of the border.
#[test]
fn a_border_is_no_change_of_the_scene() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let out = Command::new(&blender.program)
            .args(["-b", "--factory-startup", "-noaudio", "--python-exit-code", "9"])
            .arg(scene("plain"))
            .arg("-P")
            .arg(here.join("tests/support/resync.py"))
            .arg("--")
            .arg(here.join("../tilecore/src/blender/worker"))
            .output()
            .expect("Blender can be started");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
        let told = said.lines().find_map(|line| line.strip_prefix("told: ")).unwrap_or_default();
        assert_eq!(
            told,
            "first picture samples animated frame forgotten blur blurred_border not_kept not_kept_border",
            "{}",
            blender.version
        );
    }
}
