//! Files that the scene refers to and that cannot be sent: why, and what to do about each.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::names::shown;
use super::roots::{advised, is_hidden};
use crate::error::Error;

/// How many are listed by name.
const LISTED: usize = 20;
/// How many places the advice names.
const NAMED: usize = 6;
/// How many names of a directory are looked at for a similar one.
const LOOKED_AT: usize = 10_000;

/// Why a file cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is not there; perhaps one with a similar name is.
    Absent(Option<PathBuf>),
    /// It is there and cannot be read.
    Unreadable(String),
    /// It lies outside the project's folders or is hidden in them, there.
    Outside(PathBuf),
    /// Nobody can tell which file it is.
    Unnamed,
}

/// A file that Blender would miss on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where it should be.
    pub path: PathBuf,
    /// What refers to it.
    pub what: String,
    /// In which .blend.
    pub blend: PathBuf,
    /// Why it cannot be sent.
    pub why: Why,
}

impl Missing {
    /// One line for people.
    fn line(&self, main: &Path) -> String {
        let from = main.parent().unwrap_or(Path::new("/"));
        let short = |path: &Path| shown(path.strip_prefix(from).unwrap_or(path));
        let mut line = format!("{} ({}", short(&self.path), self.what);
        if self.blend != main {
            line += &format!(" in {}", short(&self.blend));
        }
        line.push(')');
        match &self.why {
            Why::Absent(Some(near)) => line += &format!("; there is {}", short(near)),
            Why::Unreadable(reason) => line += &format!("; {reason}"),
            Why::Outside(real) if *real != self.path => line += &format!("; it leads to {}", shown(real)),
            Why::Absent(None) | Why::Outside(_) | Why::Unnamed => {}
        }
        line
    }
}

fn listed(missing: &[&Missing], main: &Path) -> String {
    let mut text = String::new();
    for one in missing.iter().take(LISTED) {
        text += "\n    ";
        text += &one.line(main);
    }
    if missing.len() > LISTED {
        text += &format!("\n    and {} more", missing.len() - LISTED);
    }
    text
}

fn split(missing: &[Missing]) -> (Vec<&Missing>, Vec<&Missing>) {
    missing.iter().filter(|m| m.why != Why::Unnamed).partition(|m| matches!(m.why, Why::Outside(_)))
}

/// What refers to files that nobody can name, a line each; empty when there is none.
fn unnamed(missing: &[Missing]) -> String {
    let all: Vec<&str> = missing.iter().filter(|m| m.why == Why::Unnamed).map(|m| m.what.as_str()).collect();
    let mut text = String::new();
    for what in all.iter().take(LISTED) {
        text += &format!("\n    {what}");
    }
    if all.len() > LISTED {
        text += &format!("\n    and {} more", all.len() - LISTED);
    }
    text
}

/// Whether it would have been sent if it were not hidden.
fn is_hidden_beside(missing: &Missing, main: &Path) -> bool {
    let Why::Outside(real) = &missing.why else { return false };
    let folder = main.parent().and_then(|folder| folder.canonicalize().ok());
    folder.is_some_and(|folder| is_hidden(&folder, real))
}

fn counted(n: usize) -> String {
    if n == 1 { "1 file".into() } else { format!("{n} files") }
}

/// Why nothing is rendered, and what to do. `main` is the .blend that is rendered.
pub(crate) fn complaint(missing: &[Missing], main: &Path) -> Error {
    let (outside, absent) = split(missing);
    let mut message = Vec::new();
    let mut remedy = Vec::new();
    if !absent.is_empty() {
        message.push(format!(
            "{} that the scene needs cannot be found:{}",
            counted(absent.len()),
            listed(&absent, main)
        ));
        remedy.push(
            "Put what is missing in its place or correct the path in Blender, or render without it as Blender \
             itself would (missing textures come out pink) with --allow-missing."
                .to_owned(),
        );
    }
    if !outside.is_empty() {
        let there = |n: usize| if n == 1 { "there is 1 file".into() } else { format!("there are {n} files") };
        let (hidden, elsewhere): (Vec<&Missing>, Vec<&Missing>) =
            outside.iter().partition(|m| is_hidden_beside(m, main));
        if !elsewhere.is_empty() {
            message.push(format!(
                "{} that the scene needs outside its own folder, and such files are not sent to nodes unasked:{}",
                there(elsewhere.len()),
                listed(&elsewhere, main)
            ));
        }
        if !hidden.is_empty() {
            message.push(format!(
                "{} that the scene needs hidden in its folder, and hidden files are not sent to nodes unless they are \
                 named:{}",
                there(hidden.len()),
                listed(&hidden, main)
            ));
        }
        let real = outside.iter().filter_map(|m| match &m.why {
            Why::Outside(real) => Some(real.as_path()),
            _ => None,
        });
        let places = advised(real);
        let roots: Vec<String> =
            places.iter().take(NAMED).map(|place| format!("--root {}", quoted(&shown(place)))).collect();
        let more = if places.len() > NAMED { ", and so on for the others" } else { "" };
        remedy.push(format!(
            "If they belong to the project, let them be sent to the nodes: {}{more}.",
            roots.join(" ")
        ));
    }
    let unnamed = unnamed(missing);
    if !unnamed.is_empty() {
        message.push(format!("which files the scene reads cannot be told, so they cannot be sent:{unnamed}"));
        remedy.push(
            "Write those names into the scene as they are (or pack the files), or render without the files with \
             --allow-missing."
                .to_owned(),
        );
    }
    Error::input(message.join("\n  ")).remedy(remedy.join(" "))
}

/// What the user should know when it is rendered all the same.
pub(crate) fn warnings(missing: &[Missing], main: &Path) -> Vec<String> {
    let (outside, absent) = split(missing);
    let mut texts = Vec::new();
    if !absent.is_empty() {
        texts.push(format!(
            "{} cannot be found; the frame is rendered without, as Blender on one machine would (missing textures \
             are pink):{}",
            counted(absent.len()),
            listed(&absent, main)
        ));
    }
    if !outside.is_empty() {
        texts.push(format!(
            "{} outside the project's folder or hidden in it not sent; Blender on this machine alone would have used {}:{}",
            if outside.len() == 1 { "1 file is".into() } else { format!("{} files are", outside.len()) },
            if outside.len() == 1 { "it" } else { "them" },
            listed(&outside, main)
        ));
    }
    let unnamed = unnamed(missing);
    if !unnamed.is_empty() {
        texts.push(format!(
            "which files the scene reads cannot be told, and they are not sent; what they show may be \
                            missing in the picture:{unnamed}"
        ));
    }
    texts
}

/// As one word of a shell, for people to copy.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:".contains(c);
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A file that differs from `path` in upper and lower case only, or else one beside it with much the same name.
pub(super) fn near(path: &Path) -> Option<PathBuf> {
    let mut there = PathBuf::from("/");
    let mut names = path.components().skip(1).map(|c| c.as_os_str().to_owned()).peekable();
    while let Some(name) = names.next() {
        let next = there.join(&name);
        if next.exists() {
            there = next;
            continue;
        }
        let wanted = name.to_string_lossy().to_lowercase();
        let mut similar: Option<(f64, PathBuf)> = None;
        let mut same = None;
        for entry in there.read_dir().ok()?.flatten().take(LOOKED_AT) {
            let found = entry.file_name().to_string_lossy().to_lowercase();
            if found == wanted {
                same = Some(entry.path());
                break;
            }
            let likeness = strsim::jaro_winkler(&found, &wanted);
            if likeness > similar.as_ref().map_or(0.93, |s| s.0) && entry.path().is_file() {
                similar = Some((likeness, entry.path()));
            }
        }
        match same {
            Some(path) => there = path,
            None if names.peek().is_none() => return similar.map(|s| s.1),
            None => return None,
        }
    }
    there.is_file().then_some(there)
}

/// What lies in the folder of a .blend and a little below, by lower-case name: where a file with a wrong path often is.
#[derive(Debug)]
pub(super) struct Around(HashMap<String, PathBuf>);

impl Around {
    pub(super) fn of(blend: &Path) -> Self {
        let mut found = HashMap::new();
        let mut folders = vec![(blend.parent().unwrap_or(Path::new("/")).to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in folder.read_dir().into_iter().flatten().flatten() {
                if found.len() >= LOOKED_AT {
                    return Self(found);
                }
                let name = entry.file_name().to_string_lossy().to_lowercase();
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && depth < 3 && !name.starts_with('.') => {
                        folders.push((entry.path(), depth + 1));
                    }
                    Ok(kind) if kind.is_file() => {
                        found.entry(name).or_insert_with(|| entry.path());
                    }
                    _ => {}
                }
            }
        }
        Self(found)
    }

    /// A file of the same name as `path`.
    pub(super) fn called(&self, path: &Path) -> Option<PathBuf> {
        self.0.get(&path.file_name()?.to_string_lossy().to_lowercase()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(path: &str, why: Why) -> Missing {
        Missing { path: path.into(), what: "image 'a'".into(), blend: "/p/a.blend".into(), why }
    }

    #[test]
    fn a_complaint_names_every_file_and_what_to_do() {
        let all = [
            missing("/p/tex/wood.png", Why::Absent(Some("/p/tex/Wood.PNG".into()))),
            missing("/q/tex/a b.png", Why::Outside("/q/tex/a b.png".into())),
        ];
        let error = complaint(&all, Path::new("/p/a.blend"));
        let text = error.to_string();
        assert!(text.contains("tex/wood.png (image 'a'); there is tex/Wood.PNG"), "{text}");
        assert!(text.contains("/q/tex/a b.png"), "{text}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("--allow-missing") && hint.contains("--root /q/tex."), "{hint}");
        let many: Vec<Missing> =
            (0..50).map(|n| missing(&format!("/p/{n}.png"), Why::Absent(None))).collect();
        let text = complaint(&many, Path::new("/p/a.blend")).to_string();
        assert!(text.contains("50 files") && text.contains("and 30 more"), "{text}");
    }

    #[test]
    fn a_hidden_file_is_called_hidden_and_the_advice_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().canonicalize().unwrap();
        let file = folder.join(".hidden.png");
        let all = [missing(&file.display().to_string(), Why::Outside(file.clone()))];
        let error = complaint(&all, &folder.join("a.blend"));
        assert!(error.to_string().contains("needs hidden in its folder"), "{error}");
        assert!(!error.to_string().contains("outside"), "{error}");
        assert!(error.hint().unwrap().contains(&format!("--root {}.", file.display())), "{error:?}");
    }

    #[test]
    fn case_and_typing_errors_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("Textures")).unwrap();
        std::fs::write(at("Textures/Wood.PNG"), b"").unwrap();
        std::fs::write(at("Textures/brick_wall_01.png"), b"").unwrap();
        if !at("textures").exists() {
            assert_eq!(near(&at("textures/wood.png")), Some(at("Textures/Wood.PNG")));
        }
        assert_eq!(near(&at("Textures/brick_wall_1.png")), Some(at("Textures/brick_wall_01.png")));
        assert_eq!(near(&at("Textures/leaf.png")), None);
        assert_eq!(near(&at("other/leaf.png")), None);
    }
}
