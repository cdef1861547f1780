//! The main job on real parts: real Blender, real sshd, and the same pixels as one machine makes.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::blender::Blender;
use support::nodes::Farm;
use support::picture::assert_same;
use support::program::{Ended, World};
use support::{processes, scene};

/// The arguments of a render, from parts.
fn render<'a>(scene: &'a Path, more: &[&'a str]) -> Vec<String> {
    let mut words = vec!["render".to_owned(), scene.display().to_string(), "--frame".into(), "1".into()];
    words.extend(more.iter().map(|w| (*w).to_owned()));
    words
}

fn with(mut words: Vec<String>, more: Vec<String>) -> Vec<String> {
    words.extend(more);
    words
}

/// A node on this machine that runs the Blender under test.
fn local(blender: &Blender) -> Vec<String> {
    vec!["--node".into(), format!("local,blender={}", blender.program.display())]
}

fn on_farm(farm: &Farm, blender: &Blender) -> Vec<String> {
    farm.nodes(&format!("blender={}", blender.program.display()))
}

/// Records of finished tiles in a state file.
fn tiles(state: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(state).unwrap_or_default();
    text.lines().filter(|l| l.starts_with("Tile(") && l.ends_with(')')).map(str::to_owned).collect()
}

/// What a record's tile shows, whoever rendered it.
fn place_of(record: &str) -> String {
    let file = record.split("file:\"").nth(1).and_then(|r| r.split("-s").next());
    file.expect("a tile has a file").to_owned()
}

#[test]
fn two_ssh_nodes_make_the_pixels_of_one() {
    let blender = Blender::of_the_tests();
    let farm = Farm::start();
    // 17x3 comes of a percentage: Blender takes no resolution below 4.
    for (name, width, height, percentage) in [
        ("plain", 333, 217, 100),
        ("plain", 34, 6, 50),
        ("plain", 17, 3, 100),
        ("adaptive", 301, 97, 100),
        ("adaptive", 333, 217, 100),
    ] {
        let reference = blender.reference(&scene(name)).resolution(width, height);
        let wanted =
            reference.python(&format!("bpy.context.scene.render.resolution_percentage = {percentage}")).png();
        let (size, percentage) = (format!("{width}x{height}"), percentage.to_string());
        let out = format!("{name}-{size}.png");
        let more =
            ["--tiles", "12", "--resolution", &size, "--percentage", &percentage, "-o", &out, "--keep"];
        let words = render(&scene(name), &more);
        let ended = farm.world.run(with(words, on_farm(&farm, &blender))).expect(0);
        let printed = ended.stdout.trim();
        assert_eq!(Path::new(printed), farm.world.at(&out), "the result's path is all that goes to stdout");
        assert_same(&farm.world.at(&out), &wanted);
        let records = tiles(&farm.world.at(&format!("{out}.tiles/state.ron")));
        // Towards the end an idle node may render the last tile as well: the first result wins, both are the same.
        let mut files: Vec<String> = records.iter().map(|r| place_of(r)).collect();
        files.sort();
        files.dedup();
        assert!(files.len() >= 12, "{out}: {files:?}");
    }
    for home in farm.homes() {
        assert!(home.join(".cache/tilectl/store").is_dir(), "both nodes keep the scene by content");
        processes::gone(&home, Duration::from_secs(10));
    }
}

#[test]
fn a_second_render_sends_nothing_and_names_its_events() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let words = || {
        with(render(&scene("plain"), &["--samples", "1", "--percentage", "25", "--json"]), local(&blender))
    };
    let sent = |ended: &Ended| -> u64 {
        let events = ended.json();
        events
            .iter()
            .filter(|e| e["event"] == "sending")
            .filter_map(|e| e["sent"].as_u64())
            .max()
            .unwrap_or(0)
    };
    let first = world.run(words()).expect(0);
    assert_eq!(sent(&first), std::fs::metadata(scene("plain")).unwrap().len());
    let second = world.run(words()).expect(0);
    assert_eq!(sent(&second), 0);
    let events = second.json();
    assert_eq!(events.last().unwrap()["event"], "done");
    assert!(events.iter().any(|e| e["event"] == "stored"));
}

#[test]
fn a_killed_controller_loses_no_finished_tile() {
    let blender = Blender::of_the_tests();
    let farm = Farm::start();
    let words = || {
        with(
            render(&scene("adaptive"), &["--tiles", "20", "-o", "k.png", "--keep"]),
            on_farm(&farm, &blender),
        )
    };
    let state = farm.world.at("k.png.tiles/state.ron");
    let mut killed = Vec::new();
    for kill in 1..=2 {
        let mut running = farm.world.spawn(words());
        let start = Instant::now();
        while running.goes_on() && tiles(&state).len() < 5 * kill {
            assert!(start.elapsed() < Duration::from_secs(120), "no tile in two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(running.goes_on(), "it must be killed in the middle");
        running.signal("KILL");
        running.wait();
        killed = tiles(&state);
        for home in farm.homes() {
            processes::gone(&home, Duration::from_secs(10));
        }
    }
    farm.world.run(words()).expect(0);
    let all = tiles(&state);
    assert!(killed.iter().all(|before| all.contains(before)), "what was recorded stays");
    for finished in &killed {
        let again = all.iter().filter(|r| place_of(r) == place_of(finished)).count();
        let before = killed.iter().filter(|r| place_of(r) == place_of(finished)).count();
        assert_eq!(again, before, "no finished tile was rendered again: {finished}");
    }
    assert_same(&farm.world.at("k.png"), &blender.reference(&scene("adaptive")).png());
    let undisturbed = with(render(&scene("adaptive"), &["--tiles", "20", "-o", "u.png"]), local(&blender));
    farm.world.run(undisturbed).expect(0);
    let bytes = |name: &str| std::fs::read(farm.world.at(name)).unwrap();
    assert!(bytes("k.png") == bytes("u.png"), "not only the same pixels, the same file");
    assert!(!farm.world.at("u.png.tiles").exists(), "the work directory goes with success");
}

#[test]
fn one_interrupt_drains_and_a_second_stops_at_once() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let words = || with(render(&scene("adaptive"), &["--tiles", "12", "-o", "i.png"]), local(&blender));
    let state = world.at("i.png.tiles/state.ron");
    let wait_for = |count: usize| {
        let start = Instant::now();
        while tiles(&state).len() < count {
            assert!(start.elapsed() < Duration::from_secs(120), "no tile in two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let running = world.spawn(words());
    wait_for(1);
    running.signal("INT");
    let ended = running.wait().expect(3);
    assert!(ended.stderr.contains("Run the same command again"), "{}", ended.stderr);
    let drained = tiles(&state).len();
    assert!((2..12).contains(&drained), "the tile that ran was finished: {drained}");
    let running = world.spawn(words());
    wait_for(drained + 1);
    running.signal("TERM");
    running.signal("TERM");
    running.wait().expect(3);
    processes::gone(world.mark(), Duration::from_secs(10));
    world.run(words()).expect(0);
    assert_same(&world.at("i.png"), &blender.reference(&scene("adaptive")).png());
}

#[test]
fn a_node_that_dies_is_done_without() {
    let blender = Blender::of_the_tests();
    let mut farm = Farm::start();
    let words = with(
        render(&scene("adaptive"), &["--tiles", "16", "-o", "d.png", "--keep"]),
        on_farm(&farm, &blender),
    );
    let state = farm.world.at("d.png.tiles/state.ron");
    let mut running = farm.world.spawn(words);
    while running.goes_on() && tiles(&state).len() < 3 {
        std::thread::sleep(Duration::from_millis(20));
    }
    farm.servers[1].stop_listening();
    let home = farm.servers[1].home.clone();
    for process in processes::marked(&home) {
        let _ = std::process::Command::new("kill").arg("-9").arg(process.pid.to_string()).status();
    }
    let ended = running.wait().expect(0);
    assert!(ended.stderr.contains("b: "), "the loss is named: {}", ended.stderr);
    assert_same(&farm.world.at("d.png"), &blender.reference(&scene("adaptive")).png());
}

#[test]
fn a_node_whose_blender_is_stopped_is_done_without() {
    let blender = Blender::of_the_tests();
    let farm = Farm::start();
    // Enough for a node that comes late on a busy machine to have its share.
    let more = ["--tiles", "24", "--samples", "128", "-o", "h.png", "--keep", "--json"];
    let words = render(&scene("uneven"), &more);
    let mut running = farm.world.spawn(with(words, on_farm(&farm, &blender)));
    let (state, start) = (farm.world.at("h.png.tiles/state.ron"), Instant::now());
    while !tiles(&state).iter().any(|t| t.contains("node:\"b\"")) {
        assert!(running.goes_on() && start.elapsed() < Duration::from_secs(120), "b renders nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    let stopped = processes::blenders(&farm.homes()[1]);
    assert!(!stopped.is_empty());
    for process in &stopped {
        processes::signal(process.pid, "STOP");
    }
    let ended = running.wait().expect(0);
    assert_same(&farm.world.at("h.png"), &blender.reference(&scene("uneven")).samples(128).png());
    // Long before the connection counts as dead: the other node has taken over what was late. Where there was time for
    // it, the silent Blender was given up, because it rendered nothing.
    let events = ended.json();
    let dead = |e: &serde_json::Value| {
        e["event"] == "lost" && !e["reason"].as_str().is_some_and(|r| r.contains("while it rendered"))
    };
    assert!(!events.iter().any(dead), "{events:?}");
    for home in farm.homes() {
        processes::gone(&home, Duration::from_secs(10));
    }
}

#[test]
fn when_every_node_is_gone_each_ones_reason_is_told_and_tiles_are_kept() {
    let blender = Blender::of_the_tests();
    let mut farm = Farm::start();
    let words =
        || with(render(&scene("adaptive"), &["--tiles", "16", "-o", "g.png"]), on_farm(&farm, &blender));
    let state = farm.world.at("g.png.tiles/state.ron");
    let mut running = farm.world.spawn(words());
    while running.goes_on() && tiles(&state).len() < 3 {
        std::thread::sleep(Duration::from_millis(20));
    }
    let again = words();
    for server in &mut farm.servers {
        server.stop_listening();
    }
    for home in farm.homes() {
        for process in processes::marked(&home) {
            let _ = std::process::Command::new("kill").arg("-9").arg(process.pid.to_string()).status();
        }
    }
    let ended = running.wait().expect(1);
    assert!(ended.stderr.contains("a: ") && ended.stderr.contains("b: "), "{}", ended.stderr);
    let kept = tiles(&state);
    assert!(kept.len() >= 3);
    assert!(!farm.world.at("g.png").exists(), "never an image with a hole");
    let mut last = again[..again.len() - 4].to_vec();
    last.extend(local(&blender));
    farm.world.run(last).expect(0);
    assert_same(&farm.world.at("g.png"), &blender.reference(&scene("adaptive")).png());
}

#[test]
fn two_nodes_of_one_machine_and_home_do_not_get_in_each_others_way() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let path = blender.program.display();
    let mut words = render(&scene("plain"), &["--tiles", "9", "-o", "two.png"]);
    for name in ["a", "b"] {
        words.extend(["--node".to_owned(), format!("local,name={name},blender={path},threads=1")]);
    }
    world.run(words).expect(0);
    assert_same(&world.at("two.png"), &blender.reference(&scene("plain")).png());
}

#[test]
fn a_crashing_or_wrong_blender_is_told_with_its_log() {
    let world = World::new();
    let fake = world.at("blender");
    std::fs::write(&fake, "#!/bin/sh\necho \"it broke: \x1b[31m$$\"\nexit 11\n").unwrap();
    std::process::Command::new("chmod").arg("+x").arg(&fake).status().unwrap();
    let spec = format!("local,blender={}", fake.display());
    let ended = world.run(render(&scene("plain"), &["--node", &spec])).expect(1);
    assert!(ended.stderr.contains("exit code 11") && ended.stderr.contains("it broke"), "{}", ended.stderr);
    assert!(!ended.stderr.contains('\x1b'), "a node's output cannot reach the terminal as it is");
}
