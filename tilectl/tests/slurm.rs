//! Slurm as the engine, for real: every slot is a job step that Slurm queues and places.

mod support;

use std::time::{Duration, Instant};

use support::blender::Blender;
use support::picture::assert_same;
use support::program::{Running, World};
use support::slurm::{Job, Slurm, quoted};
use support::{processes, scene};

const SAMPLES: u32 = 64;

/// A world whose configuration has two slots of one processor each on the cluster.
fn world(slurm: &Slurm, blender: &Blender) -> World {
    let world = World::new();
    let conf = format!("SLURM_CONF={}", slurm.conf().display());
    let config = format!(
        r#"(nodes: [(
            name: "slurm", command: ["env", {conf:?}, "srun", "-n1", "-c1", "-Jtilectl"],
            slots: 2, threads: 1, blender: {}, shared_dir: {},
        )])"#,
        quoted(&blender.program),
        quoted(&world.at("shared")),
    );
    std::fs::write(world.at("tilectl.ron"), config).unwrap();
    world
}

fn words(more: &[&str]) -> Vec<String> {
    let scene = scene("plain").display().to_string();
    let mut words: Vec<String> =
        ["render", &scene, "--frame", "1", "--tiles", "40", "-o", "out.png", "--keep"]
            .map(String::from)
            .into();
    words.extend(["--samples".to_owned(), SAMPLES.to_string()]);
    words.extend(more.iter().map(|w| (*w).to_owned()));
    words
}

/// Waits for the first finished tile.
fn first_tile(world: &World, running: &mut Running) {
    let state = world.at("out.png.tiles/state.ron");
    let start = Instant::now();
    while !std::fs::read_to_string(&state).unwrap_or_default().contains("\nTile(") {
        assert!(running.goes_on() && start.elapsed() < Duration::from_secs(180), "no tile");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn job(name: &str, state: &str) -> Job {
    Job { name: name.to_owned(), state: state.to_owned() }
}

#[test]
fn a_slot_that_waits_in_the_queue_joins_when_it_starts() {
    let (slurm, blender) = (Slurm::start(), Blender::of_the_tests());
    let world = world(&slurm, &blender);
    let wanted = blender.reference(&scene("plain")).samples(SAMPLES).png();
    let blocker = slurm.block();
    let mut running = world.spawn(words(&["--json"]));
    first_tile(&world, &mut running);
    let mut jobs = slurm.jobs();
    jobs.sort_by(|a, b| (&a.name, &a.state).cmp(&(&b.name, &b.state)));
    assert_eq!(jobs, [job("blocker", "RUNNING"), job("tilectl", "PENDING"), job("tilectl", "RUNNING")]);
    drop(blocker);
    let ended = running.wait().expect(0);
    assert_same(&world.at("out.png"), &wanted);
    let events = ended.json();
    let queued: Vec<_> = events.iter().filter(|e| e["event"] == "queued").collect();
    assert!(queued[0]["words"].as_str().unwrap().contains("queued and waiting"), "{queued:?}");
    for slot in 0..2 {
        let mut stored = events.iter().filter(|e| e["event"] == "stored" && e["slot"] == slot);
        assert!(stored.next().is_some(), "slot {slot} has rendered nothing");
    }
    let bytes = |event: &serde_json::Value| event["sent"].as_u64().unwrap_or(0);
    let sent: Vec<u64> = (0..2)
        .map(|slot| {
            events
                .iter()
                .filter(|e| e["event"] == "sending" && e["slot"] == slot)
                .map(bytes)
                .max()
                .unwrap_or(0)
        })
        .collect();
    assert_eq!(
        sent.iter().sum::<u64>(),
        std::fs::metadata(scene("plain")).unwrap().len(),
        "the scene goes to the shared directory once: {sent:?}"
    );
    slurm.left_alone_with(&[]);
    processes::gone(world.mark(), Duration::from_secs(60));
}

#[test]
fn the_end_does_not_wait_for_the_queue_and_leaves_nothing_in_it() {
    let (slurm, blender) = (Slurm::start(), Blender::of_the_tests());
    let world = world(&slurm, &blender);
    let wanted = blender.reference(&scene("plain")).samples(SAMPLES).png();
    let _blocker = slurm.block();

    // Killed while one slot renders and the other one waits: the controller can tell Slurm nothing any more.
    let mut running = world.spawn(words(&[]));
    first_tile(&world, &mut running);
    assert_eq!(slurm.jobs().len(), 3);
    running.signal("KILL");
    running.wait();
    let killed = slurm.left_alone_with(&["blocker"]);
    processes::gone(world.mark(), Duration::from_secs(60));

    // Interrupted: the running tile is finished, the allocation is freed.
    std::fs::remove_dir_all(world.at("out.png.tiles")).unwrap();
    let mut running = world.spawn(words(&[]));
    first_tile(&world, &mut running);
    running.signal("INT");
    running.wait().expect(3);
    let interrupted = slurm.left_alone_with(&["blocker"]);

    // To the end, with one slot.
    world.run(words(&[])).expect(0);
    assert_same(&world.at("out.png"), &wanted);
    let done = slurm.left_alone_with(&["blocker"]);
    processes::gone(world.mark(), Duration::from_secs(60));
    println!("no job was left after: killed {killed:.1?}, interrupted {interrupted:.1?}, done {done:.1?}");
}

#[test]
fn what_waits_is_withdrawn_however_the_wait_ends() {
    let (slurm, blender) = (Slurm::start(), Blender::of_the_tests());
    let world = world(&slurm, &blender);
    let _both = [slurm.block(), slurm.block()];
    let pending = |job: &Job| job.name == "tilectl" && job.state == "PENDING";
    for signal in ["KILL", "INT"] {
        let mut running = world.spawn(words(&[]));
        let start = Instant::now();
        while slurm.jobs().into_iter().filter(pending).count() < 2 {
            assert!(running.goes_on() && start.elapsed() < Duration::from_secs(60), "nothing is queued");
            std::thread::sleep(Duration::from_millis(50));
        }
        running.signal(signal);
        let ended = running.wait();
        if signal == "INT" {
            ended.expect(3);
        }
        let seconds = slurm.left_alone_with(&["blocker", "blocker"]);
        processes::gone(world.mark(), Duration::from_secs(60));
        println!("no job was left {seconds:.1?} after {signal}");
    }
}

#[test]
fn what_slurm_refuses_is_an_error_in_its_words() {
    let (slurm, world) = (Slurm::start(), World::new());
    let conf = format!("SLURM_CONF={}", slurm.conf().display());
    let config =
        format!(r#"(nodes: [(name: "slurm", command: ["env", {conf:?}, "srun", "-n1", "-pnowhere"])])"#);
    std::fs::write(world.at("tilectl.ron"), config).unwrap();
    let ended = world.run(words(&[])).expect(1);
    assert!(
        ended.stderr.contains("invalid partition") && ended.stderr.contains("node slurm"),
        "{}",
        ended.stderr
    );
}
