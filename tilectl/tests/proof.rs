//! The proof on real Blenders: planted faults never become a wrong picture with exit 0, and what is exact is found so.

mod support;

use std::path::{Path, PathBuf};

use support::blender::Blender;
use support::picture::{Picture, assert_same, differing_pixels};
use support::planted::planted;
use support::program::{Ended, World};
use tilecore::proof::compare::{Written, compare};

/// A fault in a worker's file: what stands there, and what stands there instead.
type Fault<'a> = (&'a str, &'a str, &'a str);

/// A node on this machine that shares nothing with the others.
fn node(world: &World, name: &str, program: &Path) -> String {
    format!("local,name={name},blender={},cache={}", program.display(), world.at(name).display())
}

/// A feature's scene, rendered in four tiles on a node whose worker has a fault.
struct Trial<'a> {
    world: World,
    blender: Blender,
    blend: PathBuf,
    faults: Vec<Fault<'a>>,
    /// The Blender of the faulty node, where that is another one.
    other: Option<Blender>,
    /// Whether a node without the fault takes part, too.
    helped: bool,
    /// What is changed on every node.
    everywhere: Vec<Fault<'a>>,
}

impl<'a> Trial<'a> {
    fn new(blender: Blender, feature: &str, faults: &[Fault<'a>]) -> Self {
        let world = World::new();
        let blend = blender.feature(feature, &world.at("s.blend"));
        Self {
            world,
            blender,
            blend,
            faults: faults.to_vec(),
            other: None,
            helped: false,
            everywhere: Vec::new(),
        }
    }

    fn render(&self, out: &str, proof: &str) -> Ended {
        let program = &self.other.as_ref().unwrap_or(&self.blender).program;
        let faults: Vec<Fault> = self.faults.iter().chain(&self.everywhere).copied().collect();
        let faulty = planted(&self.world.at("launcher"), program, &faults);
        let blend = self.blend.display().to_string();
        let mut nodes = vec![node(&self.world, "faulty", &faulty)];
        if self.helped {
            let sound = planted(&self.world.at("sound-launcher"), &self.blender.program, &self.everywhere);
            nodes.insert(0, node(&self.world, "sound", &sound));
        }
        let mut words = vec!["render", &blend, "--frame", "1", "--tiles", "4", "-o", out, "--proof", proof];
        words.extend(nodes.iter().flat_map(|node| ["--node", node]));
        self.world.run(words)
    }

    /// What the right picture is: Blender's own whole frame; the first view of several.
    fn right(&self) -> PathBuf {
        self.blender.reference(&self.blend).png()
    }

    /// Without the proof the fault shows in the picture; with it the picture is right, or there is none and the
    /// sentence says `words`.
    #[track_caller]
    fn is_caught(&self, words: &str) {
        let right = self.right();
        self.render("never.png", "never").expect(0);
        let wrong = differing_pixels(&Picture::read(&self.world.at("never.png")), &Picture::read(&right));
        assert!(wrong > 0, "the fault does not show, so that this test shows nothing");
        let ended = self.render("always.png", "always");
        let out = self.world.at("always.png");
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        match ended.code {
            Some(0) => assert_same(&out, &right),
            Some(2) => assert!(!out.exists(), "{}", ended.stderr),
            code => panic!("{code:?}: {}", ended.stderr),
        }
    }
}

#[test]
fn dither_left_out_is_caught() {
    let own = "render, image = main.render, main.render.image_settings";
    let fault = ("finish.py", own, &*format!("{own}; render.dither_intensity = 0.0"));
    Trial::new(Blender::of_the_tests(), "dither", &[fault]).is_caught("is rendered whole");
}

/// Tiles that do not begin at the frame's lower edge are rendered a pixel lower.
const BORDER_OFF: Fault<'static> = (
    "stage.py",
    "r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y = border",
    "border = [border[0], border[1], border[2] - 0.0105 * (border[2] > 0.1), border[3] - 0.0105 * (border[2] > 0.1)]\n            \
     r.border_min_x, r.border_max_x, r.border_min_y, r.border_max_y = border",
);

#[test]
fn a_border_one_pixel_off_is_caught() {
    Trial::new(Blender::of_the_tests(), "plain", &[BORDER_OFF]).is_caught("is rendered whole");
}

#[test]
fn tiles_that_do_not_see_their_neighbours_are_caught() {
    let fault = ("needs.py", "ADAPTIVE_OVERLAP = 8", "ADAPTIVE_OVERLAP = 0");
    Trial::new(Blender::of_the_tests(), "adaptive", &[fault]).is_caught("is rendered whole");
}

#[test]
fn a_denoiser_without_albedo_is_caught() {
    let own = "settings[\"guides\"]:";
    let fault = ("develop.py", own, "[g for g in settings[\"guides\"] if g != \"Albedo\"]:");
    Trial::new(Blender::newest(), "denoise_accurate", &[fault]).is_caught("is rendered whole");
}

/// After the finish has made sure that Blender took everything, the pixels are changed.
const TAKEN: &str = "frame.used.add((layer.name, view))";

#[test]
fn an_empty_view_is_caught() {
    let empty = "\n        [put(p, array.array(\"f\", bytes(4 * len(p.rect) * p.channels))) for p in \
                 engine.get_result().layers[layer.name].passes if view == \"left\" and p.view_id == 0]";
    let fault = ("stitched.py", TAKEN, &*format!("{TAKEN}{empty}"));
    Trial::new(Blender::newest(), "stereo_one_file", &[fault]).is_caught("is rendered whole");
}

#[test]
fn swapped_passes_are_caught() {
    let swap = "\n        held = engine.get_result().layers[layer.name].passes\n        \
                a, b = (held.find_by_name(n, view) for n in (\"Position\", \"Normal\"))\n        \
                a and b and (lambda x, y: (put(a, y), put(b, x)))(values(a), values(b))";
    let fault = ("stitched.py", TAKEN, &*format!("{TAKEN}{swap}"));
    let trial = Trial::new(Blender::newest(), "passes", &[fault]);
    let mut whole = std::process::Command::new(&trial.blender.program);
    whole.args(["-b", "--factory-startup"]).arg(&trial.blend).arg("-o").arg(trial.world.at("####"));
    assert!(whole.args(["-f", "1"]).output().unwrap().status.success());
    let file = |name: &str| Written { name: "it".into(), path: trial.world.at(name) };
    let against = |name: &str| compare(&[file(name)], &[file("0001.exr")]).unwrap();
    trial.render("never.exr", "never").expect(0);
    let words = against("never.exr").words();
    assert!(words.contains("Position") && words.contains("Normal"), "{words}");
    let ended = trial.render("always.exr", "always").expect(0);
    assert!(ended.stderr.contains("is rendered whole"), "{}", ended.stderr);
    assert!(against("always.exr").is_equal(), "{}", against("always.exr").words());
}

#[test]
fn a_file_that_was_not_sent_is_caught() {
    let fault = ("stage.py", "        return listed", "        return {\"files\": [], \"notes\": []}");
    Trial::new(Blender::of_the_tests(), "linked", &[fault]).is_caught("No node makes the picture");
}

/// Blender renders the library with a space after its end as it did before, yet it is not the file that was sent.
#[test]
fn a_file_that_changes_during_the_proof_is_named() {
    let own = "    render.dither_intensity = 0.0\n";
    let changing = "    import bpy, re\n    place = re.split('/trees/[0-9a-f]+', bpy.data.filepath)[1]\n    \
                    open(place.replace('s.blend', 'library.blend'), 'ab').write(b' ')\n";
    let changes = format!("{own}{changing}");
    let trial = Trial::new(Blender::of_the_tests(), "linked", &[BORDER_OFF, ("tiles.py", own, &changes)]);
    let ended = trial.render("out.png", "always").expect(2);
    assert!(ended.stderr.contains("library.blend changed while the scene was proved"), "{}", ended.stderr);
    assert!(!trial.world.at("out.png").exists());
}

#[test]
fn a_librarys_scene_of_the_same_name_is_caught() {
    let own = "copy = self.copies.get(node.scene)";
    let by_name = "copy = {s.name: c for s, c in self.copies.items()}.get(node.scene.name)";
    let fault = ("finish.py", own, by_name);
    Trial::new(Blender::newest(), "scenes_library", &[fault]).is_caught("is rendered whole");
}

/// As a node with a colour configuration of its own does that says nothing of it.
#[test]
fn a_node_with_other_colours_is_left_out() {
    let own = "        if not bpy.data.filepath:";
    let other = "        for each in bpy.data.scenes:\n            each.view_settings.gamma = 1.3\n";
    let fault = ("stage.py", own, &*format!("{other}{own}"));
    let mut trial = Trial::new(Blender::of_the_tests(), "plain", &[fault]);
    trial.helped = true;
    trial.is_caught("Left out: faulty");
}

/// The worker of another Blender says that it is this one: what it renders gives it away.
#[test]
fn a_node_with_another_build_under_the_same_version_is_left_out() {
    let (lts, newest) = (Blender::lts(), Blender::newest());
    let words = |start: &str| {
        let line = lts.version.lines().find_map(|l| l.trim().strip_prefix(start).map(str::trim));
        line.expect("Blender says what it is").to_owned()
    };
    let version = format!("\"version\": {:?},", words("Blender "));
    let hash = format!("\"hash\": {:?},", words("build hash:"));
    let faults = [
        ("stage.py", "\"version\": bpy.app.version_string,", &*version),
        (
            "stage.py",
            "\"hash\": build.decode(\"ascii\", \"replace\") if isinstance(build, bytes) else str(build),",
            &*hash,
        ),
    ];
    let mut trial = Trial::new(lts.clone(), "volume", &faults);
    (trial.other, trial.helped) = (Some(newest), true);
    // Their colour configurations and startup scripts would give it away before anything renders.
    trial.everywhere = vec![
        ("environment.py", "\"startup\": startup()", "\"startup\": \"same\""),
        (
            "colour.py",
            "    if path.startswith(b\"ocio://\"):",
            "    return \"same\"\n    if path.startswith(b\"ocio://\"):",
        ),
        (
            "colour.py",
            "    return hashlib.sha256(\"\\n\".join(said)",
            "    return \"same\" or hashlib.sha256(\"\\n\".join(said)",
        ),
    ];
    trial.is_caught("Left out: faulty");
}

#[test]
fn what_is_exact_is_proved_once() {
    let world = World::new();
    let blender = Blender::newest();
    let blend = blender.feature("defaults", &world.at("s.blend"));
    let (a, b) = (node(&world, "a", &blender.program), node(&world, "b", &blender.program));
    let render = |more: &[&str]| {
        let blend = blend.display().to_string();
        let words = [
            "render", &blend, "--frame", "1", "--node", &a, "--node", &b, "-o", "o.png", "--proof", "always",
        ];
        world.run(words.iter().chain(more)).expect(0)
    };
    let first = render(&[]);
    assert!(first.stderr.contains("Exact on this scene: 9 tiles"), "{}", first.stderr);
    assert!(!first.stderr.contains("metadata") && !first.stderr.contains("weaker"), "{}", first.stderr);
    assert_same(&world.at("o.png"), &blender.reference(&blend).png());
    for other in [&["--seed", "3"], &["--samples", "7"], &["--resolution", "200x100"]] {
        let again = render(other);
        assert!(again.stderr.contains("proved before"), "{other:?}: {}", again.stderr);
    }
    let again = render(&["--allow-missing", "--fresh"]);
    assert!(!again.stderr.contains("proved before"), "files may be missing now: {}", again.stderr);
    let ended = world.run(["prove", "s.blend", "--node", &a, "--json"]).expect(0);
    assert_eq!(ended.json()[0]["finding"], "Exact");
    assert_eq!(ended.json()[0]["strength"], "file_in_place");
}

/// Blender by itself would write none.
#[test]
fn a_scene_that_saves_no_picture_is_proved_all_the_same() {
    let world = World::new();
    let blender = Blender::newest();
    blender.feature("save_output_off", &world.at("s.blend"));
    let ended = world.run(["prove", "s.blend", "--node", &node(&world, "a", &blender.program)]).expect(0);
    assert!(ended.stdout.contains("Exact on this scene"), "{}{}", ended.stdout, ended.stderr);
}

/// Cycles cuts the frame itself, and so counts samples, but not the small one.
#[test]
fn a_frame_whose_size_decides_how_tiles_are_made_is_proved_and_rendered() {
    let world = World::new();
    let blender = Blender::newest();
    let blend = blender.feature("denoise_cut_even", &world.at("s.blend"));
    let (a, shown) = (node(&world, "a", &blender.program), blend.display().to_string());
    let words = ["render", &shown, "--frame", "1", "--node", &a, "-o", "o.png", "--proof", "always"];
    let ended = world.run(words).expect(0);
    assert!(ended.stderr.contains("Exact on this scene: 9 tiles"), "{}", ended.stderr);
    assert_same(&world.at("o.png"), &blender.reference(&blend).png());
}

#[test]
fn nodes_of_another_blender_than_this_machines_prove_by_the_weaker_kind() {
    let world = World::new();
    let blender = Blender::lts();
    let blend = blender.feature("glare", &world.at("s.blend"));
    let command = format!("local,name=far,blender={}", blender.program.display());
    // A command node is not this machine, as far as anybody knows.
    std::fs::write(
        world.at("tilectl.ron"),
        format!(
            "(nodes: [(name: \"far\", command: [\"env\"], blender: {:?})])",
            blender.program.display().to_string()
        ),
    )
    .unwrap();
    let _ = (command, blend);
    let ended = world.run(["prove", "s.blend"]).expect(0);
    assert!(ended.stdout.contains("The reference is the weaker kind"), "{}", ended.stdout);
}

#[test]
fn a_blender_that_dies_in_the_proof_does_not_hold_it_up() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    let blend = blender.feature("glare", &world.at("s.blend"));
    let mark = world.at("died");
    let dies = format!(
        "draft = os.path.join(folder, f\"{{name}}.{{self.files.run_name}}.draft\")\n        \
         if name.startswith(\"proof\") and not os.path.exists({mark:?}):\n            \
         open({mark:?}, \"w\").close()\n            \
         os._exit(9)\n        \
         watch = counts.Watch(scene)"
    );
    let lives = "draft = os.path.join(folder, f\"{name}.{self.files.run_name}.draft\")\n        watch = counts.Watch(scene)";
    let faulty = planted(&world.at("launcher"), &blender.program, &[("stage.py", lives, &dies)]);
    let (a, b) = (node(&world, "a", &blender.program), node(&world, "b", &faulty));
    let shown = blend.display().to_string();
    let words =
        ["render", &shown, "--frame", "1", "--proof", "always", "-o", "o.png", "--node", &a, "--node", &b];
    let ended = world.run(words).expect(0);
    assert!(mark.exists(), "nobody died, so that this test shows nothing: {}", ended.stderr);
    assert!(ended.stderr.contains("Exact on this scene"), "{}", ended.stderr);
    assert_same(&world.at("o.png"), &blender.reference(&blend).png());
}

#[test]
fn the_self_test_is_a_table() {
    let world = World::new();
    let blender = Blender::of_the_tests();
    let one = format!("local,blender={}", blender.program.display());
    let ended = world.run(["selftest", "compositor", "denoise", "--node", &one]).expect(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(
        lines[0].starts_with("denoise") && lines[1].starts_with("compositor   exact"),
        "{}",
        ended.stdout
    );
    assert!(lines[2].starts_with("All are exact or refused with Blender"), "{}", ended.stdout);
    let ended = world.run(["selftest", "nonsense"]).expect(2);
    assert!(ended.stderr.contains("no built-in scene `nonsense`"), "{}", ended.stderr);
}
