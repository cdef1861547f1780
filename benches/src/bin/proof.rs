//! What the proof costs: the same frame without it, with it, again, and with other samples.
//!
//! `cargo run --release -p benches --bin proof [SCENE.blend] [BLENDER] [SAMPLES] [ROUNDS]`: on one node of two cores and on
//! two of one, in turn, each run with Blenders that start anew. Printed are the times of each round, their medians and
//! ratios, by the clock and by the processor time of the program and everything it started: on a busy machine the second
//! says more. Choose samples with which a job takes two minutes.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use benches::bench::{node, scene};
use benches::{median, spread};
use tilecore::events::Event;
use tilecore::job::Request;
use tilecore::node::Node;
use tilecore::proof::Mode;
use tilecore::render::{Cancel, Options, run};

/// One render: seconds by the clock, seconds of processors, and what the proof said it took.
#[derive(Clone, Copy, Default)]
struct Cost {
    clock: f64,
    work: f64,
    proof: Option<f64>,
}

fn main() {
    let mut words = std::env::args().skip(1);
    let scene = scene(words.next(), "uneven.blend");
    let blender = words.next().unwrap_or_else(|| "blender".to_owned());
    let samples: u32 = words.next().and_then(|n| n.parse().ok()).unwrap_or(2048);
    let rounds: usize = words.next().and_then(|n| n.parse().ok()).unwrap_or(3);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let node = |name: &str, threads: u32| node(name, Some(&blender), Some(threads), dir.path());
    for (title, nodes) in [
        ("one node of two cores", vec![node("both", 2)]),
        ("two nodes of one core", vec![node("first", 1), node("second", 1)]),
    ] {
        println!("{title}:");
        let names = ["without", "with", "again", "other samples"];
        let mut costs: [Vec<Cost>; 4] = Default::default();
        for round in 0..rounds {
            let proofs = dir.path().join(format!("{title}-{round}.ron"));
            let runs = [
                (Mode::Never, samples),
                (Mode::Auto, samples),
                (Mode::Auto, samples),
                (Mode::Auto, samples + 1),
            ];
            for (of, (mode, samples)) in costs.iter_mut().zip(runs) {
                of.push(render(&scene, &nodes, samples, mode, &proofs, dir.path()));
            }
            let words = names.iter().zip(&costs).map(|(name, of)| {
                let Cost { clock, work, proof } = of[round];
                let proof = proof.map_or(String::new(), |s| format!(", proof {s:.2} s"));
                format!("{name} {clock:.2} s ({work:.2} s of processors{proof})")
            });
            println!("  {}", words.collect::<Vec<_>>().join("   "));
        }
        let of = |run: usize, what: fn(&Cost) -> f64| costs[run].iter().map(what).collect::<Vec<_>>();
        let plain = [median(&of(0, |c| c.clock)), median(&of(0, |c| c.work))];
        for (run, name) in names.iter().enumerate() {
            let (clock, work) = (of(run, |c| c.clock), of(run, |c| c.work));
            println!(
                "  {name}: median {:.2} s (spread {:.2}), ratio {:.3}; processors {:.2} s (spread {:.2}), ratio {:.3}",
                median(&clock),
                spread(&clock),
                median(&clock) / plain[0],
                median(&work),
                spread(&work),
                median(&work) / plain[1]
            );
        }
    }
}

fn render(
    scene: &Path,
    nodes: &[Arc<dyn Node>],
    samples: u32,
    proof: Mode,
    proofs: &Path,
    dir: &Path,
) -> Cost {
    let request = Request { samples: Some(samples), ..Request::new(scene, 1) };
    let work_dir = tempfile::tempdir_in(dir).expect("a temporary directory can be made");
    let options = Options {
        work_dir: work_dir.path().join("work"),
        // What the nodes can do is known in every run.
        bench: Some(dir.join("bench.ron")),
        proof,
        proofs: Some(proofs.to_owned()),
        ..Options::new(dir.join("proof.png"))
    };
    let (began, before, mut took) = (Instant::now(), processors(), None);
    run(&request, nodes, &options, &Cancel::new(), &mut |event| {
        if let Event::Proof { verdict, .. } = event {
            assert!(verdict.holds(), "{}", verdict.sentence());
            took = Some(if verdict.remembered { 0.0 } else { verdict.seconds });
        }
    })
    .expect("the render succeeds");
    Cost { clock: began.elapsed().as_secs_f64(), work: processors() - before, proof: took }
}

/// Processor seconds of this process and of those that it started and that ended.
fn processors() -> f64 {
    /// Clock ticks a second, of which Linux tells programs always the same number.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // User and system time, its own and its children's, are the 14th to 17th fields; the second may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(4).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / TICKS
}
