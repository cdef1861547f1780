//! Programs that speak the worker's protocol where Blender should stand, and render nothing.

use std::path::{Path, PathBuf};

use super::program::World;

/// A program that stands where Blender should and does one thing wrong.
pub fn impostor(world: &World, wrong: &str) -> PathBuf {
    let path = world.at(&format!("blender {wrong}").replace(' ', "-"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/impostor.py");
    let text = format!("#!/bin/sh\nexec python3 '{}' '{wrong}'\n", script.display());
    std::fs::write(&path, text).unwrap();
    let made = std::process::Command::new("chmod").arg("+x").arg(&path).status().unwrap();
    assert!(made.success());
    path
}

/// A local node with one, as `--node` takes it.
pub fn node(world: &World, name: &str, wrong: &str) -> String {
    format!(
        "local,name={name},cache={},blender={}",
        world.at(name).display(),
        impostor(world, wrong).display()
    )
}
