//! What people read: the help of every command, and what the common mistakes are answered with. A changed text is seen
//! and agreed to: `INSTA_UPDATE=always cargo test -p tilectl --test words` takes the new ones.

mod support;

use support::program::{Ended, World};

/// Every command, with those below it.
const COMMANDS: [&str; 37] = [
    "",
    "render",
    "map",
    "plan",
    "bench",
    "status",
    "stitch",
    "verify",
    "prove",
    "selftest",
    "init",
    "nodes",
    "nodes check",
    "nodes list",
    "nodes discover",
    "nodes add",
    "nodes remove",
    "nodes enable",
    "nodes disable",
    "nodes pause",
    "nodes resume",
    "queue",
    "queue add",
    "queue list",
    "queue run",
    "queue suspend",
    "queue resume",
    "queue priority",
    "queue remove",
    "extension",
    "extension build",
    "extension install",
    "extension remove",
    "clean",
    "completions",
    "man",
    "--version",
];

fn run(world: &World, words: &[&str]) -> Ended {
    let out = world.command(words).env("COLUMNS", "100").output().expect("tilectl can be started");
    Ended {
        code: out.status.code(),
        stdout: String::from_utf8_lossy(&out.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&out.stderr).into_owned(),
    }
}

#[test]
fn every_help_has_examples_that_are_commands() {
    let world = World::new();
    for command in COMMANDS.iter().filter(|c| **c != "--version") {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let help = run(&world, &words).expect(0).stdout;
        let examples = help.split_once("Examples:\n").unwrap_or_else(|| panic!("none for `{command}`")).1;
        let first = examples.lines().next().unwrap_or_default().trim();
        assert!(first.starts_with("tilectl "), "`{command}`: {first}");
        insta::assert_snapshot!(format!("help {command}").trim().replace(' ', "-"), help);
    }
    // Nothing that is listed is missing above.
    let top = run(&world, &["--help"]).stdout;
    let listed = top.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    for line in listed.lines().filter(|l| !l.starts_with("     ")) {
        let name = line.split_whitespace().next().unwrap();
        assert!(COMMANDS.contains(&name), "`{name}` has no snapshot");
    }
}

#[test]
fn common_mistakes_are_answered_with_what_to_do() {
    let world = World::new();
    std::fs::write(world.at("empty.blend"), "").unwrap();
    std::fs::write(world.at("text.blend"), "hello\n").unwrap();
    let header = b"BLENDER-v304 and nothing else";
    std::fs::write(world.at("still.blend"), header).unwrap();
    std::fs::write(world.at("tile_0.png"), "no picture").unwrap();
    std::fs::write(world.at("slip.ron"), "(nodes: [(name: \"attic\", thread: 4)])").unwrap();
    std::fs::write(world.at("farm.ron"), "(nodes: [(name: \"attic\", host: \"me@attic.lan\")])").unwrap();
    std::fs::write(world.at("off.ron"), "(nodes: [(name: \"attic\", enabled: false)])").unwrap();
    let mut said = String::new();
    for (words, code) in [
        ("statsu still_0001.png.tiles", 2),
        ("render still.blend --fram 1", 2),
        ("render still.blend", 2),
        ("render missing.blend --frame 1", 2),
        ("render empty.blend --frame 1", 2),
        ("render text.blend --frame 1", 2),
        ("render . --frame 1", 2),
        ("render still.blend --frame one", 2),
        ("render still.blend --frame 1 --resolution 1920", 2),
        ("render still.blend --frame 1 --tile-format jpg", 2),
        ("render still.blend --frame 1 -o nowhere/still.png", 2),
        ("render still.blend --frame 1 --node local,thread=4", 2),
        ("render still.blend --frame 1 --node local,threads=many", 2),
        ("render still.blend --frame 1 --node local --node local", 2),
        ("render still.blend --frame 1 --config missing.ron", 2),
        ("render still.blend --frame 1 --config slip.ron", 2),
        ("render still.blend --frame 1 --config off.ron", 2),
        ("render still.blend --frame 1 --config farm.ron --node atic", 2),
        ("render still.blend --frame 1 --node locla", 2),
        ("render still.blend --frame 1 --format gif", 2),
        ("render --serve still.blend --frame 1", 2),
        ("map still.blend -o heat.png", 2),
        ("map still.blend --frame 1", 2),
        ("status nowhere", 2),
        ("status still.blend --watch", 2),
        ("stitch nowhere -o out.png", 2),
        ("stitch tile_0.png tile_1.png -o out.png", 2),
        ("stitch --grid 2x1 tile_0.png -o out.png", 2),
        ("verify still.png", 2),
        ("nodes check --config farm.ron atic", 2),
        ("nodes pause --job nowhere", 2),
        ("clean --keep lots", 2),
        ("man still.blend/man", 1),
        ("completions basj", 2),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        let ended = run(&world, &words);
        let stderr = ended.stderr.replace(&world.work().display().to_string(), "/here");
        let text = format!("$ tilectl {}\n{stderr}", words.join(" "));
        assert_eq!(ended.code, Some(code), "{text}");
        assert!(ended.stdout.is_empty(), "stdout is for results: {text}{}", ended.stdout);
        said += &format!("{text}[{code}]\n\n");
    }
    insta::assert_snapshot!("mistakes", said);
}

#[test]
fn manual_pages_and_completions_cover_every_command() {
    let world = World::new();
    let main = run(&world, &["man"]).expect(0).stdout;
    assert!(main.starts_with(".ie") && main.contains("tilectl\\-render"), "{main}");
    let written = run(&world, &["man", "pages"]).expect(0).stdout;
    for command in COMMANDS.iter().filter(|c| **c != "--version") {
        let name = format!("tilectl {command}").trim().replace(' ', "-");
        let path = world.at(&format!("pages/{name}.1"));
        assert!(written.contains(&format!("pages/{name}.1\n")), "{written}");
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{page}");
        let header = format!(".TH {} 1", name.to_uppercase());
        assert!(page.replace('\\', "").contains(&header), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&world, &["completions", shell]).expect(0).stdout;
        for word in ["render", "status", "watch", "serve", "style"] {
            assert!(script.contains(word), "{shell} does not know `{word}`");
        }
    }
}
