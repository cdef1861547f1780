//! What is finished: a header and one record per event that matters, appended and synced, in `state.ron`.
//!
//! One record is one line of RON. A line that was cut short by a crash, or that no longer reads, is as if it had never
//! been written: the tile it spoke of is rendered again. Nothing is trusted that a hash does not confirm.

mod errand;
mod layout;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cost::Cells;
use crate::error::{Error, IoContext, Result};
use crate::geometry::Rect;
use crate::job::Identity;
use crate::proof::Verdict;

pub use errand::{Errand, is_running};
pub use layout::WorkDirLayout;

/// Version of the format; a newer one is never written over.
pub const VERSION: u32 = 1;
/// A line longer than this is not one of ours, bytes.
const LINE: u64 = 64 << 20;
/// How long the lock of a work directory may be held by somebody who only looks.
const GLANCE: Duration = Duration::from_millis(100);

/// A finished tile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TileRecord {
    /// Which of the job's pictures.
    pub picture: u32,
    /// What it contributes.
    pub region: Rect,
    /// What its file shows.
    pub rendered: Rect,
    /// File name below `tiles/`.
    pub file: String,
    /// File size.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Slot that rendered it.
    pub node: String,
    /// Seconds of rendering, without building the scene.
    pub seconds: f64,
    /// Seconds of building the scene before it.
    #[serde(default)]
    pub sync_s: f64,
    /// When it was stored, seconds since 1970.
    pub at: f64,
}

/// What a slot turned out to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Slot's name.
    pub name: String,
    /// Blender's version.
    pub blender: String,
    /// Its build hash.
    pub hash: String,
    /// What it computes on.
    pub device: String,
    /// Logical cores.
    pub cores: u32,
    /// Seconds to connect and start Blender.
    pub start_s: f64,
    /// Seconds to receive the files and open the scene.
    pub sync_s: f64,
    /// Measured rate, cost units per second.
    pub rate: Option<f64>,
    /// Measured seconds that a tile costs besides its pixels.
    #[serde(default)]
    pub fixed_s: Option<f64>,
    /// Measured bytes per second from it to here.
    #[serde(default)]
    pub bytes_per_s: Option<f64>,
    /// When, seconds since 1970.
    pub at: f64,
}

/// One line of the state file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// First line: the format and the job.
    Header {
        /// Format version.
        version: u32,
        /// What is rendered.
        job: Box<Identity>,
    },
    /// A controller began to work on it.
    Began {
        /// Version of tilectl.
        by: String,
        /// When, seconds since 1970.
        at: f64,
        /// Names of the slots.
        nodes: Vec<String>,
    },
    /// A node joined.
    Node(NodeRecord),
    /// What was planned.
    Planned {
        /// Tiles to render; 0 where they are cut by times that are not known yet.
        tiles: usize,
        /// Expected seconds.
        seconds: Option<f64>,
        /// Expected seconds on the best node alone.
        alone: Option<f64>,
        /// When.
        at: f64,
    },
    /// Where the picture was expected to be costly, in what was planned.
    Costs(Cells),
    /// A tile is on disk.
    Tile(TileRecord),
    /// A tile's file is no longer part of the picture.
    Discarded {
        /// Its file.
        file: String,
    },
    /// A tile failed, or a finish.
    Failed {
        /// Slot's name.
        node: String,
        /// The tile's region; none for a finish.
        region: Option<Rect>,
        /// Why.
        reason: String,
        /// When.
        at: f64,
    },
    /// A node was lost.
    Lost {
        /// Slot's name.
        node: String,
        /// Why.
        reason: String,
        /// When.
        at: f64,
    },
    /// One picture of several was written.
    Shot {
        /// Which, in the order of the job.
        shot: u32,
        /// Where.
        output: PathBuf,
        /// SHA-256 of it.
        sha256: String,
        /// When.
        at: f64,
    },
    /// The picture was written.
    Done {
        /// Where.
        output: PathBuf,
        /// SHA-256 of it.
        sha256: String,
        /// Seconds of this run.
        seconds: f64,
        /// When.
        at: f64,
    },
    /// What a proof found out.
    Proof {
        /// It.
        verdict: Verdict,
        /// When.
        at: f64,
    },
    /// The controller stopped before the end.
    Stopped {
        /// Why.
        reason: String,
        /// Whether somebody asked for it, and nothing failed.
        #[serde(default)]
        interrupted: bool,
        /// When.
        at: f64,
    },
}

/// What a state file says.
#[derive(Clone, Debug)]
pub struct History {
    /// The job.
    pub job: Identity,
    /// Every record after the header, in order.
    pub records: Vec<Record>,
    /// Lines that could not be read (a torn last line is not counted).
    pub damaged: usize,
    /// Length of the readable part, bytes: what follows is a torn record.
    sound: u64,
}

impl History {
    /// Reads a state file.
    ///
    /// # Errors
    /// When it is not one, or was written by a newer version.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).at("read", path)?;
        Self::parse(BufReader::new(file), path)
    }

    /// Reads a state file that is open, from its beginning; it may have been removed meanwhile. `path` is for errors.
    ///
    /// # Errors
    /// As [`History::read`].
    pub fn read_open(mut file: &File, path: &Path) -> Result<Self> {
        file.seek(SeekFrom::Start(0)).at("read", path)?;
        Self::parse(BufReader::new(file), path)
    }

    fn parse(mut input: impl BufRead, path: &Path) -> Result<Self> {
        let mut line = Vec::new();
        let mut header = None;
        let mut records = Vec::new();
        let (mut damaged, mut position, mut sound) = (0, 0u64, 0u64);
        loop {
            line.clear();
            let n = input.by_ref().take(LINE).read_until(b'\n', &mut line).at("read", path)?;
            position += n as u64;
            if line.last() != Some(&b'\n') {
                break; // The end, or a record cut short.
            }
            sound = position;
            let record = std::str::from_utf8(&line).ok().map(ron::from_str::<Record>);
            match (record, &header) {
                (Some(Ok(Record::Header { version, .. })), None) if version != VERSION => {
                    return Err(newer(path));
                }
                (Some(Ok(Record::Header { job, .. })), None) => header = Some(*job),
                (Some(Ok(record)), Some(_)) => records.push(record),
                (_, Some(_)) => damaged += 1,
                (_, None) => {
                    let text = String::from_utf8_lossy(&line);
                    let version = text
                        .strip_prefix("Header(version:")
                        .and_then(|rest| rest.split(',').next())
                        .and_then(|v| v.trim().parse::<u32>().ok());
                    return Err(if version.is_some_and(|v| v > VERSION) {
                        newer(path)
                    } else {
                        foreign(path)
                    });
                }
            }
        }
        let job = header.ok_or_else(|| foreign(path))?;
        Ok(Self { job, records, damaged, sound })
    }

    /// The finished tiles: every record whose file was not discarded later, the newest of those with one file name.
    pub fn tiles(&self) -> Vec<&TileRecord> {
        let mut newest = HashMap::new();
        for (at, record) in self.records.iter().enumerate() {
            match record {
                Record::Tile(tile) => {
                    newest.insert(tile.file.as_str(), (at, tile));
                }
                Record::Discarded { file } => {
                    newest.remove(file.as_str());
                }
                _ => {}
            }
        }
        let mut tiles: Vec<_> = newest.into_values().collect();
        tiles.sort_unstable_by_key(|(at, _)| *at);
        tiles.into_iter().map(|(_, tile)| tile).collect()
    }
}

fn newer(path: &Path) -> Error {
    Error::input(format!("{} was written by a newer tilectl", path.display()))
        .remedy("Update tilectl, or render with another --work-dir.")
}

fn foreign(path: &Path) -> Error {
    Error::input(format!("{} is not a state file of tilectl", path.display()))
        .remedy("Render with another --work-dir, or with --fresh to start over here.")
}

/// Whether the first record of this file was cut short, so that nothing is lost by starting over.
fn headless(path: &Path) -> bool {
    let mut head = Vec::new();
    File::open(path).is_ok_and(|f| f.take(LINE).read_to_end(&mut head).is_ok() && !head.contains(&b'\n'))
}

/// A work directory: locked, with its state file open for appending.
#[derive(Debug)]
pub struct WorkDir {
    layout: WorkDirLayout,
    log: File,
    /// Held as long as this exists; the lock goes with the file.
    _lock: File,
}

impl WorkDir {
    /// Takes possession of a directory for a job. Gives back what is already finished there.
    ///
    /// # Errors
    /// When another controller works in it, when it belongs to another job (saying what differs), or when it holds
    /// something else altogether.
    pub fn open(root: &Path, job: &Identity, fresh: bool) -> Result<(Self, Option<History>)> {
        let layout = WorkDirLayout::new(root);
        let lock = Self::lock(&layout)?;
        let path = layout.state();
        let mut history = None;
        if fresh {
            layout.clear()?;
        } else if path.exists() && !headless(&path) {
            let found = History::read(&path)?;
            let changes = found.job.differences(job);
            // Where nothing is finished nothing can be lost.
            let worthless = found.tiles().is_empty() && !changes.is_empty();
            if !changes.is_empty() && !worthless {
                return Err(Error::input(format!(
                    "{} holds another job: {}",
                    root.display(),
                    changes.join("; ")
                ))
                .remedy(
                    "Add --fresh to start over, choose another --work-dir, or put back what was changed.",
                ));
            }
            history = Some(found).filter(|_| !worthless);
        }
        let tiles = layout.tiles();
        std::fs::create_dir_all(&tiles).at("create", &tiles)?;
        let mut log = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .at("write", &path)?;
        let sound = history.as_ref().map_or(0, |h| h.sound);
        log.set_len(sound).and_then(|()| log.seek(SeekFrom::Start(sound))).at("write", &path)?;
        let mut dir = Self { layout, log, _lock: lock };
        if history.is_none() {
            dir.append(&Record::Header { version: VERSION, job: Box::new(job.clone()) })?;
            sync_dir(root)?;
        }
        Ok((dir, history))
    }

    fn lock(layout: &WorkDirLayout) -> Result<File> {
        let root = layout.root();
        std::fs::create_dir_all(root).at("create", root)?;
        let path = layout.lock();
        if !path.exists() && !layout.state().exists() {
            // The program that shows the run may have begun before there was anything to record.
            let own = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(layout::NOW);
            let occupied =
                std::fs::read_dir(root).at("read", root)?.flatten().any(|entry| !own(&entry.file_name()));
            if occupied {
                return Err(Error::input(format!(
                    "{} is not empty and not a work directory",
                    root.display()
                ))
                .remedy("Choose an empty or a new directory with --work-dir."));
            }
        }
        let until = Instant::now() + GLANCE;
        let mut open = OpenOptions::new();
        let open = open.create(true).truncate(false).write(true);
        let mut lock = open.open(&path).at("write", &path)?;
        let taken = loop {
            match lock.try_lock() {
                // Who had it may have removed it as the last thing it did: a lock that nobody else can find is none.
                Ok(()) if !is_at(&lock, &path) => {
                    std::fs::create_dir_all(root).at("create", root)?;
                    lock = open.open(&path).at("write", &path)?;
                }
                // Somebody may be looking whether it is taken: that takes microseconds.
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                taken => break taken,
            }
        };
        match taken {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => {
                Err(Error::input(format!("another tilectl is working in {}", root.display()))
                    .remedy("Wait for it, or choose another --work-dir."))
            }
            Err(TryLockError::Error(e)) => Err(e).at("lock", &path),
        }
    }

    /// Removes the directory with everything tilectl put there; the directory itself only if nothing else is in it.
    pub fn remove(self) -> Result<()> {
        self.layout.clear()?;
        let lock = self.layout.lock();
        std::fs::remove_file(&lock).at("remove", &lock)?;
        let _ = std::fs::remove_dir(self.layout.root());
        Ok(())
    }

    /// Appends a record and makes it durable.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let path = self.layout.state();
        let mut line = ron::to_string(record)
            .map_err(|e| Error::render(format!("cannot write a state record: {e}")))?
            .replace('\n', " ");
        line.push('\n');
        let before = self.log.stream_position().at("write", &path)?;
        let written = self.log.write_all(line.as_bytes()).and_then(|()| self.log.sync_data());
        if written.is_err() {
            // A half-written line must not swallow the next one.
            let _ = self.log.set_len(before);
            let _ = self.log.seek(SeekFrom::Start(before));
        }
        written.at("write", &path)
    }

    /// Where everything in it lies.
    pub fn layout(&self) -> &WorkDirLayout {
        &self.layout
    }

    /// Those finished pictures, of several, whose file is still what was recorded.
    pub fn sound_shots(&self, history: &History) -> Vec<(u32, PathBuf)> {
        use rayon::prelude::*;
        let mut shots = std::collections::BTreeMap::new();
        for record in &history.records {
            if let Record::Shot { shot, output, sha256, .. } = record {
                shots.insert(*shot, (output, sha256));
            }
        }
        shots
            .into_par_iter()
            .filter(|(_, (output, sha256))| {
                output.is_file() && crate::hash::of_file(output).is_ok_and(|found| found == **sha256)
            })
            .map(|(shot, (output, _))| (shot, output.clone()))
            .collect()
    }

    /// Those finished tiles whose file is still what was recorded.
    pub fn sound_tiles(&self, history: &History) -> Vec<TileRecord> {
        use rayon::prelude::*;
        let sound: Vec<TileRecord> = history
            .tiles()
            .into_par_iter()
            .filter(|tile| {
                let plain = Path::new(&tile.file).file_name().is_some_and(|n| n == tile.file.as_str());
                let path = self.layout.tile(&tile.file);
                plain
                    && path.metadata().is_ok_and(|m| m.is_file() && m.len() == tile.bytes)
                    && crate::hash::of_file(&path).is_ok_and(|sha256| sha256 == tile.sha256)
            })
            .cloned()
            .collect();
        // Two nodes may have rendered the same piece, and the run may have ended before one of them was discarded.
        let mut seen = std::collections::HashSet::new();
        sound.into_iter().filter(|tile| seen.insert((tile.picture, tile.region))).collect()
    }
}

/// Whether an open file is the one that has this name.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Makes a rename or creation in a directory durable.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|d| d.sync_all()).at("sync", path)
}

/// Seconds since 1970.
pub fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests;
