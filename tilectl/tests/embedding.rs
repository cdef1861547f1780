//! The library as other programs see it: its examples run as they stand there, and its documentation is whole.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::blender::Blender;
use support::picture::{Picture, assert_same};
use support::program::World;
use support::{processes, root, scene};

/// Where cargo puts what it builds in this profile, and the profile's name.
fn built() -> (PathBuf, String) {
    let dir = Path::new(env!("CARGO_BIN_EXE_tilectl")).parent().expect("a program lies somewhere").to_owned();
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    (dir, if name == "debug" { "dev".to_owned() } else { name })
}

fn cargo() -> Command {
    let (dir, _) = built();
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).env("CARGO_TARGET_DIR", dir.parent().expect("the target directory"));
    command.stdin(Stdio::null());
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{command:?}\n{said}\n{}", String::from_utf8_lossy(&out.stderr));
    said
}

/// An example of tilecore, to be run in `world`.
fn example(world: &World, name: &str) -> Command {
    let (dir, profile) = built();
    succeeds(cargo().args([
        "build",
        "-q",
        "--locked",
        // With the features that the tests are built with, so that nothing is built twice.
        "--workspace",
        "--profile",
        &profile,
        "--example",
        name,
    ]));
    let mut command = Command::new(dir.join("examples").join(name));
    command
        .current_dir(world.work())
        .env("HOME", world.home())
        .env_remove("XDG_CACHE_HOME")
        .stdin(Stdio::null());
    command
}

#[test]
fn a_program_renders_into_memory_and_follows() {
    let (blender, world) = (Blender::of_the_tests(), World::new());
    let node = |name: &str| format!("local,name={name},threads=1,blender={}", blender.program.display());
    let mut command = example(&world, "embed");
    let said = succeeds(command.arg(scene("plain")).args([node("a"), node("b")]));
    let wanted = Picture::read(&blender.reference(&scene("plain")).png());
    let mean = |channel: usize| {
        let samples = wanted.samples.iter().skip(channel).step_by(wanted.channels);
        let sum: f64 = samples.map(|s| f64::from(*s) / f64::from((1_u32 << wanted.depth) - 1)).sum();
        sum / f64::from(wanted.width * wanted.height)
    };
    let means: Vec<f64> = (0..wanted.channels).map(mean).collect();
    assert_eq!(said, format!("{wanted:?}, mean colour {means:.3?}\n"));
    processes::gone(world.mark(), std::time::Duration::from_secs(60));
}

#[test]
fn a_node_of_its_own_kind_makes_the_same_pixels() {
    let (blender, world) = (Blender::of_the_tests(), World::new());
    let mut command = example(&world, "custom_node");
    let node = format!("local,blender={}", blender.program.display());
    let said = succeeds(command.arg(scene("plain")).args(["own.png", &node]));
    assert_same(&world.at("own.png"), &blender.reference(&scene("plain")).png());
    let sent: u64 = said
        .split("sent: ")
        .nth(1)
        .and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
        .unwrap_or_else(|| panic!("no traffic in {said}"));
    assert!(
        sent > std::fs::metadata(scene("plain")).unwrap().len(),
        "the scene went over the node's link: {said}"
    );
    processes::gone(world.mark(), std::time::Duration::from_secs(60));
}

#[test]
fn every_public_item_is_documented_without_a_warning() {
    let mut command = cargo();
    command.env("RUSTDOCFLAGS", "-Dwarnings");
    succeeds(command.args(["doc", "-q", "--no-deps", "--locked", "-p", "tilecore"]));
    let (dir, _) = built();
    let page = dir.parent().expect("the target directory").join("doc/tilecore/farm/struct.Farm.html");
    assert!(page.is_file(), "{} was not made", page.display());
}
