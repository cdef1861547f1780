//! Many pictures in one job: frames, cameras and scenes, each exactly what Blender itself makes of it.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::blender::{Blender, animation};
use support::nodes::Farm;
use support::picture::assert_same;
use support::program::World;
use support::scene;

/// The scene with several of everything, where a job can write beside it.
fn film(world: &World) -> PathBuf {
    let blend = world.at("film.blend");
    std::fs::copy(scene("film"), &blend).unwrap();
    blend
}

fn render<'a>(blend: &'a Path, words: &[&'a str], nodes: Vec<String>) -> Vec<String> {
    let mut all = vec!["render".to_owned(), blend.display().to_string()];
    all.extend(words.iter().map(|w| (*w).to_owned()));
    all.extend(nodes);
    all
}

fn local(blender: &Blender) -> Vec<String> {
    let path = blender.program.display();
    ["a", "b"]
        .iter()
        .flat_map(|name| ["--node".to_owned(), format!("local,name={name},threads=1,blender={path}")])
        .collect()
}

/// Two sshd nodes, the second with half the threads and low priority.
fn unequal(farm: &Farm, blender: &Blender) -> Vec<String> {
    let mut nodes = farm.nodes(&format!("blender={},threads=2", blender.program.display()));
    if let Some(last) = nodes.last_mut() {
        *last = last.replace("threads=2", "threads=1,nice=10");
    }
    nodes
}

/// What Blender's own `-a` makes of some frames of a scene.
fn own(world: &World, blender: &Blender, scene_name: &str, frames: (i32, i32, i32)) -> PathBuf {
    let into = world.at(&format!("own-{scene_name}"));
    std::fs::create_dir_all(&into).unwrap();
    animation(blender, &scene("film"), scene_name, "", frames, &into);
    into
}

/// What a frame looks like through a camera, by Blender alone.
fn through(world: &World, blender: &Blender, scene_name: &str, camera: &str, frame: i32) -> PathBuf {
    let line = format!(
        "s = bpy.data.scenes['{scene_name}']; s.timeline_markers.clear(); s.camera = bpy.data.objects['{camera}']"
    );
    let into = world.at(&format!("through-{scene_name}-{camera}"));
    std::fs::create_dir_all(&into).unwrap();
    animation(blender, &scene("film"), scene_name, &line, (frame, frame, 1), &into);
    into.join(format!("{frame:04}.png"))
}

fn records(state: &Path, kind: &str) -> Vec<String> {
    let text = std::fs::read_to_string(state).unwrap_or_default();
    text.lines().filter(|l| l.starts_with(kind) && l.ends_with(')')).map(str::to_owned).collect()
}

#[test]
fn frames_are_asked_for_as_in_blender() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let lines = "import bpy; s = bpy.context.scene; s.render.engine = 'CYCLES'; s.cycles.use_denoising = False; s.frame_set(4)";
    blender.written(lines, &world.at("four.blend"));
    let node = format!("local,blender={}", blender.program.display());
    let run = |words: &[&str]| {
        let fixed = ["--samples", "1", "--percentage", "20", "--node", &node];
        let all = ["render", "four.blend"].into_iter().chain(words.iter().copied()).chain(fixed);
        let written = world.run(all).expect(0).stdout;
        written
            .lines()
            .map(|l| Path::new(l).file_name().unwrap().to_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(run(&[]), ["four_0004.png"], "the current one");
    assert!(!world.at("four.tiles").exists());
    assert_eq!(run(&["-f", "2", "-t", "0"]), ["four_0002.png"]);
    assert_eq!(run(&["-f", "1,3..4", "-o", "f#"]), ["f1.png", "f3.png", "f4.png"]);
    assert_eq!(
        run(&["-s", "3", "-e", "7", "-j", "2", "-a", "-o", "r_#", "-F", "JPEG"]),
        ["r_3.jpg", "r_5.jpg", "r_7.jpg"]
    );
    assert_eq!(run(&["-E", "cycles", "-o", "o.xyz"]), ["o.xyz.png"], "the extension is that of the format");
    let ended = world.run(["render", "four.blend", "-E", "BLENDER_EEVEE", "--node", &node]).expect(2);
    assert!(ended.stderr.contains("renders with CYCLES, not with BLENDER_EEVEE"), "{}", ended.stderr);
    world.run(["render", "four.blend", "-f", "1", "-a"]).expect(2);
}

#[test]
fn frames_on_two_nodes_are_those_of_blenders_own_animation_even_after_a_kill() {
    let blender = Blender::of_the_tests();
    let farm = Farm::start();
    let world = &farm.world;
    let blend = film(world);
    let words =
        || render(&blend, &["--frames", "all", "--work-dir", "w", "--json"], unequal(&farm, &blender));
    let state = world.at("w/state.ron");
    let mut running = world.spawn(words());
    while running.goes_on() && records(&state, "Shot(").len() < 5 {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(running.goes_on(), "{:?}", running.wait());
    running.signal("KILL");
    running.wait();
    let written = records(&state, "Shot(");
    let tiles = records(&state, "Tile(").len();
    assert!(written.len() >= 5 && written.len() < 24, "{written:?}");
    let file = |record: &str| PathBuf::from(record.split('"').nth(1).unwrap());
    let times: Vec<_> = written.iter().map(|r| file(r).metadata().unwrap().modified().unwrap()).collect();

    let events = world.run(words()).expect(0).json();
    for (record, before) in written.iter().zip(times) {
        let path = file(record);
        assert_eq!(
            path.metadata().unwrap().modified().unwrap(),
            before,
            "{} was written again",
            path.display()
        );
    }
    let told = events.iter().find(|e| e["event"] == "shots").unwrap();
    assert_eq!((told["of"].as_u64(), told["done"].as_u64()), (Some(24), Some(written.len() as u64)));
    let last = events.iter().rfind(|e| e["event"] == "progress").unwrap();
    assert_eq!((last["frames"].as_u64(), last["of_frames"].as_u64()), (Some(24), Some(24)));
    // No tile of the first run that counted was rendered again.
    let mut regions: Vec<String> =
        records(&state, "Tile(").iter().map(|r| r.split("file:").next().unwrap().to_owned()).collect();
    let (first, second) = regions.split_at_mut(tiles);
    assert!(second.iter().all(|f| !first.contains(f)), "{first:?} {second:?}");

    let own = own(world, &blender, "Film", (1, 24, 1));
    for frame in 1..=24 {
        assert_same(&world.at(&format!("render/shot_{frame:04}.png")), &own.join(format!("{frame:04}.png")));
    }
}

#[test]
fn a_step_a_finish_and_skipped_files() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let blend = film(&world);
    std::fs::create_dir(world.at("render")).unwrap();
    std::fs::write(world.at("render/shop_0004.png"), b"mine").unwrap();
    let words = ["--scene", "Shop", "--frames", "all", "--skip-existing"];
    let printed = world.run(render(&blend, &words, local(&blender))).expect(0).stdout;
    assert_eq!(printed.lines().count(), 3, "{printed}");
    let own = own(&world, &blender, "Shop", (2, 6, 2));
    for frame in ["0002", "0006"] {
        assert_same(&world.at(&format!("render/shop_{frame}.png")), &own.join(format!("{frame}.png")));
    }
    assert_eq!(std::fs::read(world.at("render/shop_0004.png")).unwrap(), b"mine");
    assert!(!world.at("film.tiles").exists(), "nothing is left behind");
}

#[test]
fn every_camera_of_two_scenes() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let blend = film(&world);
    let words = [
        "--frame",
        "2",
        "--scene",
        "Film",
        "--scene",
        "Shop",
        "--cameras",
        "all",
        "-o",
        "o/{scene}/{camera}_{frame}",
    ];
    world.run(render(&blend, &words, local(&blender))).expect(0);
    for scene in ["Film", "Shop"] {
        for camera in ["Front", "Side", "Above"] {
            let path = world.at(&format!("o/{scene}/{camera}_0002.png"));
            assert_same(&path, &through(&world, &blender, scene, camera, 2));
        }
    }
    // One camera for all frames counts more than what markers bring in.
    let words = ["--frames", "8,10", "--camera", "Front", "-o", "f##.png"];
    world.run(render(&blend, &words, local(&blender))).expect(0);
    assert_same(&world.at("f10.png"), &through(&world, &blender, "Film", "Front", 10));
}

#[test]
fn stopped_once_it_keeps_what_is_there_and_goes_on() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let blend = film(&world);
    let words = || render(&blend, &["--frames", "1-12", "-o", "s_##.png"], local(&blender));
    let state = world.at("s_##.png.tiles/state.ron");
    let mut running = world.spawn(words());
    while running.goes_on() && records(&state, "Shot(").len() < 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal("INT");
    let ended = running.wait().expect(3);
    assert!(ended.stderr.contains("same command"), "{}", ended.stderr);
    let written = records(&state, "Shot(").len();
    assert!((2..12).contains(&written));
    world.run(words()).expect(0);
    assert!(!state.exists());
    let own = own(&world, &blender, "Film", (1, 12, 1));
    for frame in 1..=12 {
        assert_same(&world.at(&format!("s_{frame:02}.png")), &own.join(format!("{frame:04}.png")));
    }
}

#[test]
fn what_cannot_be_many_pictures_is_refused_before_it_renders() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let blend = film(&world);
    for (words, wrong, remedy) in [
        (&["--frames", "5-1"][..], "`5-1` names no frames", "1-250x5"),
        (&["--frames", ""], "names no frames", "1-250x5"),
        (&["--frames", "1-3", "-o", "x.png"], "3 frames would be written to one file", "####"),
        (&["--frames", "1-3", "-o", "x_##.mp4"], "mp4 is a movie", "ffmpeg"),
        (&["--frames", "1-2", "--format", "FFMPEG"], "movie", "ffmpeg"),
        (&["--frame", "1", "--cameras", "all", "-o", "x.png"], "would both be written to", "{camera}"),
        (
            &["--frame", "1", "--scene", "Film", "--scene", "Shop", "-o", "x.png"],
            "both be written",
            "{scene}",
        ),
        (
            &["--frames", "1-2", "--camera", "Gone", "-o", "x#.png"],
            "no camera 'Gone'; it has 'Front'",
            "--camera",
        ),
        (&["--frames", "1-2", "--scene", "Gone"], "no scene 'Gone'", "--scene"),
        (&["--frames", "1-2", "--report", "r.html"], "are of one picture", "--report"),
    ] {
        let ended = world.run(render(&blend, words, local(&blender))).expect(2);
        assert!(ended.stderr.contains(wrong) && ended.stderr.contains(remedy), "{words:?}: {}", ended.stderr);
    }
    // Frames that are named twice are rendered once.
    let words = ["--frames", "1-2,2,1-2", "--percentage", "10", "-o", "x#.png"];
    assert_eq!(world.run(render(&blend, &words, local(&blender))).expect(0).stdout.lines().count(), 2);
}

/// Hair on a thing that moves: with persistent data Blender keeps the shape that it had in the frame before.
#[test]
fn what_moves_is_built_anew_for_every_frame() {
    const HAIR: &str = "
thing = next(o for o in bpy.data.objects if o.type == 'MESH')
bpy.context.view_layer.objects.active = thing
thing.modifiers.new('Hair', 'PARTICLE_SYSTEM')
hair = thing.particle_systems[0].settings
hair.type, hair.count, hair.hair_length, hair.child_type = 'HAIR', 100, 0.5, 'INTERPOLATED'
scene = bpy.context.scene
scene.render.resolution_percentage, scene.cycles.samples = 25, 4
for frame in (1, 4):
    thing.location.z += 0.2 * frame
    thing.keyframe_insert('location', frame=frame)
";
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        let (blend, own) = (world.at("hair.blend"), world.at("own"));
        std::fs::create_dir(&own).unwrap();
        let line = format!("{HAIR}bpy.ops.wm.save_as_mainfile(filepath={:?})", blend.display().to_string());
        animation(&blender, &scene("plain"), "Scene", &line, (1, 3, 1), &own);
        let node = format!("local,threads=2,blender={}", blender.program.display());
        let words = ["--frames", "1-3", "--tiles", "4", "-o", "####.png", "--node", &node];
        world.run(render(&blend, &words, Vec::new())).expect(0);
        for name in ["0001.png", "0002.png", "0003.png"] {
            assert_same(&world.at(name), &own.join(name));
        }
    }
}
