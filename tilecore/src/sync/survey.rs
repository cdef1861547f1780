//! From what the scene refers to, to the files here: which are sent, which are missing, which may not leave.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::hashes::Hashes;
use super::listing::{Inside, Listing, Need, Reference};
use super::missing::{Around, Missing, Why};
use super::names::{self, normal, parts, resolve, to_wire};
use super::roots::Roots;
use super::texture_cache::{self, TextureFolder};
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
    let (textures, projects) = (listing.texture_cache.clone(), listing.projects);
    let unknown = listing.unknown();
    let (references, notes) = listing.read()?;
    let mut search = Search::new(roots);
    for reference in &references {
        search.follow(reference)?;
    }
    if projects {
        search.project(before.blend())?;
    }
    let Search { files, remap, mut missing, .. } = search;
    let blend = before.files.first().cloned();
    let place = blend.as_ref().map(|b| names::bytes(&b.path).to_vec()).unwrap_or_default();
    missing.extend(unknown.into_iter().map(|what| {
        let blend = names::path(&place);
        Missing { path: blend.clone(), what, blend, why: Why::Unnamed }
    }));
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
    let folder = textures.as_deref().and_then(TextureFolder::preferred);
    if textures.is_some() {
        let cached = texture_cache::of(found.get(1..).unwrap_or_default(), folder.as_ref());
        let (sent, kept): (Vec<_>, Vec<_>) =
            cached.into_iter().partition(|(path, _)| look(path, roots).is_ok());
        missing.extend(kept.into_iter().filter_map(|(path, _)| {
            let (what, blend) =
                ("a cached texture that Blender uses here".to_owned(), before.blend().to_owned());
            look(&path, roots).err().map(|why| Missing { path, what, blend, why })
        }));
        let cached = texture_cache::hashed(&sent, hashes, progress)?;
        found.extend(cached);
    }
    let inputs = Inputs { files: found, remap, textures: folder };
    let grew =
        inputs.files != before.files || inputs.remap != before.remap || inputs.textures != before.textures;
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
    /// What lies around each .blend, once something is missing.
    around: HashMap<Vec<u8>, Around>,
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
            around: HashMap::new(),
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

    /// The project that the scene lies in.
    fn project(&mut self, blend: &Path) -> Result<()> {
        let reference = Reference {
            what: "the Blender project that it lies in".to_owned(),
            blend: names::bytes(blend).to_vec(),
            raw: Vec::new(),
            need: Need::Must,
            files: Vec::new(),
            like: None,
            inside: None,
        };
        super::project::files(blend)?
            .into_iter()
            .try_for_each(|file| self.take(names::bytes(&file).to_vec(), &reference))
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
                    let mut why = why.clone();
                    if why == Why::Absent(None) {
                        let around = self
                            .around
                            .entry(reference.blend.clone())
                            .or_insert_with_key(|blend| Around::of(&names::path(blend)));
                        why = Why::Absent(around.called(&path));
                    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    /// A project on disk: `shot/a.blend` and what else is named.
    struct Project {
        dir: tempfile::TempDir,
        hashes: Hashes,
    }

    impl Project {
        fn new(files: &[&[u8]]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let project = Self { dir, hashes: Hashes::default() };
            for file in [&b"shot/a.blend"[..]].iter().chain(files) {
                let path = project.at(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, file).unwrap();
            }
            project
        }

        fn at(&self, name: &[u8]) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(std::ffi::OsStr::from_bytes(name))
        }

        fn before(&self) -> Inputs {
            Inputs { files: vec![InputPath::of(&self.at(b"shot/a.blend")).unwrap()], ..Inputs::default() }
        }

        fn roots(&self, more: &[&[u8]]) -> Roots {
            let more: Vec<PathBuf> = more.iter().map(|dir| self.at(dir)).collect();
            Roots::of(&self.at(b"shot/a.blend"), &more).unwrap()
        }

        /// A reference as the worker sends it.
        fn entry(&self, raw: &[u8], need: &str, more: Value) -> Value {
            let blend = to_wire(names::bytes(&self.at(b"shot/a.blend")));
            let mut entry = json!({"what": "image 'a'", "in": blend, "path": to_wire(raw), "need": need, "files": [to_wire(raw)]});
            if let (Some(entry), Value::Object(more)) = (entry.as_object_mut(), more) {
                entry.extend(more);
            }
            entry
        }

        fn survey(&mut self, roots: &Roots, entries: &[Value]) -> Result<Survey> {
            let listing = serde_json::from_value(json!({"files": entries, "notes": []})).unwrap();
            survey(&self.before(), listing, roots, &mut self.hashes, &mut |_, _| true)
        }

        fn found(&self, survey: &Survey) -> Vec<String> {
            let top = self.at(b"");
            survey
                .inputs
                .files
                .iter()
                .skip(1)
                .map(|f| names::shown(f.path.strip_prefix(&top).unwrap()))
                .collect()
        }
    }

    #[test]
    fn references_of_every_kind_are_found() {
        let mut p = Project::new(&[
            b"shot/tex/a.png",
            b"shot/tex/b/a.png",
            b"shot/tex/it's \"x\"\n.png",
            b"shot/tex/\xff\xe9.png",
            b"shared/win.png",
            b"shared/abs.png",
            b"shot/seq/s_1.png",
            b"shot/seq/s_0010.png",
            b"shot/seq/s_10b.png",
            b"shot/cache/data/f_0001.vdb",
            b"shot/cache/data/f_0001.txt",
            b"shot/cache/deep/x.vdb",
            b"shot/bake/1/meta/0.json",
            b"shot/bake/1/blobs/0.blob",
        ]);
        let absolute = names::bytes(&p.at(b"shared/abs.png")).to_vec();
        let entries = [
            p.entry(b"//tex/a.png", "must", json!({})),
            p.entry(b"//tex/b/a.png", "must", json!({})),
            p.entry(b"//tex/it's \"x\"\n.png", "must", json!({})),
            p.entry(b"//tex/\xff\xe9.png", "must", json!({})),
            p.entry(b"//..\\shared\\win.png", "must", json!({})),
            p.entry(&absolute, "must", json!({})),
            p.entry(b"//seq/s_1.png", "must", json!({"files": [], "like": ["//seq/s_", ".png"]})),
            p.entry(
                b"//cache",
                "must",
                json!({"files": [], "folders": ["data", "mesh"], "endings": [".vdb"]}),
            ),
            p.entry(b"//bake/", "may", json!({"files": [], "endings": [".json", ".blob"]})),
            p.entry(b"//sound.wav", "not", json!({})),
            p.entry(b"//perhaps.exr", "may", json!({})),
        ];
        let roots = p.roots(&[b"shared"]);
        let survey = p.survey(&roots, &entries).unwrap();
        assert_eq!(survey.missing, []);
        assert_eq!(
            p.found(&survey),
            [
                "shared/abs.png",
                "shared/win.png",
                "shot/bake/1/blobs/0.blob",
                "shot/bake/1/meta/0.json",
                "shot/cache/data/f_0001.vdb",
                "shot/seq/s_0010.png",
                "shot/seq/s_1.png",
                "shot/tex/a.png",
                "shot/tex/b/a.png",
                "shot/tex/it's \"x\"\\n.png",
                "shot/tex/\\xff\\xe9.png",
            ]
        );
        assert!(survey.grew);
        assert_eq!(survey.inputs.remap.len(), 1, "only the absolute path must be pointed elsewhere");
        assert_eq!(survey.inputs.remap[0][1], to_wire(&absolute));

        // A second look with the same answer finds nothing new.
        let listing = serde_json::from_value(json!({"files": entries})).unwrap();
        let again = super::survey(&survey.inputs, listing, &roots, &mut p.hashes, &mut |_, _| true).unwrap();
        assert!(!again.grew);
    }

    #[test]
    fn what_is_missing_is_named_and_what_lies_outside_stays() {
        let mut p = Project::new(&[b"shot/Tex/Wood.PNG", b"other/secret.png", b"shot/.key"]);
        std::os::unix::fs::symlink(p.at(b"other/secret.png"), p.at(b"shot/link.png")).unwrap();
        let entries = [
            p.entry(b"//tex/wood.png", "must", json!({})),
            p.entry(b"//../other/secret.png", "must", json!({})),
            p.entry(b"//link.png", "must", json!({})),
            p.entry(b"//.key", "must", json!({})),
            p.entry(b"/etc/passwd", "must", json!({})),
            p.entry(b"//Tex", "must", json!({})),
            p.entry(b"D:\\scenes\\wood.png", "must", json!({})),
            p.entry(b"//../other/secret.png", "may", json!({})),
        ];
        let roots = p.roots(&[]);
        let survey = p.survey(&roots, &entries).unwrap();
        assert_eq!(p.found(&survey), [] as [&str; 0]);
        let why = |name: &[u8]| &survey.missing.iter().find(|m| m.path == p.at(name)).unwrap().why;
        if !p.at(b"shot/tex").exists() {
            assert_eq!(*why(b"shot/tex/wood.png"), Why::Absent(Some(p.at(b"shot/Tex/Wood.PNG"))));
        }
        assert_eq!(*why(b"other/secret.png"), Why::Outside(p.at(b"other/secret.png")));
        assert_eq!(*why(b"shot/link.png"), Why::Outside(p.at(b"other/secret.png")));
        assert_eq!(*why(b"shot/.key"), Why::Outside(p.at(b"shot/.key")));
        assert!(matches!(why(b"shot/Tex"), Why::Unreadable(_)));
        let windows = survey.missing.iter().find(|m| m.path == Path::new("/d/scenes/wood.png")).unwrap();
        assert_eq!(windows.why, Why::Absent(Some(p.at(b"shot/Tex/Wood.PNG"))), "the name is known");
        assert!(survey.missing.iter().any(|m| m.path == Path::new("/etc/passwd")));
        // Where nothing is sent, the node must not take a file of its own by that name.
        assert_eq!(survey.inputs.remap.len(), 2);

        let anywhere = p.survey(&Roots::anywhere(), &entries[1..2]).unwrap();
        assert_eq!(p.found(&anywhere), ["other/secret.png"]);
    }

    #[test]
    fn a_pipe_in_place_of_a_texture_is_not_waited_for() {
        let mut p = Project::new(&[]);
        let made = std::process::Command::new("mkfifo").arg(p.at(b"shot/pipe.png")).status();
        assert!(made.is_ok_and(|s| s.success()));
        let entries = [p.entry(b"//pipe.png", "must", json!({}))];
        let roots = p.roots(&[]);
        let survey = p.survey(&roots, &entries).unwrap();
        assert!(matches!(survey.missing[0].why, Why::Unreadable(_)));
    }

    #[test]
    fn what_nobody_can_name_is_missing() {
        let mut p = Project::new(&[]);
        let said = json!({"files": [], "unknown": ["the files of image 'a\u{1b}' cannot be listed"]});
        let roots = Roots::anywhere();
        let listing = serde_json::from_value(said).unwrap();
        let survey = super::survey(&p.before(), listing, &roots, &mut p.hashes, &mut |_, _| true).unwrap();
        assert_eq!(survey.missing.iter().map(|m| &m.why).collect::<Vec<_>>(), [&Why::Unnamed]);
        let text = format!("{:?}", super::super::complaint(&survey.missing, &p.at(b"shot/a.blend")));
        assert!(
            text.contains("image 'a") && text.contains("--allow-missing") && !text.contains("found"),
            "{text}"
        );
    }

    #[test]
    fn a_listing_that_makes_no_sense_is_refused() {
        let mut p = Project::new(&[]);
        let roots = p.roots(&[]);
        for (field, value) in
            [("path", json!("\u{263a}")), ("in", json!("a.blend")), ("files", json!(["\u{100}"]))]
        {
            let mut entry = p.entry(b"//a.png", "must", json!({}));
            entry[field] = value;
            assert!(p.survey(&roots, &[entry]).is_err(), "{field}");
        }
    }
}
