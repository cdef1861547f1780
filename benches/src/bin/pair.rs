//! Two nodes of one core each against one node of two cores, on the scene whose cost is uneven.
//!
//! `cargo run --release -p benches --bin pair [SCENE.blend] [BLENDER] [SAMPLES] [ROUNDS]`: both render the same frame, in
//! turn, and each run starts its Blenders anew; printed are all times, the medians and their ratio. The pair starts two
//! Blenders and builds the scene twice on the same two cores, which a pair of machines would do side by side.

use std::path::Path;
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
    let (mut one, mut two) = (Vec::new(), Vec::new());
    let (mut one_rendering, mut two_rendering) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (all, rendering) = render(&scene, &single, samples, dir.path(), 2 * round);
        one.push(all);
        one_rendering.push(rendering);
        let (all, rendering) = render(&scene, &pair, samples, dir.path(), 2 * round + 1);
        two.push(all);
        two_rendering.push(rendering);
        println!("one of two cores {:6.2} s   two of one core {:6.2} s", one[round], two[round]);
    }
    let (a, b) = (median(&one), median(&two));
    println!(
        "medians: one of two cores {a:.2} s (spread {:.2}), two of one core {b:.2} s (spread {:.2})",
        spread(&one),
        spread(&two)
    );
    println!("ratio {:.3}", b / a);
    println!(
        "from the first tile to the last: {:.2} s and {:.2} s, ratio {:.3}",
        median(&one_rendering),
        median(&two_rendering),
        median(&two_rendering) / median(&one_rendering)
    );
}

/// Seconds of everything, and from the first tile handed out to the last one stored.
fn render(scene: &Path, nodes: &[Arc<dyn Node>], samples: u32, dir: &Path, number: usize) -> (f64, f64) {
    let request = Request { samples: Some(samples), ..Request::new(scene, 1) };
    let options =
        Options { work_dir: dir.join(format!("work-{number}")), ..Options::new(dir.join("pair.png")) };
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
