//! What end-to-end tests need: whole-frame references by Blender itself, exact comparison, a throwaway sshd, the program.
#![allow(dead_code, unreachable_pub, reason = "each test binary takes in all of it and uses some of it")]

pub mod blender;
pub mod impostor;
pub mod nodes;
pub mod picture;
pub mod planted;
pub mod processes;
pub mod program;
pub mod slurm;
#[path = "../../../tilecore/tests/support/sshd.rs"]
pub mod sshd;

use std::path::PathBuf;

/// The repository's root.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// A scene of `fixtures/scenes`, by name without ending.
pub fn scene(name: &str) -> PathBuf {
    let path = root().join("fixtures/scenes").join(name).with_extension("blend");
    assert!(path.is_file(), "{} is missing: it is part of the repository", path.display());
    path
}
