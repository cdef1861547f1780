//! 12 cameras of one scene in one job on this machine, against 12 runs of Blender, one after the other.
//!
//! `cargo run --release -p benches --bin cameras [SCENE.blend]`: both begin from nothing and use one node.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use tilecore::job::{Cameras, Request};
use tilecore::naming::Pattern;
use tilecore::node::{NodeSpec, Place, SshOptions, from_spec};
use tilecore::render::{Cancel, Names, Options, run};

/// How many cameras.
const CAMERAS: usize = 12;

fn main() {
    let scene = std::env::args().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenes/sync.blend"),
        PathBuf::from,
    );
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let blend = dir.path().join("cameras.blend");
    around(&scene, &blend);
    let together = one_job(&blend, dir.path());
    println!("{CAMERAS} cameras in one job        {together:7.2} s");
    let apart = separate_runs(&blend, dir.path());
    println!("{CAMERAS} separate runs of Blender  {apart:7.2} s");
    println!("ratio {:.3}, {:.1} times as fast", together / apart, apart / together);
}

/// Copies of the scene's camera in a row, nothing else changed.
fn around(scene: &Path, into: &Path) {
    let script = format!(
        "import bpy\ns = bpy.context.scene\nfor i in range({CAMERAS}):\n c = s.camera.copy()\n c.name = f'View{{i:02}}'\n \
         c.location.x += 0.1 * i\n s.collection.objects.link(c)\nown = s.camera\ns.camera = bpy.data.objects['View00']\n\
         bpy.data.objects.remove(own)\nbpy.ops.wm.save_as_mainfile(filepath={:?})",
        into.display().to_string()
    );
    blender(
        Command::new("blender").args(["-b", "--factory-startup"]).arg(scene).args(["--python-expr", &script]),
    );
}

fn separate_runs(blend: &Path, dir: &Path) -> f64 {
    let began = Instant::now();
    for camera in 0..CAMERAS {
        let line = format!("import bpy; bpy.context.scene.camera = bpy.data.objects['View{camera:02}']");
        let mut command = Command::new("blender");
        command.args(["-b", "--factory-startup", "-noaudio"]).arg(blend).args(["--python-expr", &line, "-o"]);
        blender(command.arg(dir.join(format!("apart{camera:02}_####"))).args(["-F", "PNG", "-f", "1"]));
    }
    began.elapsed().as_secs_f64()
}

fn blender(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|s| s.success()), "Blender is missing or failed: run fixtures/setup.sh");
}

fn one_job(blend: &Path, dir: &Path) -> f64 {
    let mut spec = NodeSpec::new("local", Place::Local);
    spec.cache_dir = Some(dir.join("cache").display().to_string());
    let node = from_spec(&spec, &SshOptions::new(dir, "nobody")).expect("a local node");
    let request = Request { cameras: Cameras::All, ..Request::new(blend, 1) };
    let pattern = Pattern::typed(&dir.join("{camera}.png").display().to_string()).expect("a pattern");
    let options = Options {
        names: Some(Names::Pattern(pattern)),
        work_dir: dir.join("work"),
        ..Options::new(dir.join("together.png"))
    };
    let began = Instant::now();
    let outcome = run(&request, &[node], &options, &Cancel::new(), &mut |_| {}).expect("the render succeeds");
    assert_eq!(outcome.pictures.len(), CAMERAS);
    began.elapsed().as_secs_f64()
}
