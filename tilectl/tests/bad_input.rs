//! Wrong input: one sentence on what is wrong, one on what to do, the right exit code, nothing lost.

mod support;

use support::blender::Blender;
use support::program::World;
use support::scene;

/// Runs `tilectl render` with these words and expects the exit code, a text in the message and a second sentence.
#[track_caller]
fn refused(world: &World, words: &[&str], code: i32, says: &str) {
    let ended = world.run(["render"].iter().chain(words)).expect(code);
    assert!(ended.stderr.contains(says), "`{says}` is not in:\n{}", ended.stderr);
    let message = ended.stderr.lines().position(|l| l.starts_with("tilectl: "));
    if let Some(at) = message {
        let remedy = ended.stderr.lines().nth(at + 1).unwrap_or_default();
        assert!(remedy.starts_with("  ") && remedy.ends_with(['.', '?']), "no remedy in:\n{}", ended.stderr);
    } else {
        assert!(ended.stderr.contains("--help"), "{}", ended.stderr);
    }
    assert!(ended.stdout.is_empty(), "stdout is for results: {}", ended.stdout);
}

#[test]
fn files_that_are_no_scene() {
    let world = World::new();
    let whole = std::fs::read(scene("plain")).unwrap();
    std::fs::write(world.at("empty.blend"), "").unwrap();
    std::fs::write(world.at("text.blend"), "hello\n").unwrap();
    std::fs::write(world.at("short.blend"), &whole[..whole.len() / 3]).unwrap();
    refused(&world, &["missing.blend", "--frame", "1"], 2, "missing.blend");
    refused(&world, &["empty.blend", "--frame", "1"], 2, "is empty");
    refused(&world, &["text.blend", "--frame", "1"], 2, "not a .blend file");
    refused(&world, &[".", "--frame", "1"], 2, "is a directory");
    refused(&world, &["short.blend", "--frame", "1"], 2, "Blender cannot open");
}

#[test]
fn flags_that_make_no_sense() {
    let world = World::new();
    let plain = scene("plain").display().to_string();
    let plain = plain.as_str();
    refused(&world, &[plain, "--frame", "one"], 2, "--frame");
    refused(&world, &[plain, "--frame", "1", "--tile-size", "0x0"], 2, "WIDTHxHEIGHT");
    refused(&world, &[plain, "--frame", "1", "--resolution", "x"], 2, "WIDTHxHEIGHT");
    refused(&world, &[plain, "--frame", "1", "--tiles", "4", "--tile-size", "8x8"], 2, "cannot be used with");
    refused(&world, &[plain, "--frame", "1", "--camera", "Nobody"], 2, "it has 'Camera'");
    refused(&world, &[plain, "--frame", "1", "--camera", "camra"], 2, "Did you mean `Camera`?");
    refused(&world, &[plain, "--frame", "1", "--scene", "Nowhere"], 2, "it has 'Scene'");
    refused(&world, &[plain, "--frame", "1", "--scene", "scenes"], 2, "Did you mean `Scene`?");
    refused(&world, &[plain, "--frame", "1", "--tiles", "1000003"], 2, "1000003 tiles");
    refused(&world, &[plain, "--frame", "1", "--tiles", "60", "--resolution", "7x7"], 2, "60 tiles");
}

#[test]
fn places_that_cannot_be_written() {
    let world = World::new();
    let plain = scene("plain").display().to_string();
    let plain = plain.as_str();
    refused(&world, &[plain, "--frame", "1", "-o", "nowhere/a.png"], 2, "nowhere");
    refused(&world, &[plain, "--frame", "1", "-o", "."], 2, "is a directory");
    std::fs::create_dir(world.at("mine")).unwrap();
    std::fs::write(world.at("mine/letter.txt"), "dear").unwrap();
    refused(&world, &[plain, "--frame", "1", "--work-dir", "mine"], 2, "not a work directory");
    assert_eq!(std::fs::read_to_string(world.at("mine/letter.txt")).unwrap(), "dear");
    refused(&world, &[plain, "--frame", "1", "--node", "local,cache=/proc/nowhere"], 1, "/proc/nowhere");
}

#[test]
fn nodes_that_cannot_be_used() {
    let world = World::new();
    let plain = scene("plain").display().to_string();
    let plain = plain.as_str();
    refused(&world, &[plain, "--frame", "1", "--node", "local,thread=1"], 2, "no option `thread`");
    refused(&world, &[plain, "--frame", "1", "--node", "a b"], 2, "does not name a node");
    refused(&world, &[plain, "--frame", "1", "--node", "local", "--node", "local"], 2, "two nodes");
    refused(&world, &[plain, "--frame", "1", "--node", "nobody.invalid"], 1, "nobody.invalid");
    refused(&world, &[plain, "--frame", "1", "--node", "127.0.0.1:1"], 1, "127.0.0.1:1");
    refused(&world, &[plain, "--frame", "1", "--node", "local,blender=/nowhere"], 1, "has no Blender");
    refused(&world, &[plain, "--frame", "1", "--node", "local,blender=/bin/cat"], 1, "/bin/cat");
}

#[test]
fn what_cannot_be_is_refused_before_a_blender_starts() {
    let world = World::new();
    let plain = scene("plain").display().to_string();
    // A node that would be missed if anything got so far.
    let run = |words: &[&str]| {
        let words = words
            .iter()
            .map(|w| w.replace("PLAIN", &plain))
            .chain(["--node".into(), "local,blender=/no/blender".into()]);
        world.run(words.collect::<Vec<_>>()).expect(2).stderr
    };
    for (words, wrong, right) in [
        (
            &["render", "PLAIN", "-f", "1", "--format", "jpeg", "-o", "o.png"][..],
            "o.png is no name for JPEG",
            "-o o.jpg",
        ),
        (
            &["render", "PLAIN", "-f", "1", "--passes", "-o", "o.png"],
            "no name for OPEN_EXR_MULTILAYER",
            "o.exr",
        ),
        (&["render", "PLAIN", "-a", "--serve"], "this job has several", "--serve"),
        (
            &["render", "PLAIN", "-f", "1,2", "--report", "r.html", "-o", "#.png"],
            "this job has several",
            "--report",
        ),
        (&["render", "PLAIN", "--map", "heat.jpg"], "is a PNG", "heat.png"),
        (&["render", "PLAIN", "--report", "no/r.html"], "no does not exist", "Choose another place"),
        (&["render", "PLAIN", "-o", "no/x"], "no does not exist", "Choose another place"),
        (&["map", "PLAIN", "-o", "h.png", "--overlay"], "no finished picture", "--overlay"),
        (&["map", "PLAIN", "--csv", "no/h.csv"], "no does not exist", "Choose another place"),
        (&["plan", "PLAIN", "-o", "p.tif"], "is a PNG", "p.png"),
    ] {
        let said = run(words);
        assert!(said.contains(wrong) && said.contains(right), "{words:?}: {said}");
    }
    let said = world.run(["stitch", "--grid", "1x1", "x.png", "-o", "x.jpg"]).expect(2).stderr;
    assert!(said.contains("x.jpg is a name for JPEG"), "{said}");
    assert!(!world.at("o.png").exists() && !world.at("x.jpg").exists());
}

#[test]
fn a_work_directory_of_another_job_is_refused_with_what_changed() {
    let world = World::new();
    let blender = format!("local,blender={}", Blender::of_the_tests().program.display());
    let copy = world.at("scene.blend");
    std::fs::copy(scene("plain"), &copy).unwrap();
    let run = |more: &[&str], code: i32| {
        let words =
            ["render", "scene.blend", "--frame", "1", "--percentage", "25", "--keep", "--node", &blender];
        world.run(words.iter().chain(more)).expect(code)
    };
    run(&["--samples", "2"], 0);
    let ended = run(&["--samples", "3"], 2);
    assert!(ended.stderr.contains("the number of samples was 2, now 3"), "{}", ended.stderr);
    std::fs::copy(scene("uneven"), &copy).unwrap();
    let ended = run(&["--samples", "2"], 2);
    assert!(ended.stderr.contains("scene.blend has changed"), "{}", ended.stderr);
    assert!(world.at("scene_0001.png").is_file(), "what was finished stays");
    run(&["--samples", "2", "--fresh"], 0);
}

#[test]
fn two_controllers_in_one_work_directory() {
    let world = World::new();
    let blender = format!("local,blender={}", Blender::of_the_tests().program.display());
    let words = |name: &str| {
        let plain = scene("adaptive").display().to_string();
        let words = [
            "render",
            &plain,
            "--frame",
            "1",
            "--tiles",
            "8",
            "--work-dir",
            "w",
            "-o",
            name,
            "--node",
            &blender,
        ];
        words.map(str::to_owned)
    };
    let mut first = world.spawn(words("a.png"));
    while first.goes_on() && !world.at("w/state.ron").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let ended = world.run(words("b.png")).expect(2);
    assert!(ended.stderr.contains("another tilectl is working"), "{}", ended.stderr);
    first.wait().expect(0);
}
