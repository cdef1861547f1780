//! What goes on now: one account of a run, kept from its events, that the terminal, the live page, JSON and
//! `tilectl status` all show. So all say the same at the same moment.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tilecore::events::Event;
use tilecore::geometry::Rect;
use tilecore::state::{self, WorkDirLayout};
use tilecore::text::duration;

use crate::say;
use crate::show::{Countdown, bytes};

/// How often the file of a run is written.
const EVERY: Duration = Duration::from_millis(500);
/// An account that is older than this is that of a run which is no more.
const STALE: Duration = Duration::from_secs(15);
/// What is left is a range until so much is done, ...
const VAGUE: f64 = 0.05;
/// ... from this to that part of what is expected.
const RANGE: (f64, f64) = (0.5, 1.5);

/// What a node does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Doing {
    pub(crate) name: String,
    /// `connecting`, `waiting`, `receiving`, `opening`, `preparing`, `idle`, `building`, `sampling`, `sending`, `paused`,
    /// `lost` or `out`.
    pub(crate) state: String,
    /// In words, without the time.
    pub(crate) words: String,
    /// For how long, seconds.
    pub(crate) for_s: f64,
    /// For how long it has had its tile, and has rendered it, seconds.
    pub(crate) tile_s: Option<f64>,
    pub(crate) rendering_s: f64,
    /// Part of the frame that it renders.
    pub(crate) region: Option<Rect>,
}

/// The account as it is at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    /// Seconds since the run began.
    pub(crate) seconds: f64,
    /// What is going on, and for how long, seconds.
    pub(crate) phase: String,
    pub(crate) phase_s: f64,
    /// Part of the cost that is done, 0 to 1.
    pub(crate) done: f64,
    pub(crate) tiles: usize,
    pub(crate) pictures: usize,
    pub(crate) pictures_done: usize,
    /// Expected seconds to the end; with a range while little is known.
    pub(crate) left: Option<f64>,
    pub(crate) left_range: Option<(f64, f64)>,
    pub(crate) nodes: Vec<Doing>,
}

impl Account {
    /// What is left, as people say it.
    pub(crate) fn to_go(&self) -> Option<String> {
        match (self.left_range, self.left) {
            (Some((from, to)), _) => Some(range(from, to)),
            (None, left) => left.map(|s| duration(s.max(1.0).round())),
        }
    }
}

/// `1 to 3 min`: whole units, and the unit once, where it is the same.
fn range(from: f64, to: f64) -> String {
    let (from, to) = (from.max(1.0), to.max(2.0));
    let units = [(3600.0, "h", 5940.0), (60.0, "min", 99.0), (1.0, "s", 0.0)];
    let of = |s: f64| units.iter().find(|u| s >= u.2).map_or((1.0, "s"), |u| (u.0, u.1));
    let ((high, unit), (low, other)) = (of(to), of(from));
    if from >= high {
        let (low, high) = ((from / high).round(), (to / high).round());
        return if low < high {
            format!("{low:.0} to {high:.0} {unit}")
        } else {
            format!("{high:.0} {unit}")
        };
    }
    format!("{:.0} {other} to {:.0} {unit}", (from / low).round(), (to / high).round())
}

#[derive(Debug)]
struct Slot {
    name: String,
    state: &'static str,
    words: String,
    since: Instant,
    /// The tile in hand, when it was given, and when its first sample came.
    tile: Option<(Rect, Instant, Option<Instant>)>,
    paused: bool,
}

/// Follows a run.
#[derive(Debug)]
pub(crate) struct Now {
    began: Instant,
    phase: (&'static str, String, Instant),
    slots: Vec<Slot>,
    done: f64,
    tiles: usize,
    pictures: (usize, usize),
    left: Option<f64>,
    /// The part that was done when something was told first, and when that was.
    first: Option<(f64, Instant)>,
    countdown: Countdown,
}

impl Now {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            phase: ("reach", "reaching the nodes".into(), now),
            slots: Vec::new(),
            done: 0.0,
            tiles: 0,
            pictures: (0, 0),
            left: None,
            first: None,
            countdown: Countdown::default(),
        }
    }

    /// Takes an event, and gives it back with the figures that are shown everywhere.
    pub(crate) fn event(&mut self, event: &Event) -> Event {
        match event {
            Event::Connecting { slot, node } => {
                while self.slots.len() <= *slot {
                    self.slots.push(Slot::new());
                }
                self.slots[*slot].name.clone_from(node);
                self.slots[*slot].tile = None;
                self.does(*slot, "connecting", "connecting");
            }
            Event::Queued { slot, words, .. } => {
                let words = if words.is_empty() { "waiting for its shell" } else { words };
                self.does(*slot, "waiting", words);
            }
            Event::Connected { slot, .. } => self.does(*slot, "preparing", "Blender is up"),
            Event::Reading { read, of } if read < of => {
                let words = format!("reading the scene's files, {} of {}", bytes(*read), bytes(*of));
                if matches!(self.phase.0, "reach" | "read" | "send" | "open" | "look") {
                    self.phase("look", &words);
                }
            }
            Event::Sending { slot, sent, of, per_second } if sent < of => {
                let speed = per_second.map_or_else(String::new, |s| format!(", {}/s", bytes(s as u64)));
                self.does(
                    *slot,
                    "receiving",
                    &format!("receiving {} of {}{speed}", bytes(*sent), bytes(*of)),
                );
                self.before_tiles("send", "sending the scene's files");
            }
            Event::Sending { slot, .. } => {
                self.does(*slot, "opening", "opening the scene");
                self.before_tiles("open", "opening the scene");
            }
            Event::Opened { slot, .. } => {
                self.does(*slot, "preparing", "preparing the scene");
                self.before_tiles("look", "looking at the scene");
            }
            Event::Scene { .. } => self.before_tiles("prepare", "preparing the scene"),
            Event::Stage { slot, words } => {
                let words = format!("building the scene: {}", say::name(words));
                self.does(*slot, "building", &words);
                if self.phase.0 == "prepare" || self.phase.0 == "build" {
                    self.phase("build", "building the scene");
                }
            }
            Event::Proving { .. } => self.phase("prove", "proving that tiles are exact"),
            Event::Proof { .. } if self.phase.0 == "prove" => self.phase("prepare", "preparing the scene"),
            Event::Ready { slot } => self.does(*slot, "idle", "waiting for a tile"),
            Event::Began { slot, region, .. } => {
                let now = Instant::now();
                if let Some(s) = self.slots.get_mut(*slot) {
                    s.tile = Some((*region, now, None));
                }
                self.does(*slot, "building", "building the scene");
                if matches!(self.phase.0, "prepare" | "look" | "open" | "send" | "reach" | "prove") {
                    self.phase("build", "building the scene");
                }
            }
            Event::Sample { slot, done, of, .. } => {
                let words = format!("sample {done} of {of}");
                if let Some(s) = self.slots.get_mut(*slot) {
                    if let Some((_, _, rendering @ None)) = s.tile.as_mut() {
                        *rendering = Some(Instant::now());
                    }
                    // Its time counts from the first sample on.
                    if s.state == "sampling" {
                        s.words.clone_from(&words);
                    }
                }
                self.does(*slot, "sampling", &words);
                if !matches!(self.phase.0, "drain" | "stitch" | "finish") {
                    self.phase("render", "rendering");
                }
            }
            Event::Rendered { slot, .. } => {
                if let Some(s) = self.slots.get_mut(*slot) {
                    s.tile = None;
                }
                self.does(*slot, "sending", "sending its tile");
                if !matches!(self.phase.0, "drain" | "stitch" | "finish") {
                    self.phase("render", "rendering");
                }
            }
            Event::Stored { slot, .. } | Event::Failed { slot, .. } | Event::Cancelled { slot, .. } => {
                if let Some(s) =
                    self.slots.get_mut(*slot).filter(|s| s.tile.is_none() || s.state == "sending")
                {
                    s.tile = None;
                    self.does(*slot, "idle", "waiting for a tile");
                }
            }
            Event::Paused { slot, .. } => self.pause(*slot, true),
            Event::Resumed { slot, .. } => self.pause(*slot, false),
            Event::Lost { slot, again_in, .. } => {
                if let Some(s) = self.slots.get_mut(*slot) {
                    s.tile = None;
                }
                let words = if *again_in < 1.0 {
                    "not reached, tried again now".to_owned()
                } else {
                    format!("not reached, tried again in {}", duration(*again_in))
                };
                self.does(*slot, "lost", &words);
            }
            Event::Retired { slot, .. } => {
                if let Some(s) = self.slots.get_mut(*slot) {
                    s.tile = None;
                }
                self.does(*slot, "out", "takes no further part");
            }
            Event::Shots { of, done } => self.pictures = (*of, *done),
            Event::Draining => self.phase("drain", "stopping: running tiles are finished and kept"),
            Event::Stitching => self.phase("stitch", "stitching"),
            Event::Finishing { node } => {
                let words = format!("finishing on {}", say::name(node));
                self.phase("finish", &words);
            }
            Event::Done { .. } => self.phase("done", "done"),
            Event::Progress { done, tiles, of, eta, frames, of_frames } => {
                self.progress(*done, *tiles, *eta);
                self.pictures = (*of_frames, *frames);
                return Event::Progress {
                    done: self.done,
                    tiles: *tiles,
                    of: *of,
                    eta: self.left,
                    frames: *frames,
                    of_frames: *of_frames,
                };
            }
            _ => {}
        }
        event.clone()
    }

    fn progress(&mut self, done: f64, tiles: usize, eta: Option<f64>) {
        let now = Instant::now();
        let done = if done.is_finite() { done.clamp(0.0, 1.0) } else { 0.0 };
        // What was believed of a tile's cost may turn out wrong, which is no step back; a run that starts over is one.
        self.done = if done < 0.5 * self.done { done } else { self.done.max(done) };
        self.tiles = tiles;
        let (first, since) = *self.first.get_or_insert((self.done, now));
        // What is predicted to be over in a moment, but has most of its way to go, is judged by the way so far.
        let gone = self.done - first;
        let by_pace = (gone > 0.02)
            .then(|| now.duration_since(since).as_secs_f64() * (1.0 - self.done) / gone)
            .filter(|s| s.is_finite());
        let eta = match (eta, by_pace) {
            (Some(eta), Some(pace)) if eta < 0.2 * pace => Some(pace),
            (eta, _) => eta,
        };
        let paused = self.all_paused();
        let shown = self.countdown.show(self.began.elapsed().as_secs_f64(), eta.filter(|_| !paused));
        // Nothing is over before it is, and a pause lasts as long as it lasts.
        self.left = shown.filter(|_| !paused && self.done < 1.0).map(|s| s.max(1.0));
    }

    /// Whether nobody works because all who could are to wait.
    fn all_paused(&self) -> bool {
        let mut able = self.slots.iter().filter(|s| !matches!(s.state, "out" | "lost")).peekable();
        able.peek().is_some() && able.all(|s| s.paused && s.tile.is_none())
    }

    fn pause(&mut self, slot: usize, paused: bool) {
        let Some(s) = self.slots.get_mut(slot) else { return };
        s.paused = paused;
        if s.tile.is_none() && matches!(s.state, "idle" | "paused") {
            let (state, words) = if paused { ("paused", "paused") } else { ("idle", "waiting for a tile") };
            self.does(slot, state, words);
        }
    }

    fn does(&mut self, slot: usize, state: &'static str, words: &str) {
        let Some(s) = self.slots.get_mut(slot) else { return };
        let (state, words) = if s.paused && state == "idle" { ("paused", "paused") } else { (state, words) };
        if s.state != state {
            s.state = state;
            s.since = Instant::now();
        }
        words.clone_into(&mut s.words);
    }

    /// A phase that comes before there are tiles; a node that joins later does not bring it back.
    fn before_tiles(&mut self, phase: &'static str, words: &str) {
        const ORDER: [&str; 6] = ["reach", "read", "send", "open", "look", "prepare"];
        let at = |phase| ORDER.iter().position(|p| *p == phase);
        if let (Some(before), Some(then)) = (at(self.phase.0), at(phase))
            && then >= before
        {
            self.phase(phase, words);
        }
    }

    fn phase(&mut self, phase: &'static str, words: &str) {
        if self.phase.0 != phase {
            self.phase = (phase, words.to_owned(), Instant::now());
        } else if self.phase.1 != words {
            words.clone_into(&mut self.phase.1);
        }
    }

    /// The phase: its short name, in words, and for how long, seconds.
    pub(crate) fn phase_now(&self) -> (&'static str, &str, f64) {
        if self.all_paused() && matches!(self.phase.0, "render" | "build") {
            let since = self.slots.iter().filter(|s| s.paused).map(|s| s.since).max();
            return ("pause", "paused", since.map_or(0.0, |s| s.elapsed().as_secs_f64()));
        }
        (self.phase.0, &self.phase.1, self.phase.2.elapsed().as_secs_f64())
    }

    /// The account as it is now.
    pub(crate) fn account(&self) -> Account {
        let (phase, words, phase_s) = self.phase_now();
        let vague = self.left.filter(|_| self.done < VAGUE || self.tiles == 0);
        Account {
            seconds: self.began.elapsed().as_secs_f64(),
            phase: words.to_owned(),
            phase_s,
            done: self.done,
            tiles: self.tiles,
            pictures: self.pictures.0.max(1),
            pictures_done: if phase == "done" { self.pictures.0.max(1) } else { self.pictures.1 },
            left: self.left,
            left_range: vague.map(|s| (s * RANGE.0, s * RANGE.1)),
            nodes: self.slots.iter().map(Slot::doing).collect(),
        }
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            name: String::new(),
            state: "connecting",
            words: "connecting".into(),
            since: Instant::now(),
            tile: None,
            paused: false,
        }
    }

    fn doing(&self) -> Doing {
        let last = if self.paused && self.tile.is_some() { ", then paused" } else { "" };
        Doing {
            name: self.name.clone(),
            state: self.state.to_owned(),
            words: format!("{}{last}", self.words),
            for_s: self.since.elapsed().as_secs_f64(),
            tile_s: self.tile.map(|t| t.1.elapsed().as_secs_f64()),
            rendering_s: self.tile.and_then(|t| t.2).map_or(0.0, |t| t.elapsed().as_secs_f64()),
            region: self.tile.map(|t| t.0),
        }
    }
}

impl Doing {
    /// With the part of the frame before it.
    pub(crate) fn line(&self) -> String {
        let place = self.region.map_or_else(String::new, |r| format!("{}  ", say::region(r)));
        format!("{place}{}", self.says())
    }

    /// With the time, where that says something.
    pub(crate) fn says(&self) -> String {
        let time = match self.state.as_str() {
            "connecting" | "waiting" | "opening" | "preparing" | "building" | "paused"
                if self.for_s >= 1.0 =>
            {
                format!(", {}", duration(self.for_s.floor()))
            }
            _ => String::new(),
        };
        format!("{}{time}", self.words)
    }
}

/// The account of a run, for all who look at it.
pub(crate) type Shared = Arc<Mutex<Now>>;

/// The account; a panic elsewhere does not close it.
pub(crate) fn lock(now: &Shared) -> MutexGuard<'_, Now> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the account in a file of the work directory, as long as this lives: `tilectl status` reads it.
pub(crate) struct Kept {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    dir: PathBuf,
    /// Whether the directory was made for it.
    made: bool,
}

impl Kept {
    /// Begins; where the directory is somebody else's, nothing is kept.
    pub(crate) fn begin(now: &Shared, dir: &Path) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let kept = |thread, made| Self { over: Arc::clone(&over), thread, dir: dir.to_owned(), made };
        if !is_ours(dir) {
            return kept(None, false);
        }
        let made = std::fs::create_dir(dir).is_ok();
        write(now, dir);
        let (now, ended, place) = (Arc::clone(now), Arc::clone(&over), dir.to_owned());
        let thread = std::thread::Builder::new().name("now".into()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::park_timeout(EVERY);
                // The directory goes with the end of the job; it is not made again.
                if !ended.load(Ordering::Relaxed) {
                    write(&now, &place);
                }
            }
        });
        kept(thread.ok(), made)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
            let _ = std::fs::remove_file(WorkDirLayout::new(&self.dir).now());
            if self.made {
                // Only where nothing came of it is it empty.
                let _ = std::fs::remove_dir(&self.dir);
            }
        }
    }
}

/// Whether the directory is not there, empty, or a work directory.
fn is_ours(dir: &Path) -> bool {
    if state::is_running(dir) {
        return false;
    }
    let Ok(mut entries) = std::fs::read_dir(dir) else { return !dir.exists() };
    let layout = WorkDirLayout::new(dir);
    layout.state().is_file()
        || layout.lock().is_file()
        || entries.all(|e| e.is_ok_and(|e| e.path() == layout.now()))
}

fn write(now: &Shared, dir: &Path) {
    let account = lock(now).account();
    let Ok(text) = serde_json::to_string(&account) else { return };
    let path = WorkDirLayout::new(dir).now();
    let draft = path.with_extension(format!("json.{}", std::process::id()));
    // What cannot be written now is written next time.
    if std::fs::write(&draft, text).is_ok() && std::fs::rename(&draft, &path).is_ok() {
        return;
    }
    let _ = std::fs::remove_file(&draft);
}

/// The account of the run that goes on in a work directory, if one does.
pub(crate) fn read(dir: &Path) -> Option<Account> {
    let path = WorkDirLayout::new(dir).now();
    let written = std::fs::metadata(&path).and_then(|m| m.modified()).ok()?;
    let age = SystemTime::now().duration_since(written).unwrap_or_default();
    if age > STALE {
        return None;
    }
    let text = std::fs::read_to_string(path).ok().filter(|t| t.len() < 1 << 20)?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: f64, tiles: usize, eta: Option<f64>) -> Event {
        Event::Progress { done, tiles, of: 9, eta, frames: 0, of_frames: 1 }
    }

    fn on_two() -> Now {
        let mut now = Now::new();
        for (slot, node) in ["a", "b"].into_iter().enumerate() {
            now.event(&Event::Connecting { slot, node: node.into() });
        }
        now
    }

    #[test]
    fn every_node_says_what_it_does() {
        let mut now = on_two();
        let region = Rect::new(10, 20, 30, 40).unwrap();
        now.event(&Event::Opened { slot: 0, seconds: 1.0 });
        assert_eq!(now.phase_now().1, "looking at the scene");
        now.event(&Event::Began { slot: 0, tile: 1, region });
        now.event(&Event::Stage { slot: 0, words: "Synchronizing object Cube".into() });
        let account = now.account();
        assert_eq!(account.phase, "building the scene");
        assert_eq!(account.nodes[0].words, "building the scene: Synchronizing object Cube");
        assert_eq!((account.nodes[0].region, account.nodes[1].state.as_str()), (Some(region), "connecting"));
        now.event(&Event::Sample { slot: 0, tile: 1, done: 3, of: 16 });
        let account = now.account();
        assert_eq!((account.phase.as_str(), account.nodes[0].state.as_str()), ("rendering", "sampling"));
        assert!(account.nodes[0].line().starts_with("30x40 at 10, 20  sample 3 of 16"), "{account:?}");
        now.event(&Event::Rendered { slot: 0, tile: 1, seconds: 1.0 });
        now.event(&Event::Stored { slot: 0, tile: 1, region, bytes: 1, seconds: 1.0 });
        assert_eq!(now.account().nodes[0].state, "idle");
        now.event(&Event::Opened { slot: 1, seconds: 1.0 });
        assert_eq!(now.account().phase, "rendering", "one that joins later begins nothing anew");
    }

    #[test]
    fn a_pause_is_seen_and_nothing_counts_down() {
        let mut now = on_two();
        let region = Rect::new(0, 0, 8, 8).unwrap();
        now.event(&Event::Retired { slot: 1, node: "b".into(), reason: "x".into(), remedy: None });
        now.event(&Event::Began { slot: 0, tile: 1, region });
        now.event(&Event::Sample { slot: 0, tile: 1, done: 1, of: 2 });
        now.event(&progress(0.5, 3, Some(60.0)));
        assert!(now.account().left.is_some());
        now.event(&Event::Paused { slot: 0, node: "a".into() });
        assert!(now.account().nodes[0].words.ends_with(", then paused"));
        now.event(&Event::Rendered { slot: 0, tile: 1, seconds: 1.0 });
        now.event(&Event::Stored { slot: 0, tile: 1, region, bytes: 1, seconds: 1.0 });
        now.event(&progress(0.5, 4, Some(60.0)));
        let account = now.account();
        assert_eq!((account.phase.as_str(), account.left), ("paused", None));
        assert_eq!(account.nodes[0].state, "paused");
        now.event(&Event::Resumed { slot: 0, node: "a".into() });
        now.event(&progress(0.5, 4, Some(60.0)));
        assert!(now.account().phase == "rendering" && now.account().left.is_some());
    }

    #[test]
    fn the_time_to_go_is_never_nothing_before_the_end() {
        let mut now = on_two();
        let shown = |event: Event| match event {
            Event::Progress { eta, .. } => eta,
            _ => panic!("it was another event"),
        };
        assert_eq!(shown(now.event(&progress(0.0, 0, None))), None);
        let first = shown(now.event(&progress(0.01, 0, Some(100.0))));
        assert_eq!(first, now.account().left, "all show the same");
        assert_eq!(now.account().to_go().unwrap(), "50 s to 3 min");
        assert!(shown(now.event(&progress(0.68, 4, Some(0.0)))).unwrap() >= 1.0);
        assert_eq!(shown(now.event(&progress(1.0, 9, Some(0.0)))), None);
        assert_eq!(range(60.0, 180.0), "1 to 3 min");
        assert_eq!(range(120.0, 360.0), "2 to 6 min");
        assert_eq!(range(0.2, 0.4), "1 to 2 s");
    }

    #[test]
    fn the_file_is_there_while_the_run_is_and_no_longer() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("a.tiles");
        let now = Arc::new(Mutex::new(on_two()));
        let kept = Kept::begin(&now, &place);
        let read_back = read(&place).unwrap();
        assert_eq!((read_back.phase.as_str(), read_back.nodes.len()), ("reaching the nodes", 2));
        drop(kept);
        assert!(read(&place).is_none() && !place.exists());
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("mine.txt"), "").unwrap();
        drop(Kept::begin(&now, &place));
        assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1, "what is another's is left alone");
    }
}
