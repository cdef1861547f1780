//! 16 tiles on one node against the whole-frame render of the same Blender, on the scene whose sync is costly (F7).
//!
//! `cargo run --release -p benches --bin tiles16 [SCENE.blend] [ROUNDS]`: whole runs of programs that start from
//! nothing, taken in turn; printed are all times, the medians and their ratios. The third is what 16 border renders
//! cost Blender by itself, in one process that keeps the scene: nothing that renders 16 tiles can be faster.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use benches::bench::{node, scene, whole_frame};
use benches::{median, spread};
use tilecore::cost::Tiling;
use tilecore::job::Request;
use tilecore::render::{Cancel, Options, run};

const BORDERS: &str = "
import bpy, sys
r = bpy.context.scene.render
r.use_persistent_data = r.use_border = r.use_crop_to_border = True
for n in range(16):
    x, y = n % 4, n // 4
    r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y = x / 4, (x + 1) / 4, y / 4, (y + 1) / 4
    r.filepath = f'{sys.argv[-1]}{n}'
    bpy.ops.render.render(write_still=True)
";

fn main() {
    let mut words = std::env::args().skip(1);
    let scene = scene(words.next(), "sync.blend");
    let rounds: usize = words.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (mut whole, mut tiled, mut borders) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        whole.push(whole_frame("blender", &scene, "", dir.path()));
        tiled.push(sixteen_tiles(&scene, dir.path(), round));
        borders.push(sixteen_borders(&scene, dir.path()));
        println!(
            "whole frame {:6.2} s   16 tiles {:6.2} s   16 borders by Blender alone {:6.2} s",
            whole[round], tiled[round], borders[round]
        );
    }
    let (a, b, c) = (median(&whole), median(&tiled), median(&borders));
    println!(
        "medians: whole frame {a:.2} s (spread {:.2}), 16 tiles {b:.2} s (spread {:.2}), 16 borders {c:.2} s (spread {:.2})",
        spread(&whole),
        spread(&tiled),
        spread(&borders)
    );
    println!(
        "ratio {:.3}; Blender alone with 16 borders {:.3}; 16 tiles against that {:.3}",
        b / a,
        c / a,
        b / c
    );
}

/// 16 border renders, one after the other, in one Blender.
fn sixteen_borders(scene: &Path, dir: &Path) -> f64 {
    let script = dir.join("borders.py");
    std::fs::write(&script, BORDERS).expect("a temporary directory can be written");
    let began = Instant::now();
    let out = Command::new("blender")
        .args(["-b", "-noaudio"])
        .arg(scene)
        .arg("-P")
        .arg(&script)
        .arg("--")
        .arg(dir.join("border"))
        .output()
        .expect("blender can be started");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    began.elapsed().as_secs_f64()
}

fn sixteen_tiles(scene: &Path, dir: &Path, round: usize) -> f64 {
    let node = node("local", None, None, dir);
    let request = Request { tiling: Tiling::Count(16), ..Request::new(scene, 1) };
    let options =
        Options { work_dir: dir.join(format!("work-{round}")), ..Options::new(dir.join("tiled.png")) };
    let began = Instant::now();
    run(&request, &[node], &options, &Cancel::new(), &mut |_| {}).expect("the render succeeds");
    began.elapsed().as_secs_f64()
}
