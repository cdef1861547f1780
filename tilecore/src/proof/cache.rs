//! What was proved, by what it was proved of: files, settings that matter, Blenders and nodes. One versioned file.
//!
//! A file that is damaged, of another version or another user's is as good as none: what it says is proved again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Verdict;
use crate::error::{Error, IoContext, Result};

/// Version of the file.
const VERSION: u32 = 1;
/// No sane file is larger, bytes.
const LARGEST: u64 = 16 << 20;
/// Proofs kept, the newest.
const MOST: usize = 1000;

/// Proofs that hold, read whole and written whole.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    verdict: Verdict,
    /// When, seconds since 1970.
    at: f64,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    entries: BTreeMap<String, Entry>,
}

impl Cache {
    /// Beside the measurements in the user's cache.
    pub fn default_path() -> Option<PathBuf> {
        crate::bench::Cache::default_path().map(|path| path.with_file_name("proofs.ron"))
    }

    /// Reads the file; whatever is wrong with it, the cache is empty then.
    pub fn load(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let read = || {
            let file = std::fs::File::open(&path).ok()?;
            if !is_ours(&file.metadata().ok()?) {
                return None;
            }
            let mut text = String::new();
            file.take(LARGEST).read_to_string(&mut text).ok()?;
            ron::from_str::<File>(&text).ok().filter(|f| f.version == VERSION)
        };
        let entries = read().map(|f| f.entries).unwrap_or_default();
        Self { path, entries }
    }

    /// The name under which a proof is kept.
    pub fn key(parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in [env!("CARGO_PKG_VERSION")].iter().chain(parts) {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        crate::hash::hex(&hash.finalize())
    }

    /// A proof that holds, if there is one.
    pub fn get(&self, key: &str) -> Option<Verdict> {
        let entry = self.entries.get(key).filter(|e| e.verdict.holds())?;
        Some(Verdict { remembered: true, ..entry.verdict.clone() })
    }

    /// Keeps a proof that holds.
    pub fn put(&mut self, key: String, verdict: Verdict, at: f64) {
        if verdict.holds() {
            self.entries.insert(key, Entry { verdict, at });
        }
        while self.entries.len() > MOST {
            let oldest = self.entries.iter().min_by(|a, b| a.1.at.total_cmp(&b.1.at)).map(|e| e.0.clone());
            let Some(oldest) = oldest else { return };
            self.entries.remove(&oldest);
        }
    }

    /// Writes it back, whole or not at all.
    pub fn store(&self) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).at("create", folder)?;
        let file = File { version: VERSION, entries: self.entries.clone() };
        let text =
            ron::to_string(&file).map_err(|e| Error::render(format!("cannot write the proofs: {e}")))?;
        let mut draft =
            tempfile::Builder::new().prefix(".proofs-").tempfile_in(folder).at("write", folder)?;
        std::io::Write::write_all(&mut draft, text.as_bytes()).at("write", &self.path)?;
        draft.persist(&self.path).map_err(|e| e.error).at("write", &self.path)?;
        Ok(())
    }
}

/// Whether only this user can have written a file: what others wrote proves nothing.
fn is_ours(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::{Finding, Strength};
    use super::*;

    fn verdict(finding: Finding) -> Verdict {
        Verdict {
            finding,
            strength: Strength::FileInPlace,
            weaker: None,
            tiles: 9,
            channels: 4,
            pictures: 1,
            nodes: Vec::new(),
            blender: "5.3.0".into(),
            differs: None,
            seconds: 1.0,
            remembered: false,
            black: false,
        }
    }

    #[test]
    fn what_holds_is_kept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deeper/proofs.ron");
        let mut cache = Cache::load(&path);
        cache.put("good".into(), verdict(Finding::Exact), 1.0);
        cache.put("bad".into(), verdict(Finding::Cut), 1.0);
        cache.store().unwrap();
        let cache = Cache::load(&path);
        assert!(cache.get("good").unwrap().remembered);
        assert!(cache.get("bad").is_none());
    }

    #[test]
    fn damaged_foreign_and_other_versions_files_prove_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proofs.ron");
        let mut cache = Cache::load(&path);
        cache.put("good".into(), verdict(Finding::Exact), 1.0);
        cache.store().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for damaged in
            [text[..text.len() - 9].to_owned(), text.replace("version:1", "version:2"), String::new()]
        {
            std::fs::write(&path, damaged).unwrap();
            assert!(Cache::load(&path).get("good").is_none());
        }
        std::fs::write(&path, &text).unwrap();
        assert!(Cache::load(&path).get("good").is_some());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(Cache::load(&path).get("good").is_none(), "anybody may have written it");
    }
}
