//! How a job stands, from its state file: what people and programs ask for while it renders, or afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use tilecore::error::IoContext;
use tilecore::geometry::uncovered;
use tilecore::state::{self, History, Record, WorkDirLayout};
use tilecore::{Error, Result};

use crate::now::{self, Account, Doing};

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
    /// Expected seconds to the end, while it is running; with a range while little is known.
    pub(crate) left: Option<f64>,
    pub(crate) left_range: Option<(f64, f64)>,
    /// What is going on, and for how long, seconds, while it is running.
    pub(crate) phase: Option<String>,
    pub(crate) phase_s: Option<f64>,
    /// What every node does, while it is running.
    pub(crate) now: Vec<Doing>,
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
            pictures_done: match (stage, job.shots.len()) {
                // A single picture has no record of its own.
                (Stage::Done, 0 | 1) => 1,
                (_, of) => written(history).len().min(of),
            },
            done: (pixels - missing) as f64 / pixels.max(1) as f64,
            failures: count(|r| matches!(r, Record::Failed { .. })),
            losses: losses(history),
            seconds: (until - run.began.unwrap_or(until)).max(0.0),
            left,
            left_range: None,
            phase: None,
            phase_s: None,
            now: Vec::new(),
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

impl Standing {
    /// Of a run that has nothing on record yet.
    fn begins(account: &Account) -> Self {
        let mut this = Self {
            stage: Stage::Running,
            frame: 0,
            scene: String::new(),
            size: String::new(),
            tiles: 0,
            pixels_done: 0,
            pixels: 0,
            pictures: 1,
            pictures_done: 0,
            done: 0.0,
            failures: 0,
            losses: 0,
            seconds: 0.0,
            left: None,
            left_range: None,
            phase: None,
            phase_s: None,
            now: Vec::new(),
            nodes: BTreeMap::new(),
            reason: None,
            finished: None,
            proof: None,
        };
        this.take(account);
        this
    }

    /// What the run itself says of how it stands: the figures that its own screen shows.
    pub(crate) fn take(&mut self, account: &Account) {
        if self.stage != Stage::Running {
            return;
        }
        self.seconds = account.seconds;
        self.done = account.done;
        self.tiles = account.tiles;
        self.pictures = account.pictures;
        self.pictures_done = account.pictures_done;
        (self.left, self.left_range) = (account.left, account.left_range);
        (self.phase, self.phase_s) = (Some(account.phase.clone()), Some(account.phase_s));
        self.now.clone_from(&account.nodes);
    }
}

/// How often a node was lost; what was never there cannot be.
fn losses(history: &History) -> usize {
    let mut there = BTreeSet::new();
    let mut lost = 0;
    for record in &history.records {
        match record {
            Record::Node(node) => {
                there.insert(&node.name);
            }
            Record::Lost { node, .. } => lost += usize::from(there.remove(node)),
            _ => {}
        }
    }
    lost
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
    /// The state file, once there is one.
    file: Option<File>,
    seen: Option<Seen>,
}

/// What tells one look from the next.
#[derive(PartialEq)]
struct Seen {
    length: u64,
    running: bool,
    phase: String,
    percent: u32,
    tiles: usize,
    doing: Vec<String>,
}

impl Watched {
    /// Opens a work directory. One that a render is about to make is waited for, but not for `patience`.
    pub(crate) fn open(dir: &Path, patience: Duration) -> Result<Self> {
        let path = WorkDirLayout::new(dir).state();
        let until = Instant::now() + patience;
        loop {
            if path.is_file() {
                let file = File::open(&path).at("read", &path)?;
                return Ok(Self { dir: dir.to_owned(), path, file: Some(file), seen: None });
            }
            if now::read(dir).is_some() || state::is_running(dir) {
                return Ok(Self { dir: dir.to_owned(), path, file: None, seen: None });
            }
            // Nothing else becomes one.
            let may_come = dir.extension().is_some_and(|e| e == "tiles") && !dir.is_file();
            if !may_come || Instant::now() > until {
                return Err(Error::input(format!("{} is not a work directory of tilectl", dir.display()))
                    .remedy("Name the directory that a render keeps its tiles in, usually <output>.tiles."));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How the job stands.
    pub(crate) fn standing(&mut self) -> Result<Standing> {
        // Asked first: what is written between the two questions is then only missed, not misread.
        let running = state::is_running(&self.dir);
        let account = now::read(&self.dir);
        self.find();
        let mut standing = match (&self.file, &account) {
            (Some(file), _) => {
                let history = History::read_open(file, &self.path)?;
                // A run that has only just begun has not taken over yet what an earlier one left.
                Standing::of(&history, running || account.is_some(), state::now())
            }
            (None, Some(account)) => Standing::begins(account),
            (None, None) => {
                return Err(Error::input(format!(
                    "the render in {} ended before it began",
                    self.dir.display()
                ))
                .remedy("What it said of that stands where it was started."));
            }
        };
        if let Some(account) = account {
            standing.take(&account);
        }
        Ok(standing)
    }

    /// What the run says of itself at this moment, if one goes on.
    pub(crate) fn account(&self) -> Option<Account> {
        now::read(&self.dir)
    }

    /// Whether something was written, or somebody came or went, since this was asked last.
    pub(crate) fn has_changed(&mut self) -> Result<bool> {
        self.find();
        let length = match &self.file {
            Some(file) => file.metadata().at("read", &self.path)?.len(),
            None => 0,
        };
        let account = now::read(&self.dir).unwrap_or_default();
        let now = Some(Seen {
            length,
            running: state::is_running(&self.dir) || WorkDirLayout::new(&self.dir).now().is_file(),
            phase: account.phase,
            percent: (account.done * 100.0) as u32,
            tiles: account.tiles,
            doing: account.nodes.into_iter().map(|n| n.state).collect(),
        });
        let changed = self.seen != now;
        self.seen = now;
        Ok(changed)
    }

    /// The state file that is there now: one may have come, or have taken another's place.
    fn find(&mut self) {
        let gone = self.file.as_ref().is_none_or(|f| f.metadata().is_ok_and(|about| about.nlink() == 0));
        if gone && let Ok(file) = File::open(&self.path) {
            self.file = Some(file);
            self.seen = None;
        }
    }
}
