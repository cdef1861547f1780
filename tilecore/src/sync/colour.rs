//! The colour configuration that Blender would use on this machine, for nodes that would use another one.
//!
//! The yardstick is the picture that Blender makes here: where `OCIO` is set here, or the user's Blender has a
//! configuration in its data folder, nodes elsewhere get that very configuration with all files it reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::names::{bytes, normal, path as path_of, shown};
use super::{Hashes, InputPath, Inputs};
use crate::error::{Error, Result, reason};

/// Variables that `OpenColorIO` itself reads beside the configuration; as in the worker's `colour.py`.
const VARIABLES: [&str; 4] =
    ["OCIO_ACTIVE_DISPLAYS", "OCIO_ACTIVE_VIEWS", "OCIO_INACTIVE_COLORSPACES", "OCIO_OPTIMIZATION_FLAGS"];
/// Files that are no longer than this are read for what they refer to, bytes.
const LONGEST: u64 = 16 << 20;

/// A configuration that nodes are to use.
#[derive(Clone, Debug)]
pub(crate) struct Colour {
    /// What is in it, as a number that a worker computes too.
    pub(crate) sha256: String,
    /// The configuration first; none where it is built into `OpenColorIO`.
    pub(crate) inputs: Inputs,
    built_in: Option<String>,
    variables: Vec<(String, String)>,
}

impl Colour {
    /// The one that Blender of this version would use here; `None` where that is Blender's own.
    ///
    /// # Errors
    /// When it cannot be read, or reads files that would not be where it looks for them on another machine.
    pub(crate) fn here(version: &str) -> Result<Option<Self>> {
        if let Some(named) = std::env::var_os("OCIO").filter(|value| !value.is_empty()) {
            let named = PathBuf::from(named);
            if let Some(uri) = named.to_str().filter(|text| text.starts_with("ocio://")) {
                return Ok(Some(Self::built_in(uri)));
            }
            let path = std::path::absolute(&named).map_err(|e| unreadable(&named, &reason(&e)))?;
            return Self::of(&path_of(&normal(bytes(&path)).0)).map(Some);
        }
        match user_folder(version).map(|dir| dir.join("datafiles/colormanagement/config.ocio")) {
            Some(own) if own.is_file() => Self::of(&own).map(Some),
            _ => Ok(None),
        }
    }

    fn built_in(uri: &str) -> Self {
        let variables = set(VARIABLES.iter().map(|name| (*name).to_owned()));
        let sha256 = crate::hash::of_bytes(format!("built in {uri}\n"));
        Self { sha256, inputs: Inputs::default(), built_in: Some(uri.to_owned()), variables }
    }

    /// The configuration at this absolute path.
    fn of(path: &Path) -> Result<Self> {
        let config = Config::read(path)?;
        let mut hashes = Hashes::open();
        let mut text = Vec::new();
        let mut files = vec![InputPath::hashed(path, &mut hashes)?];
        text.extend_from_slice(format!("config {}\n", files[0].sha256).as_bytes());
        for (source, file) in config.files()? {
            let file = InputPath::hashed(&file, &mut hashes)?;
            text.extend_from_slice(
                &[b"file ", source.as_slice(), b" ", file.sha256.as_bytes(), b"\n"].concat(),
            );
            if !files.contains(&file) {
                files.push(file);
            }
        }
        hashes.save();
        let mut names: BTreeSet<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
        names.extend(config.defaults.keys().filter_map(|name| String::from_utf8(name.clone()).ok()));
        let variables = set(names.into_iter());
        for (name, value) in &variables {
            text.extend_from_slice(format!("variable {name}={value}\n").as_bytes());
        }
        Ok(Self {
            sha256: crate::hash::of_bytes(&text),
            inputs: Inputs { files, ..Inputs::default() },
            built_in: None,
            variables,
        })
    }

    /// The worker's request to begin anew with it.
    pub(crate) fn restart_request(&self) -> Value {
        let mut request = match &self.built_in {
            Some(uri) => json!({"built_in": uri}),
            None => self.inputs.open_request(false),
        };
        request["variables"] = json!(self.variables);
        request
    }
}

/// What is set of these variables.
fn set(names: impl Iterator<Item = String>) -> Vec<(String, String)> {
    names.filter_map(|name| Some((name.clone(), std::env::var(&name).ok()?))).collect()
}

fn unreadable(path: &Path, why: &str) -> Error {
    Error::input(format!("cannot use the colour configuration {}: {why}", shown(path))).remedy(
        "Set OCIO to a configuration that is there, or unset it; Blender would silently take its own.",
    )
}

/// Where Blender of this version keeps what is the user's.
pub(super) fn user_folder(version: &str) -> Option<PathBuf> {
    let short: Vec<&str> = version.split(['.', ' ']).take(2).collect();
    let short = short.join(".");
    if short.is_empty() || !short.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let dir = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(own) = dir("BLENDER_USER_RESOURCES") {
        return Some(own);
    }
    let home = dir("HOME");
    let config = dir("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let mac = home.map(|home| home.join("Library/Application Support/Blender"));
    [config.map(|c| c.join("blender")), mac]
        .into_iter()
        .flatten()
        .map(|folder| folder.join(&short))
        .find(|folder| folder.is_dir())
}

/// What a configuration says about files.
struct Config<'a> {
    path: &'a Path,
    sources: BTreeSet<Vec<u8>>,
    folders: Vec<Vec<u8>>,
    defaults: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<'a> Config<'a> {
    fn read(path: &'a Path) -> Result<Self> {
        use std::io::Read;
        let mut text = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
            .map_err(|e| unreadable(path, &reason(&e)))?;
        // An archive holds all that it needs.
        let is_text = contains(&text[..text.len().min(1 << 16)], b"ocio_profile_version");
        let sources = if is_text { sources(&text) } else { BTreeSet::new() };
        let folders: Vec<Vec<u8>> = block(&text, b"search_path")
            .iter()
            .flat_map(|entry| unquoted(entry).split(|b| *b == b':'))
            .filter(|folder| !folder.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        let defaults = block(&text, b"environment")
            .iter()
            .map(|entry| {
                let at = entry.iter().position(|b| *b == b':').unwrap_or(entry.len());
                (unquoted(&entry[..at]).to_vec(), unquoted(entry.get(at + 1..).unwrap_or_default()).to_vec())
            })
            .collect();
        let folders = if folders.is_empty() { vec![b".".to_vec()] } else { folders };
        Ok(Self { path, sources, folders, defaults })
    }

    /// The files that its transforms read, by the names that stand there.
    fn files(&self) -> Result<BTreeMap<Vec<u8>, PathBuf>> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        let mut found = BTreeMap::new();
        for source in &self.sources {
            let name = self.expand(source);
            for place in &self.folders {
                let place = self.expand(place);
                let file = folder.join(path_of(&place)).join(path_of(&name));
                if !file.is_file() {
                    continue;
                }
                if place.starts_with(b"/") || name.starts_with(b"/") {
                    return Err(Error::input(format!(
                        "the colour configuration {} names {} by its absolute path, which leads elsewhere on another machine",
                        shown(self.path),
                        shown(&file)
                    ))
                    .remedy("Write its search_path and its files relative to the configuration, or render on this machine alone."));
                }
                found.insert(source.clone(), path_of(&normal(bytes(&file)).0));
                break;
            }
        }
        Ok(found)
    }

    /// With what variables stand for: `$NAME`, `${NAME}`, `%NAME%`.
    fn expand(&self, text: &[u8]) -> Vec<u8> {
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let mut out = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at + 1..];
            let (name, length) = match text[at] {
                b'$' if rest.first() == Some(&b'{') => match rest.iter().position(|b| *b == b'}') {
                    Some(end) => (&rest[1..end], end + 2),
                    None => (&rest[..0], 0),
                },
                b'$' => {
                    let end = rest.iter().position(|b| !is_name(b)).unwrap_or(rest.len());
                    (&rest[..end], end + 1)
                }
                b'%' => match rest.iter().position(|b| *b == b'%') {
                    Some(end) => (&rest[..end], end + 2),
                    None => (&rest[..0], 0),
                },
                _ => (&rest[..0], 0),
            };
            let default = self.defaults.get(name).filter(|_| !name.is_empty());
            let value = default.map(|default| {
                let set = std::env::var_os(OsString::from_vec(name.to_vec()));
                set.map_or_else(|| default.clone(), |value| value.as_bytes().to_vec())
            });
            if let Some(value) = value {
                out.extend_from_slice(&value);
                at += length;
            } else {
                out.push(text[at]);
                at += 1;
            }
        }
        out
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|w| w == word)
}

fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    match text {
        [first @ (b'"' | b'\''), inner @ .., last] if first == last => inner,
        _ => text,
    }
}

/// What transforms read from: files, and colour spaces that no file is called like.
fn sources(text: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(at) = text[from..].windows(4).position(|w| w == b"src:").map(|at| from + at) {
        from = at + 4;
        if at > 0 && (text[at - 1].is_ascii_alphanumeric() || text[at - 1] == b'_') {
            continue;
        }
        let rest = text[from..].trim_ascii_start_in_line();
        let quoted = rest.first().filter(|b| matches!(b, b'"' | b'\'')).and_then(|quote| {
            let end = rest[1..].iter().position(|b| b == quote || *b == b'\n')?;
            (rest[1 + end] == *quote).then(|| &rest[1..=end])
        });
        let plain = || unquoted(&rest[..end_of_plain(rest)]);
        let value = quoted.unwrap_or_else(plain);
        if !value.is_empty() {
            found.insert(value.to_vec());
        }
    }
    found
}

/// Where a value without quotes ends: a brace that a variable has opened (`${NAME}`) is part of it.
fn end_of_plain(text: &[u8]) -> usize {
    let mut variable = false;
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'{' if at > 0 && text[at - 1] == b'$' => variable = true,
            b'}' if variable => variable = false,
            b',' | b'}' | b'\n' => return at,
            _ => {}
        }
    }
    text.len()
}

/// Blanks of a line.
trait InLine {
    fn trim_ascii_start_in_line(&self) -> &Self;
}

impl InLine for [u8] {
    fn trim_ascii_start_in_line(&self) -> &Self {
        let start = self.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(self.len());
        &self[start..]
    }
}

/// The entries below a key of the outermost level: of a list or a table, in one line or in several.
fn block(text: &[u8], key: &[u8]) -> Vec<Vec<u8>> {
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    for (at, line) in lines.iter().enumerate() {
        let Some(rest) = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(b":")) else { continue };
        let end = rest.windows(2).position(|w| w == b" #").unwrap_or(rest.len());
        let rest = rest[..end].trim_ascii();
        if matches!(rest.first(), Some(b'[' | b'{')) {
            let brackets = |b: &u8| matches!(b, b'[' | b']' | b'{' | b'}');
            let start = rest.iter().position(|b| !brackets(b)).unwrap_or(rest.len());
            let end = rest.iter().rposition(|b| !brackets(b)).map_or(start, |end| end + 1);
            let entries = rest[start..end].split(|b| *b == b',').map(<[u8]>::trim_ascii);
            return entries.filter(|entry| !entry.is_empty()).map(<[u8]>::to_vec).collect();
        }
        if !rest.is_empty() {
            return vec![rest.to_vec()];
        }
        let mut found = Vec::new();
        for below in &lines[at + 1..] {
            let below_key = matches!(below.first(), Some(b' ' | b'-' | b'#' | b'\t'));
            if !below.trim_ascii().is_empty() && !below_key {
                break;
            }
            let entry = below.trim_ascii();
            let entry = entry.strip_prefix(b"-").unwrap_or(entry).trim_ascii();
            if !entry.is_empty() && !entry.starts_with(b"#") && entry != b"{}" {
                found.push(entry.to_vec());
            }
        }
        return found;
    }
    Vec::new()
}

/// The files that a configuration at `path` reads, the configuration first.
///
/// # Errors
/// As [`Colour::here`].
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    let config = Config::read(path)?;
    let mut found = vec![path.to_owned()];
    found.extend(config.files()?.into_values());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const CONFIG: &str = "# src: never.cube\nocio_profile_version: 2\nenvironment:\n  SHOT_OF_THIS_TEST: s1\nsearch_path: \"luts:more/$SHOT_OF_THIS_TEST\"\ncolorspaces:\n  - !<ColorSpace>\n    to_scene_reference: !<GroupTransform>\n      children:\n        - !<FileTransform> {src: a.spi1d, interpolation: linear}\n        - !<FileTransform> {src: \"b, c.cube\"}\n        - !<FileTransform>\n          src: ${SHOT_OF_THIS_TEST}.cube\n        - !<ColorSpaceTransform> {src: Linear, dst: sRGB}\n";

    #[test]
    fn all_files_of_a_configuration_are_found_and_count() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for folder in ["luts", "more/s1"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in ["luts/a.spi1d", "luts/b, c.cube", "more/s1/s1.cube", "luts/unused.cube"] {
            fs::write(at(file), file).unwrap();
        }
        fs::write(at("config.ocio"), CONFIG).unwrap();
        let colour = Colour::of(&at("config.ocio")).unwrap();
        let paths: Vec<_> = colour.inputs.files.iter().map(|f| f.path.clone()).collect();
        let wanted = ["config.ocio", "more/s1/s1.cube", "luts/a.spi1d", "luts/b, c.cube"].map(at);
        assert_eq!(paths, wanted);
        // A table that is changed makes another configuration, one that is not read does not.
        fs::write(at("luts/unused.cube"), "other").unwrap();
        assert_eq!(Colour::of(&at("config.ocio")).unwrap().sha256, colour.sha256);
        fs::write(at("luts/b, c.cube"), "other").unwrap();
        assert_ne!(Colour::of(&at("config.ocio")).unwrap().sha256, colour.sha256);
    }

    #[test]
    fn an_absolute_path_in_it_is_told_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::write(top.join("a.cube"), "").unwrap();
        let text = format!("ocio_profile_version: 2\nsrc: {}\n", top.join("a.cube").display());
        fs::write(top.join("config.ocio"), text).unwrap();
        let error = Colour::of(&top.join("config.ocio")).unwrap_err().to_string();
        assert!(error.contains("a.cube") && error.contains("absolute"), "{error}");
    }
}
