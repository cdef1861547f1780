//! Scenes of many files: rendered on nodes that have none of them, exactly as on the machine that has them all.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::blender::Blender;
use support::nodes::Farm;
use support::picture::{Picture, assert_same, differing_pixels};
use support::program::{Ended, World};
use support::root;

/// A project made by `fixtures/scenes/project.py`, in a directory of its own.
struct Project {
    dir: tempfile::TempDir,
    textures: usize,
    /// Files that show in the picture, of the project of caches.
    files: Vec<String>,
}

impl Project {
    fn make(blender: &Blender) -> Self {
        let (dir, said) = Self::script(blender, None);
        let textures = said.lines().find_map(|l| l.strip_prefix("textures: ")?.parse().ok());
        let textures = textures.unwrap_or_else(|| panic!("the project was not made:\n{said}"));
        Self { dir, textures, files: Vec::new() }
    }

    fn of_caches(blender: &Blender) -> Self {
        let (dir, said) = Self::script(blender, Some("caches"));
        let files: Vec<String> =
            said.lines().filter_map(|l| Some(l.strip_prefix("file: ")?.to_owned())).collect();
        assert!(files.len() > 10, "the project was not made:\n{said}");
        Self { dir, textures: 0, files }
    }

    /// Its directory, and what the script said.
    fn script(blender: &Blender, name: Option<&str>) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let out = Command::new(&blender.program)
            .args(["-b", "--factory-startup", "-noaudio", "--python-exit-code", "9", "-P"])
            .arg(root().join("fixtures/scenes/project.py"))
            .arg("--")
            .arg(dir.path())
            .args(name)
            .stdin(Stdio::null())
            .output()
            .expect("Blender can be started");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
        (dir, said)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("it is there").join(name)
    }

    fn shot(&self) -> PathBuf {
        self.at("shot/shot.blend")
    }

    /// The picture that this machine alone makes.
    fn reference(&self, blender: &Blender, name: &str) -> PathBuf {
        let png = self.at(name);
        blender.reference(&self.shot()).frame(7).render_to(&png);
        png
    }
}

/// A Blender that cannot see the project: its directory is empty for it and for nobody else.
fn blind(blender: &Blender, project: &Project, place: &Path) -> PathBuf {
    let can = |options: &str| {
        let status = Command::new("unshare").args([options, "true"]).stderr(Stdio::null()).status();
        status.is_ok_and(|s| s.success())
    };
    let unshare = ["-m", "-rm"].into_iter().find(|options| can(options));
    if unshare.is_none() {
        eprintln!("no mount namespaces here: the node's Blender could see the original files");
    }
    let hide = unshare.map_or(String::new(), |options| {
        let dir = project.at("");
        format!("unshare {options} sh -c 'mount -t tmpfs none \"$0\" && exec \"$@\"' '{}' ", dir.display())
    });
    let script = format!("#!/bin/sh\nexec {hide}'{}' \"$@\"\n", blender.program.display());
    let path = place.join("blind-blender");
    fs::write(&path, script).expect("a temporary directory can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    path
}

fn render(blend: &Path, more: &[String]) -> Vec<String> {
    let mut words = vec!["render".to_owned(), blend.display().to_string()];
    words.extend(["--frame", "7", "--tiles", "4", "--json", "-o", "out.png"].map(str::to_owned));
    words.extend_from_slice(more);
    words
}

/// Bytes that each slot was to receive.
fn received(ended: &Ended) -> [u64; 2] {
    let mut of = [0, 0];
    let mut before = [u64::MAX; 2];
    for event in ended.json() {
        if event["event"] == "sending" {
            let slot = event["slot"].as_u64().expect("a slot") as usize;
            // Each round of sending begins at 0.
            if event["sent"] == 0 && before[slot] != 0 || event["sent"] == event["of"] && event["of"] == 0 {
                of[slot] += event["of"].as_u64().expect("bytes");
            }
            before[slot] = event["sent"].as_u64().expect("bytes");
        }
    }
    of
}

#[test]
fn forty_textures_and_two_libraries_make_the_same_picture_far_away() {
    let blender = Blender::of_the_tests();
    let project = Project::make(&blender);
    assert!(project.textures >= 40, "{} textures", project.textures);
    let wanted = project.reference(&blender, "wanted.png");
    let farm = Farm::start();
    let blind = blind(&blender, &project, &farm.world.work());
    let words = |more: &[&str]| {
        let mut all = farm.nodes(&format!("blender={}", blind.display()));
        all.extend(["--root".to_owned(), project.at("").display().to_string()]);
        all.extend(more.iter().map(|w| (*w).to_owned()));
        render(&project.shot(), &all)
    };
    let out = farm.world.at("out.png");

    let first = farm.world.run(words(&[])).expect(0);
    assert_same(&out, &wanted);
    assert!(received(&first).iter().any(|bytes| *bytes > 0));

    let second = farm.world.run(words(&[])).expect(0);
    assert_eq!(received(&second), [0, 0]);
    assert_same(&out, &wanted);

    // Another picture in the place of one texture: that file travels, and the frame shows it.
    let texture = project.at("shot/tex/plain_3.png");
    fs::copy(project.at("lib/tex/plain_1.png"), &texture).expect("it can be copied");
    let third = farm.world.run(words(&[])).expect(0);
    assert_eq!(received(&third), [0, 0], "the nodes have that picture under another name");
    let altered = project.reference(&blender, "altered.png");
    assert!(differing_pixels(&Picture::read(&altered), &Picture::read(&wanted)) > 0);
    assert_same(&out, &altered);

    let mut bytes = fs::read(&texture).expect("it is there");
    bytes.extend_from_slice(b"something after the end of the picture");
    fs::write(&texture, &bytes).expect("it can be written");
    let fourth = farm.world.run(words(&[])).expect(0);
    // The frame may be finished before the second node is up.
    let sent = received(&fourth);
    assert!(sent.contains(&(bytes.len() as u64)), "{sent:?}");
    assert!(sent.iter().all(|n| *n == 0 || *n == bytes.len() as u64), "{sent:?}");
    assert_same(&out, &altered);
}

#[test]
fn what_lies_outside_the_project_is_asked_for() {
    let blender = Blender::of_the_tests();
    let project = Project::make(&blender);
    let farm = Farm::start();
    let nodes = farm.nodes(&format!("blender={}", blender.program.display()));
    let refused = farm.world.run(render(&project.shot(), &nodes)).expect(2);
    let text = &refused.stderr;
    for name in [
        "shared/above.png",
        "shared/absolute 0.png",
        "shared/corners.mdd",
        "shared/lamp.ies",
        "lib/props.blend",
    ] {
        assert!(text.contains(name), "{name} is named in:\n{text}");
    }
    assert!(text.contains("--root") && !text.contains("shot/tex"), "{text}");
    assert!(!farm.world.at("out.png").exists());
    // The advice is enough, but for what the libraries reveal when they are there.
    let advice: Vec<String> = text
        .split("--root ")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '\n']).next())
        .map(|d| d.trim_end_matches('.').to_owned())
        .collect();
    assert!(!advice.is_empty() && advice.iter().all(|dir| Path::new(dir).is_dir()), "{advice:?}");
    let mut more = nodes.clone();
    more.extend(advice.iter().flat_map(|dir| ["--root".to_owned(), dir.clone()]));
    farm.world.run(render(&project.shot(), &more)).expect(0);
    assert_same(&farm.world.at("out.png"), &project.reference(&blender, "wanted.png"));

    // Only this machine takes part: nothing leaves it.
    let world = World::new();
    let local = ["--node".to_owned(), format!("local,blender={}", blender.program.display())];
    world.run(render(&project.shot(), &local)).expect(0);
    assert_same(&world.at("out.png"), &project.reference(&blender, "wanted.png"));
}

#[test]
fn hidden_files_are_sent_when_they_are_named() {
    let blender = Blender::of_the_tests();
    let project = Project::make(&blender);
    let hidden = project.at("shot/tex/.plain_5.png");
    fs::rename(project.at("shot/tex/plain_5.png"), &hidden).expect("it was there");
    std::os::unix::fs::symlink(".plain_5.png", project.at("shot/tex/plain_5.png"))
        .expect("a link can be made");
    let farm = Farm::start();
    let mut words = farm.nodes(&format!("blender={}", blender.program.display()));
    for folder in ["shared", "lib"] {
        words.extend(["--root".to_owned(), project.at(folder).display().to_string()]);
    }
    let refused = farm.world.run(render(&project.shot(), &words)).expect(2);
    let text = &refused.stderr;
    assert!(text.contains("needs hidden in its folder") && !text.contains("outside"), "{text}");
    let hidden = hidden.canonicalize().expect("it is there").display().to_string();
    assert!(text.contains(&format!("--root {hidden}.")), "{text}");
    words.extend(["--root".to_owned(), hidden]);
    farm.world.run(render(&project.shot(), &words)).expect(0);
    assert_same(&farm.world.at("out.png"), &project.reference(&blender, "wanted.png"));
}

#[test]
fn missing_files_are_named_before_anything_renders() {
    let blender = Blender::of_the_tests();
    let project = Project::make(&blender);
    let world = World::new();
    let words = |more: &[&str]| {
        let mut all = vec!["--node".to_owned(), format!("local,blender={}", blender.program.display())];
        all.extend(more.iter().map(|w| (*w).to_owned()));
        render(&project.shot(), &all)
    };
    fs::remove_file(project.at("shot/tex/udim/udim.1002.png")).expect("it was there");
    fs::remove_file(project.at("shot/tex/seq/offset_0009.png")).expect("it was there");
    fs::remove_file(project.at("lib/deep/tex/plain_2.png")).expect("it was there");
    fs::rename(project.at("shot/tex/plain_5.png"), project.at("shot/tex/Plain_5.PNG")).expect("it was there");
    // Not shown at this frame.
    fs::remove_file(project.at("shot/tex/seq/offset_0003.png")).expect("it was there");

    let refused = world.run(words(&[])).expect(2);
    let text = &refused.stderr;
    assert!(text.contains("4 files"), "{text}");
    for part in [
        "tex/udim/udim.1002.png",
        "tex/seq/offset_0009.png",
        "lib/deep/tex/plain_2.png",
        "there is tex/Plain_5.PNG",
        "base.blend",
        "--allow-missing",
        "pink",
    ] {
        assert!(text.contains(part), "{part} is said in:\n{text}");
    }
    assert!(!refused.json().iter().any(|e| e["event"] == "began"));
    assert!(!world.at("out.png").exists());

    let allowed = world.run(words(&["--allow-missing"])).expect(0);
    let warned = allowed
        .json()
        .iter()
        .any(|e| e["event"] == "warning" && e["text"].as_str().is_some_and(|t| t.contains("udim.1002.png")));
    assert!(warned, "{}", allowed.stdout);
    assert_same(&world.at("out.png"), &project.reference(&blender, "pink.png"));
}

#[test]
fn a_missing_library_is_named_and_may_be_left_out() {
    let blender = Blender::of_the_tests();
    let project = Project::make(&blender);
    // It is linked by an absolute path.
    fs::remove_file(project.at("lib/deep/base.blend")).expect("it was there");
    let world = World::new();
    let local = ["--node".to_owned(), format!("local,blender={}", blender.program.display())];
    let refused = world.run(render(&project.shot(), &local)).expect(2);
    let text = &refused.stderr;
    assert!(text.contains("base.blend") && text.contains("--allow-missing"), "{text}");
    world.run(render(&project.shot(), &[&local[..], &["--allow-missing".to_owned()]].concat())).expect(0);
    assert_same(&world.at("out.png"), &project.reference(&blender, "without.png"));
}

#[test]
fn fonts_movies_volumes_and_caches_make_the_same_picture_far_away() {
    let blender = Blender::newest();
    let project = Project::of_caches(&blender);
    let wanted = project.reference(&blender, "wanted.png");
    let farm = Farm::start();
    let blind = blind(&blender, &project, &farm.world.work());
    let nodes = farm.nodes(&format!("blender={}", blind.display()));
    let mut all = nodes.clone();
    all.extend(["--root".to_owned(), project.at("").display().to_string()]);
    farm.world.run(render(&project.shot(), &all)).expect(0);
    assert_same(&farm.world.at("out.png"), &wanted);

    // What a USD file names is bound to the project's folders like everything else.
    fs::remove_file(farm.world.at("out.png")).expect("it was written");
    let lib = ["--root".to_owned(), project.at("lib").display().to_string()];
    let refused = farm.world.run(render(&project.shot(), &[nodes, lib.to_vec()].concat())).expect(2);
    for name in ["shared/payload.usda", "shared/absolute.usda", "shared/smoke_0007.vdb"] {
        assert!(refused.stderr.contains(name), "{name} is named in:\n{}", refused.stderr);
    }
    assert!(refused.stderr.contains("--root") && !farm.world.at("out.png").exists(), "{}", refused.stderr);

    // Each of them is missed; but without the library nobody knows of its picture, and of a clip any frame will do.
    let missed: Vec<&String> =
        project.files.iter().filter(|f| !f.starts_with("lib/") && !f.contains("clips/t.")).collect();
    for name in &missed {
        let path = project.at(name);
        fs::rename(&path, path.with_extension("away")).expect("it was there");
    }
    let refused = farm.world.run(render(&project.shot(), &all)).expect(2);
    for name in missed {
        let name = name.strip_prefix("shot/").unwrap_or(name);
        assert!(refused.stderr.contains(name), "{name} is named in:\n{}", refused.stderr);
    }
}

#[test]
fn nodes_are_checked_and_cleaned() {
    let blender = Blender::of_the_tests();
    let farm = Farm::start();
    let mut check = vec!["nodes".to_owned(), "check".into(), "--json".into()];
    check.extend(farm.nodes(&format!("blender={}", blender.program.display())));
    let fine = farm.world.run(&check).expect(0);
    let all: serde_json::Value = serde_json::from_str(&fine.stdout).expect("JSON");
    for (node, name) in all.as_array().expect("a list").iter().zip(["a", "b"]) {
        assert_eq!((&node["node"], &node["usable"]), (&name.into(), &true.into()), "{node}");
        assert!(node["login"].as_str().expect("a login").contains("id_ed25519"), "{node}");
        assert!(blender.version.contains(node["blender"].as_str().expect("a version")), "{node}");
        assert!(node["cores"].as_u64() > Some(0) && node["free"].as_u64() > Some(0), "{node}");
        assert!(node["clock"]["ahead"].as_f64().expect("a clock").abs() < 60.0, "{node}");
        assert_eq!(node["devices"]["CPU"], serde_json::json!(["CPU"]));
        assert_eq!(node["cached"], 0);
    }
    check.extend(["--node".to_owned(), "local,name=c,blender=/nowhere/blender".to_owned()]);
    check.retain(|w| w != "--json");
    let broken = farm.world.run(&check).expect(1);
    assert_eq!(broken.stdout.lines().filter(|l| l.contains("  ok  ")).count(), 2, "{}", broken.stdout);
    assert!(broken.stdout.contains("FAILED") && broken.stdout.contains("blender=/path/to/blender"));

    let list = farm.world.run(["nodes", "list", "--node", "local,threads=3"]).expect(0);
    assert_eq!(list.stdout, "local  this machine, 3 threads\n");

    let mut words = farm.nodes(&format!("blender={}", blender.program.display()));
    words.extend(["--samples", "1", "--percentage", "10"].map(str::to_owned));
    farm.world.run(render(&support::scene("plain"), &words)).expect(0);
    let mut clean = vec!["clean".to_owned(), "--json".into()];
    clean.extend(farm.nodes(&format!("blender={}", blender.program.display())));
    let left = |ended: &Ended| -> Vec<u64> {
        let all: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        all.as_array().expect("a list").iter().map(|c| c["left"].as_u64().expect("bytes")).collect()
    };
    let size = fs::metadata(support::scene("plain")).expect("it is there").len();
    assert_eq!(left(&farm.world.run(&clean).expect(0)), [size, size], "all of it was used today");
    clean.push("--all".to_owned());
    assert_eq!(left(&farm.world.run(&clean).expect(0)), [0, 0]);
}
