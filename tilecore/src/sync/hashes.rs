//! SHA-256 of files here, in parallel, remembered from run to run: a file that nobody touched is not read again.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::names;
use crate::error::{Error, Result, reason};

/// A hash that was not asked for in this many days is forgotten.
const DAYS: u64 = 90;
/// Larger than this the remembered hashes are not read, bytes.
const LIMIT: u64 = 256 << 20;
/// A file changed so shortly before it was read may change again without a new time stamp, nanoseconds.
const FRESH: i128 = 2_000_000_000;

/// What shows that a file was touched. The time of the last change of its inode cannot be set back by programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// Size in bytes.
    pub size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn from(meta: &std::fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    /// When it was last changed, seconds since 1970.
    pub fn modified_s(&self) -> i64 {
        self.modified.0
    }

    /// The stamp of the file at `path` now.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        Ok(Self::from(&std::fs::metadata(path)?))
    }

    /// Whether the file has been left alone for a while.
    fn settled(&self, now: i128) -> bool {
        let nanos = |t: (i64, i64)| i128::from(t.0) * 1_000_000_000 + i128::from(t.1);
        nanos(self.modified).max(nanos(self.changed)) + FRESH < now
    }
}

/// A file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// What the file looked like when it was read.
    pub stamp: Stamp,
    /// SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

/// One remembered line: path as [`names::to_wire`], stamp, hash, day of last use.
type Line = (String, Stamp, String, u64);

/// The hashes that are remembered.
#[derive(Debug, Default)]
pub struct Hashes {
    file: Option<PathBuf>,
    known: HashMap<String, (Stamp, String, u64)>,
    changed: bool,
    /// Bytes read to hash them, for tests and reports.
    pub read: u64,
}

impl Hashes {
    /// Those in this user's cache directory; none where there is no such directory.
    pub fn open() -> Self {
        cache_dir().map_or_else(Self::default, |dir| Self::at(&dir.join("hashes")))
    }

    /// Those in `file`, which need not exist. Whatever cannot be read is worth nothing and does no harm.
    pub fn at(file: &Path) -> Self {
        let known = remembered(file);
        Self { file: Some(file.to_owned()), known, changed: false, read: 0 }
    }

    /// Hashes of `files`, in their order, on all processors. `progress` is told bytes read and bytes to read, at least
    /// ten times a second, and says whether to go on.
    ///
    /// # Errors
    /// Only when stopped; what is wrong with a single file is in its place.
    pub fn of(
        &mut self,
        files: &[PathBuf],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Vec<Result<Hashed>>> {
        let today = today();
        let looked: Vec<std::io::Result<Stamp>> = files.par_iter().map(|path| Stamp::of(path)).collect();
        let keys: Vec<String> = files.iter().map(|path| names::to_wire(names::bytes(path))).collect();
        let mut unknown = Vec::new();
        let mut found: Vec<Option<Result<Hashed>>> = Vec::with_capacity(files.len());
        for (at, stamp) in looked.into_iter().enumerate() {
            found.push(match stamp {
                Err(e) => Some(Err(unreadable(&files[at], &e))),
                Ok(stamp) => {
                    if let Some((_, sha256, used)) = self.known.get_mut(&keys[at]).filter(|k| k.0 == stamp) {
                        self.changed |= *used != today;
                        *used = today;
                        Some(Ok(Hashed { stamp, sha256: sha256.clone() }))
                    } else {
                        unknown.push((at, stamp.size));
                        None
                    }
                }
            });
        }
        let total: u64 = unknown.iter().map(|(_, size)| size).sum();
        let (done, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        // Largest first: the last one to be finished is then a small one.
        unknown.sort_by_key(|(at, size)| (std::cmp::Reverse(*size), *at));
        let (sender, results) = crossbeam_channel::unbounded();
        let stopped = std::thread::scope(|scope| {
            scope.spawn(|| {
                unknown.par_iter().with_max_len(1).for_each_with(sender, |sender, (at, _)| {
                    let hashed = hash(&files[*at], &done, &stop);
                    // Nobody listens any more only when stopped.
                    let _ = sender.send((*at, hashed));
                });
            });
            let mut go_on = total == 0 || progress(0, total);
            loop {
                match results.recv_timeout(Duration::from_millis(100)) {
                    Ok((at, hashed)) => found[at] = Some(hashed),
                    Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                    Err(crossbeam_channel::RecvTimeoutError::Disconnected) => break,
                }
                go_on = go_on && progress(done.load(Ordering::Relaxed).min(total), total);
                stop.store(!go_on, Ordering::Relaxed);
            }
            !go_on
        });
        self.read += done.into_inner();
        if stopped {
            return Err(Error::interrupted("stopped"));
        }
        let now = now_nanos();
        for (at, _) in unknown {
            if let Some(Ok(hashed)) = &found[at]
                && hashed.stamp.settled(now)
            {
                let key = keys[at].clone();
                self.known.insert(key, (hashed.stamp, hashed.sha256.clone(), today));
                self.changed = true;
            }
        }
        Ok(found.into_iter().map(|f| f.unwrap_or_else(|| Err(Error::interrupted("stopped")))).collect())
    }

    /// Remembers them for the next run. Failing costs only time then.
    pub fn save(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.changed) else { return };
        let today = today();
        let mut all = remembered(file); // Another run may have added some meanwhile.
        all.extend(self.known.drain());
        all.retain(|_, (_, _, used)| today.saturating_sub(*used) <= DAYS);
        let write = || -> std::io::Result<()> {
            let dir = file.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(dir)?;
            let mut out = tempfile::NamedTempFile::new_in(dir)?;
            let mut buffer = std::io::BufWriter::new(out.as_file_mut());
            for (path, (stamp, sha256, used)) in &all {
                let line: (&str, &Stamp, &str, u64) = (path, stamp, sha256, *used);
                serde_json::to_writer(&mut buffer, &line)?;
                buffer.write_all(b"\n")?;
            }
            buffer.flush()?;
            drop(buffer);
            out.persist(file)?;
            Ok(())
        };
        if let Err(e) = write() {
            tracing::debug!("hashes are not kept in {}: {e}", file.display());
        }
        self.known = all;
        self.changed = false;
    }
}

fn remembered(file: &Path) -> HashMap<String, (Stamp, String, u64)> {
    let small = std::fs::metadata(file).is_ok_and(|m| m.len() <= LIMIT);
    let text = if small { std::fs::read_to_string(file).unwrap_or_default() } else { String::new() };
    text.lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .filter(|(_, _, sha256, _)| sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(|(path, stamp, sha256, used)| (path, (stamp, sha256, used)))
        .collect()
}

/// Reads and hashes one file; what it looked like before and after must be the same.
fn hash(path: &Path, done: &AtomicU64, stop: &AtomicBool) -> Result<Hashed> {
    let read = || -> std::io::Result<Hashed> {
        let mut file = std::fs::File::open(path)?;
        let stamp = Stamp::from(&file.metadata()?);
        let mut sha = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            if stop.load(Ordering::Relaxed) {
                return Err(std::io::Error::other("stopped"));
            }
            let n = file.read(&mut block)?;
            if n == 0 {
                break;
            }
            sha.update(&block[..n]);
            done.fetch_add(n as u64, Ordering::Relaxed);
        }
        if Stamp::from(&file.metadata()?) != stamp {
            return Err(std::io::Error::other("it changes while it is read"));
        }
        Ok(Hashed { stamp, sha256: crate::hash::hex(&sha.finalize()) })
    };
    read().map_err(|e| unreadable(path, &e))
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    Error::input(format!("cannot read {}: {}", names::shown(path), reason(e)))
        .remedy("Check the path, and make the file readable for yourself.")
}

/// Where this user's programs keep what they can do without.
fn cache_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|dir| dir.join("tilectl"))
}

fn now_nanos() -> i128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX))
}

fn today() -> u64 {
    (now_nanos() / 86_400_000_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(path: &Path) {
        let past = SystemTime::now() - Duration::from_secs(100);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(past).unwrap();
    }

    /// The time of an inode's last change cannot be set: the files are looked at as if from the future.
    fn all_settled(hashes: &mut Hashes, files: &[PathBuf]) -> Vec<String> {
        let found = hashes.of(files, &mut |_, _| true).unwrap();
        let found: Vec<Hashed> = found.into_iter().map(Result::unwrap).collect();
        for (file, hashed) in files.iter().zip(&found) {
            let key = names::to_wire(names::bytes(file));
            hashes.known.insert(key, (hashed.stamp, hashed.sha256.clone(), today()));
        }
        hashes.changed = true;
        found.into_iter().map(|h| h.sha256).collect()
    }

    #[test]
    fn only_what_changed_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..20).map(|n| dir.path().join(format!("{n}.bin"))).collect();
        for (n, file) in files.iter().enumerate() {
            std::fs::write(file, vec![n as u8; 10_000]).unwrap();
            old(file);
        }
        let cache = dir.path().join("cache/hashes");
        let mut hashes = Hashes::at(&cache);
        let first = all_settled(&mut hashes, &files);
        assert_eq!(hashes.read, 200_000);
        hashes.save();

        let mut again = Hashes::at(&cache);
        assert_eq!(all_settled(&mut again, &files), first);
        assert_eq!(again.read, 0);

        // One byte, the same size, and the old time stamp put back: the inode tells.
        let before = std::fs::metadata(&files[7]).unwrap().modified().unwrap();
        let mut content = std::fs::read(&files[7]).unwrap();
        content[5000] ^= 1;
        std::fs::write(&files[7], content).unwrap();
        std::fs::File::options().write(true).open(&files[7]).unwrap().set_modified(before).unwrap();
        let mut third = Hashes::at(&cache);
        let now = all_settled(&mut third, &files);
        assert_eq!(third.read, 10_000);
        for n in 0..20 {
            assert_eq!(now[n] == first[n], n != 7);
        }
    }

    #[test]
    fn a_file_just_written_is_not_trusted_to_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, b"abc").unwrap();
        let mut hashes = Hashes::at(&dir.path().join("hashes"));
        let found = hashes.of(std::slice::from_ref(&file), &mut |_, _| true).unwrap();
        let sha256 = &found[0].as_ref().unwrap().sha256;
        assert_eq!(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(hashes.known.is_empty());
    }

    #[test]
    fn rubbish_in_the_cache_is_worth_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("hashes");
        std::fs::write(&cache, b"\xff\xfe not json\n[]\n[\"/a\",{},\"x\",1]\n").unwrap();
        assert!(Hashes::at(&cache).known.is_empty());
        let missing = Hashes::at(&cache).of(&[dir.path().join("none")], &mut |_, _| true).unwrap();
        assert!(missing[0].as_ref().unwrap_err().hint().is_some());
    }

    #[test]
    fn hashing_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a");
        std::fs::write(&file, vec![0; 3 << 20]).unwrap();
        let mut hashes = Hashes::at(&dir.path().join("hashes"));
        let error = hashes.of(&[file], &mut |_, _| false).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Interrupted);
    }
}
