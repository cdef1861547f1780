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
        ("render still.blend --frame 1 -o still.png --format jpeg", 2),
        ("render still.blend -f +1", 2),
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
        ("map still.blend --frame 1", 2),
        ("map still.blend -o heat.jpg", 2),
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
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&world, &["completions", shell]).expect(0).stdout;
        assert!(script.contains("tilectl"), "{shell}: {script}");
    }
}

/// What bash makes of words on the command line when Tab is pressed behind the last one.
fn completed(world: &World, words: &[&str]) -> Vec<String> {
    let script = run(world, &["completions", "bash"]).expect(0).stdout;
    let list = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ");
    let asks = format!(
        "{script}\nCOMP_WORDS=(tilectl {list}); COMP_CWORD={}; _tilectl; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.len()
    );
    let mut bash = world.command(["--version"]);
    let program = std::path::PathBuf::from(bash.get_program());
    let path =
        format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", &asks]).current_dir(world.work()).env("HOME", world.home()).env("PATH", path);
    let out = shell.output().expect("bash is there");
    drop(bash.output());
    String::from_utf8_lossy(&out.stdout).lines().filter(|l| !l.is_empty()).map(str::to_owned).collect()
}

#[test]
fn tab_completes_what_can_stand_there() {
    let world = World::new();
    for folder in ["still.png.tiles", "scenes", "scenes/old"] {
        std::fs::create_dir_all(world.at(folder)).unwrap();
    }
    for file in ["still.blend", "notes.txt", "scenes/a b.blend", "still.png"] {
        std::fs::write(world.at(file), "").unwrap();
    }
    std::fs::write(world.at("tilectl.ron"), "(nodes: [(name: \"attic\"), (name: \"desk\")])").unwrap();
    let config = world.home().join(".ssh");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config"), "Host cellar\n").unwrap();
    for (words, found) in [
        (&["sta"][..], &["status"][..]),
        (&["status", ""], &["still.png.tiles/"]),
        (&["status", "--wa"], &["--watch"]),
        (&["render", ""], &["scenes/", "still.blend"]),
        (&["render", "scenes/"], &["scenes/a b.blend", "scenes/old/"]),
        (&["render", "still.blend", "--node", ""], &["attic", "desk", "cellar", "local"]),
        (&["render", "--proof", "al"], &["always"]),
        (&["nodes", "disable", ""], &["attic", "desk"]),
        (&["nodes", "pause", "--job", ""], &["still.png.tiles/"]),
        (&["nodes", "check", "attic", "c"], &["cellar"]),
        (&["verify", "st"], &["still.png.tiles/"]),
        (&["map", "scenes/a"], &["scenes/a b.blend"]),
        (&["completions", "f"], &["fish"]),
        (&["render", "still.blend", "--samples", ""], &[]),
    ] {
        assert_eq!(completed(&world, words), found, "{words:?}");
    }
}
