//! 16 tiles on one node against the whole-frame render of the same Blender, on the scene whose sync is costly (F7).
//!
//! `cargo run --release -p benches --bin tiles16 [SCENE.blend] [ROUNDS]`: both are whole runs of programs that start
//! from nothing, taken in turn; printed are all times, the medians and their ratio.

use std::path::Path;
use std::time::Instant;

use benches::bench::{node, scene, whole_frame};
use benches::{median, spread};
use tilecore::job::Request;
use tilecore::plan::Tiling;
use tilecore::render::{Cancel, Options, run};

fn main() {
    let mut words = std::env::args().skip(1);
    let scene = scene(words.next(), "sync.blend");
    let rounds: usize = words.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let (mut whole, mut tiled) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        whole.push(whole_frame("blender", &scene, "", dir.path()));
        tiled.push(sixteen_tiles(&scene, dir.path(), round));
        println!("whole frame {:6.2} s   16 tiles {:6.2} s", whole[round], tiled[round]);
    }
    let (a, b) = (median(&whole), median(&tiled));
    println!(
        "medians: whole frame {a:.2} s (spread {:.2}), 16 tiles {b:.2} s (spread {:.2})",
        spread(&whole),
        spread(&tiled)
    );
    println!("ratio {:.3}", b / a);
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
