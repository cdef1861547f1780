//! The scene's files on their way to the nodes: found, hashed, laid out, and sent where they are not yet.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::blender::Worker;
use crate::error::{Error, IoContext, Result};

/// SHA-256 of a file's content, lower-case hexadecimal.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).at("read", path)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut block).at("read", path)?;
        if n == 0 {
            return Ok(crate::blender::hex(&hash.finalize()));
        }
        hash.update(&block[..n]);
    }
}

/// One file here that the nodes need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPath {
    /// Where it is here, absolute and without `..`.
    pub path: PathBuf,
    /// Where it goes below the job's directory on a node: the names along its path.
    pub parts: Vec<String>,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl InputPath {
    /// Looks at a file and hashes it.
    pub fn of(path: &Path) -> Result<Self> {
        let path = path.canonicalize().map_err(|e| {
            Error::input(format!("cannot read {}: {}", path.display(), crate::error::reason(&e)))
                .remedy("Check the path.")
        })?;
        let size = std::fs::metadata(&path).at("read", &path)?.len();
        let sha256 = sha256_of(&path)
            .map_err(|e| Error::input(e.to_string()).remedy("Make the file readable for yourself."))?;
        Ok(Self { parts: parts_of(&path), path, size, sha256 })
    }
}

/// The names along an absolute path: it is mirrored below the job's directory on the node, so that relative
/// references between files keep their meaning and no two files can collide.
pub fn parts_of(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|c| match c {
            std::path::Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            std::path::Component::Prefix(p) => {
                Some(p.as_os_str().to_string_lossy().replace([':', '\\', '/'], "_"))
            }
            _ => None,
        })
        .collect()
}

/// Everything a node must have before it can open the scene.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The .blend first.
    pub files: Vec<InputPath>,
    /// References to rewrite once the file is open, as the worker takes them.
    pub remap: Vec<Value>,
}

impl Inputs {
    /// Only the .blend itself.
    pub fn of_blend(path: &Path) -> Result<Self> {
        Ok(Self { files: vec![InputPath::of(path)?], remap: Vec::new() })
    }

    /// A name for this set of files at these places.
    pub fn layout(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            for part in &file.parts {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
            hash.update(file.sha256.as_bytes());
        }
        crate::blender::hex(&hash.finalize())
    }

    /// The worker's request to lay them out and open the .blend.
    pub fn open_request(&self, scripts: bool) -> Value {
        let files: Vec<Value> = self.files.iter().map(|f| json!([f.parts, f.sha256])).collect();
        let main = self.files.first().map(|f| f.parts.clone()).unwrap_or_default();
        json!({"layout": self.layout(), "files": files, "main": main, "remap": self.remap, "scripts": scripts})
    }

    /// Sends what the node does not have. `progress` is told bytes sent and bytes to send, and says whether to go on.
    pub fn send(&self, worker: &mut Worker, progress: &mut dyn FnMut(u64, u64) -> bool) -> Result<u64> {
        #[derive(serde::Deserialize)]
        struct Have {
            have: Vec<i64>,
            free: u64,
        }
        let mut wanted: Vec<&InputPath> = Vec::new();
        for file in &self.files {
            if !wanted.iter().any(|w| w.sha256 == file.sha256) {
                wanted.push(file);
            }
        }
        let asked: Vec<Value> = wanted.iter().map(|f| json!([f.sha256, f.size])).collect();
        // Hashing what the node has takes its time when it is much: a gigabyte takes seconds.
        let patience =
            std::time::Duration::from_secs(120 + self.files.iter().map(|f| f.size >> 26).sum::<u64>());
        let have: Have = worker.call("have", json!({"files": asked}), Some(patience), &mut || true)?;
        let missing: Vec<(&InputPath, u64)> = wanted
            .iter()
            .zip(&have.have)
            .filter_map(|(f, h)| u64::try_from(*h).ok().map(|h| (*f, h.min(f.size))))
            .collect();
        let total: u64 = missing.iter().map(|(f, h)| f.size - h).sum();
        if have.free < total.saturating_add(64 << 20) {
            return Err(Error::node(format!(
                "node {} has {} MB free and needs {} MB for the scene's files",
                worker.node(),
                have.free >> 20,
                (total >> 20) + 64
            ))
            .remedy("Free some space there (`tilectl clean` drops its cache), or give it another cache directory with cache=DIR."));
        }
        let mut sent = 0;
        progress(0, total);
        for (file, offset) in missing {
            worker.put(&file.path, &file.sha256, file.size, offset, &mut |n| {
                sent += n;
                progress(sent, total)
            })?;
        }
        Ok(sent)
    }
}
