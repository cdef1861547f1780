//! What lies outside the .blend and changes the picture: colour configurations, cached textures, projects.
//!
//! The yardstick is always what Blender on this machine makes of the scene.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::blender::Blender;
use support::nodes::Farm;
use support::picture::{Picture, differing_pixels};
use support::planted::planted;
use support::program::World;

/// Makes a scene that shows a sky, in `DIR/shot/s.blend`; the other lines are what a test adds to it.
const SCENE: &str = "
import bpy, os, re, shutil, sys
top = sys.argv[-1]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
render = scene.render
render.engine, render.resolution_x, render.resolution_y, render.dither_intensity = 'CYCLES', 64, 48, 0
scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = 4, False, False
render.image_settings.file_format = 'PNG'
scene.view_settings.view_transform = 'Standard'
world = bpy.data.worlds.new('sky')
scene.world, world.use_nodes = world, True
world.node_tree.nodes['Background'].inputs[0].default_value = (.2, .5, .8, 1)
bpy.ops.object.camera_add(location=(0, 0, 9))
scene.camera = bpy.context.object
def colours(to):
    shutil.copytree(bpy.utils.system_resource('DATAFILES', path='colormanagement'), to)
    config = open(to + '/config.ocio').read()
    changed = re.sub(r'\\{ ?name: Standard,[^}]*\\}', '{name: Standard, colorspace: Non-Color}', config)
    assert changed != config
    open(to + '/config.ocio', 'w').write(changed)
def save():
    os.makedirs(top + '/shot', exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=top + '/shot/s.blend')
";

/// A directory with what a script makes there.
fn made(blender: &Blender, lines: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let top = dir.path().canonicalize().expect("it is there");
    let out = Command::new(&blender.program)
        .args(["-b", "--factory-startup", "-noaudio", "--python-exit-code", "9", "--python-expr"])
        .arg(format!("{SCENE}{lines}"))
        .arg("--")
        .arg(&top)
        .stdin(Stdio::null())
        .output()
        .expect("Blender can be started");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    (dir, top)
}

/// Blender's own picture of the scene, with variables set.
fn own(blender: &Blender, blend: &Path, into: &Path, variables: &[(&str, &Path)]) -> Picture {
    let mut command = Command::new(&blender.program);
    // With several threads Blender does not repeat itself where textures come from a cache.
    command
        .args(["-b", "--factory-startup", "-noaudio", "-t", "1"])
        .arg(blend)
        .arg("-o")
        .arg(into.join("own_"));
    command.envs(variables.iter().copied()).args(["-f", "1"]).stdin(Stdio::null());
    let out = command.output().expect("Blender can be started");
    let picture = into.join("own_0001.png");
    assert!(picture.is_file(), "{}", String::from_utf8_lossy(&out.stdout));
    let read = Picture::read(&picture);
    fs::remove_file(picture).expect("it is there");
    read
}

fn words(blend: &Path, nodes: &[String], more: &[&str]) -> Vec<String> {
    let mut words = vec!["render".to_owned(), blend.display().to_string()];
    words.extend(["--frame", "1", "--tiles", "4", "-o", "out.png"].map(str::to_owned));
    words.extend_from_slice(nodes);
    words.extend(more.iter().map(|w| (*w).to_owned()));
    words
}

fn local(blender: &Blender, name: &str, more: &str) -> [String; 2] {
    ["--node".to_owned(), format!("local,name={name},blender={}{more}", blender.program.display())]
}

#[test]
fn nodes_with_different_colours_make_no_picture_together() {
    let blender = Blender::of_the_tests();
    let (_dir, top) = made(&blender, "colours(top + '/ocio'); save()");
    let blend = top.join("shot/s.blend");
    let world = World::new();
    let other = format!(",env=OCIO:{}", top.join("ocio/config.ocio").display());
    let nodes = [local(&blender, "plain", ""), local(&blender, "studio", &other)].concat();
    let ended = world.run(words(&blend, &nodes, &[])).expect(2);
    for named in ["colour configurations", "plain", "studio", "OCIO"] {
        assert!(ended.stderr.contains(named), "{named}: {}", ended.stderr);
    }
    assert!(!world.at("out.png").exists());
    // A copy elsewhere is the same configuration: what is in it counts.
    fs::create_dir(top.join("copy")).expect("a directory can be made");
    let copied = Command::new("cp").arg("-r").arg(top.join("ocio")).arg(top.join("copy")).status();
    assert!(copied.is_ok_and(|s| s.success()));
    let same = format!(",env=OCIO:{}", top.join("copy/ocio/config.ocio").display());
    let nodes = [local(&blender, "plain", &same), local(&blender, "studio", &other)].concat();
    world.run(words(&blend, &nodes, &[])).expect(0);
    let config = top.join("ocio/config.ocio");
    let wanted = own(&blender, &blend, &world.work(), &[("OCIO", &config)]);
    assert_eq!(differing_pixels(&Picture::read(&world.at("out.png")), &wanted), 0);
    assert_ne!(differing_pixels(&own(&blender, &blend, &world.work(), &[]), &wanted), 0, "no other colours");
    // Tiles of one configuration are no tiles of another.
    world.run(words(&blend, &nodes, &["--work-dir", "job"])).expect(0);
    let plain = local(&blender, "plain", "").to_vec();
    let ended = world.run(words(&blend, &plain, &["--work-dir", "job"])).expect(2);
    assert!(ended.stderr.contains("colour configuration has changed"), "{}", ended.stderr);
}

#[test]
fn nodes_elsewhere_use_the_colours_of_this_machine() {
    let blender = Blender::of_the_tests();
    let (_dir, top) = made(&blender, "colours(top + '/ocio'); save()");
    let blend = top.join("shot/s.blend");
    let config = top.join("ocio/config.ocio");
    let farm = Farm::start();
    let nodes = farm.nodes(&format!("blender={}", blender.program.display()));
    let mut command = farm.world.command(words(&blend, &nodes, &[]));
    let out = command.env("OCIO", &config).output().expect("tilectl can be started");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let wanted = own(&blender, &blend, &top, &[("OCIO", &config)]);
    assert_eq!(differing_pixels(&Picture::read(&farm.world.at("out.png")), &wanted), 0);
    // A configuration that is not there is refused: Blender would silently take its own.
    let mut command = farm.world.command(words(&blend, &nodes, &["--fresh"]));
    let out = command.env("OCIO", top.join("none.ocio")).output().expect("tilectl can be started");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("none.ocio"), "{said}");
}

#[test]
fn processors_that_compute_otherwise_make_no_picture_together() {
    let blender = Blender::of_the_tests();
    let (_dir, top) = made(&blender, "save()");
    let blend = top.join("shot/s.blend");
    let wanted = own(&blender, &blend, &top, &[]);
    let world = World::new();
    let old = ",env=CYCLES_CPU_NO_AVX2:1";
    let unlike = [local(&blender, "new", ""), local(&blender, "old", old)].concat();
    let ended = world.run(words(&blend, &unlike, &[])).expect(2);
    for named in ["different processors", "new has", "old has", "--mixed-versions"] {
        assert!(ended.stderr.contains(named), "{named}: {}", ended.stderr);
    }
    assert!(!world.at("out.png").exists());
    let alike = [local(&blender, "new", old), local(&blender, "old", old)].concat();
    world.run(words(&blend, &alike, &["--fresh"])).expect(0);
    // A sky has the same bits with either kernel.
    assert_eq!(differing_pixels(&Picture::read(&world.at("out.png")), &wanted), 0);
}

#[test]
fn the_proof_names_the_colours_that_only_the_nodes_have() {
    let blender = Blender::of_the_tests();
    let (_dir, top) = made(&blender, "colours(top + '/ocio'); save()");
    let blend = top.join("shot/s.blend");
    let world = World::new();
    let node = local(&blender, "a", &format!(",env=OCIO:{}", top.join("ocio/config.ocio").display()));
    let ended = world.run(words(&blend, &node, &["--proof", "always"])).expect(2);
    for named in ["No node makes the picture", "different colour configurations", "there OCIO"] {
        assert!(ended.stderr.contains(named), "{named}: {}", ended.stderr);
    }
    assert!(!world.at("out.png").exists());
}

/// A plane whose texture lies in a texture cache beside it.
const CACHED: &str = "
os.makedirs(top + '/shot/tex')
image = bpy.data.images.new('checks', 256, 256)
image.pixels = [float((x // 2 ^ y // 2) & 1) for y in range(256) for x in range(256) for _ in range(4)]
image.filepath_raw, image.file_format = top + '/shot/tex/checks.png', 'PNG'
image.save()
bpy.ops.mesh.primitive_plane_add(size=20, rotation=(1.3, 0, 0))
material = bpy.data.materials.new('m')
material.use_nodes = True
nodes, links = material.node_tree.nodes, material.node_tree.links
shown, texture = nodes.new('ShaderNodeEmission'), nodes.new('ShaderNodeTexImage')
texture.image = bpy.data.images.load(top + '/shot/tex/checks.png')
links.new(texture.outputs[0], shown.inputs[0])
links.new(shown.outputs[0], nodes['Material Output'].inputs[0])
bpy.context.object.data.materials.append(material)
render.use_auto_generate_texture_cache = True
render.filepath = top + '/first'
bpy.ops.render.render(write_still=True)
render.use_auto_generate_texture_cache = False
save()
";

#[test]
fn cached_textures_count_where_they_count_for_blender() {
    let blender = Blender::newest();
    let (_dir, top) = made(&blender, CACHED);
    let blend = top.join("shot/s.blend");
    let wanted = own(&blender, &blend, &top, &[]);
    let farm = Farm::start();
    let far = farm.nodes(&format!("threads=1,blender={}", blender.program.display()));
    let ended = farm.world.run(words(&blend, &far, &[])).expect(0);
    assert_eq!(differing_pixels(&Picture::read(&farm.world.at("out.png")), &wanted), 0);
    assert!(ended.stderr.contains("texture cache"), "no word on why it is not cut: {}", ended.stderr);

    // Out of date here, out of date there.
    let cached =
        fs::read_dir(top.join("shot/tex/blender_tx")).expect("a cache").flatten().next().expect("a file");
    let file = fs::File::options().write(true).open(cached.path()).expect("it can be written");
    let before = file.metadata().and_then(|m| m.modified()).expect("a time");
    file.set_modified(before - std::time::Duration::from_secs(1)).expect("times can be set");
    let without = own(&blender, &blend, &top, &[]);
    assert_ne!(differing_pixels(&without, &wanted), 0, "the cache shows in no pixel");
    farm.world.run(words(&blend, &far, &[])).expect(0);
    assert_eq!(differing_pixels(&Picture::read(&farm.world.at("out.png")), &without), 0);
}

#[test]
fn cached_textures_that_are_not_sent_are_found_by_the_proof() {
    let blender = Blender::newest();
    let (_dir, top) = made(&blender, CACHED);
    let blend = top.join("shot/s.blend");
    let wanted = own(&blender, &blend, &top, &[]);
    let world = World::new();
    let known = "    return \".\".join(map(str, bpy.app.version[:2])) if looking() else None";
    let unknown = [
        ("texture_cache.py", known, "    return None"),
        (
            "texture_cache.py",
            "    scenes = looking()\n    if not scenes:",
            "    scenes = []\n    if not scenes:",
        ),
    ];
    let program = planted(&world.at("launcher"), &blender.program, &unknown);
    let node =
        format!("local,name=a,threads=1,blender={},cache={}", program.display(), world.at("a").display());
    let node = ["--node".to_owned(), node];
    world.run(words(&blend, &node, &["--proof", "never"])).expect(0);
    assert_ne!(differing_pixels(&Picture::read(&world.at("out.png")), &wanted), 0, "the fault does not show");
    std::fs::remove_file(world.at("out.png")).expect("it was written");
    let ended = world.run(words(&blend, &node, &["--proof", "always", "--fresh"])).expect(2);
    assert!(ended.stderr.contains("No node makes the picture"), "{}", ended.stderr);
    assert!(!world.at("out.png").exists());
}

#[test]
fn a_project_goes_with_its_scene() {
    let blender = Blender::newest();
    let lines = "
bpy.ops.project.new(directory=top, name='P')
colours(top + '/ocio')
bpy.data.project.ocio_config_path = '{project_root}/ocio/config.ocio'
bpy.data.project.ocio_config = 'PATH'
bpy.ops.project.config_save()
save()
";
    let (_dir, top) = made(&blender, lines);
    let blend = top.join("shot/s.blend");
    let wanted = own(&blender, &blend, &top, &[]);
    let farm = Farm::start();
    let far = farm.nodes(&format!("blender={}", blender.program.display()));
    let ended = farm.world.run(words(&blend, &far, &[])).expect(2);
    assert!(ended.stderr.contains("project.toml") && ended.stderr.contains("--root"), "{}", ended.stderr);
    let root = top.display().to_string();
    farm.world.run(words(&blend, &far, &["--root", &root])).expect(0);
    assert_eq!(differing_pixels(&Picture::read(&farm.world.at("out.png")), &wanted), 0);
    // On this machine nothing need be allowed.
    let world = World::new();
    world.run(words(&blend, &local(&blender, "here", ""), &[])).expect(0);
    assert_eq!(differing_pixels(&Picture::read(&world.at("out.png")), &wanted), 0);
    let settings = top.join(".blender_project/project.toml");
    let text = fs::read_to_string(&settings).expect("settings").replace("{project_root}", &root);
    fs::write(&settings, text).expect("settings can be written");
    let ended = world.run(words(&blend, &local(&blender, "here", ""), &[])).expect(2);
    assert!(ended.stderr.contains("{project_root}"), "{}", ended.stderr);
}
