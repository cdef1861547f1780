//! How a job stands, from its state file: what people and programs ask for while it renders, or afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tilecore::error::IoContext;
use tilecore::geometry::uncovered;
use tilecore::state::{self, History, Record, WorkDirLayout};
use tilecore::{Error, Result};

/// Pixels that an unfinished run must have rendered before it is extrapolated, as a part of what it has to do.
const ENOUGH: f64 = 0.02;

/// What is going on with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// A controller works on it.
    Running,
    /// The picture is written.
    Done,
    /// It was stopped, or it failed; the same command goes on with it.
    Stopped,
    /// Nobody works on it and nobody said why: the controller was killed.
    Abandoned,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    pub(crate) stage: Stage,
    pub(crate) frame: i32,
    pub(crate) scene: String,
    pub(crate) size: String,
    pub(crate) tiles: usize,
    pub(crate) pixels_done: u64,
    pub(crate) pixels: u64,
    /// Pictures to write, and how many of several are.
    pub(crate) pictures: usize,
    pub(crate) pictures_done: usize,
    pub(crate) done: f64,
    pub(crate) failures: usize,
    pub(crate) losses: usize,
    /// Seconds of the run that goes on or was the last.
    pub(crate) seconds: f64,
    /// Expected seconds to the last tile, while it is running.
    pub(crate) left: Option<f64>,
    /// Finished tiles of every node.
    pub(crate) nodes: BTreeMap<String, usize>,
    /// Why it was stopped.
    pub(crate) reason: Option<String>,
    /// The picture.
    pub(crate) finished: Option<String>,
    /// What the proof found out, in one sentence.
    pub(crate) proof: Option<String>,
}

impl Standing {
    /// From what is on record; `running` says whether a controller works on it, `now` is in seconds since 1970.
    pub(crate) fn of(history: &History, running: bool, now: f64) -> Self {
        let tiles = history.tiles();
        let job = &history.job;
        let regions = job.regions();
        let pixels: u64 = regions.iter().map(|r| r.area()).sum();
        let closed = closed(history);
        let missing: u64 = (0u32..)
            .zip(&regions)
            .filter(|(picture, _)| !closed.contains(picture))
            .map(|(picture, region)| {
                let done = tiles.iter().filter(|t| t.picture == picture).map(|t| t.region);
                uncovered(*region, done).iter().map(|r| r.area()).sum::<u64>()
            })
            .sum();
        let count = |what: fn(&Record) -> bool| history.records.iter().filter(|r| what(r)).count();
        let mut nodes = BTreeMap::new();
        for tile in &tiles {
            *nodes.entry(tile.node.clone()).or_default() += 1;
        }
        let run = Run::last_of(history);
        let stage = match run.end {
            Some(Record::Done { .. }) => Stage::Done,
            _ if running => Stage::Running,
            Some(_) => Stage::Stopped,
            None => Stage::Abandoned,
        };
        let until = match (stage, run.last) {
            (Stage::Running, _) | (_, None) => now,
            (_, Some(last)) => last,
        };
        let left = (stage == Stage::Running).then(|| run.left(history, missing, now)).flatten();
        Self {
            stage,
            frame: job.frame,
            scene: job.scene.clone(),
            size: job.size.to_string(),
            tiles: tiles.len(),
            pixels_done: pixels - missing,
            pixels,
            pictures: job.shots.len().max(1),
            pictures_done: written(history).len().min(job.shots.len()),
            done: (pixels - missing) as f64 / pixels.max(1) as f64,
            failures: count(|r| matches!(r, Record::Failed { .. })),
            losses: count(|r| matches!(r, Record::Lost { .. })),
            seconds: (until - run.began.unwrap_or(until)).max(0.0),
            left,
            nodes,
            reason: match run.end {
                Some(Record::Stopped { reason, .. }) if stage == Stage::Stopped => Some(reason.clone()),
                _ => None,
            },
            finished: history.records.iter().rev().find_map(|r| match r {
                Record::Done { output, .. } => Some(output.display().to_string()),
                _ => None,
            }),
            proof: history.records.iter().rev().find_map(|r| match r {
                Record::Proof { verdict, .. } => Some(verdict.sentence()),
                _ => None,
            }),
        }
    }
}

/// Numbers of the pictures that are written: their tiles may be gone.
fn closed(history: &History) -> BTreeSet<u32> {
    let written = written(history);
    let mut first = 0;
    (0u32..)
        .zip(&history.job.shots)
        .flat_map(|(at, shot)| {
            let range = first..first + shot.count();
            first = range.end;
            if written.contains(&at) { range } else { 0..0 }
        })
        .collect()
}

/// Numbers of the shots that are written.
fn written(history: &History) -> BTreeSet<u32> {
    let shot = |r: &Record| if let Record::Shot { shot, .. } = r { Some(*shot) } else { None };
    history.records.iter().filter_map(shot).collect()
}

/// The last run of a controller on a job.
#[derive(Default)]
struct Run<'a> {
    began: Option<f64>,
    planned: Option<(f64, Option<f64>)>,
    rendered: u64,
    last: Option<f64>,
    end: Option<&'a Record>,
}

impl<'a> Run<'a> {
    fn last_of(history: &'a History) -> Self {
        let mut run = Self::default();
        for record in &history.records {
            match record {
                Record::Began { at, .. } => {
                    run = Self { began: Some(*at), last: Some(*at), ..Self::default() };
                }
                Record::Planned { seconds, at, .. } => run.planned = Some((*at, *seconds)),
                Record::Tile(tile) => {
                    run.rendered += tile.region.area();
                    run.last = Some(tile.at);
                }
                Record::Done { at, .. } | Record::Stopped { at, .. } => {
                    run.end = Some(record);
                    run.last = Some(*at);
                }
                _ => {}
            }
        }
        run
    }

    /// As the pixels so far; before there are enough of them, as planned.
    fn left(&self, history: &History, missing: u64, now: f64) -> Option<f64> {
        let (at, seconds) = self.planned?;
        let passed = (now - at).max(0.0);
        let todo = (self.rendered + missing) as f64;
        if history.job.region.area() > 0 && self.rendered as f64 > ENOUGH * todo {
            return Some(passed * missing as f64 / self.rendered as f64);
        }
        seconds.map(|s| (s - passed).max(0.0))
    }
}

/// A work directory that is looked at again and again, even when it is removed after the end.
pub(crate) struct Watched {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    seen: Option<(u64, bool)>,
}

impl Watched {
    /// Opens the state file of a work directory.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let path = WorkDirLayout::new(dir).state();
        if !path.is_file() {
            return Err(Error::input(format!("{} is not a work directory of tilectl", dir.display()))
                .remedy("Name the directory that a render keeps its tiles in, usually <output>.tiles."));
        }
        let file = File::open(&path).at("read", &path)?;
        Ok(Self { dir: dir.to_owned(), path, file, seen: None })
    }

    /// How the job stands.
    pub(crate) fn standing(&self) -> Result<Standing> {
        // Asked first: what is written between the two questions is then only missed, not misread.
        let running = state::is_running(&self.dir);
        let history = History::read_open(&self.file, &self.path)?;
        Ok(Standing::of(&history, running, state::now()))
    }

    /// Whether something was written, or somebody came or went, since this was asked last.
    pub(crate) fn has_changed(&mut self) -> Result<bool> {
        let about = self.file.metadata().at("read", &self.path)?;
        if about.nlink() == 0 && self.path.is_file() {
            // Started over: another file has its name.
            self.file = File::open(&self.path).at("read", &self.path)?;
            self.seen = None;
        }
        let now = Some((about.len(), state::is_running(&self.dir)));
        let changed = self.seen != now;
        self.seen = now;
        Ok(changed)
    }
}
