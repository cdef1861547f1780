//! What a render would do, and what is known of the nodes, through the program.

mod support;

use std::time::{Duration, Instant};

use support::blender::Blender;
use support::impostor::{impostor, node};
use support::picture::{Picture, assert_same};
use support::program::World;
use support::scene;

fn words(command: &str, nodes: &[String], more: &[&str]) -> Vec<String> {
    let scene = scene("plain").display().to_string();
    let mut words = vec![command.to_owned(), scene, "--frame".to_owned(), "1".to_owned()];
    words.extend(nodes.iter().flat_map(|node| ["--node".to_owned(), node.clone()]));
    words.extend(more.iter().map(|w| (*w).to_owned()));
    words
}

#[test]
fn a_plan_says_who_does_what_and_why() {
    let world = World::new();
    let nodes = [node(&world, "desk", "nothing"), node(&world, "attic", "is slow")];
    let ended = world.run(words("plan", &nodes, &["-v", "-o", "plan.png"])).expect(0);
    let said = &ended.stdout;
    assert!(said.contains("pixels/s") && said.contains("share") && said.contains("busy"), "{said}");
    // 64 x 48 pixels are not worth two nodes, and it says so.
    assert!(said.lines().any(|line| line.starts_with("attic") && line.contains("left out: ")), "{said}");
    let limits =
        ["desk renders everything: its speed is the limit.", "more nodes can shorten only the rest."];
    assert!(limits.iter().any(|limit| said.trim_end().ends_with(limit)), "{said}");
    // -v shows each figure, as a render would find it.
    let desk = said.lines().find(|line| line.starts_with("desk: start ")).unwrap_or_default();
    assert!(desk.contains(", sync ") && desk.ends_with(" s a tile besides"), "{said}");
    assert!(!desk.starts_with("desk: start 0.0 s"), "a render starts its own Blender: {said}");
    let drawn = Picture::read(&world.at("plan.png"));
    assert_eq!((drawn.width, drawn.height), (64, 48));
    let plan =
        &world.run(words("plan", &nodes, &["--json", "--tiles", "4", "-o", "cuts.png"])).expect(0).json()[0];
    let cuts = Picture::read(&world.at("cuts.png"));
    let white = |x, y| cuts.pixel(x, y).iter().all(|channel| *channel == 255);
    assert!(white(32, 5) && white(5, 24) && !white(5, 5) && !white(40, 40), "the cuts are drawn");
    assert_eq!(plan["nodes"].as_array().map(Vec::len), Some(2));
    assert_eq!(plan["pieces"].as_array().map(Vec::len), Some(4));
    assert!(plan["nodes"][0]["model"]["rate"].as_f64().is_some_and(|rate| rate > 0.0));
    assert!(plan["limit"].as_str().is_some_and(|limit| !limit.is_empty()));
    assert!(!world.at("plain_0001.png").exists());
}

#[test]
fn what_a_bench_measures_is_kept_shown_and_cleared() {
    let world = World::new();
    let nodes = ["desk", "attic"].map(|name| node(&world, name, "nothing"));
    let kept = world.home().join(".cache/tilectl/bench.ron");
    let show = || world.run(["bench", "--show"]).expect(0).stdout;
    assert_eq!(show(), "");
    world.run(words("bench", &nodes, &[])).expect(0);
    let shown = show();
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("desk") && shown.contains("attic") && shown.contains("plain.blend"), "{shown}");
    // The built-in scene is the same one every time.
    for _ in 0..2 {
        let built_in: Vec<&str> = ["bench", "--node", &nodes[0], "--node", &nodes[1]].to_vec();
        world.run(built_in).expect(0);
    }
    assert_eq!(show().lines().count(), 4);
    // Damaged or of another version, it is as good as none.
    let sound = std::fs::read_to_string(&kept).unwrap();
    for bad in [
        "\u{0}\u{1b}not a cache".to_owned(),
        sound.replace("version:1", "version:999"),
        sound[..sound.len() / 2].to_owned(),
        sound.replace("rate:", "rate:-"),
    ] {
        std::fs::write(&kept, bad).unwrap();
        assert_eq!(show(), "");
        world.run(words("plan", &nodes, &[])).expect(0);
    }
    assert_eq!(show().lines().count(), 2);
    world.run(["bench", "--clear"]).expect(0);
    assert_eq!(show(), "");
}

#[test]
fn what_it_takes_to_build_the_scene_is_kept_from_run_to_run() {
    let world = World::new();
    let nodes = ["desk", "attic"].map(|name| node(&world, name, "nothing"));
    let built = || {
        let kept = &world.run(["bench", "--show", "--json"]).expect(0).json()[0];
        let seconds: Vec<f64> =
            kept.as_array().unwrap().iter().filter_map(|entry| entry["sync_s"].as_f64()).collect();
        assert_eq!(seconds.len(), 2, "{kept}");
        seconds.into_iter().fold(f64::INFINITY, f64::min)
    };
    // The first run measures it, the others find out with their first tiles.
    for _ in 0..3 {
        world.run(words("render", &nodes, &["--fresh", "--tiles", "16", "-o", "out.png"])).expect(0);
        assert!(built() >= 0.015, "{}", built());
    }
}

#[test]
fn the_first_who_is_ready_begins_while_others_still_receive() {
    let world = World::new();
    let nodes = [node(&world, "quick", "is slow"), node(&world, "slow", "receives slowly")];
    let told =
        world.run(words("render", &nodes, &["--tiles", "48", "-o", "out.png", "--json"])).expect(0).json();
    let first = |kind: &str, slot: u64| {
        told.iter().position(|e| e["event"] == kind && e["slot"] == slot).unwrap_or(usize::MAX)
    };
    let (stored, ready) = (first("stored", 0), first("ready", 1));
    assert!(stored < ready && ready < usize::MAX, "{stored} {ready}");
    assert!(first("stored", 1) < usize::MAX, "the other joined and rendered too");
}

#[test]
fn a_blender_can_be_named_from_where_the_login_begins() {
    let world = World::new();
    let path = impostor(&world, "nothing");
    let name = path.file_name().and_then(|n| n.to_str()).unwrap();
    world.run(words("render", &[format!("local,blender=./{name}")], &["-o", "out.png"])).expect(0);
}

#[test]
fn defaults_of_the_configuration_are_those_of_a_render() {
    let world = World::new();
    let text = format!(
        r#"(nodes: [(name: "local", blender: {:?})], defaults: (percentage: 50, samples: 2, tiles: 4, keep: true))"#,
        Blender::of_the_tests().program
    );
    std::fs::write(world.at("tilectl.ron"), text).unwrap();
    let whole = Blender::of_the_tests().reference(&scene("plain")).samples(2);
    let wanted = whole.python("import bpy; bpy.context.scene.render.resolution_percentage = 50").png();
    world.run(words("render", &[], &["-o", "half.png"])).expect(0);
    assert_same(&world.at("half.png"), &wanted);
    let state = std::fs::read_to_string(world.at("half.png.tiles/state.ron")).unwrap();
    assert_eq!(state.lines().filter(|line| line.starts_with("Tile(")).count(), 4);
    // What is typed counts more.
    world.run(words("render", &[], &["-o", "one.png", "--tiles", "1", "--percentage", "25"])).expect(0);
    assert_eq!(Picture::read(&world.at("one.png")).width * 2, Picture::read(&world.at("half.png")).width);
}

#[test]
fn a_node_that_is_off_at_the_start_joins_when_it_is_up() {
    let world = World::new();
    let up = world.at("up");
    let text = format!(
        r#"(nodes: [
            (name: "local", blender: {:?}, cache_dir: {:?}),
            (name: "late", command: ["/bin/sh", "-c", "test -e {} || exit 1; exec /bin/sh"], blender: {:?}, cache_dir: {:?}),
        ])"#,
        impostor(&world, "is slow"),
        world.at("a"),
        up.display(),
        impostor(&world, "nothing"),
        world.at("b"),
    );
    std::fs::write(world.at("tilectl.ron"), text).unwrap();
    let mut running =
        world.spawn(words("render", &[], &["--tiles", "192", "-o", "out.png", "--keep", "--json"]));
    let state = world.at("out.png.tiles/state.ron");
    let tiles = || std::fs::read_to_string(&state).unwrap_or_default().matches("\nTile(").count();
    let until = Instant::now() + Duration::from_secs(60);
    while tiles() < 2 {
        assert!(Instant::now() < until && running.goes_on(), "no tile came");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::fs::write(up, "").unwrap();
    running.wait().expect(0);
    let text = std::fs::read_to_string(&state).unwrap();
    assert!(text.lines().any(|l| l.starts_with("Tile(") && l.contains("node:\"late\"")), "{text}");
}

#[test]
fn a_picture_of_one_pixel_is_the_same_on_one_node_and_two() {
    let blender = Blender::of_the_tests();
    let wanted = blender
        .reference(&scene("plain"))
        .resolution(4, 4)
        .python("import bpy; bpy.context.scene.render.resolution_percentage = 25")
        .png();
    let world = World::new();
    let spec = |name: &str| format!("local,name={name},blender={}", blender.program.display());
    let size = ["--resolution", "4x4", "--percentage", "25"];
    for nodes in [vec![spec("a")], vec![spec("a"), spec("b")]] {
        let more: Vec<&str> = size.iter().chain(&["--fresh", "-o", "dot.png"]).copied().collect();
        world.run(words("render", &nodes, &more)).expect(0);
        assert_same(&world.at("dot.png"), &wanted);
        let dot = Picture::read(&world.at("dot.png"));
        assert_eq!((dot.width, dot.height), (1, 1));
    }
}
