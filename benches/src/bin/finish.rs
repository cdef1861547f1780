//! What the finish costs: denoising and glare once for the stitched frame, against the whole-frame render with both.
//!
//! `cargo run --release -p benches --bin finish [SCENE.blend] [BLENDER] [SAMPLES] [ROUNDS]`: both are whole runs of
//! programs that start from nothing, taken in turn; the scene is fixtures/scenes/denoise.blend at twice its size, the
//! Blender the newest that fixtures/setup.sh --tests fetches. Printed are all times, and the finish (from the last tile
//! to the file in its place: stitching, handing over, denoising, compositing, writing) as a share of the whole frame.
//! The whole frame's own denoising and compositing are part of its time.

use std::path::Path;
use std::time::Instant;

use benches::bench::{node, scene, whole_frame};
use benches::{median, spread};
use tilecore::cost::Tiling;
use tilecore::events::Event;
use tilecore::job::Request;
use tilecore::render::{Cancel, Options, run};

const PERCENTAGE: u32 = 200;

fn main() {
    let mut words = std::env::args().skip(1);
    let scene = scene(words.next(), "denoise.blend");
    let blender = words.next().unwrap_or_else(newest);
    let samples: u32 = words.next().and_then(|n| n.parse().ok()).unwrap_or(512);
    let rounds: usize = words.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let settings = format!(
        "import bpy; s = bpy.context.scene; s.cycles.samples = {samples}; s.render.resolution_percentage = {PERCENTAGE}"
    );
    let (mut whole, mut tiled, mut finish) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        whole.push(whole_frame(&blender, &scene, &settings, dir.path()));
        let (all, end) = nine_tiles(&scene, &blender, samples, dir.path(), round);
        tiled.push(all);
        finish.push(end);
        println!("whole frame {:6.2} s   9 tiles {all:6.2} s, {end:.2} s of it the finish", whole[round]);
    }
    let (a, b, c) = (median(&whole), median(&tiled), median(&finish));
    println!(
        "medians: whole frame {a:.2} s (spread {:.2}), 9 tiles {b:.2} s (spread {:.2}), finish {c:.2} s (spread {:.2})",
        spread(&whole),
        spread(&tiled),
        spread(&finish)
    );
    println!("finish {:.1} % of the whole frame, ratio of all {:.3}", 100.0 * c / a, b / a);
}

fn newest() -> String {
    let cache = std::env::var("XDG_CACHE_HOME")
        .unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap_or_default()));
    format!("{cache}/tilectl-fixtures/bpy-newest/blender")
}

/// Seconds of everything, and of the finish.
fn nine_tiles(scene: &Path, blender: &str, samples: u32, dir: &Path, round: usize) -> (f64, f64) {
    let node = node("local", Some(blender), None, dir);
    let request = Request {
        tiling: Tiling::Count(9),
        samples: Some(samples),
        percentage: Some(PERCENTAGE),
        ..Request::new(scene, 1)
    };
    let options =
        Options { work_dir: dir.join(format!("work-{round}")), ..Options::new(dir.join("tiled.png")) };
    let began = Instant::now();
    let mut last_tile = 0.0;
    run(&request, &[node], &options, &Cancel::new(), &mut |event| {
        if matches!(event, Event::Stored { .. }) {
            last_tile = began.elapsed().as_secs_f64();
        }
    })
    .expect("the render succeeds");
    let all = began.elapsed().as_secs_f64();
    (all, all - last_tile)
}
