//! Nodes that answer with what no Blender would: nothing of the user's is lost, nobody waits for ever, and what comes
//! out is right or an error.

mod support;

use std::time::{Duration, Instant};

use support::blender::Blender;
use support::impostor::{impostor, node};
use support::program::World;
use support::{processes, scene};
use tilecore::state::{History, Record, WorkDirLayout};

fn render(nodes: &[String], more: &[&str]) -> Vec<String> {
    let scene = scene("plain").display().to_string();
    let mut words: Vec<String> =
        ["render", &scene, "--frame", "1", "-o", "a1.png", "--tiles", "4"].map(str::to_owned).to_vec();
    for node in nodes {
        words.extend(["--node".to_owned(), node.clone()]);
    }
    words.extend(more.iter().map(|w| (*w).to_owned()));
    words
}

#[test]
fn tiles_that_cannot_be_stitched_never_count() {
    let world = World::new();
    let ended = world.run(render(&[node(&world, "a", "cuts tiles short")], &[])).expect(1);
    assert!(
        ended.stderr.contains("cannot be stitched") && ended.stderr.contains("cut off"),
        "{}",
        ended.stderr
    );
    assert!(!world.at("a1.png").exists());
    // A sound node makes the picture of the same job: nothing of those tiles was kept.
    world.run(render(&[node(&world, "b", "nothing")], &[])).expect(0);
    assert!(world.at("a1.png").is_file());
}

#[test]
fn a_tile_larger_than_its_pixels_can_be_is_not_fetched() {
    let world = World::new();
    let ended = world.run(render(&[node(&world, "a", "promises endless tiles")], &[])).expect(1);
    assert!(ended.stderr.contains("another file size"), "{}", ended.stderr);
}

#[test]
fn what_a_finish_makes_is_a_picture_or_an_error() {
    for (wrong, said) in [
        ("finish empty", "the finish made no picture"),
        ("finish garbage", "no picture of its format"),
        ("finish strange view", "a view that the scene does not have"),
        ("finish twice", "several pictures of one name"),
    ] {
        let world = World::new();
        for name in ["a1.png", "a10.png"] {
            std::fs::write(world.at(name), "of another day").unwrap();
        }
        let ended = world.run(render(&[node(&world, "a", wrong)], &[])).expect(1);
        assert!(ended.stderr.contains(said), "{wrong}: {}", ended.stderr);
        for name in ["a1.png", "a10.png"] {
            assert_eq!(std::fs::read_to_string(world.at(name)).unwrap(), "of another day", "{wrong}");
        }
    }
    let world = World::new();
    world.run(render(&[node(&world, "a", "finish well")], &[])).expect(0);
    assert!(world.at("a1.png").is_file());
    let world = World::new();
    world.run(render(&[node(&world, "a", "finish views")], &[])).expect(0);
    assert!(world.at("a1_L.png").is_file() && world.at("a1_R.png").is_file() && !world.at("a1.png").exists());
}

#[test]
fn names_do_not_steer_the_terminal() {
    let world = World::new();
    let steers = |text: &str| text.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']);
    let a = node(&world, "a", "steers");
    let ended = world.run(render(std::slice::from_ref(&a), &["--keep", "-v"])).expect(0);
    assert!(ended.stderr.contains("Scene") && !steers(&ended.stderr), "{:?}", ended.stderr);
    let status = world.run(["status", "a1.png.tiles"]).expect(0);
    assert!(status.stdout.contains("Scene") && !steers(&status.stdout), "{:?}", status.stdout);
    let ended = world.run(render(&[a], &["--fresh", "--json"])).expect(0);
    assert!(!steers(&ended.stdout));
    let told = ended.json();
    let scene = told.iter().find(|e| e["event"] == "scene").expect("the scene is told about");
    assert!(scene["scene"].as_str().is_some_and(steers), "the name is what it is: {scene}");
}

#[test]
fn a_scene_named_thousands_of_times_is_an_error() {
    let world = World::new();
    let ended = world.run(render(&[node(&world, "a", "names the scene often")], &[])).expect(2);
    assert!(ended.stderr.contains("more than 64 scenes"), "{}", ended.stderr);
}

#[test]
fn nodes_that_cannot_be_measured_render_all_the_same() {
    let world = World::new();
    let nodes = ["a", "b"].map(|name| node(&world, name, "cannot be measured"));
    let ended = world.run(render(&nodes, &[])).expect(0);
    assert!(ended.stderr.contains("could not be measured"), "{}", ended.stderr);
}

#[test]
fn one_that_never_opens_the_scene_holds_nobody_up() {
    let began = Instant::now();
    // The last is no fault: a scene that takes its time is not opened anew for it.
    let runs = [("never opens", "comes late"), ("reads nothing", "comes late"), ("opens late", "opens late")];
    let runs = runs.map(|(a, b)| {
        let world = World::new();
        let running = world.spawn(render(&[node(&world, "a", a), node(&world, "b", b)], &[]));
        (world, running, a)
    });
    for (world, running, wrong) in runs {
        let ended = running.wait().expect(0);
        assert!(ended.stderr.contains("another node looks at it too"), "{wrong}: {}", ended.stderr);
        if wrong == "opens late" {
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
            assert_eq!(
                ended.stderr.matches(": Blender 3.4.1").count(),
                2,
                "nobody started over: {}",
                ended.stderr
            );
        }
        assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
        processes::gone(world.mark(), Duration::from_secs(20));
    }
}

#[test]
fn data_without_bytes_is_not_waited_out() {
    let world = World::new();
    let nodes = [node(&world, "a", "sends nothing for ever"), node(&world, "b", "nothing")];
    let began = Instant::now();
    let ended = world.run(render(&nodes[..1], &[])).expect(1);
    assert!(ended.stderr.contains("answered with something unexpected"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("stopped sending"), "{}", ended.stderr);
    world.run(render(&nodes, &["--fresh"])).expect(0);
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
    processes::gone(world.mark(), Duration::from_secs(20));
}

#[test]
fn a_damaged_tile_is_made_again_and_its_node_stays_connected() {
    let world = World::new();
    let bad = node(&world, "a", "damages tiles");
    let ended = world.run(render(std::slice::from_ref(&bad), &["--keep"])).expect(1);
    assert!(ended.stderr.contains("arrived damaged"), "{}", ended.stderr);
    let history = History::read(&WorkDirLayout::new(world.at("a1.png.tiles")).state()).unwrap();
    let failed = |r: &&Record| matches!(r, Record::Failed { node, region: Some(_), .. } if node == "a");
    assert!(history.records.iter().filter(failed).count() >= 3, "every failure is on record");
    let stopped = |r: &Record| matches!(r, Record::Stopped { interrupted: false, .. });
    assert!(history.records.iter().any(stopped), "{:?}", history.records.last());
    assert_eq!(ended.stderr.matches(": Blender 3.4.1").count(), 1, "{}", ended.stderr);
    world.run(render(&[bad, node(&world, "b", "nothing")], &["--fresh"])).expect(0);
    assert!(world.at("a1.png").is_file());
}

#[test]
fn who_keeps_its_tiles_is_done_without_and_ends_at_an_interrupt() {
    let world = World::new();
    let lone = [node(&world, "a", "keeps its tiles")];
    let mut running = world.spawn(render(&lone, &["--json"]));
    std::thread::sleep(Duration::from_secs(3));
    assert!(running.goes_on());
    running.signal("INT");
    std::thread::sleep(Duration::from_secs(1));
    running.signal("INT");
    let began = Instant::now();
    running.wait().expect(3);
    assert!(began.elapsed() < Duration::from_secs(10));
    processes::gone(world.mark(), Duration::from_secs(20));
    let both = [node(&world, "a", "keeps its tiles"), node(&world, "b", "nothing")];
    world.run(render(&both, &["--fresh"])).expect(0);
}

#[test]
fn chatter_without_end_is_not_waited_for() {
    let world = World::new();
    std::fs::write(
        world.at("tilectl.ron"),
        r#"(nodes: [(name: "c", command: ["/bin/sh", "-c", "while :; do echo good day; sleep 0.05; done"], patience: 3)])"#,
    )
    .unwrap();
    let began = Instant::now();
    let ended = world.run(["nodes", "check", "--node", "c"]).expect(1);
    assert!(began.elapsed() < Duration::from_secs(30));
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("did not answer for 3 s"), "{said}");
}

#[test]
fn what_was_kept_here_does_not_go_to_a_node_that_joins() {
    let world = World::new();
    let secret = world.mark().join("secret.png");
    std::fs::write(&secret, "secret").unwrap();
    let blend = world.at("shot.blend");
    std::fs::create_dir_all(world.work()).unwrap();
    std::fs::copy(scene("plain"), &blend).unwrap();
    let blend = blend.canonicalize().unwrap();
    let listed = serde_json::json!([{
        "what": "image 'secret'", "in": blend, "path": secret, "need": "must", "files": [secret],
    }]);
    let here = impostor(&world, "is slow");
    let far = impostor(&world, "nothing");
    let came = world.at("came");
    let config = |far_too: bool| {
        let mut nodes = format!(
            r#"(name: "local", blender: {:?}, cache_dir: {:?}, env: {{"LISTED": {:?}}})"#,
            here,
            world.at("here"),
            listed.to_string()
        );
        if far_too {
            nodes += &format!(
                r#", (name: "far", command: ["/bin/sh", "-c", "echo > {}; exec /bin/sh"], blender: {:?}, cache_dir: {:?})"#,
                came.display(),
                far,
                world.at("far")
            );
        }
        std::fs::write(world.at("tilectl.ron"), format!("(nodes: [{nodes}])")).unwrap();
    };
    config(false);
    let words = ["render", "shot.blend", "--frame", "1", "-o", "out.png", "--tiles", "16", "--keep"];
    let mut running = world.spawn(words);
    let state = world.at("out.png.tiles/state.ron");
    let until = Instant::now() + Duration::from_secs(60);
    while !std::fs::read_to_string(&state).unwrap_or_default().contains("Tile(") {
        assert!(Instant::now() < until && running.goes_on(), "no tile came: {:?}", running.wait());
        std::thread::sleep(Duration::from_millis(50));
    }
    config(true);
    running.signal("HUP");
    let ended = running.wait().expect(0);
    assert!(
        ended.stderr.contains("far does not join") && ended.stderr.contains("--root"),
        "{}",
        ended.stderr
    );
    assert!(!came.exists(), "nothing was even begun there");
}

#[test]
fn secrets_of_a_node_are_written_nowhere() {
    let world = World::new();
    let secret = "correct-horse-battery";
    let text = format!(
        r#"(nodes: [(name: "local", blender: {:?}, env: {{"LICENCE": {secret:?}}})])"#,
        impostor(&world, "nothing")
    );
    std::fs::write(world.at("tilectl.ron"), text).unwrap();
    let scene = scene("plain").display().to_string();
    let words =
        ["render", &scene, "--frame", "1", "-o", "out.png", "--tiles", "4", "--keep", "--report", "r.html"];
    let told = world.run(words.iter().chain(&["-v"])).expect(0);
    let json = world.run(words.iter().chain(&["--fresh", "--json"])).expect(0);
    let listed = world.run(["nodes", "list"]).expect(0);
    let checked = world.run(["nodes", "check", "--json"]);
    for ended in [told, json, listed, checked] {
        assert!(!(ended.stdout + &ended.stderr).contains(secret));
    }
    let mut folders = vec![world.work(), world.home().to_owned()];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() && path != world.at("tilectl.ron") {
                let bytes = std::fs::read(&path).unwrap();
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{}", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 5, "state, report, tiles and measurements were looked through");
}

#[test]
fn scripts_run_only_where_that_is_asked_for_and_said() {
    let world = World::new();
    let ran = world.at("ran");
    let blend = world.at("scripted.blend");
    let body = format!("open({ran:?}, 'w').close()\ndef register(): pass\n");
    let script = format!(
        "import bpy\ns = bpy.context.scene\ns.render.engine = 'CYCLES'\ns.cycles.samples, s.cycles.use_denoising = 1, False\n\
         s.render.resolution_x, s.render.resolution_y = 16, 16\nt = bpy.data.texts.new('own.py')\n\
         t.use_module = True\nt.write({body:?})\n\
         bpy.ops.wm.save_as_mainfile(filepath={blend:?})\n",
    );
    let python = world.at("make.py");
    std::fs::write(&python, script).unwrap();
    let blender = Blender::of_the_tests();
    let made = std::process::Command::new(&blender.program)
        .args(["-b", "--factory-startup", "-noaudio", "-P"])
        .arg(&python)
        .output()
        .unwrap();
    assert!(blend.is_file(), "{}", String::from_utf8_lossy(&made.stderr));
    let spec = format!("local,blender={}", blender.program.display());
    let words = ["render", "scripted.blend", "--frame", "1", "-o", "s.png", "--node", &spec];
    let ended = world.run(words).expect(0);
    assert!(!ran.exists() && !ended.stderr.contains("--allow-scripts is set"), "{}", ended.stderr);
    assert!(ended.stderr.contains("Scripts in the .blend are off"), "{}", ended.stderr);
    let ended =
        world.run(words.iter().chain(&["--allow-scripts", "--fresh", "--report", "r.html"])).expect(0);
    assert!(ran.exists(), "{}", ended.stderr);
    let report = std::fs::read_to_string(world.at("r.html")).unwrap();
    for said in [&ended.stderr, &report] {
        assert!(said.contains("--allow-scripts is set"), "{said}");
    }
}
