//! A scene's files to a node against `scp` to the same sshd, in the same run: loopback, a throwaway server.
//!
//! `cargo run --release -p benches --bin sync [-- MEGABYTES [ROUNDS]]`

#[path = "../../../tilecore/tests/support/sshd.rs"]
mod sshd;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use benches::{median, spread};
use sshd::{Home, Sshd, run, user};
use tilecore::blender::Worker;
use tilecore::node::{NodeSpec, Place, SshOptions, from_spec};
use tilecore::sync::Inputs;

fn main() {
    let mut args = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number"));
    let megabytes = args.next().unwrap_or(512);
    let rounds = args.next().unwrap_or(5);
    let server = Sshd::with().plain().line("Subsystem sftp internal-sftp").start();
    let home = Home::for_server(&server);
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let mut options = SshOptions::new(home.path(), user());
    options.system = home.path().join("none");
    let mut spec = NodeSpec::new("n", Place::Ssh(format!("127.0.0.1:{}", server.port)));
    spec.cache_dir = Some(dir.path().join("cache").display().to_string());
    let node = from_spec(&spec, &options).expect("a plain address");
    let mut worker =
        Worker::start(node.as_ref(), "bench", None, &mut || true).expect("Blender starts").worker;

    let small = dir.path().join("small");
    std::fs::write(&small, b"x").expect("a temporary file can be made");
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    println!("{megabytes} MB of noise, {rounds} rounds; MB/s");
    let file = dir.path().join("noise.blend");
    noise(&file, megabytes, 1);
    let inputs = Inputs::of_blend(&file).expect("the file is there");
    for round in 0..rounds {
        let copy = |file: &Path| {
            let began = Instant::now();
            run(Command::new("scp")
                .args(["-q", "-o", "BatchMode=yes"])
                .arg("-i")
                .arg(home.ssh("id_ed25519"))
                .arg("-o")
                .arg(format!("UserKnownHostsFile={}", home.ssh("known_hosts").display()))
                .arg("-P")
                .arg(server.port.to_string())
                .arg(file)
                .arg(format!("{}@127.0.0.1:{}", user(), dir.path().join("copy").display())));
            began.elapsed().as_secs_f64()
        };
        // tilectl is connected already: what scp takes to log in and start does not count.
        let scp = || megabytes as f64 / (copy(&file) - copy(&small));
        let mut sync = || {
            let began = Instant::now();
            inputs.send(&mut worker, &mut |_| true).expect("it arrives");
            megabytes as f64 / began.elapsed().as_secs_f64()
        };
        // Whoever is second finds a warmer machine: they take turns. Memory that a deleted copy has left is faster to
        // write to than memory that was never used, so neither finds a copy there.
        let (a, b) = if round % 2 == 0 {
            let a = fresh(dir.path(), &mut sync);
            (a, fresh(dir.path(), scp))
        } else {
            let b = fresh(dir.path(), scp);
            (fresh(dir.path(), &mut sync), b)
        };
        println!("  tilectl {a:7.1}   scp {b:7.1}   ratio {:.2}", a / b);
        ours.push(a);
        theirs.push(b);
        ratios.push(a / b);
    }
    println!(
        "median: tilectl {:.1} MB/s (spread {:.1}), scp {:.1} MB/s (spread {:.1}), of the ratios {:.2}",
        median(&ours),
        spread(&ours),
        median(&theirs),
        spread(&theirs),
        median(&ratios)
    );
    // Whoever is first in a round is faster, by more than the two differ: all rounds together say more than one.
    let time = |rates: &[f64]| rates.iter().map(|r| megabytes as f64 / r).sum::<f64>();
    println!(
        "time of all rounds: tilectl {:.1} s, scp {:.1} s, ratio of the speeds {:.2}",
        time(&ours),
        time(&theirs),
        time(&theirs) / time(&ours)
    );
}

/// Measures on a quiet disk that has neither copy.
fn fresh(dir: &Path, transfer: impl FnOnce() -> f64) -> f64 {
    let _ = std::fs::remove_file(dir.join("copy"));
    let _ = std::fs::remove_dir_all(dir.join("cache/store"));
    run(&mut Command::new("sync"));
    transfer()
}

/// Bytes that no compression helps with.
fn noise(path: &Path, megabytes: usize, seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut block = vec![0_u8; 1 << 20];
    let mut file = File::create(path).expect("a temporary file can be made");
    for _ in 0..megabytes {
        for eight in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            eight.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).expect("the disk has room");
    }
}
