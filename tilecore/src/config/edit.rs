//! Changes to a configuration file that leave everything else in it as somebody wrote it, comments included.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use super::Config;
use crate::error::{Error, IoContext, Result};
use crate::node::{Device, NodeSpec, Place};

/// One change to the list of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node more: whatever `--node` takes.
    Add(String),
    /// The node of this name is no longer listed.
    Remove(String),
    /// The node of this name takes part, or does not.
    Enable(String, bool),
}

/// Makes a change to the file at `path`; a file that is not there begins with this machine as its only node.
///
/// # Errors
/// When the file cannot be read, understood or written, when the change makes no sense, or when the list of nodes is
/// written in a way that only a person can change.
pub fn edit(path: &Path, change: &Change) -> Result<()> {
    let text = if path.exists() {
        Config::read(path)?;
        std::fs::read_to_string(path).at("read", path)?
    } else {
        super::template(&[] as &[&str])
    };
    let text = changed(&text, path, change)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).at("create", folder)?;
    let mut draft = tempfile::Builder::new().prefix(".tilectl-").tempfile_in(folder).at("write", folder)?;
    std::io::Write::write_all(&mut draft, text.as_bytes()).at("write", path)?;
    if let Ok(meta) = std::fs::metadata(path) {
        let _ = draft.as_file().set_permissions(meta.permissions());
    }
    draft.persist(path).map_err(|e| e.error).at("write", path)?;
    Ok(())
}

/// The text with the change made.
fn changed(text: &str, path: &Path, change: &Change) -> Result<String> {
    let config = Config::parse(text, path)?;
    let (mark, body) = text.strip_prefix('\u{feff}').map_or(("", text), |body| ("\u{feff}", body));
    let by_hand = || {
        Error::input(format!(
            "the nodes in {} are written in a way that cannot be changed from here",
            path.display()
        ))
        .remedy("Change the file by hand.")
    };
    let list = List::of(body).filter(|l| l.nodes.len() == config.nodes.len());
    let at = |name: &str| {
        config.nodes.iter().position(|n| n.name == name).ok_or_else(|| {
            Error::input(format!("{} has no node `{name}`", path.display()))
                .remedy("`tilectl nodes list` shows those it has.")
        })
    };
    let mut wanted = config.nodes.clone();
    let mut out = body.to_owned();
    match change {
        Change::Add(asked) => {
            let spec: NodeSpec = asked.parse()?;
            if wanted.iter().any(|n| n.name == spec.name) {
                return Err(Error::input(format!("{} has a node `{}` already", path.display(), spec.name))
                    .remedy("Give this one another name with the option name=NAME."));
            }
            // What is not listed takes part by itself only while nothing is listed.
            let first = wanted.is_empty() && spec.place != Place::Local;
            let local = NodeSpec::new("local", Place::Local);
            let new: Vec<NodeSpec> = first.then_some(local).into_iter().chain([spec]).collect();
            let list = list.ok_or_else(by_hand)?;
            let lines: Vec<String> = new.iter().map(|n| format!("        {},", written(n))).collect();
            let lines = lines.join("\n");
            let comma = list.nodes.last().map(|last| last.end);
            let place = list.start + 1;
            match comma {
                Some(end) => {
                    let tail = if list.commas.contains(&end) { "" } else { "," };
                    let end = list.after(body, end);
                    out.insert_str(end, &format!("{tail}\n{lines}"));
                }
                None => out.insert_str(place, &format!("\n{lines}\n    ")),
            }
            wanted.extend(new);
        }
        Change::Remove(name) => {
            let index = at(name)?;
            let list = list.ok_or_else(by_hand)?;
            let span = list.nodes.get(index).cloned().ok_or_else(by_hand)?;
            let mut end = list.after(body, span.end);
            let start = body[..span.start].trim_end_matches([' ', '\t']).len();
            let rest = &body[end..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let alone = body[..start].ends_with('\n') && rest[blank..].starts_with('\n');
            end += if alone { blank + 1 } else { 0 };
            out.replace_range(if alone { start..end } else { span.start..end }, "");
            wanted.remove(index);
        }
        Change::Enable(name, on) => {
            let index = at(name)?;
            if wanted[index].enabled != *on {
                let list = list.ok_or_else(by_hand)?;
                let span = list.nodes.get(index).cloned().ok_or_else(by_hand)?;
                let (range, word) = list.enabled(body, &span, *on);
                out.replace_range(range, &word);
            }
            wanted[index].enabled = *on;
        }
    }
    // What was meant is what stands there now, and nothing else has changed.
    let now = Config::parse(&out, path).map_err(|_| by_hand())?;
    if now.nodes != wanted || now.defaults != config.defaults {
        return Err(by_hand());
    }
    Ok(mark.to_owned() + &out)
}

/// A node as it stands in a file.
fn written(spec: &NodeSpec) -> String {
    let mut text = format!("(name: {:?}", spec.name);
    match &spec.place {
        Place::Local if spec.name != "local" => text += ", host: \"local\"",
        Place::Ssh(host) if *host != spec.name => {
            let _ = write!(text, ", host: {host:?}");
        }
        Place::Command(argv) => {
            let _ = write!(text, ", command: {argv:?}");
        }
        _ => {}
    }
    for (name, value) in [("blender", &spec.blender), ("cache_dir", &spec.cache_dir)] {
        if let Some(value) = value {
            let _ = write!(text, ", {name}: {value:?}");
        }
    }
    for (name, value) in [
        ("threads", spec.threads.map(i64::from)),
        ("slots", (spec.slots != 1).then_some(i64::from(spec.slots))),
        ("nice", spec.nice.map(i64::from)),
        ("patience", spec.patience.map(i64::from)),
    ] {
        if let Some(value) = value {
            let _ = write!(text, ", {name}: {value}");
        }
    }
    if spec.device != Device::default() {
        let _ = write!(text, ", device: {:?}", spec.device.as_str());
    }
    if !spec.env.is_empty() {
        let _ = write!(text, ", env: {:?}", spec.env);
    }
    text + ")"
}

/// Where in the text the list of nodes is.
struct List {
    /// Its opening bracket.
    start: usize,
    /// Every node, from its parenthesis to behind the closing one.
    nodes: Vec<Range<usize>>,
    /// The ends of nodes that a comma follows, and where each comma is.
    commas: Vec<usize>,
    comma_places: Vec<(usize, usize)>,
    tokens: Vec<Range<usize>>,
}

impl List {
    fn of(text: &str) -> Option<Self> {
        let tokens = tokens(text);
        let word = |i: usize| tokens.get(i).map_or("", |t: &Range<usize>| &text[t.clone()]);
        let mut depth = 0;
        let mut at = 0;
        while at < tokens.len() {
            match word(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "nodes" if depth == 1 && word(at + 1) == ":" && word(at + 2) == "[" => break,
                _ => {}
            }
            at += 1;
        }
        let start = tokens.get(at + 2)?.start;
        let mut list = Self {
            start,
            nodes: Vec::new(),
            commas: Vec::new(),
            comma_places: Vec::new(),
            tokens: Vec::new(),
        };
        let (mut depth, mut begun) = (0, None);
        for i in at + 3..tokens.len() {
            match word(i) {
                "(" | "[" | "{" => {
                    if depth == 0 {
                        begun = Some(tokens[i].start);
                    }
                    depth += 1;
                }
                "]" if depth == 0 => {
                    list.tokens = tokens;
                    return Some(list);
                }
                ")" | "]" | "}" => {
                    depth -= 1;
                    if depth == 0 {
                        list.nodes.push(begun.take()?..tokens[i].end);
                    }
                }
                "," if depth == 0 => {
                    let end = list.nodes.last()?.end;
                    list.commas.push(end);
                    list.comma_places.push((end, tokens[i].end));
                }
                _ => {}
            }
        }
        None
    }

    /// Behind the comma that follows a node, if one does.
    fn after(&self, _: &str, end: usize) -> usize {
        self.comma_places.iter().find(|c| c.0 == end).map_or(end, |c| c.1)
    }

    /// What to replace so that a node is enabled or not.
    fn enabled(&self, text: &str, node: &Range<usize>, on: bool) -> (Range<usize>, String) {
        let inside: Vec<&Range<usize>> =
            self.tokens.iter().filter(|t| node.start < t.start && t.end < node.end).collect();
        let word = |i: usize| inside.get(i).map_or("", |t| &text[(*t).clone()]);
        let mut depth = 0;
        for i in 0..inside.len() {
            match word(i) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                "enabled" if depth == 0 && word(i + 1) == ":" && inside.len() > i + 2 => {
                    return (inside[i + 2].clone(), on.to_string());
                }
                _ => {}
            }
        }
        let end = node.end - 1;
        let last = inside.last().map_or(end, |t| t.end);
        let comma = if inside.last().is_some_and(|t| &text[(*t).clone()] == ",") { "" } else { "," };
        (last..last, format!("{comma} enabled: {on}"))
    }
}

/// Words, strings and signs, without comments.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.' || b == b'-' || b >= 0x80;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = text[at..].find('\n').map_or(bytes.len(), |n| at + n);
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = behind_comment(bytes, at),
            b'"' => {
                at = behind_string(bytes, at);
                found.push(start..at);
            }
            b'r' if matches!(bytes.get(at + 1), Some(b'"' | b'#')) => {
                let marks = bytes[at + 1..].iter().take_while(|b| **b == b'#').count();
                let close = format!("\"{}", "#".repeat(marks));
                let open = at + 2 + marks;
                at = text
                    .get(open..)
                    .and_then(|t| t.find(&close))
                    .map_or(bytes.len(), |n| open + n + close.len());
                found.push(start..at);
            }
            b if is_word(b) => {
                at += bytes[at..].iter().take_while(|b| is_word(**b)).count();
                found.push(start..at);
            }
            b if b.is_ascii_whitespace() => at += 1,
            _ => {
                at += 1;
                found.push(start..at);
            }
        }
    }
    found
}

fn behind_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn behind_comment(bytes: &[u8], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < bytes.len() {
        match &bytes[at..(at + 2).min(bytes.len())] {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"// mine
(
    nodes: [
        (name: "local"), // this one
        /* ( */ (
            name: "attic", // ), enabled: true
            host: "me@attic",
            env: {"A": "(] \" enabled"},
        )
    ],
    defaults: (samples: 8),
)
"#;

    fn change(text: &str, change: &Change) -> Result<String> {
        changed(text, Path::new("c.ron"), change)
    }

    #[test]
    fn a_change_leaves_the_rest_as_it_is() {
        let off = change(FILE, &Change::Enable("attic".into(), false)).unwrap();
        assert!(off.contains("enabled\"}, enabled: false\n        )\n"), "{off}");
        let on = change(&off, &Change::Enable("attic".into(), true)).unwrap();
        assert!(on.contains("enabled\"}, enabled: true\n"), "{on}");
        let more = change(FILE, &Change::Add("me@new,threads=3,name=n".into())).unwrap();
        assert!(
            more.contains("        ),\n        (name: \"n\", host: \"me@new\", threads: 3),\n    ],"),
            "{more}"
        );
        let less = change(FILE, &Change::Remove("local".into())).unwrap();
        assert!(
            !less.contains("\"local\"")
                && less.contains("// this one")
                && less.contains("defaults: (samples: 8)")
        );
        let none = change(&less, &Change::Remove("attic".into())).unwrap();
        assert!(Config::parse(&none, Path::new("c.ron")).unwrap().nodes.is_empty(), "{none}");
        let first = change("()", &Change::Add("local".into()));
        assert!(first.is_err(), "there is no list to add to");
        let two = change("(nodes: [])", &Change::Add("a".into())).unwrap();
        let names: Vec<String> =
            Config::parse(&two, Path::new("c.ron")).unwrap().nodes.into_iter().map(|n| n.name).collect();
        assert_eq!(names, ["local", "a"], "this machine was there without being listed");
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            Change::Add("attic".into()),
            Change::Add("a b".into()),
            Change::Remove("nobody".into()),
            Change::Enable("nobody".into(), true),
        ] {
            assert!(change(FILE, &wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_first_configuration_can_be_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/c.ron");
        edit(&path, &Change::Add("me@server".into())).unwrap();
        edit(&path, &Change::Enable("local".into(), false)).unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.nodes.iter().map(|n| n.enabled).collect::<Vec<_>>(), [false, true]);
        assert!(std::fs::read_to_string(&path).unwrap().contains("Every setting of a node"));
    }
}
