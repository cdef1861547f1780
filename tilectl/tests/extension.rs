//! The extension inside Blender, installed by the program: F12 over two nodes against F12 alone, taken up again after it
//! was stopped, killed, in its window, and removed.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::blender::Blender;
use support::nodes::Farm;
use support::processes::gone;
use support::program::World;
use support::sshd::{Guard, Sshd, user};
use support::{root, scene};

/// Blender as a user of this world starts it.
fn inside(world: &World, blender: &Blender) -> Command {
    let mut command = Command::new(&blender.program);
    command
        .current_dir(world.work())
        .env("HOME", world.home())
        .env("TMPDIR", world.mark())
        .stdin(Stdio::null());
    for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "SSH_AUTH_SOCK"] {
        command.env_remove(name);
    }
    command
}

fn install(world: &World, blender: &Blender) {
    let program = blender.program.display().to_string();
    world.run(["extension", "install", "--blender", &program]).expect(0);
}

/// Files and folders below `folder` whose names have to do with the program.
fn traces(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|e| e.path()) {
        if path.file_name().is_some_and(|n| n.to_string_lossy().contains("tilectl")) {
            found.push(path);
        } else if path.is_dir() {
            found.extend(traces(&path));
        }
    }
    found
}

/// Lists both servers in the user's configuration.
fn configure(farm: &Farm, blender: &Blender) {
    let node = |(server, name): (&Sshd, &str)| {
        let (program, host) =
            (blender.program.display().to_string(), format!("{}@127.0.0.1:{}", user(), server.port));
        format!("(name: {name:?}, host: {host:?}, blender: {program:?}, threads: 1)")
    };
    let nodes: Vec<String> = farm.servers.iter().zip(["a", "b"]).map(node).collect();
    let file = farm.world.home().join(".config/tilectl/config.ron");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("(nodes: [{}])\n", nodes.join(", "))).unwrap();
}

/// A script in Blender; what it says.
fn script(world: &World, blender: &Blender, name: &str, words: &[&Path]) -> String {
    let mut command = inside(world, blender);
    command.args(["-b", "-P"]).arg(root().join("fixtures/extension").join(name)).arg("--").args(words);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let trouble = said.lines().any(|line| line.starts_with("trouble "));
    assert!(!trouble && !said.contains("Traceback"), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn told(said: &str, mark: &str) -> Vec<Value> {
    said.lines().filter_map(|l| serde_json::from_str(l.strip_prefix(mark)?.trim()).ok()).collect()
}

/// Every pass of every view layer and view is that of one Blender alone, also of what is in memory only.
fn is_what_one_makes(blender: &Blender, features: &[&str]) {
    let farm = Farm::start();
    let world = &farm.world;
    configure(&farm, blender);
    install(world, blender);
    let scenes: Vec<PathBuf> = features
        .iter()
        .map(|name| {
            fs::create_dir(world.at(name)).unwrap();
            blender.feature(name, &world.at(name).join("scene.blend"))
        })
        .collect();
    for change in [false, true] {
        let out = world.at(if change { "changed" } else { "saved" });
        fs::create_dir(&out).unwrap();
        let mut words: Vec<&Path> = vec![&out];
        words.extend(change.then_some(Path::new("change")));
        words.extend(scenes.iter().take(if change { 2 } else { usize::MAX }).map(PathBuf::as_path));
        let said = script(world, blender, "compare.py", &words);
        let all = told(&said, "compared ");
        assert_eq!(all.len(), words.len() - 1 - usize::from(change), "{said}");
        for one in &all {
            assert_eq!(one["differ"], Value::Array(Vec::new()), "{one}");
            assert_eq!(one["seen"], true, "{one}");
            assert_eq!(one["left"], Value::Array(Vec::new()), "{one}");
            assert!(
                one["tiles"].as_array().is_some_and(|t| t.iter().all(|n| n.as_u64() >= Some(4))),
                "{one}"
            );
        }
    }
    let program = blender.program.display().to_string();
    assert!(!traces(&world.home().join(".config/blender")).is_empty());
    world.run(["extension", "remove", "--blender", &program]).expect(0);
    let left = traces(&world.home().join(".config/blender"));
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn f12_over_two_nodes_is_f12_alone() {
    is_what_one_makes(
        &Blender::of_the_tests(),
        &["stereo", "glare", "layers", "light_passes", "region_glare"],
    );
}

#[test]
fn f12_over_two_nodes_is_f12_alone_in_the_newest_blender() {
    let features = ["denoise_glare", "stereo_denoised", "denoise_layers", "passes", "scenes"];
    is_what_one_makes(&Blender::newest(), &features);
}

/// What the program builds is an extension by Blender's own check.
#[test]
fn blender_finds_the_zip_valid() {
    let (world, blender) = (World::new(), Blender::newest());
    world.run(["extension", "build", "-o", "x.zip"]).expect(0);
    // What `blender --command extension validate` runs.
    let check = "import bpy, os, runpy, sys\n\
                 core = os.path.join(bpy.utils.system_resource('SCRIPTS'), 'addons_core')\n\
                 path = os.path.join(core, 'bl_pkg', 'cli', 'blender_ext.py')\n\
                 sys.argv = [path, 'validate', 'x.zip']\n\
                 runpy.run_path(path, run_name='__main__')";
    let output = inside(&world, &blender).args(["-b", "--python-expr", check]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("Success"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Tiles of a render that was stopped are taken over, as long as the scene is the same.
#[test]
fn f12_again_goes_on() {
    for blender in [Blender::of_the_tests(), Blender::newest()] {
        let world = World::new();
        install(&world, &blender);
        let blend = world.at("scene.blend");
        fs::copy(scene("plain"), &blend).unwrap();
        let said = script(&world, &blender, "again.py", &[&blend]);
        let runs = told(&said, "run ");
        let number = |run: &Value, what: &str| run[what].as_u64().unwrap_or_default();
        assert_eq!(runs.len(), 3, "{said}");
        assert!(runs[0]["error"].as_str().is_some_and(|e| e.contains("kept")), "{said}");
        let kept = number(&runs[0], "tiles");
        assert!(kept >= 2 && number(&runs[1], "adopted") >= kept, "{said}");
        assert_eq!(number(&runs[1], "adopted") + number(&runs[1], "rendered"), 24, "{said}");
        assert_eq!((number(&runs[2], "adopted"), number(&runs[2], "rendered")), (0, 24), "{said}");
    }
}

/// Blender is killed in mid-render: nothing goes on anywhere, and the next start removes the copy.
#[test]
fn nothing_outlives_blender() {
    let (farm, blender) = (Farm::start(), Blender::of_the_tests());
    let world = &farm.world;
    configure(&farm, &blender);
    install(world, &blender);
    let blend = world.at("scene.blend");
    fs::copy(scene("plain"), &blend).unwrap();
    let mut command = inside(world, &blender);
    command.args(["-b", "-P"]).arg(root().join("fixtures/extension/killed.py")).arg("--").arg(&blend);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("killing myself") && !output.status.success(), "{said}");
    for home in farm.homes() {
        gone(&home, Duration::from_secs(10));
    }
    gone(world.mark(), Duration::from_secs(10));
    let copies = || traces(&world.work());
    assert_eq!(copies().len(), 1, "the copy of a killed Blender stays for the moment");
    let look = "import bpy; print(bpy.context.preferences.addons.keys())";
    let output = inside(world, &blender).args(["-b", "--python-expr", look]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("tilectl"));
    assert!(copies().is_empty(), "{:?}", copies());
}

/// The panel with machines in three states, tiles in the Render Result, Esc and F12 again, an error.
#[test]
fn blender_with_its_window() {
    let (world, blender) = (World::new(), Blender::of_the_tests());
    install(&world, &blender);
    let blend = world.at("scene.blend");
    fs::copy(scene("plain"), &blend).unwrap();
    let nodes = "(name: \"desk\", host: \"local\"), (name: \"attic\", host: \"me@192.0.2.1\", patience: 3),\n\
                 (name: \"laptop\", host: \"me@laptop.example\", enabled: false)";
    fs::write(world.at("tilectl.ron"), format!("(nodes: [{nodes}])\n")).unwrap();
    let pictures =
        std::env::var_os("TILECTL_TEST_PICTURES").map_or_else(|| world.at("pictures"), PathBuf::from);
    fs::create_dir_all(&pictures).unwrap();
    let (screen, number) = xvfb();
    let mut command = inside(&world, &blender);
    command
        .env("DISPLAY", format!(":{number}"))
        .env("LIBGL_ALWAYS_SOFTWARE", "1")
        .args(["--window-geometry", "0", "0", "1280", "800"])
        .arg(&blend)
        .arg("-P")
        .arg(root().join("fixtures/extension/window.py"))
        .arg("--")
        .arg(&pictures);
    let output = command.output().unwrap();
    drop(screen);
    let said = String::from_utf8_lossy(&output.stdout);
    let seen = fs::read_to_string(pictures.join("seen.json")).unwrap_or_else(|e| panic!("{e}: {said}"));
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["error"], Value::Null, "{said}");
    let state = |name: &str| seen["states"][name][1].as_str().unwrap_or_default().to_owned();
    assert_eq!([state("desk"), state("attic"), state("laptop")], ["READY", "TROUBLE", "UNKNOWN"], "{seen}");
    assert!(seen["states"]["attic"][3].as_str().is_some_and(|remedy| !remedy.is_empty()), "{seen}");
    let number = |of: &str, what: &str| seen[of][what].as_u64().unwrap_or_default();
    assert_eq!(seen["stopped"]["code"], 3, "{seen}");
    assert!(number("stopped", "tiles") < 60, "Esc came too late: {seen}");
    assert!(number("again", "adopted") >= number("stopped", "tiles"), "{seen}");
    assert_eq!(number("again", "adopted") + number("again", "tiles"), 60, "{seen}");
    assert!(seen["notes"].to_string().contains("/nowhere/tilectl"), "{seen}");
    // Of the processor's time: how long the machine takes for it hangs on what else runs.
    let holds: Vec<f64> = seen["holds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    assert!(holds.len() >= 60 && holds.iter().all(|hold| *hold < 0.1), "{holds:?}");
    for name in ["panel", "progress", "finished", "error"] {
        let length = fs::metadata(pictures.join(name).with_extension("png")).unwrap().len();
        assert!(length > 20_000, "{name}.png shows nothing");
    }
}

/// A screen that nobody sees, and its number.
fn xvfb() -> (Guard, u32) {
    let mut child = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb is missing: run fixtures/setup.sh --tests");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line)
        .unwrap();
    let number = line.trim().parse().unwrap_or_else(|_| panic!("Xvfb says {line:?}"));
    (Guard(child), number)
}
