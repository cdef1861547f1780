//! The scene's files on their way to the nodes: found, hashed, laid out, and sent where they are not yet.
//!
//! Blender on a node says what the scene refers to (`listing`), because the controller has no Blender. What that means
//! on this machine is decided here: `names` reads a path as Blender does, `survey` finds the files, [`Roots`] says
//! which may leave, `missing` puts in words what is not there, [`Hashes`] tells contents apart, `send` sends them.

mod colour;
mod hashes;
mod listing;
mod missing;
mod names;
mod preferences;
mod project;
mod roots;
mod send;
mod survey;
mod texture_cache;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) use colour::Colour;
pub use hashes::{Hashed, Hashes, Stamp};
pub use missing::{Missing, Why};
pub(crate) use missing::{complaint, warnings};
pub use names::shown;
pub use roots::Roots;
pub use send::Progress;
pub(crate) use survey::{Survey, survey};
pub use texture_cache::TextureFolder;

use crate::blender::Worker;
use crate::error::{Error, Result, reason};

/// One file here that the nodes need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPath {
    /// Where it is here: absolute, `..` taken back by name as Blender does, links not followed.
    pub path: PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: String,
    /// What it looked like when it was hashed.
    pub stamp: Stamp,
    /// SHA-256 of the file that it must be as old as on a node, too: a cached texture counts while it is.
    pub as_old_as: Option<String>,
}

impl InputPath {
    /// Looks at a file and hashes it.
    pub fn of(path: &Path) -> Result<Self> {
        Self::hashed(path, &mut Hashes::default())
    }

    /// Looks at a file and hashes it unless its hash is remembered.
    pub fn hashed(path: &Path, hashes: &mut Hashes) -> Result<Self> {
        let path = absolute(path)?;
        let mut found = hashes.of(std::slice::from_ref(&path), &mut |_, _| true)?;
        let hashed = found.pop().unwrap_or_else(|| Err(Error::interrupted("stopped")))?;
        Ok(Self::new(path, hashed))
    }

    fn new(path: PathBuf, hashed: Hashed) -> Self {
        Self { path, size: hashed.stamp.size, sha256: hashed.sha256, stamp: hashed.stamp, as_old_as: None }
    }

    /// Its place below the job's directory on a node, as names travel.
    fn place(&self) -> Vec<String> {
        place_of(&self.path)
    }
}

/// An absolute path's place below the job's directory on a node.
fn place_of(path: &Path) -> Vec<String> {
    names::parts(names::bytes(path)).iter().map(|part| names::to_wire(part)).collect()
}

/// Absolute and plain. Where `..` after a symbolic link leads elsewhere by name than on disk, the disk is right.
fn absolute(path: &Path) -> Result<PathBuf> {
    let failed = |e: std::io::Error| {
        Error::input(format!("cannot read {}: {}", shown(path), reason(&e))).remedy("Check the path.")
    };
    let whole = std::path::absolute(path).map_err(failed)?;
    let plain = names::path(&names::normal(names::bytes(&whole)).0);
    if plain.exists() { Ok(plain) } else { whole.canonicalize().map_err(failed) }
}

/// Everything a node must have before it can open the scene.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The .blend first.
    pub files: Vec<InputPath>,
    /// References to rewrite once the file is open, as the worker takes them.
    pub remap: Vec<Value>,
    /// Where Blender looks for cached textures, beside `blender_tx` in the folder of each.
    pub textures: Option<TextureFolder>,
}

impl Inputs {
    /// Only the .blend itself.
    pub fn of_blend(path: &Path) -> Result<Self> {
        let mut hashes = Hashes::open();
        let files = vec![InputPath::hashed(path, &mut hashes)?];
        hashes.save();
        Ok(Self { files, ..Self::default() })
    }

    /// The .blend.
    pub fn blend(&self) -> &Path {
        self.files.first().map_or(Path::new("/"), |f| &f.path)
    }

    /// The .blend and those that it links.
    pub fn blends(&self) -> impl Iterator<Item = &Path> {
        let paths = self.files.iter().map(|file| file.path.as_path());
        paths.filter(|path| {
            path.extension().is_some_and(|e| e.eq_ignore_ascii_case("blend")) || *path == self.blend()
        })
    }

    /// A file's name for the job's identity: the .blend's path, the others from its folder where they lie below that.
    pub fn label(&self, file: &InputPath) -> String {
        if file.path == self.blend() {
            return file.path.display().to_string();
        }
        let folder = self.blend().parent().unwrap_or(Path::new("/"));
        shown(file.path.strip_prefix(folder).unwrap_or(&file.path))
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|f| f.size).sum()
    }

    /// A name for this set of files at these places.
    pub fn layout(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            let path = names::bytes(&file.path);
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update(file.sha256.as_bytes());
            if let Some(other) = &file.as_old_as {
                hash.update(b"as old as");
                hash.update(other.as_bytes());
            }
        }
        crate::hash::hex(&hash.finalize())
    }

    /// The worker's request to lay them out and open the .blend.
    pub fn open_request(&self, scripts: bool) -> Value {
        let entry = |f: &InputPath| match &f.as_old_as {
            None => json!([f.place(), f.sha256]),
            Some(other) => json!([f.place(), f.sha256, other]),
        };
        let files: Vec<Value> = self.files.iter().map(entry).collect();
        let main = self.files.first().map(InputPath::place).unwrap_or_default();
        let mut request = json!({"layout": self.layout(), "files": files, "main": main, "remap": self.remap, "scripts": scripts});
        match &self.textures {
            Some(TextureFolder::Beside(name)) => request["texture_beside"] = json!(names::to_wire(name)),
            Some(TextureFolder::At(path)) => request["texture_folder"] = json!(place_of(path)),
            None => {}
        }
        request
    }

    /// Sends what the node does not have, and returns how many bytes that was.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) when a file changed since it was hashed,
    /// [`Kind::Interrupted`](crate::error::Kind::Interrupted) when `progress` said so; else what is wrong with the node.
    pub fn send(&self, worker: &mut Worker, progress: &mut Progress<'_>) -> Result<u64> {
        send::send(&self.files, worker, progress)
    }
}
