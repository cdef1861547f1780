//! The cache of what was measured: rates and fixed costs by node, scene and Blender, in one versioned file.
//!
//! A file that is damaged or of another version is as good as none: what it would have said is measured again.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cost::Cells;
use crate::error::{Error, IoContext, Result};

/// Version of the file.
const VERSION: u32 = 1;
/// No sane file is larger, bytes.
const LARGEST: u64 = 64 << 20;
/// Entries kept, the newest.
const MOST: usize = 500;

/// What was measured on one slot with one scene.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The slot's name.
    pub node: String,
    /// Blender's version.
    pub blender: String,
    /// The scene's file and scene, for people.
    pub scene: String,
    /// What else tells it apart from others of the scene: device, threads, frame, size, samples; for people.
    #[serde(default)]
    pub about: String,
    /// Seconds from nothing to a warm Blender.
    pub start_s: f64,
    /// Seconds to build the scene.
    pub sync_s: f64,
    /// Seconds a tile costs besides its pixels.
    pub fixed_s: f64,
    /// Pixels of average cost per second at the job's samples.
    pub rate: f64,
    /// Bytes per second from the slot to here, where tiles told.
    #[serde(default)]
    pub bytes_per_s: Option<f64>,
    /// Where the picture is costly, if that was measured.
    pub map: Option<Cells>,
    /// When, seconds since 1970.
    pub at: f64,
}

/// The cache, read whole and written whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cache {
    path: PathBuf,
    entries: BTreeMap<String, Measured>,
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    entries: BTreeMap<String, Measured>,
}

impl Cache {
    /// The user's own: `$XDG_CACHE_HOME/tilectl/bench.ron`, or below `~/.cache`.
    pub fn default_path() -> Option<PathBuf> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(base.join("tilectl").join("bench.ron"))
    }

    /// Reads the file; whatever is wrong with it, the cache is empty then.
    pub fn load(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let read = || {
            let mut text = String::new();
            std::fs::File::open(&path).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
            ron::from_str::<File>(&text).ok().filter(|f| f.version == VERSION)
        };
        let entries = read().map(|f| f.entries).unwrap_or_default();
        Self { path, entries }
    }

    /// The name under which a measurement is kept: everything that decides how fast a slot is with a picture.
    pub fn key(parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        crate::hash::hex(&hash.finalize()[..16])
    }

    /// What is known, if it makes sense.
    pub fn get(&self, key: &str) -> Option<&Measured> {
        let sane = |s: f64| s.is_finite() && (0.0..1e7).contains(&s);
        self.entries.get(key).filter(|m| {
            sane(m.start_s) && sane(m.sync_s) && sane(m.fixed_s) && m.rate.is_finite() && m.rate > 1e-4
        })
    }

    /// Every entry that makes sense.
    pub fn entries(&self) -> impl Iterator<Item = &Measured> {
        self.entries.keys().filter_map(|key| self.get(key))
    }

    /// Adds or replaces an entry.
    pub fn put(&mut self, key: String, measured: Measured) {
        self.entries.insert(key, measured);
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
        let text = ron::to_string(&file)
            .map_err(|e| Error::render(format!("cannot write the measurements: {e}")))?;
        let draft = tempfile::NamedTempFile::new_in(folder).at("write", folder)?;
        std::fs::write(draft.path(), text).at("write", &self.path)?;
        draft.persist(&self.path).map_err(|e| e.error).at("write", &self.path)?;
        Ok(())
    }

    /// Removes the file.
    pub fn clear(self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at("remove", &self.path),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(at: f64) -> Measured {
        Measured {
            node: "a".into(),
            blender: "3.4.1".into(),
            scene: "still.blend".into(),
            about: "CPU, frame 1, 8x8, 4 samples".into(),
            start_s: 1.0,
            sync_s: 2.0,
            fixed_s: 0.1,
            rate: 1000.0,
            bytes_per_s: None,
            map: None,
            at,
        }
    }

    #[test]
    fn what_is_stored_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/bench.ron");
        let mut cache = Cache::load(&path);
        let key = Cache::key(&["a", "b"]);
        assert_ne!(key, Cache::key(&["ab", ""]));
        cache.put(key.clone(), measured(1.0));
        cache.store().unwrap();
        assert_eq!(Cache::load(&path).get(&key), Some(&measured(1.0)));
        Cache::load(&path).clear().unwrap();
        assert_eq!(Cache::load(&path).entries().count(), 0);
    }

    #[test]
    fn damage_and_other_versions_count_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bench.ron");
        for text in ["", "(version:9,entries:{})", "(version:1,entries:{", "\u{0}\u{1}"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Cache::load(&path).entries().count(), 0);
        }
    }

    #[test]
    fn absurd_measurements_are_not_given_out() {
        let mut cache = Cache::default();
        cache.put("k".into(), Measured { rate: 0.0, ..measured(1.0) });
        assert_eq!(cache.get("k"), None);
    }

    #[test]
    fn the_oldest_go() {
        let mut cache = Cache::default();
        for i in 0..MOST + 5 {
            cache.put(format!("{i}"), measured(i as f64));
        }
        assert_eq!(cache.entries().count(), MOST);
        assert!(cache.get("0").is_none() && cache.get("504").is_some());
    }
}
