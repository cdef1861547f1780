//! What renders are compared on: a fixture scene, a node on this machine, and Blender alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use tilecore::node::{Node, NodeSpec, Place, SshOptions, from_spec};

/// The scene that was named, or one of `fixtures/scenes`.
pub fn scene(named: Option<String>, fixture: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenes");
    named.map_or_else(|| fixtures.join(fixture), PathBuf::from)
}

/// A node that is this machine, with a cache below `dir`.
///
/// # Panics
/// When there can be none.
pub fn node(name: &str, blender: Option<&str>, threads: Option<u32>, dir: &Path) -> Arc<dyn Node> {
    let mut spec = NodeSpec::new(name, Place::Local);
    spec.blender = blender.map(str::to_owned);
    spec.threads = threads;
    spec.cache_dir = Some(dir.join(name).display().to_string());
    from_spec(&spec, &SshOptions::new(dir, "nobody")).expect("a local node")
}

/// Seconds that Blender takes for frame 1, from its start to its end, after `settings` in Python.
///
/// # Panics
/// When there is no Blender, or it fails.
pub fn whole_frame(blender: &str, scene: &Path, settings: &str, dir: &Path) -> f64 {
    let began = Instant::now();
    let status = Command::new(blender)
        .args(["-b", "--factory-startup", "-noaudio"])
        .arg(scene)
        .args(["--python-expr", settings, "-o"])
        .arg(dir.join("whole_####"))
        .args(["-F", "PNG", "-f", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|s| s.success()), "Blender is missing or failed: run fixtures/setup.sh --tests");
    began.elapsed().as_secs_f64()
}
