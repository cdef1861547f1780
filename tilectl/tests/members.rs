//! Nodes that join, pause and leave while a render runs.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::blender::Blender;
use support::picture::assert_same;
use support::program::{Running, World};
use support::scene;

const SAMPLES: u32 = 96;

fn words(more: &[&str]) -> Vec<String> {
    let scene = scene("plain").display().to_string();
    let samples = SAMPLES.to_string();
    let words = [
        "render",
        &scene,
        "--frame",
        "1",
        "--tiles",
        "48",
        "-o",
        "out.png",
        "--keep",
        "--json",
        "--samples",
        &samples,
    ];
    words.iter().chain(more).map(|w| (*w).to_owned()).collect()
}

/// Waits until the state file tells of a tile by this node.
fn tile_by(world: &World, running: &mut Running, node: &str) {
    let state = world.at("out.png.tiles/state.ron");
    let (node, start) = (format!("node:\"{node}\""), Instant::now());
    let told = || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        text.lines().any(|line| line.starts_with("Tile(") && line.contains(&node))
    };
    while !told() {
        assert!(running.goes_on(), "{}", take(running));
        assert!(start.elapsed() < Duration::from_secs(120), "no tile with {node}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn take(running: &mut Running) -> String {
    let ended = std::mem::replace(running, World::new().spawn(["--version"])).wait();
    format!("{}\n{}", ended.stdout, ended.stderr)
}

fn count(world: &World, node: &str) -> usize {
    let text = std::fs::read_to_string(world.at("out.png.tiles/state.ron")).unwrap();
    text.lines().filter(|l| l.starts_with("Tile(") && l.contains(&format!("node:\"{node}\""))).count()
}

/// How many tiles a node has made, once the one that it still renders is among them.
fn settled(world: &World, node: &str) -> usize {
    let (mut seen, mut since) = (count(world, node), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(100));
        let now = count(world, node);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    seen
}

fn node(blender: &Blender, name: &str) -> String {
    format!("local,name={name},threads=1,blender={}", blender.program.display())
}

fn nodes(world: &World, verb: &str, node: &str) {
    world.run(["nodes", verb, node, "--job", "out.png.tiles"]).expect(0);
}

#[test]
fn a_node_joins_pauses_and_leaves_by_command() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let mut running = world.spawn(words(&["--node", &node(&blender, "first")]));
    tile_by(&world, &mut running, "first");
    nodes(&world, "add", &node(&blender, "second"));
    tile_by(&world, &mut running, "second");
    nodes(&world, "pause", "first");
    let paused = settled(&world, "first");
    nodes(&world, "remove", "second");
    let unknown = world.run(["nodes", "remove", "nobody", "--job", "out.png.tiles"]).expect(2);
    assert!(unknown.stderr.contains("no node called nobody takes part"), "{}", unknown.stderr);
    let left = settled(&world, "second");
    assert!(running.goes_on(), "with its only node paused the render waits: {}", take(&mut running));
    assert_eq!(count(&world, "first"), paused, "a paused node renders nothing");
    nodes(&world, "resume", "first");
    let ended = running.wait().expect(0);
    assert_eq!(count(&world, "second"), left, "a node that left renders nothing");
    assert!(ended.stdout.contains("left the job"), "{}", ended.stdout);
    assert_same(&world.at("out.png"), &blender.reference(&scene("plain")).samples(SAMPLES).png());
    let late = world.run(["nodes", "pause", "first", "--job", "out.png.tiles"]).expect(2);
    assert!(late.stderr.contains("no tilectl is rendering in"), "{}", late.stderr);
}

/// Writes a configuration with nodes of these names.
fn configure(path: &Path, blender: &Blender, names: &[&str]) {
    let nodes: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "(name: {name:?}, host: \"local\", threads: 1, blender: \"{}\")",
                blender.program.display()
            )
        })
        .collect();
    std::fs::write(path, format!("(nodes: [{}])", nodes.join(", "))).unwrap();
}

#[test]
fn a_node_added_to_the_configuration_joins() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let config = world.at("tilectl.ron");
    configure(&config, &blender, &["first"]);
    let mut running = world.spawn(words(&[]));
    tile_by(&world, &mut running, "first");
    // What cannot be read changes nothing.
    std::fs::write(&config, "(nodes: [").unwrap();
    running.signal("HUP");
    std::thread::sleep(Duration::from_secs(1));
    configure(&config, &blender, &["first", "second"]);
    running.signal("HUP");
    tile_by(&world, &mut running, "second");
    let ended = running.wait().expect(0);
    assert!(ended.stderr.contains("tilectl.ron"), "{}", ended.stderr);
    assert_same(&world.at("out.png"), &blender.reference(&scene("plain")).samples(SAMPLES).png());
}

#[test]
fn a_configuration_that_is_written_meanwhile_is_followed() {
    let world = World::new();
    let mut running = world.spawn(words(&[]));
    tile_by(&world, &mut running, "local");
    let second = "(name: \"second\", host: \"local\", threads: 1)";
    std::fs::write(world.at("tilectl.ron"), format!("(nodes: [{second}])")).unwrap();
    running.signal("HUP");
    tile_by(&world, &mut running, "second");
    running.wait().expect(0);
}
