//! The documents say what the code says: links lead to files, and what the code names is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All files below `folder` whose names end with one of `endings`.
fn files(folder: &Path, endings: &[&str], into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, endings, into);
        } else if path.extension().is_some_and(|e| endings.iter().any(|ending| e == *ending)) {
            into.push(path);
        }
    }
}

/// The code: what is written in Rust, Python and for the shell.
fn code() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in
        ["tilecore/src", "tilecore/tests", "tilectl/src", "tilectl/tests", "tilectl/extension", "benches/src"]
    {
        files(&root().join(folder), &["rs", "py", "sh"], &mut found);
    }
    found
}

fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CONTRIBUTING.md")];
    files(&root().join("tilecore/docs"), &["md"], &mut found);
    found
}

/// Where the links of a text lead to, without those to other sites and to places in the same text.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|t| !t.contains("://") && !t.starts_with('#'));
    targets.map(|t| t.split('#').next().unwrap_or(t)).collect()
}

/// The numbers of the facts that a text cites: `(F3, F5)`, `; F18)`, `F14: because`.
fn cited(text: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('F') {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let digits: String = text[at + 1..].chars().take_while(char::is_ascii_digit).collect();
        let after = text[at + 1 + digits.len()..].chars().next().unwrap_or(' ');
        if matches!(before, '(' | ' ' | '"')
            && matches!(after, ')' | ',' | ':' | ';')
            && let Ok(number) = digits.parse()
        {
            found.insert(number);
        }
    }
    found
}

/// What a table of a document explains: the words in backticks in the first cells of its rows.
fn explained(text: &str) -> BTreeSet<&str> {
    let cells = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

/// Every word in `text` that stands between `before` and the next sign that is part of no name.
fn named<'t>(text: &'t str, before: &str) -> BTreeSet<&'t str> {
    let rest = text.split(before).skip(1);
    rest.map(|r| r.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")).collect()
}

#[test]
fn links_are_found_as_they_are_written() {
    assert_eq!(links("[a](x.md#y) [b](https://e.org/) [c](#d) ![e](f/g.png)"), ["x.md", "f/g.png"]);
}

#[test]
fn citations_are_told_from_types_and_keys() {
    let text = "FlatSamples::F32(v), SampleType::F16, F12 renders (F3, F5) so; F18) \"F2: why\"";
    assert_eq!(cited(text), BTreeSet::from([2, 3, 5, 18]));
}

#[test]
fn every_link_leads_to_a_file() {
    let mut dead = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            if !document.parent().unwrap().join(link).exists() {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn every_fact_that_the_code_cites_is_explained() {
    let exactness = read("tilecore/docs/exactness.md");
    let headings: BTreeSet<u32> = named(&exactness, "\n### F").iter().map(|n| n.parse().unwrap()).collect();
    let mut cites = 0;
    for path in code() {
        let text = fs::read_to_string(&path).unwrap();
        for number in cited(&text) {
            assert!(headings.contains(&number), "{} cites F{number}, which has no heading", path.display());
            cites += 1;
        }
    }
    assert!(cites > 15, "only {cites} citations were found");
}

#[test]
fn every_test_that_a_fact_names_exists() {
    let exactness = read("tilecore/docs/exactness.md");
    let code: String = code().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut tests = 0;
    for part in exactness.split("**Tests.**").skip(1) {
        let part = part.split("\n\n").next().unwrap_or(part);
        let name =
            |word: &&str| word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        for test in part.split('`').skip(1).step_by(2).filter(name) {
            assert!(code.contains(&format!("fn {test}(")), "there is no test {test}");
            tests += 1;
        }
    }
    assert!(tests > 15, "only {tests} tests were found");
}

#[test]
fn every_request_event_and_error_of_the_worker_is_explained() {
    let protocol = read("tilecore/docs/protocol.md");
    let explained = explained(&protocol);
    let folder = root().join("tilecore/src/blender/worker");
    let mut sources = Vec::new();
    files(&folder, &["py"], &mut sources);
    let sources: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let transfers = sources.split("\nTRANSFERS = (").nth(1).unwrap().split(')').next().unwrap();
    let mut said = named(&sources, "def do_");
    assert!(said.len() > 5, "{said:?}");
    said.extend(transfers.split('"').skip(1).step_by(2));
    said.extend(named(&sources, "command == \""));
    said.extend(named(&sources, "{\"event\": \""));
    said.extend(named(&sources, "Refused(\""));
    said.extend(named(&sources, "wire.fail(request, \""));
    let missing: Vec<_> = said.difference(&explained).collect();
    assert!(missing.is_empty(), "protocol.md has no row for {missing:?}");
}

#[test]
fn every_record_of_the_state_file_is_explained() {
    let state = read("tilecore/docs/state.md");
    let explained = explained(&state);
    let source = read("tilecore/src/state.rs");
    let body = source.split("\npub enum Record {").nth(1).unwrap().split("\n}").next().unwrap();
    let variant = |line: &&str| line.starts_with(|c: char| c.is_ascii_uppercase());
    let variants: Vec<_> =
        body.lines().filter_map(|line| line.strip_prefix("    ")).filter(variant).collect();
    assert!(variants.len() > 8, "{variants:?}");
    for variant in variants {
        let name = variant.split(|c: char| !c.is_alphanumeric()).next().unwrap();
        assert!(explained.contains(name), "state.md has no row for the record {name}");
    }
}
