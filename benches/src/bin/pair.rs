//! Two nodes of one core each against one node of two cores, on the scene whose cost is uneven.
//!
//! `cargo run --release -p benches --bin pair [SCENE.blend] [BLENDER] [SAMPLES] [ROUNDS]`: both render the same frame, in
//! turn, and each run starts its Blenders anew; printed are all times, the medians and their ratios. The pair renders it
//! twice: once knowing nothing, and again knowing what the first time taught. It starts two Blenders and builds the scene
//! twice on the same two cores, which a pair of machines would do side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use benches::bench::{node, scene};
use benches::{median, spread};
use tilecore::events::Event;
use tilecore::job::Request;
use tilecore::node::Node;
use tilecore::render::{Cancel, Options, run};

fn main() {
    let mut words = std::env::args().skip(1);
    let scene = scene(words.next(), "uneven.blend");
    let blender = words.next().unwrap_or_else(|| "blender".to_owned());
    let samples: u32 = words.next().and_then(|n| n.parse().ok()).unwrap_or(256);
    let rounds: usize = words.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let node = |name: &str, threads: u32| node(name, Some(&blender), Some(threads), dir.path());
    let (single, pair) = ([node("both", 2)], [node("first", 1), node("second", 1)]);
    let mut times: [Vec<(f64, f64)>; 3] = Default::default();
    for round in 0..rounds {
        let at = |run: &str| {
            (dir.path().join(format!("{run}-{round}")), dir.path().join(format!("bench-{round}.ron")))
        };
        let runs = [("one", &single[..]), ("two", &pair[..]), ("again", &pair[..])];
        for (of, (name, nodes)) in times.iter_mut().zip(runs) {
            let (work, bench) = at(name);
            of.push(render(&scene, nodes, samples, dir.path(), work, bench));
        }
        println!(
            "one of two cores {:6.2} s   two of one core {:6.2} s   the two again {:6.2} s",
            times[0][round].0, times[1][round].0, times[2][round].0
        );
    }
    let all = times.each_ref().map(|of| of.iter().map(|t| t.0).collect::<Vec<_>>());
    let rendering = times.each_ref().map(|of| median(&of.iter().map(|t| t.1).collect::<Vec<_>>()));
    let [one, two, again] = all.each_ref().map(|of| median(of));
    println!(
        "medians: one of two cores {one:.2} s (spread {:.2}), two of one core {two:.2} s (spread {:.2}), again {again:.2} s (spread {:.2})",
        spread(&all[0]),
        spread(&all[1]),
        spread(&all[2])
    );
    println!("ratio {:.3}; again {:.3}", two / one, again / one);
    println!(
        "from the first tile to the last: {:.2} s, {:.2} s and {:.2} s, ratio {:.3}; again {:.3}",
        rendering[0],
        rendering[1],
        rendering[2],
        rendering[1] / rendering[0],
        rendering[2] / rendering[0]
    );
}

/// Seconds of everything, and from the first tile handed out to the last one stored.
fn render(
    scene: &Path,
    nodes: &[Arc<dyn Node>],
    samples: u32,
    dir: &Path,
    work_dir: PathBuf,
    bench: PathBuf,
) -> (f64, f64) {
    let request = Request { samples: Some(samples), ..Request::new(scene, 1) };
    let options = Options { work_dir, bench: Some(bench), ..Options::new(dir.join("pair.png")) };
    let (began, mut first, mut last) = (Instant::now(), None, 0.0);
    run(&request, nodes, &options, &Cancel::new(), &mut |event| {
        let now = began.elapsed().as_secs_f64();
        match event {
            Event::Began { .. } => first = first.or(Some(now)),
            Event::Stored { .. } => last = now,
            _ => {}
        }
    })
    .expect("the render succeeds");
    (began.elapsed().as_secs_f64(), last - first.unwrap_or(last))
}
