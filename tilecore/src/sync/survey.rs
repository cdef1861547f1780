//! From what the scene refers to, to the files here: which are sent, which are missing, which may not leave.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::hashes::Hashes;
use super::listing::{Inside, Listing, Need, Reference};
use super::missing::{Missing, Why};
use super::names::{self, normal, parts, resolve, to_wire};
use super::roots::Roots;
use super::{InputPath, Inputs};
use crate::error::{Error, Result, reason};

/// More files than this are not looked for in one scene: something is wrong with it, or with the node that lists them.
const MOST: usize = 1_000_000;
/// Folders in folders, in a directory of simulated frames.
const DEEPEST: usize = 32;

/// What came of one look at the scene.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Everything that is known to be needed now.
    pub(crate) inputs: Inputs,
    /// Whether that is more than what the node had when it looked: it must look again.
    pub(crate) grew: bool,
    /// What Blender would miss.
    pub(crate) missing: Vec<Missing>,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Finds the files of `listing` here and hashes them. `before` is what the node had when it made the list.
/// `progress` is told bytes read and bytes to read, and says whether to go on.
pub(crate) fn survey(
    before: &Inputs,
    listing: Listing,
    roots: &Roots,
    hashes: &mut Hashes,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Survey> {
    let (references, notes) = listing.read()?;
    let mut search = Search::new(roots);
    for reference in &references {
        search.follow(reference)?;
    }
    let Search { files, remap, mut missing, .. } = search;
    let blend = before.files.first().cloned();
    let place = blend.as_ref().map(|b| names::bytes(&b.path).to_vec()).unwrap_or_default();
    let (paths, users): (Vec<PathBuf>, Vec<Option<User>>) = files
        .into_iter()
        .filter(|(path, _)| *path != place)
        .map(|(path, user)| (names::path(&path), user))
        .unzip();
    let hashed = hashes.of(&paths, progress)?;
    let mut found: Vec<InputPath> = blend.into_iter().collect();
    for ((path, user), hashed) in paths.into_iter().zip(users).zip(hashed) {
        match (hashed, user) {
            (Ok(hashed), _) => found.push(InputPath::new(path, hashed)),
            (Err(e), Some((what, blend))) => {
                missing.push(Missing { path, what, blend, why: Why::Unreadable(e.to_string()) });
            }
            (Err(_), None) => {}
        }
    }
    let inputs = Inputs { files: found, remap };
    let grew = inputs.files != before.files || inputs.remap != before.remap;
    Ok(Survey { inputs, grew, missing, notes })
}

/// Who needs a file: what refers to it, in which .blend.
type User = (String, PathBuf);

struct Search<'a> {
    roots: &'a Roots,
    here: Vec<u8>,
    /// Path of each file to send, and who would miss it.
    files: BTreeMap<Vec<u8>, Option<User>>,
    remap: Vec<Value>,
    remapped: BTreeSet<(Vec<u8>, Vec<u8>)>,
    missing: Vec<Missing>,
    looked: HashMap<Vec<u8>, Result<(), Why>>,
}

impl<'a> Search<'a> {
    fn new(roots: &'a Roots) -> Self {
        let here = std::env::current_dir().map(|dir| names::bytes(&dir).to_vec()).unwrap_or_default();
        Self {
            roots,
            here,
            files: BTreeMap::new(),
            remap: Vec::new(),
            remapped: BTreeSet::new(),
            missing: Vec::new(),
            looked: HashMap::new(),
        }
    }

    fn follow(&mut self, reference: &Reference) -> Result<()> {
        if reference.need == Need::Not || reference.raw.is_empty() {
            return Ok(());
        }
        let target = resolve(&reference.raw, &reference.blend, &self.here);
        let key = (reference.blend.clone(), reference.raw.clone());
        if !target.follows && self.remapped.insert(key) {
            // Also where nothing is here: the node may have another file by that name.
            let place: Vec<String> = parts(&target.path).iter().map(|p| to_wire(p)).collect();
            self.remap.push(json!([to_wire(&reference.blend), to_wire(&reference.raw), place]));
        }
        for raw in &reference.files {
            let path = resolve(raw, &reference.blend, &self.here).path;
            self.take(path, reference)?;
        }
        if let Some((head, tail)) = &reference.like {
            self.numbered(head, tail, reference)?;
        }
        if let Some(inside) = &reference.inside {
            self.inside(&target.path, inside, reference)?;
        }
        Ok(())
    }

    /// One file that is referred to by name.
    fn take(&mut self, path: Vec<u8>, reference: &Reference) -> Result<()> {
        if self.files.len() >= MOST || self.missing.len() >= MOST {
            return Err(Error::input(format!("the scene refers to more than {MOST} files"))
                .remedy("Remove what it does not need, or pack it into the .blend."));
        }
        let roots = self.roots;
        let looked =
            self.looked.entry(path.clone()).or_insert_with_key(|path| look(&names::path(path), roots));
        let blend = || names::path(&reference.blend);
        match (looked, reference.need) {
            (Ok(()), Need::Must) => {
                let user = self.files.entry(path).or_default();
                user.get_or_insert_with(|| (reference.what.clone(), blend()));
            }
            (Ok(()), _) => {
                self.files.entry(path).or_default();
            }
            (Err(why), Need::Must) => {
                let path = names::path(&path);
                if !self.missing.iter().rev().take(1000).any(|m| m.path == path) {
                    let why = why.clone();
                    self.missing.push(Missing { path, what: reference.what.clone(), blend: blend(), why });
                }
            }
            (Err(_), _) => {}
        }
        Ok(())
    }

    /// All files of a sequence.
    fn numbered(&mut self, head: &[u8], tail: &[u8], reference: &Reference) -> Result<()> {
        let whole = resolve(&[head, b"0", tail].concat(), &reference.blend, &self.here).path;
        let at = whole.iter().rposition(|b| *b == b'/').unwrap_or(0);
        let (folder, name) = (&whole[..at], &whole[at + 1..]);
        let Some(prefix) = name.strip_suffix(tail).and_then(|n| n.strip_suffix(b"0")) else { return Ok(()) };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(names::path(folder)).into_iter().flatten().flatten().take(MOST) {
            let name = entry.file_name();
            let number = name
                .as_encoded_bytes()
                .strip_prefix(prefix)
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
            if number {
                found.push([folder, b"/", name.as_encoded_bytes()].concat());
            }
        }
        if found.is_empty() {
            found.push(resolve(&reference.raw, &reference.blend, &self.here).path);
        }
        found.into_iter().try_for_each(|path| self.take(path, reference))
    }

    /// Files of a directory.
    fn inside(&mut self, directory: &[u8], inside: &Inside, reference: &Reference) -> Result<()> {
        let mut found = Vec::new();
        match &inside.folders {
            Some(folders) => {
                for folder in folders {
                    let path = normal(&[directory, b"/", folder.as_slice()].concat()).0;
                    files_in(&path, &inside.endings, 0, &mut found)?;
                }
            }
            None => files_in(directory, &inside.endings, DEEPEST, &mut found)?,
        }
        if found.is_empty() && reference.need == Need::Must {
            found.push(directory.to_vec());
        }
        found.into_iter().try_for_each(|path| self.take(path, reference))
    }
}

/// Files in `directory` and `deeper` levels below, with one of these endings.
fn files_in(directory: &[u8], endings: &[Vec<u8>], deeper: usize, found: &mut Vec<Vec<u8>>) -> Result<()> {
    for entry in std::fs::read_dir(names::path(directory)).into_iter().flatten().flatten() {
        if found.len() >= MOST {
            return Err(Error::input(format!(
                "{} holds more than {MOST} files",
                names::shown(&names::path(directory))
            ))
            .remedy("Point the cache of the simulation to a directory of its own."));
        }
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let path = [directory, b"/", name].concat();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if deeper > 0 {
                files_in(&path, endings, deeper - 1, found)?;
            }
        } else if endings.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file is there and may be sent.
fn look(path: &Path, roots: &Roots) -> Result<(), Why> {
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(Why::Absent(super::missing::near(path)));
        }
        Err(e) => return Err(Why::Unreadable(reason(&e))),
    };
    if meta.is_dir() {
        return Err(Why::Unreadable("it is a directory".into()));
    }
    if !meta.is_file() {
        return Err(Why::Unreadable("it is not a regular file".into()));
    }
    match path.canonicalize() {
        Ok(real) if roots.admit(&real) => Ok(()),
        Ok(real) => Err(Why::Outside(real)),
        Err(e) => Err(Why::Unreadable(reason(&e))),
    }
}
