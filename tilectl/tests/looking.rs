//! How a scene is looked at, and which nodes may take part.

mod support;

use std::path::PathBuf;

use support::blender::Blender;
use support::picture::assert_same;
use support::program::{Ended, World};

/// A still picture that takes a second, made by lines of Python.
const SMALL: &str = "import bpy
s = bpy.context.scene
r = s.render
r.engine, s.cycles.samples, r.resolution_x, r.resolution_y = 'CYCLES', 4, 64, 48
s.cycles.use_denoising = False
";

/// A world, and in it `s.blend` as these lines make it.
fn world_with(blender: &Blender, lines: &str) -> (World, PathBuf) {
    let world = World::new();
    let blend = blender.written(&format!("{SMALL}{lines}"), &world.at("s.blend"));
    (world, blend)
}

/// Renders `s.blend` with one Blender.
fn rendered(world: &World, blender: &Blender, more: &[&str]) -> Ended {
    let node = format!("local,name=a,blender={}", blender.program.display());
    world.run(["render", "s.blend", "--node", &node].iter().chain(more))
}

#[test]
fn without_a_view_layer_the_picture_is_the_empty_one_that_blender_writes() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        for lines in ["", "s.render.dither_intensity = 0\n"] {
            let (world, blend) = world_with(&blender, &format!("{lines}s.view_layers[0].use = False"));
            let ended = rendered(&world, &blender, &["--frame", "1", "-o", "o.png"]).expect(0);
            assert!(ended.stderr.contains("no view layer"), "{}", ended.stderr);
            assert_same(&world.at("o.png"), &blender.reference(&blend).png());
        }
    }
}

/// A text of the file that runs breaks a part of the worker, as a Blender nobody has tried may.
#[test]
fn what_cannot_be_read_of_a_scene_has_it_rendered_whole_and_is_said() {
    let blender = Blender::of_the_tests();
    for breaks in ["objects.possible", "needs.remarks"] {
        let (module, name) = breaks.split_once('.').unwrap();
        let lines = format!(
            "t = bpy.data.texts.new('break.py'); t.use_module = True\n\
             t.write(\"import sys\\nsys.modules['{module}'].{name} = None\\n\")"
        );
        let (world, blend) = world_with(&blender, &lines);
        let more = ["--frame", "1", "-o", "o.png", "--allow-scripts"];
        let ended = rendered(&world, &blender, &more).expect(0);
        let said =
            |words: &str| ended.stderr.lines().any(|l| l.contains("rendered whole") && l.contains(words));
        assert!(said("TypeError") && said(".py, line "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("Traceback"), "{}", ended.stderr);
        assert_same(&world.at("o.png"), &blender.reference(&blend).png());
    }
}

#[test]
fn without_knowing_what_a_frame_is_made_from_nothing_is_rendered() {
    let blender = Blender::of_the_tests();
    let lines = "t = bpy.data.texts.new('break.py'); t.use_module = True\n\
                 t.write(\"import sys\\nsys.modules['reads'].composite = None\\n\")";
    let (world, _) = world_with(&blender, lines);
    let ended = rendered(&world, &blender, &["--frame", "1", "-o", "o.png", "--allow-scripts"]).expect(2);
    assert!(ended.stderr.contains("what the frame is made from could not be read"), "{}", ended.stderr);
    assert!(!world.at("o.png").exists());
}

#[test]
fn a_node_is_left_out_whose_blender_is_older_than_the_file() {
    let (old, new) = (Blender::of_the_tests(), Blender::newest());
    if old.version == new.version {
        return; // The long run tests the newest Blender itself: then nothing is older.
    }
    let (world, blend) = world_with(&new, "");
    let a = format!("local,name=old,blender={}", old.program.display());
    let b = format!("local,name=new,blender={}", new.program.display());
    let words = ["render", "s.blend", "--frame", "1", "-o", "o.png", "--node", &a];
    let ended = world.run(words).expect(2);
    let says = |text: &str| assert!(ended.stderr.contains(text), "`{text}` is not in:\n{}", ended.stderr);
    says("s.blend was saved by Blender ");
    says("node old has Blender ");
    for order in [[&a, &b], [&b, &a]] {
        let words = [
            "render", "s.blend", "--frame", "1", "-o", "o.png", "--fresh", "--node", order[0], "--node",
            order[1],
        ];
        let ended = world.run(words).expect(0);
        assert!(ended.stderr.contains("old takes no further part: s.blend was saved by"), "{}", ended.stderr);
        assert_same(&world.at("o.png"), &new.reference(&blend).png());
    }
}

#[test]
fn of_different_blenders_the_newest_renders() {
    let (old, new) = (Blender::of_the_tests(), Blender::newest());
    if old.version == new.version {
        return;
    }
    let (world, blend) = world_with(&old, "");
    let a = format!("local,name=old,blender={}", old.program.display());
    let b = format!("local,name=new,blender={}", new.program.display());
    let words = ["render", "s.blend", "--frame", "1", "-o", "o.png", "--node", &a, "--node", &b];
    let ended = world.run(words).expect(0);
    assert!(
        ended.stderr.contains("old takes no further part: the nodes have different Blenders"),
        "{}",
        ended.stderr
    );
    assert_same(&world.at("o.png"), &new.reference(&blend).png());
}

const CLOTH: &str =
    "bpy.ops.mesh.primitive_grid_add(x_subdivisions=12, y_subdivisions=12, size=3, location=(0, 0, 2))
bpy.context.object.name = 'Sheet'
bpy.ops.object.modifier_add(type='CLOTH')
";

#[test]
fn what_is_simulated_and_not_baked_is_refused_in_several_frames() {
    let blender = Blender::of_the_tests();
    let (world, _) = world_with(&blender, CLOTH);
    let ended = rendered(&world, &blender, &["--frames", "1-4"]).expect(2);
    assert!(
        ended.stderr.contains("the cloth of 'Sheet'") && ended.stderr.contains("Bake it"),
        "{}",
        ended.stderr
    );
}

#[test]
fn one_frame_of_a_simulation_is_what_blender_makes_of_that_frame_alone() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let (world, blend) = world_with(&blender, CLOTH);
        let ended = rendered(&world, &blender, &["--frame", "6", "-o", "o.png"]).expect(0);
        assert!(
            ended.stderr.contains("rendered whole") && ended.stderr.contains("the cloth of 'Sheet'"),
            "{}",
            ended.stderr
        );
        assert_same(&world.at("o.png"), &blender.reference(&blend).frame(6).png());
    }
}

#[test]
fn scripts_that_are_off_and_would_be_needed_are_named() {
    let blender = Blender::of_the_tests();
    let lines = "bpy.data.texts.new('tools.py').use_module = True
cube = bpy.data.objects['Cube']
cube.driver_add('location', 0).driver.expression = 'len(str(frame))'
bpy.data.objects['Light'].driver_add('location', 1).driver.expression = 'frame * 2'
";
    let (world, _) = world_with(&blender, lines);
    let ended = rendered(&world, &blender, &["--frame", "1", "-o", "o.png"]).expect(0);
    let line = ended.stderr.lines().find(|l| l.contains("Scripts in the .blend are off")).unwrap_or_default();
    assert!(
        line.contains("'Cube'") && line.contains("'tools.py'") && !line.contains("Light"),
        "{}",
        ended.stderr
    );
    let more = ["--frame", "1", "-o", "p.png", "--allow-scripts"];
    let ended = rendered(&world, &blender, &more).expect(0);
    assert!(!ended.stderr.contains("are off"), "{}", ended.stderr);
}
