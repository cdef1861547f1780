//! How a scene is looked at, and which nodes may take part.

mod support;

use std::path::PathBuf;

use support::blender::{Blender, animation};
use support::picture::{Picture, assert_same};
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

#[test]
fn a_time_limit_keeps_a_frame_whole_and_changes_nothing_where_it_is_not_reached() {
    let blender = Blender::of_the_tests();
    let (world, blend) = world_with(&blender, "s.cycles.time_limit = 1800");
    let ended = rendered(&world, &blender, &["--frame", "1", "-o", "o.png"]).expect(0);
    assert!(ended.stderr.contains("time limit of 1800 s"), "{}", ended.stderr);
    let cut = ["--frame", "1", "-o", "p.png", "--force-tiles", "--tiles", "4"];
    rendered(&world, &blender, &cut).expect(0);
    for name in ["o.png", "p.png"] {
        assert_same(&world.at(name), &blender.reference(&blend).png());
    }
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

/// What is not known to be still may be simulated: its frames cannot be rendered each by itself.
#[test]
fn without_knowing_what_is_simulated_several_frames_are_refused() {
    let blender = Blender::of_the_tests();
    for breaks in ["'simulations'].found", "'needs'].why_finish"] {
        let lines = format!(
            "t = bpy.data.texts.new('break.py'); t.use_module = True\n\
             t.write(\"import sys\\nsys.modules[{breaks} = None\\n\")"
        );
        let (world, _) = world_with(&blender, &lines);
        let ended = rendered(&world, &blender, &["--frames", "1-4", "--allow-scripts"]).expect(2);
        for words in ["not known whether frames", "TypeError", "--frame"] {
            assert!(ended.stderr.contains(words), "`{words}` is not in:\n{}", ended.stderr);
        }
    }
}

#[test]
fn a_hidden_simulation_counts_where_something_follows_it_and_nowhere_else() {
    let blender = Blender::of_the_tests();
    let hidden = format!("{CLOTH}sheet = bpy.context.object\nsheet.hide_render = True\n");
    let (world, _) = world_with(&blender, &hidden);
    rendered(&world, &blender, &["--frames", "1-2", "-o", "##.png"]).expect(0);
    let follows = "m = bpy.data.objects['Cube'].modifiers.new('Follow', 'SURFACE_DEFORM'); m.target = sheet";
    let (world, _) = world_with(&blender, &format!("{hidden}{follows}"));
    let ended = rendered(&world, &blender, &["--frames", "1-2", "-o", "##.png"]).expect(2);
    assert!(ended.stderr.contains("the cloth of 'Sheet'"), "{}", ended.stderr);
}

/// Cloth with its bake in the file and on disk, dynamic paint on disk, and, from 4.3 on, a simulation zone in the file.
const BAKED: &str = "
s.frame_end = 6
bpy.ops.wm.save_as_mainfile(filepath=FILE)
def sheet(name, place):
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=12, y_subdivisions=12, size=2, location=place)
    bpy.context.object.name = name
    return bpy.context.object
def bake(thing, cache):
    cache.frame_start, cache.frame_end = 1, 6
    with bpy.context.temp_override(scene=s, active_object=thing, object=thing, point_cache=cache):
        bpy.ops.ptcache.bake(bake=True)
for name, place, disk in (('In', (-2, 0, 1), False), ('Out', (2, 0, 1), True)):
    thing = sheet(name, place)
    cache = thing.modifiers.new('Cloth', 'CLOTH').point_cache
    cache.use_disk_cache = disk
    bake(thing, cache)
canvas = sheet('Canvas', (0, 0, 1.2))
modifier = canvas.modifiers.new('Paint', 'DYNAMIC_PAINT')
bpy.ops.dpaint.type_toggle(type='CANVAS')
surface = modifier.canvas_settings.canvas_surfaces[0]
surface.surface_type, surface.frame_start, surface.frame_end = 'DISPLACE', 1, 6
cube = bpy.data.objects['Cube']
cube.keyframe_insert('location', frame=1)
cube.location.x = 2
cube.keyframe_insert('location', frame=6)
bpy.context.view_layer.objects.active = cube
cube.modifiers.new('Brush', 'DYNAMIC_PAINT').ui_type = 'BRUSH'
bpy.ops.dpaint.type_toggle(type='BRUSH')
bake(canvas, surface.point_cache)
if bpy.app.version >= (4, 3, 0):
    tree = bpy.data.node_groups.new('Drift', 'GeometryNodeTree')
    for way in ('INPUT', 'OUTPUT'):
        tree.interface.new_socket('Geometry', in_out=way, socket_type='NodeSocketGeometry')
    kinds = ('NodeGroupInput', 'GeometryNodeSimulationInput', 'GeometryNodeSetPosition',
             'GeometryNodeSimulationOutput', 'NodeGroupOutput')
    nodes = [tree.nodes.new(kind) for kind in kinds]
    nodes[1].pair_with_output(nodes[3])
    nodes[2].inputs['Offset'].default_value = (0.1, 0.05, 0.1)
    port = lambda sockets: next(each for each in sockets if each.type == 'GEOMETRY')
    for one, next_one in zip(nodes, nodes[1:]):
        tree.links.new(port(one.outputs), port(next_one.inputs))
    bpy.ops.mesh.primitive_cube_add(size=0.5, location=(0, -2, 0))
    zone = bpy.context.object
    modifier = zone.modifiers.new('Zone', 'NODES')
    modifier.node_group = tree
    bpy.context.view_layer.update()
    modifier.bake_target = 'PACKED'
    modifier.bakes[0].bake_mode = 'ANIMATION'
    bpy.ops.object.geometry_node_bake_single(
        session_uid=zone.session_uid, modifier_name='Zone', bake_id=modifier.bakes[0].bake_id)
";

#[test]
fn frames_of_what_is_baked_are_those_of_blenders_own_animation() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        let file = format!("{:?}", world.at("s.blend").display().to_string());
        let lines = format!("{SMALL}{}", BAKED.replace("FILE", &file));
        let blend = blender.written(&lines, &world.at("s.blend"));
        let own = world.at("own");
        std::fs::create_dir(&own).unwrap();
        animation(&blender, &blend, "Scene", "", (1, 5, 1), &own);
        let ended =
            rendered(&world, &blender, &["--frames", "2,5", "--tiles", "4", "-o", "####.png"]).expect(0);
        assert!(!ended.stderr.contains("rendered whole"), "{}", ended.stderr);
        for name in ["0002.png", "0005.png"] {
            assert_same(&world.at(name), &own.join(name));
        }
        let moves = Picture::read(&own.join("0002.png")) != Picture::read(&own.join("0005.png"));
        assert!(moves, "nothing moves");
    }
}

const PARTICLES: &str = "
cube = bpy.data.objects['Cube']
bpy.context.view_layer.objects.active = cube
cube.modifiers.new('Particles', 'PARTICLE_SYSTEM')
settings = cube.particle_systems[0].settings
settings.count, settings.frame_start, settings.frame_end = 200, 1, 5
bpy.ops.mesh.primitive_ico_sphere_add(radius=1, location=(50, 0, 0))
settings.render_type, settings.instance_object, settings.particle_size = 'OBJECT', bpy.context.object, 0.1
";

#[test]
fn one_frame_of_particles_is_what_blender_makes_of_that_frame_alone() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let (world, blend) = world_with(&blender, PARTICLES);
        for frame in [2, 6] {
            let number = frame.to_string();
            let more = ["--frame", &number, "-o", "o.png", "--fresh"];
            let ended = rendered(&world, &blender, &more).expect(0);
            let says = |words: &str| assert!(ended.stderr.contains(words), "{}", ended.stderr);
            says("rendered whole");
            says("the particles of 'Cube'");
            assert_same(&world.at("o.png"), &blender.reference(&blend).frame(frame).png());
        }
    }
}

/// A cloth whose states up to the frame before are in the file takes its next step in every Blender that goes there.
#[test]
fn one_frame_of_what_takes_steps_is_refused() {
    let blender = Blender::of_the_tests();
    let (world, _) = world_with(&blender, &format!("{CLOTH}for frame in range(1, 6): s.frame_set(frame)\n"));
    let ended = rendered(&world, &blender, &["--frame", "6", "-o", "o.png"]).expect(2);
    assert!(
        ended.stderr.contains("the cloth of 'Sheet'") && ended.stderr.contains("Bake it"),
        "{}",
        ended.stderr
    );
    assert!(!world.at("o.png").exists());
}

/// Dynamic paint and simulation zones take a step with every time that Blender goes to a frame, and a worker goes there
/// more often than `blender -f`.
#[test]
fn even_one_frame_of_unsteady_simulations_is_refused() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        let file = format!("{:?}", world.at("s.blend").display().to_string());
        let lines = BAKED
            .replace("FILE", &file)
            .replace("\nbake(canvas", "\n#")
            .replace("modifier.bakes[0].bake_mode", "#");
        let lines = lines.split("    bpy.ops.object.geometry_node_bake_single").next().unwrap();
        let (world, _) = (&world, blender.written(&format!("{SMALL}{lines}"), &world.at("s.blend")));
        for more in [&["--frame", "3"][..], &["--frame", "3", "--tile-format", "png"]] {
            let ended = rendered(world, &blender, &[more, &["-o", "o.png"]].concat()).expect(2);
            let says = |words: &str| assert!(ended.stderr.contains(words), "`{words}`: {}", ended.stderr);
            says("the dynamic paint of 'Canvas'");
            says("Bake it");
            if lines.contains("Drift") && !blender.version.starts_with("Blender 3") {
                says("the simulation zone of 'Cube.001'");
            }
            assert!(!world.at("o.png").exists());
        }
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
