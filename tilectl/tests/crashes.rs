//! A Blender that ends in the midst of its work, and one that does not come to an end.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::blender::Blender;
use support::picture::assert_same;
use support::planted::planted;
use support::processes::{blenders, gone};
use support::program::World;

/// A still picture that takes a second, and has to be finished where `lines` ask for that.
fn small(blender: &Blender, world: &World, lines: &str) -> PathBuf {
    let small = "import bpy
s = bpy.context.scene
r = s.render
r.engine, s.cycles.samples, r.resolution_x, r.resolution_y = 'CYCLES', 4, 64, 48
s.cycles.use_denoising, r.dither_intensity = False, 0
";
    blender.written(&format!("{small}{lines}"), &world.at("s.blend"))
}

/// A Blender whose worker does something else than `call` in `stage.py`; how often it does is the length of `tries`.
fn faulty(world: &World, blender: &Blender, call: &str, instead: &str) -> (PathBuf, PathBuf) {
    let tries = world.at("tries");
    let counted = format!("open({:?}, 'a').write('x'), {instead}", tries.display().to_string());
    let planted_call = match call.split_once("= ") {
        Some((left, right)) => format!("{left}= ({counted}) and {right}"),
        None => format!("{counted}, {call}"),
    };
    let launcher = planted(&world.at("faulty"), &blender.program, &[("stage.py", call, &planted_call)]);
    (launcher, tries)
}

const RENDER: &str = "compat.render_still(scene)";
const FINISH: &str = "made = finish.finish(";
/// Blender's end by a fault of its own.
const ABORT: &str = "print('the cache is broken', flush=True), os.abort()";

fn tries(file: &Path) -> usize {
    std::fs::read(file).map_or(0, |text| text.len())
}

#[test]
fn a_blender_that_aborts_at_every_render_ends_the_job_and_leaves_no_picture() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        small(&blender, &world, "");
        let (launcher, count) = faulty(&world, &blender, RENDER, ABORT);
        let node = |name: &str| format!("local,name={name},threads=1,blender={}", launcher.display());
        let (a, b) = (node("a"), node("b"));
        let words = ["render", "s.blend", "--frame", "1", "-o", "o.png", "--node", &a, "--node", &b];
        let ended = world.run(words).expect(1);
        assert!(
            ended.stderr.contains("signal 6") && ended.stderr.contains("the cache is broken"),
            "{}",
            ended.stderr
        );
        assert!((1..=2).contains(&tries(&count)), "{} tries\n{}", tries(&count), ended.stderr);
        assert!(!world.at("o.png").exists());
    }
}

#[test]
fn a_blender_that_aborts_at_every_finish_ends_the_job_and_leaves_no_picture() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    small(&blender, &world, "r.dither_intensity = 1");
    let (launcher, count) = faulty(&world, &blender, FINISH, ABORT);
    let node = format!("local,name=a,blender={}", launcher.display());
    let ended = world.run(["render", "s.blend", "--frame", "1", "-o", "o.png", "--node", &node]).expect(1);
    assert!(
        ended.stderr.contains("signal 6") && ended.stderr.contains("the cache is broken"),
        "{}",
        ended.stderr
    );
    assert!((1..=4).contains(&tries(&count)), "{} tries\n{}", tries(&count), ended.stderr);
    assert!(!world.at("o.png").exists());
}

#[test]
fn a_node_whose_blender_aborts_leaves_the_picture_to_the_others() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let blend = small(&blender, &world, "");
    let (launcher, count) = faulty(&world, &blender, RENDER, ABORT);
    let bad = format!("local,name=bad,blender={}", launcher.display());
    let good = format!("local,name=good,blender={}", blender.program.display());
    let words = ["render", "s.blend", "--frame", "1", "-o", "o.png", "--tiles", "9"];
    let ended = world.run(words.into_iter().chain(["--node", &bad, "--node", &good])).expect(0);
    assert_eq!(tries(&count), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("bad takes no further part"), "{}", ended.stderr);
    assert_same(&world.at("o.png"), &blender.reference(&blend).png());
}

/// A liquid in a domain, which the Blender that reads this file simulates or has baked; its cache lies beside the file.
const FLUID: &str = "
s.frame_end = 4
bpy.ops.wm.save_as_mainfile(filepath=FILE)
flow = bpy.data.objects['Cube'].modifiers.new('Flow', 'FLUID')
flow.fluid_type = 'FLOW'
flow.flow_settings.flow_type, flow.flow_settings.flow_behavior = 'LIQUID', 'INFLOW'
bpy.ops.mesh.primitive_cube_add(size=5)
domain = bpy.context.object.modifiers.new('Domain', 'FLUID')
domain.fluid_type = 'DOMAIN'
domain = domain.domain_settings
domain.domain_type, domain.resolution_max, domain.use_mesh, domain.cache_frame_end = 'LIQUID', 16, True, 4
domain.cache_directory = '//cache'
";

/// A wheel's fluid solver fails, and takes Blender down when it is freed: after the picture, where a scene is kept.
#[test]
fn a_fluid_that_blender_itself_aborts_on_makes_no_picture() {
    let old = Blender::of_the_tests();
    for blender in [old.clone(), Blender::newest()] {
        for bakes in ["", "domain.cache_type = 'ALL'\nbpy.ops.fluid.bake_all()\n"] {
            if bakes.is_empty() && blender.version != old.version {
                continue; // Refused before a Blender could abort.
            }
            let world = World::new();
            let file = format!("{:?}", world.at("s.blend").display().to_string());
            let blend = small(&old, &world, &format!("{}{bakes}", FLUID.replace("FILE", &file)));
            let node = format!("local,name=a,blender={}", blender.program.display());
            let words = ["render", "s.blend", "--frame", "3", "-o", "o.png", "--tiles", "4", "--node", &node];
            let ended = world.run(words);
            if bakes.is_empty() {
                assert!(ended.expect(2).stderr.contains("the fluid of 'Cube.001'"));
                continue;
            }
            let own = Command::new(&blender.program)
                .args(["-b", "--factory-startup", "-noaudio"])
                .arg(&blend)
                .args(["-o", "//own_####", "-F", "PNG", "-x", "1", "-f", "3"])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            if own.status.success() {
                ended.expect(0);
                assert_same(&world.at("o.png"), &world.at("own_0003.png"));
            } else {
                let ended = ended.expect(1);
                assert!(ended.stderr.contains("was ended by signal"), "{}", ended.stderr);
                assert!(!world.at("o.png").exists());
            }
        }
    }
}

/// A render that is as good as endless: only what ends it from outside lets this test come to an end.
const ENDLESS: &str = "time.sleep(36000)";

/// Starts a job whose render never ends, and waits until it renders.
fn endless(world: &World, blender: &Blender) -> support::program::Running {
    small(blender, world, "");
    let (launcher, count) = faulty(world, blender, RENDER, ENDLESS);
    let node = format!("local,name=a,blender={}", launcher.display());
    let mut running = world.spawn(["render", "s.blend", "--frame", "1", "-o", "o.png", "--node", &node]);
    while running.goes_on() && tries(&count) == 0 {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!blenders(world.mark()).is_empty());
    running
}

#[test]
fn a_second_sigterm_ends_a_render_that_hangs() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        let running = endless(&world, &blender);
        running.signal("TERM");
        running.signal("TERM");
        let ended = running.wait().expect(3);
        assert!(ended.stderr.contains("same command"), "{}", ended.stderr);
        gone(world.mark(), Duration::from_secs(30));
    }
}

#[test]
fn one_sigterm_alone_ends_a_render_that_hangs() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let running = endless(&world, &blender);
    running.signal("TERM");
    running.wait().expect(3);
    gone(world.mark(), Duration::from_secs(30));
}
