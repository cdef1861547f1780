//! The finish on real Blenders: denoise, compositor, dither and other formats come out as from one machine.

mod support;

use std::path::Path;

use support::blender::{Blender, animation};
use support::picture::assert_same;
use support::program::World;
use support::{scene, sshd::which};

/// Renders a scene in nine tiles with this Blender.
fn tiled(world: &World, blender: &Blender, name: &str, more: &[&str]) -> support::program::Ended {
    let file = scene(name).display().to_string();
    let node = format!("local,blender={}", blender.program.display());
    let words = ["render", &file, "--frame", "1", "--tiles", "9", "--node", &node];
    world.run(words.iter().chain(more)).expect(0)
}

#[test]
fn compositor_and_dither_see_the_whole_frame() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let ended = tiled(&world, &blender, "finish", &["-o", "f.png", "-v"]);
    assert!(ended.stderr.contains("compositor") && ended.stderr.contains("dither"), "{}", ended.stderr);
    assert_same(&world.at("f.png"), &blender.reference(&scene("finish")).png());
}

#[test]
fn the_newest_blender_denoises_composites_and_dithers_once() {
    let (world, blender) = (World::new(), Blender::newest());
    tiled(&world, &blender, "denoise", &["-o", "d.png"]);
    assert_same(&world.at("d.png"), &blender.reference(&scene("denoise")).png());
}

#[test]
fn png_tiles_alone_differ_where_the_finish_is_needed() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let ended = tiled(&world, &blender, "finish", &["-o", "p.png", "--tile-format", "png"]);
    assert!(
        ended.stderr.contains("not the one that Blender makes") && ended.stderr.contains("compositor"),
        "{}",
        ended.stderr
    );
    let (got, wanted) = (world.at("p.png"), blender.reference(&scene("finish")).png());
    let (got, wanted) = (support::picture::Picture::read(&got), support::picture::Picture::read(&wanted));
    assert!(support::picture::differing_pixels(&got, &wanted) > 1000, "or this test shows nothing");
}

/// Debian's Blender has no denoiser and renders nothing of such a scene.
#[test]
fn without_a_denoiser_nothing_is_rendered_whatever_the_tiles() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let blend = blender.feature("denoise_plain", &world.at("s.blend")).display().to_string();
    let node = format!("local,blender={}", blender.program.display());
    for more in [&[] as &[&str], &["--tile-format", "exr"]] {
        let words = ["render", &blend, "--frame", "1", "--tiles", "2", "-o", "d.png", "--node", &node];
        let ended = world.run(words.iter().chain(more));
        if ended.code == Some(2) {
            assert!(ended.stderr.contains("without OpenImageDenoise"), "{}", ended.stderr);
            assert!(!world.at("d.png").exists());
        } else {
            ended.expect(0);
            assert_same(&world.at("d.png"), &blender.reference(Path::new(&blend)).png());
        }
    }
}

/// Renders the whole frame in another format with Blender alone.
fn whole(blender: &Blender, blend: &Path, format: &str, out: &Path) {
    let expression = format!("import bpy; bpy.context.scene.render.image_settings.file_format = '{format}'");
    let stem = out.with_extension("").display().to_string();
    let status = std::process::Command::new(&blender.program)
        .args(["-b", "--factory-startup"])
        .arg(blend)
        .args(["--python-expr", &expression, "-o", &format!("{stem}_####"), "-f", "1"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.is_ok_and(|s| s.success()));
    let folder = out.parent().unwrap();
    let stem = out.file_stem().unwrap().to_string_lossy().into_owned();
    let made = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(Result::ok)
        .find(|e| e.file_name().to_string_lossy().starts_with(&format!("{stem}_0001")))
        .expect("Blender wrote the picture");
    std::fs::rename(made.path(), out).unwrap();
}

#[test]
fn other_formats_hold_the_same_pixels() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let python = which("python3").expect("python3 is missing: run fixtures/setup.sh --tests");
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3".into() } else { python };
    for (format, extension) in [("JPEG", "jpg"), ("TIFF", "tif")] {
        let wanted = world.at(&format!("whole-{format}.{extension}"));
        whole(&blender, &scene("finish"), format, &wanted);
        let got = world.at(&format!("tiled-{format}.{extension}"));
        tiled(&world, &blender, "finish", &["-o", &got.display().to_string()]);
        let script = "import sys; from PIL import Image; a, b = (Image.open(p) for p in sys.argv[1:3]); \
                      sys.exit((a.mode, a.size, a.tobytes()) != (b.mode, b.size, b.tobytes()))";
        let same = std::process::Command::new(&python).args(["-c", script]).arg(&got).arg(&wanted).status();
        assert!(same.unwrap().success(), "{format} differs");
    }
}

/// Every channel's name and bits.
fn pixels(path: &Path) -> Vec<(String, Vec<u32>)> {
    use exr::prelude::*;
    let image = read_all_flat_layers_from_file(path).unwrap();
    let channels = image.layer_data.iter().flat_map(|layer| &layer.channel_data.list);
    channels
        .map(|channel| {
            let bits = channel.sample_data.values_as_f32().map(f32::to_bits).collect();
            (channel.name.to_string(), bits)
        })
        .collect()
}

#[test]
fn float_pictures_are_identical_in_every_channel() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let wanted = world.at("whole.exr");
    whole(&blender, &scene("finish"), "OPEN_EXR", &wanted);
    tiled(&world, &blender, "finish", &["-o", "tiled.exr"]);
    let (got, wanted) = (pixels(&world.at("tiled.exr")), pixels(&wanted));
    assert!(got.len() >= 3);
    assert!(got == wanted, "a channel differs");
}

/// Strips show scenes at frames of their own, and which ones hangs on the frame that is asked for.
#[test]
fn strips_are_those_of_the_frame_that_is_asked_for() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        for name in ["strip_later", "strip_scene"] {
            let world = World::new();
            let blend = blender.feature(name, &world.at("s.blend"));
            animation(&blender, &blend, "Edit", "", (3, 3, 1), &world.work());
            let node = format!("local,blender={}", blender.program.display());
            let blend = blend.display().to_string();
            let words = ["render", &blend, "--frame", "3", "--tiles", "4", "-o", "s.png", "--node", &node];
            world.run(words).expect(0);
            assert_same(&world.at("s.png"), &world.at("0003.png"));
        }
    }
}

/// The texts that a PNG has beside its pixels, but for what clocks say.
fn texts(path: &Path) -> Vec<(String, String)> {
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    let texts = &reader.info().uncompressed_latin1_text;
    let mut texts: Vec<_> = texts.iter().map(|text| (text.keyword.clone(), text.text.clone())).collect();
    texts.retain(|(word, _)| !word.ends_with("_time") && !matches!(word.as_str(), "Date" | "RenderTime"));
    texts.sort();
    texts
}

/// What is burned in and written beside the pixels names the .blend where it lies here, not where a node keeps it;
/// with the finish, and where PNG tiles are enough.
#[test]
fn stamps_and_metadata_are_those_of_the_whole_frame() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        for name in ["stamp", "plain"] {
            let world = World::new();
            let blend = blender.feature(name, &world.at("s.blend"));
            let node = format!("local,blender={}", blender.program.display());
            let shown = blend.display().to_string();
            let words = ["render", &shown, "--frame", "1", "--tiles", "4", "-o", "s.png", "--node", &node];
            world.run(words).expect(0);
            let wanted = blender.reference(&blend).fresh(&world.at("whole.png"));
            assert_same(&world.at("s.png"), &wanted);
            let (got, wanted) = (texts(&world.at("s.png")), texts(&wanted));
            assert!(got.contains(&("File".into(), shown.clone())), "{got:?}");
            assert_eq!(got, wanted, "{name}, {}", blender.version);
        }
    }
}

/// Every view is read, in every version's way of naming the channels of views.
#[test]
fn views_are_those_of_the_whole_frame() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        let blend = blender.feature("stereo_multilayer", &world.at("s.blend"));
        whole(&blender, &blend, "OPEN_EXR_MULTILAYER", &world.at("whole.exr"));
        let node = format!("local,blender={}", blender.program.display());
        let blend = blend.display().to_string();
        let words = [
            "render",
            &blend,
            "--frame",
            "1",
            "--tiles",
            "4",
            "-o",
            "s.exr",
            "--format",
            "OPEN_EXR_MULTILAYER",
        ];
        world.run(words.into_iter().chain(["--node", &node])).expect(0);
        let (got, wanted) = (pixels(&world.at("s.exr")), pixels(&world.at("whole.exr")));
        assert!(got.len() >= 8 && got == wanted, "{}: a channel differs", blender.version);
    }
}

/// A scene that is linked from a library may have the name of one of the file.
#[test]
fn scenes_of_one_name_are_told_apart() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        let blend = blender.feature("scenes_library", &world.at("s.blend"));
        let node = format!("local,blender={}", blender.program.display());
        let name = blend.display().to_string();
        let words = ["render", &name, "--frame", "1", "--tiles", "4", "-o", "s.png", "--node", &node];
        world.run(words).expect(0);
        assert_same(&world.at("s.png"), &blender.reference(&blend).png());
    }
}

/// What a compositor reads of other scenes is rendered at the size of its own, as asked for.
#[test]
fn other_scenes_have_the_size_of_the_first() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let blend = blender.feature("scenes_sizes", &world.at("o.blend"));
    let (name, node) = (blend.display().to_string(), format!("local,blender={}", blender.program.display()));
    let words = ["render", &name, "--frame", "1", "--percentage", "50", "--tiles", "2", "-o", "o.png"];
    world.run(words.into_iter().chain(["--node", &node])).expect(0);
    let half = "bpy.context.scene.render.resolution_percentage = 50";
    assert_same(&world.at("o.png"), &blender.reference(&blend).python(half).png());
}

/// What only rendering tells is left to Cycles: the frame is rendered and denoised in one piece.
#[test]
fn what_cannot_be_denoised_afterwards_is_denoised_by_cycles() {
    let (world, blender) = (World::new(), Blender::newest());
    let blend = blender.feature("denoise_volume_nodes", &world.at("v.blend"));
    whole(&blender, &blend, "OPEN_EXR", &world.at("whole.exr"));
    let (blend, node) = (blend.display().to_string(), format!("local,blender={}", blender.program.display()));
    let words = ["render", &blend, "--frame", "1", "--tiles", "4", "-o", "v.exr", "--keep", "--node", &node];
    let ended = world.run(words).expect(0);
    assert!(ended.stderr.contains("only rendering tells"), "{}", ended.stderr);
    let (got, wanted) = (pixels(&world.at("v.exr")), pixels(&world.at("whole.exr")));
    assert!(got.len() >= 3 && got == wanted, "a channel differs");
    world.run(["verify", "v.exr", "--node", &node]).expect(0);
}

/// The more samples, the further Cycles looks in a volume: those that are asked for count, not those of the file.
#[test]
fn what_a_scene_needs_hangs_on_what_is_asked() {
    let (world, blender) = (World::new(), Blender::newest());
    let blend = blender.feature("volume", &world.at("v.blend"));
    let node = format!("local,blender={}", blender.program.display());
    let name = blend.display().to_string();
    let words = ["render", &name, "--frame", "1", "--samples", "32", "--tiles", "4", "--json", "-o", "v.png"];
    let told = world.run(words.into_iter().chain(["--node", &node])).expect(0).json();
    let scene = told.iter().find(|e| e["event"] == "scene").expect("the scene is told about");
    assert_eq!(scene["overlap"], 25, "{scene}");
    assert_same(&world.at("v.png"), &blender.reference(&blend).samples(32).png());
}

#[test]
fn verify_counts_what_was_changed_by_hand() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let node = format!("local,name=other,blender={}", blender.program.display());
    tiled(&world, &blender, "adaptive", &["-o", "v.png", "--keep", "--samples", "8"]);
    let ended = world.run(["verify", "v.png", "--whole", "--node", &node]).expect(0);
    assert!(ended.stdout.starts_with("0 of 57600 pixels differ"), "{}", ended.stdout);
    // One bit of one channel in ten pixels of one tile.
    let tiles = world.at("v.png.tiles/tiles");
    let middle = tiles.join("p0-x106-y60-107x60-s0.png");
    let text = std::fs::read(&middle).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(text)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let stride = info.line_size;
    for y in 20..30 {
        pixels[y * stride + 60] ^= 1;
    }
    let mut encoder = png::Encoder::new(std::fs::File::create(&middle).unwrap(), info.width, info.height);
    encoder.set_color(info.color_type);
    encoder.set_depth(info.bit_depth);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    let ended = world.run(["verify", "v.png", "--whole", "--node", &node]).expect(1);
    assert!(ended.stdout.starts_with("10 of 57600 pixels differ"), "{}", ended.stdout);
}

/// Blender calls some handlers at no frame that it renders; here settings change from tile to tile.
#[test]
fn scripts_that_follow_changes_follow_none_of_a_tile() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let blend = world.at("s.blend");
    let script = format!(
        "import bpy\n\
         text = bpy.data.texts.new('follow.py')\n\
         text.use_module = True\n\
         text.write('import bpy\\n\\\n\
         @bpy.app.handlers.persistent\\n\\\n\
         def follow(scene, depsgraph=None):\\n\\\n\
         \u{20}   for thing in scene.objects:\\n\\\n\
         \u{20}       if thing.type == \"MESH\": thing.location.x = scene.frame_current * 0.3\\n\\\n\
         bpy.app.handlers.depsgraph_update_post.append(follow)\\n')\n\
         bpy.ops.wm.save_as_mainfile(filepath={:?})",
        blend.display().to_string()
    );
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&blender.program);
        let out = command.args(["-b", "--factory-startup", "-noaudio"]).args(arguments).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    };
    run(&[&scene("plain").display().to_string(), "--python-expr", &script]);
    let (file, whole) = (blend.display().to_string(), world.at("w####").display().to_string());
    run(&["--enable-autoexec", &file, "-o", &whole, "-f", "3"]);
    let node = format!("local,blender={}", blender.program.display());
    let words =
        ["render", &file, "--frame", "3", "--tiles", "4", "--allow-scripts", "-o", "s.png", "--node", &node];
    let ended = world.run(words.into_iter().chain(["--proof", "always"])).expect(0);
    assert!(ended.stderr.contains("Exact on this scene"), "{}", ended.stderr);
    assert_same(&world.at("s.png"), &world.at("w0003.png"));
}

/// What hangs on settings that are others in tiles comes out as Blender makes it, or not in tiles.
#[test]
fn drivers_that_read_settings_of_tiles_read_the_scenes_own() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let blend = world.at("s.blend");
    let shown = blend.display().to_string();
    let script = format!(
        "import bpy\n\
         scene = bpy.context.scene\n\
         for thing in scene.objects:\n\
         \u{20}   if thing.type == 'MESH':\n\
         \u{20}       driver = thing.driver_add('location', 0).driver\n\
         \u{20}       driver.type = 'SUM'\n\
         \u{20}       target = driver.variables.new().targets[0]\n\
         \u{20}       target.id_type, target.id, target.data_path = 'SCENE', scene, 'render.border_max_x'\n\
         bpy.ops.wm.save_as_mainfile(filepath={shown:?})"
    );
    let made = std::process::Command::new(&blender.program)
        .args([
            "-b",
            "--factory-startup",
            "-noaudio",
            &scene("plain").display().to_string(),
            "--python-expr",
            &script,
        ])
        .output()
        .unwrap();
    assert!(made.status.success() && blend.exists(), "{}", String::from_utf8_lossy(&made.stdout));
    let node = format!("local,blender={}", blender.program.display());
    let words = ["render", &shown, "--frame", "1", "--tiles", "4", "-o", "s.png", "--node", &node];
    let ended = world.run(words.into_iter().chain(["--proof", "never"])).expect(0);
    assert!(ended.stderr.contains("hangs on the setting render.border_max_x"), "{}", ended.stderr);
    assert_same(&world.at("s.png"), &blender.reference(&blend).png());
}

/// Blender converts the colours of a column of single pixels another way: in 16 bits that shows.
#[test]
fn the_narrowest_tiles_are_exact_in_sixteen_bits() {
    let (world, blender) = (World::new(), Blender::newest());
    let blend = blender.feature("png16_plain", &world.at("s.blend"));
    let (node, shown) = (format!("local,blender={}", blender.program.display()), blend.display().to_string());
    let words = ["render", &shown, "--frame", "1", "--tile-size", "1x400", "-o", "n.png", "--node", &node];
    let ended = world.run(words.into_iter().chain(["-v"])).expect(0);
    assert!(ended.stderr.contains("png tiles"), "{}", ended.stderr);
    assert_same(&world.at("n.png"), &blender.reference(&blend).png());
}

/// Tiles without an alpha channel, whose edges the check's places do not keep to.
#[test]
fn verify_knows_pictures_without_alpha() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let node = format!("local,blender={}", blender.program.display());
    for name in ["plain", "png_grey"] {
        let blend = blender.feature(name, &world.at(&format!("{name}.blend"))).display().to_string();
        let out = format!("{name}.png");
        let words = ["render", &blend, "--frame", "1", "--tiles", "6", "-o", &out, "--keep", "--node", &node];
        world.run(words).expect(0);
        let ended = world.run(["verify", &out, "--node", &node]).expect(0);
        assert!(ended.stdout.starts_with("0 of "), "{}", ended.stdout);
    }
}

#[test]
fn a_map_of_the_uneven_scene_shows_where_it_is_hot() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let node = format!("local,blender={}", blender.program.display());
    let file = scene("uneven").display().to_string();
    let words = ["render", &file, "--frame", "1", "--tiles", "40", "-o", "u.png", "--keep", "--node", &node];
    world.run(words.iter().chain(&["--map", "heat.png", "--report", "report.html"])).expect(0);
    assert_same(&world.at("u.png"), &blender.reference(&scene("uneven")).png());
    world.run(["map", "u.png.tiles", "-o", "grey.png", "--style", "grey", "--csv", "blocks.csv"]).expect(0);
    let csv = std::fs::read_to_string(world.at("blocks.csv")).unwrap();
    let (mut hot, mut cold) = (Vec::new(), Vec::new());
    for line in csv.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |i: usize| fields[i].parse::<f64>().unwrap();
        let (x, y, cost) = (number(0), number(1), number(9));
        if x < 120.0 && y < 100.0 {
            hot.push(cost);
        } else if x > 240.0 && y > 135.0 {
            cold.push(cost);
        }
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!(mean(&hot) > 3.0 * mean(&cold), "hot {hot:?} cold {cold:?}");
    assert!(world.at("heat.png").is_file());
    let html = std::fs::read_to_string(world.at("report.html")).unwrap();
    assert!(html.contains("<svg") && !html.contains("http://") && !html.contains("https://"));
}

/// What tiles cannot be made of, or a frame that Cycles would make otherwise had it kept the scene.
#[test]
fn frames_that_are_rendered_whole_are_those_of_blender() {
    let blender = Blender::newest();
    for feature in ["scenes_region", "workbench_passes", "pixel_jitter_layers", "pixel_jitter_kept"] {
        let world = World::new();
        let blend = blender.feature(feature, &world.at("s.blend"));
        let node = format!("local,name=a,blender={}", blender.program.display());
        let words = ["render", "s.blend", "--frame", "1", "--proof", "never", "-o", "o.png", "--node", &node];
        let ended = world.run(words).expect(0);
        assert!(ended.stderr.contains("is rendered whole"), "{feature}: {}", ended.stderr);
        assert_same(&world.at("o.png"), &blender.reference(&blend).png());
    }
}
