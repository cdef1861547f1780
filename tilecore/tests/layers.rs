//! Modules use each other in one direction only: the `use` lines of the sources, read as a graph, have no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each module uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files below `folder` that are not tests, with their paths below it.
fn files(folder: &Path, below: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let name = path.file_name().unwrap().to_str().unwrap();
        if folder.join(&path).is_dir() && name != "tests" {
            files(folder, &path, into);
        } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
            let text = fs::read_to_string(folder.join(&path)).unwrap();
            into.push((path, code(&text)));
        }
    }
}

/// What is compiled into the library: no comments, no unit tests.
fn code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first names of everything in `text` that comes after `prefix`: of `prefix::a::b` it is `a`, of `prefix::{a, b::c}`
/// they are `a` and `b`.
fn named(text: &str, prefix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in text.match_indices(prefix) {
        if text[..at].ends_with(|c| word(c) || c == ':') {
            continue;
        }
        let rest = &text[at + prefix.len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(rest.split(|c| !word(c)).next().unwrap_or_default().to_owned());
            continue;
        };
        let (mut depth, mut name) = (1, Some(String::new()));
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            match (&mut name, c) {
                (Some(n), c) if word(c) => n.push(c),
                (Some(n), c) if !c.is_whitespace() => {
                    found.insert(std::mem::take(n));
                    name = None;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && c == ',' {
                name = Some(String::new());
            }
        }
    }
    found.remove("");
    found
}

/// The modules right below a folder and what they use of each other; the folder's own `mod.rs` is the module `mod`.
fn graph(folder: &Path, path: &str) -> Graph {
    let mut all = Vec::new();
    files(folder, Path::new(""), &mut all);
    let module = |path: &Path| {
        path.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    let modules: BTreeSet<String> = all.iter().map(|(path, _)| module(path)).collect();
    let mut graph = Graph::new();
    for (file, text) in &all {
        let own = module(file);
        let mut used = named(text, path);
        if path != "crate::" {
            let depth = file.components().count() - usize::from(file.ends_with("mod.rs"));
            match (own.as_str(), depth) {
                // The folder's own file: its parts by their names.
                ("mod", _) => {
                    let parts = text.match_indices("use ").map(|(at, _)| &text[at + 4..]);
                    used.extend(parts.filter_map(|rest| Some(rest.split_once("::")?.0.to_owned())));
                    used.retain(|name| modules.contains(name));
                }
                (_, 1) => used.extend(named(text, "super::")),
                _ => used.extend(named(text, "super::super::")),
            }
        }
        let known = used.into_iter().map(|name| match name.as_str() {
            "Error" | "Result" if path == "crate::" => "error".to_owned(),
            name if modules.contains(name) => name.to_owned(),
            _ => "mod".to_owned(),
        });
        let known: BTreeSet<String> = known.filter(|name| *name != own && modules.contains(name)).collect();
        graph.entry(own).or_default().extend(known);
    }
    graph
}

/// Modules that lie on a circle or behind one: what is left when those are taken away that use nothing more.
fn circle(graph: &Graph) -> BTreeSet<String> {
    let mut left: BTreeSet<String> = graph.keys().cloned().collect();
    loop {
        let uses_nothing = |name: &&String| graph[*name].is_disjoint(&left);
        let free: Vec<String> = left.iter().filter(uses_nothing).cloned().collect();
        if free.is_empty() {
            return left;
        }
        left.retain(|name| !free.contains(name));
    }
}

fn shown(graph: &Graph) -> String {
    let line = |(name, uses): (&String, &BTreeSet<String>)| {
        format!("{name:12} -> {}", uses.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
    };
    graph.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn names_are_found_in_groups_and_paths() {
    let names = named(
        "use crate::a::{x, y}; use crate::{b, c::{d, e::f}, Error}; xcrate::g; fn h(i: crate::j::K)",
        "crate::",
    );
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["Error", "a", "b", "c", "j"]);
}

#[test]
fn a_circle_is_seen() {
    let edges = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["a"]), ("d", vec![])];
    let graph =
        edges.map(|(name, uses)| (name.to_owned(), uses.into_iter().map(str::to_owned).collect())).into();
    assert_eq!(circle(&graph).into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
#[expect(clippy::print_stderr, reason = "the graph is worth a look where it has no circle, too")]
fn no_two_modules_use_each_other() {
    let graph = graph(&sources(), "crate::");
    eprintln!("{}", shown(&graph));
    assert!(
        graph.len() > 25 && graph["render"].contains("schedule"),
        "the graph was not read:\n{}",
        shown(&graph)
    );
    let left = circle(&graph);
    assert!(left.is_empty(), "{left:?} use each other, or something that does:\n{}", shown(&graph));
}

#[test]
#[expect(clippy::print_stderr, reason = "the graph is worth a look where it has no circle, too")]
fn no_two_parts_of_the_run_use_each_other() {
    let graph = graph(&sources().join("render"), "crate::render::");
    eprintln!("{}", shown(&graph));
    assert!(graph["coordinator"].contains("prover"), "the graph was not read:\n{}", shown(&graph));
    let left = circle(&graph);
    assert!(left.is_empty(), "{left:?} use each other, or something that does:\n{}", shown(&graph));
}

#[test]
fn modules_use_their_own_layer_and_those_before() {
    let lib = fs::read_to_string(sources().join("lib.rs")).unwrap();
    let mut layer = BTreeMap::new();
    let mut number = 0;
    for line in lib.lines() {
        number += usize::from(line.starts_with(&format!("// {}. ", number + 1)));
        if let Some(name) = line.strip_prefix("pub mod ") {
            layer.insert(name.trim_end_matches(';').to_owned(), number);
        }
    }
    assert!(number >= 8, "the layers are numbered in lib.rs");
    for (name, uses) in graph(&sources(), "crate::") {
        for used in uses {
            assert!(layer[&used] <= layer[&name], "{name} uses {used}, which lib.rs has in a later layer");
        }
    }
}
