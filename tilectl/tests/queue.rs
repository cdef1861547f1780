//! Jobs that wait for the nodes: a long one, an urgent one in the middle, a suspended one, and a runner that is killed.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use support::blender::{Blender, animation};
use support::picture::assert_same;
use support::program::{Running, World};
use support::scene;

fn node(blender: &Blender) -> String {
    format!("local,blender={}", blender.program.display())
}

fn queue(world: &World, words: &[&str]) -> support::program::Ended {
    world.run(["queue"].iter().chain(words).map(|w| (*w).to_owned()))
}

fn states(world: &World) -> Vec<(u64, String)> {
    let listed = queue(world, &["list", "--json"]).expect(0).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let one =
        |j: &serde_json::Value| (j["job"]["id"].as_u64().unwrap(), j["state"].as_str().unwrap().to_owned());
    listed.as_array().unwrap().iter().map(one).collect()
}

fn wait_for(what: &str, running: &mut Running, until: impl Fn() -> bool) {
    let began = Instant::now();
    while !until() {
        assert!(running.goes_on(), "it ended before {what}");
        assert!(began.elapsed() < Duration::from_secs(240), "{what} did not come");
        std::thread::sleep(Duration::from_millis(30));
    }
}

fn shots(state: &Path) -> usize {
    std::fs::read_to_string(state).unwrap_or_default().lines().filter(|l| l.starts_with("Shot(")).count()
}

fn time(path: PathBuf) -> SystemTime {
    path.metadata().unwrap_or_else(|e| panic!("{}: {e}", path.display())).modified().unwrap()
}

#[test]
fn an_urgent_job_goes_first_and_nothing_is_lost_to_a_kill() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let (film, plain, node) = (scene("film"), scene("plain"), node(&blender));
    let (film, plain) = (film.to_str().unwrap(), plain.to_str().unwrap());
    let add = |words: &[&str]| queue(&world, &[&["add"], words].concat()).expect(0).stdout.trim().to_owned();
    assert_eq!(add(&[film, "--frames", "1-10", "-o", "long_##.png", "--node", &node]), "1");
    assert_eq!(add(&[plain, "--frame", "1", "--samples", "2", "-o", "later.png", "--node", &node]), "2");
    queue(&world, &["suspend", "2"]).expect(0);

    let mut runner = world.spawn(["queue", "run"]);
    let state = world.at("long_##.png.tiles/state.ron");
    wait_for("the second frame", &mut runner, || shots(&state) >= 2);
    assert_eq!(states(&world), [(1, "running".into()), (2, "suspended".into())]);
    assert!(queue(&world, &["run"]).expect(2).stderr.contains("already"));
    let urgent =
        ["--priority", "5", plain, "--frame", "1", "--samples", "3", "-o", "urgent.png", "--node", &node];
    assert_eq!(add(&urgent), "3");
    wait_for("the urgent picture", &mut runner, || world.at("urgent.png").exists());
    assert!(!world.at("long_10.png").exists(), "the long job gave way");
    let before = shots(&state);
    wait_for("one more frame of the long job", &mut runner, || shots(&state) > before);
    runner.signal("KILL");
    runner.wait();
    assert_eq!(states(&world)[0], (1, "waiting".into()));

    queue(&world, &["resume", "2"]).expect(0);
    let ended = queue(&world, &["run"]).expect(0);
    assert!(ended.stderr.contains("job 1 (film.blend) is done"), "{}", ended.stderr);
    assert_eq!(states(&world).iter().filter(|s| s.1 == "done").count(), 3);
    assert!(time(world.at("urgent.png")) < time(world.at("long_10.png")));
    assert!(time(world.at("long_10.png")) < time(world.at("later.png")));
    let own = world.at("own");
    std::fs::create_dir(&own).unwrap();
    animation(&blender, &scene("film"), "Film", "", (1, 10, 1), &own);
    for frame in 1..=10 {
        assert_same(&world.at(&format!("long_{frame:02}.png")), &own.join(format!("{frame:04}.png")));
    }
    for (name, samples) in [("urgent.png", 3), ("later.png", 2)] {
        assert_same(&world.at(name), &blender.reference(&scene("plain")).samples(samples).png());
    }
}

#[test]
fn files_dropped_into_a_directory_are_jobs() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let drops = world.at("drops");
    std::fs::create_dir(&drops).unwrap();
    std::fs::copy(scene("film"), drops.join("film.blend")).unwrap();
    std::fs::write(world.at("tilectl.ron"), "()").unwrap();
    std::fs::write(drops.join("three.job"), "film.blend\n2\n3\n").unwrap();
    std::fs::write(drops.join("held.job"), "film.blend\n5\n5\n").unwrap();
    std::fs::write(drops.join("held.job.suspend"), "").unwrap();
    std::fs::write(drops.join("bad.ron"), "(blend: \"film.blend\", flags: [\"--nonsense\"])").unwrap();
    let flags = format!("\"--frame\", \"4\", \"-o\", \"four.png\", \"--node\", {:?}", node(&blender));
    std::fs::write(drops.join("four.ron"), format!("(blend: \"film.blend\", flags: [{flags}])")).unwrap();
    let mut runner = world.spawn(["queue", "run", "--watch", "drops"]);
    let there = |name: &str| drops.join(name).exists();
    wait_for("both jobs", &mut runner, || there("three.job.done") && there("four.ron.done"));
    assert!(there("four.png") && there("render/shot_0002.png") && there("render/shot_0003.png"));
    assert!(!there("render/shot_0005.png"));
    std::fs::remove_file(drops.join("held.job.suspend")).unwrap();
    wait_for("the one that was held", &mut runner, || there("held.job.done"));
    std::fs::remove_dir_all(&drops).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(runner.goes_on(), "a directory that vanishes ends nothing");
    runner.signal("INT");
    let ended = runner.wait().expect(3);
    assert!(ended.stderr.contains("bad.ron") && ended.stderr.contains("--nonsense"), "{}", ended.stderr);
    assert!(ended.stderr.contains("is gone"), "{}", ended.stderr);
}

#[test]
fn what_is_no_job_is_refused() {
    let world = World::new();
    let plain = scene("plain");
    let plain = plain.to_str().unwrap();
    for (words, wrong) in [
        (&["add", "/no/such.blend", "--frame", "1"][..], "cannot read"),
        (&["add", plain, "--frames"], "a value is required for '--frames"),
        (&["add", plain, "--frame", "1", "--nonsense"], "--nonsense"),
        (&["add", plain, "--frames", "9-1"], "names no frames"),
        (&["remove", "7"], "no job 7"),
        (&["suspend", "7"], "no job 7"),
        (&["run", "--watch", "/no/such"], "no directory"),
    ] {
        let ended = queue(&world, words).expect(2);
        assert!(ended.stderr.contains(wrong), "{words:?}: {}", ended.stderr);
    }
    queue(&world, &["add", plain, "--frame", "1"]).expect(0);
    let file = world.home().join(".local/state/tilectl/queue/queue.ron");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    for words in [&["list"][..], &["run"], &["add", plain, "--frame", "2"]] {
        let ended = queue(&world, words).expect(2);
        assert!(ended.stderr.contains("cut short"), "{}", ended.stderr);
    }
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        whole[..whole.len() / 2],
        "nothing is written over it"
    );
}
