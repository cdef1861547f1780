//! What a shell completes: short scripts that ask this program, and what it answers: commands and flags, files of the
//! right kind, nodes and jobs by their names.

use std::ffi::OsString;
use std::path::{MAIN_SEPARATOR, Path};
use std::process::ExitCode;

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;
use tilecore::config::Config;
use tilecore::node::{SshOptions, ssh};
use tilecore::queue::Queue;

use crate::cli::Cli;

/// The word with which a script asks; what was typed follows it, the word to complete last.
pub(crate) const ASKED: &str = "__complete";

const BASH: &str = r#"_tilectl() {
    local IFS=$'\n'
    COMPREPLY=( $(tilectl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) )
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _tilectl tilectl 2>/dev/null || complete -F _tilectl tilectl
"#;
const ZSH: &str = r#"#compdef tilectl
_tilectl() {
    local -a found folders others
    found=( ${(f)"$(tilectl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"} )
    folders=( ${(M)found:#*/} )
    others=( ${found:#*/} )
    (( ${#folders} )) && compadd -Q -S '' -- "${folders[@]}"
    (( ${#others} )) && compadd -- "${others[@]}"
}
if [ "$funcstack[1]" = "_tilectl" ]; then
    _tilectl "$@"
else
    compdef _tilectl tilectl
fi
"#;
const FISH: &str = r"complete -c tilectl -f -a '(tilectl __complete (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
";

/// Prints the script for a shell.
pub(crate) fn script(shell: Shell) -> ExitCode {
    match shell {
        Shell::Bash => print!("{BASH}"),
        Shell::Zsh => print!("{ZSH}"),
        Shell::Fish => print!("{FISH}"),
        other => clap_complete::generate(other, &mut Cli::command(), "tilectl", &mut std::io::stdout()),
    }
    ExitCode::SUCCESS
}

/// Answers a script that asks, if that is what this call is for.
pub(crate) fn answer(mut words: impl Iterator<Item = OsString>) -> bool {
    if words.nth(1).is_none_or(|word| word != ASKED) {
        return false;
    }
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    for found in candidates(&words) {
        println!("{found}");
    }
    true
}

/// What the last of these words could become.
fn candidates(words: &[String]) -> Vec<String> {
    let mut top = Cli::command();
    top.build();
    let (current, before) = words.split_last().map_or(("", &[][..]), |(last, rest)| (last.as_str(), rest));
    let mut command = &top;
    let mut path = vec![];
    // The flag whose value comes next, and how many values without a flag there were.
    let (mut open, mut given) = (None, 0);
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if let Some(below) = command.find_subcommand(word).filter(|_| given == 0) {
            (command, given) = (below, 0);
            path.push(below.get_name().to_owned());
        } else if word.starts_with('-') && word.len() > 1 {
            open = flag(command, word).filter(|a| a.get_action().takes_values() && needs_value(a));
        } else {
            given += 1;
        }
    }
    if let Some(arg) = open {
        return values(arg, &path, current);
    }
    if current.starts_with('-') {
        let longs = command.get_arguments().filter(|a| !a.is_hide_set()).filter_map(Arg::get_long);
        let mut longs: Vec<String> = longs.map(|long| format!("--{long}")).collect();
        longs.retain(|long| long.starts_with(current));
        longs.sort();
        return longs;
    }
    let mut found: Vec<String> = command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name().starts_with(current))
        .map(|below| below.get_name().to_owned())
        .collect();
    let many = |a: &&Arg| a.get_num_args().is_some_and(|n| n.max_values() > 1);
    let place = command.get_positionals().nth(given).or_else(|| command.get_positionals().find(many));
    if let Some(arg) = place {
        found.extend(values(arg, &path, current));
    }
    found
}

/// The argument that a flag is, as it was typed; nothing where its value is in the same word.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    if let Some(long) = word.strip_prefix("--") {
        return command.get_arguments().find(|a| {
            a.get_long() == Some(long) || a.get_all_aliases().is_some_and(|all| all.contains(&long))
        });
    }
    let mut letters = word.chars().skip(1);
    let short = letters.next().filter(|_| letters.next().is_none());
    command.get_arguments().find(|a| a.get_short().is_some() && a.get_short() == short)
}

fn needs_value(arg: &Arg) -> bool {
    arg.get_num_args().is_none_or(|n| n.min_values() > 0)
}

/// What could stand for an argument.
fn values(arg: &Arg, path: &[String], current: &str) -> Vec<String> {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        let names = possible.iter().map(|value| value.get_name().to_owned());
        return names.filter(|name| name.starts_with(current)).collect();
    }
    let called = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
    let ends = |endings: &'static [&'static str]| {
        move |path: &Path| path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending))
    };
    match (called, path.first().map(String::as_str)) {
        ("FILE.blend" | "FILE.blend|DIR", _) => {
            let mut found = files(current, &ends(&["blend"]));
            // No scene lies in a work directory.
            found.retain(|name| called != "FILE.blend" || !name.ends_with(".tiles/"));
            found
        }
        ("FILE.ron", _) => files(current, &ends(&["ron"])),
        ("DIR" | "DIR|IMAGE" | "DIR|TILE", _) => {
            let mut found =
                files(current, &|path| called != "DIR" && ends(&["png", "exr", "jpg", "tif"])(path));
            // What is meant is a work directory, where there is one.
            if found.iter().any(|name| name.ends_with(".tiles/")) {
                found.retain(|name| name.ends_with(".tiles/"));
            }
            found
        }
        ("SPEC" | "NODE", _) => {
            // What is taken out or switched is in the configuration.
            let listed = ["remove", "enable", "disable", "pause", "resume"];
            starting(nodes(!path.last().is_some_and(|p| listed.contains(&p.as_str()))), current)
        }
        ("N", Some("queue")) => starting(jobs(), current),
        ("OUT" | "HEAT.png" | "PLAN.png" | "REPORT.html" | "FILE.csv" | "PATH" | "OUT.zip", _) => {
            files(current, &|_| true)
        }
        _ => Vec::new(),
    }
}

fn starting(mut names: Vec<String>, current: &str) -> Vec<String> {
    names.retain(|name| name.starts_with(current));
    names
}

/// Files that fit, and the folders on the way to them.
fn files(current: &str, fits: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let (folder, name) = match current.rfind(MAIN_SEPARATOR) {
        Some(at) => current.split_at(at + 1),
        None => ("", current),
    };
    let place = match (folder.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ if folder.is_empty() => Path::new(".").to_owned(),
        _ => Path::new(folder).to_owned(),
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let hidden = file.starts_with('.') && !name.starts_with('.');
        if hidden || !file.starts_with(name) || file.chars().any(char::is_control) {
            continue;
        }
        if entry.path().is_dir() {
            found.push(format!("{folder}{file}{MAIN_SEPARATOR}"));
        } else if fits(&entry.path()) {
            found.push(format!("{folder}{file}"));
        }
    }
    found.sort();
    found
}

/// Nodes of the configuration; where others can be meant as well, this machine and the hosts of `~/.ssh/config`.
fn nodes(others: bool) -> Vec<String> {
    let config = Config::load(None, None);
    let mut names: Vec<String> =
        config.map(|c| c.nodes.into_iter().map(|n| n.name).collect()).unwrap_or_default();
    let hosts = SshOptions::from_env().and_then(|options| ssh::hosts(&options)).unwrap_or_default();
    for name in hosts.into_iter().chain(["local".to_owned()]).filter(|_| others) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Numbers of the jobs in the queue.
fn jobs() -> Vec<String> {
    let queue = Queue::default_dir().filter(|dir| dir.is_dir()).and_then(|dir| Queue::open(&dir).ok());
    let jobs = queue.and_then(|queue| queue.jobs().ok()).map(|jobs| jobs.0).unwrap_or_default();
    jobs.iter().map(|job| job.id.to_string()).collect()
}
