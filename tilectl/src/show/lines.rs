//! Plain log lines, for when standard error is no terminal.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tilecore::events::Event;
use tilecore::text::duration;

use super::{Show, bytes, counted};
use crate::now::{self, Shared};
use crate::say;

/// A phase is worth a line once it has lasted so long, and another one so much later, seconds.
const LONG_S: f64 = 2.0;
const AGAIN_S: f64 = 10.0;
/// How often it is looked how long a phase has lasted.
const OFTEN: Duration = Duration::from_millis(500);

pub(crate) struct Lines {
    verbose: bool,
    began: Instant,
    told: Option<Instant>,
    transfers: Transfers,
    names: Vec<String>,
    tales: Tales,
    now: Shared,
    phases: Arc<Phases>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Tells of phases, also while nothing else happens.
struct Phases {
    began: Instant,
    now: Shared,
    phase: Mutex<Phase>,
}

/// The phase that was told of.
#[derive(Default)]
struct Phase {
    name: &'static str,
    words: String,
    /// When it was told of last, and for how long it had lasted by then.
    told: Option<Instant>,
    lasted: f64,
}

/// What was told of nodes that cannot be reached: each of them once, until it is back.
#[derive(Default)]
pub(crate) struct Tales {
    off: HashMap<usize, (String, usize)>,
}

impl Tales {
    /// Whether an event is to be told: the same trouble of a node is not told again.
    pub(crate) fn is_news(&mut self, event: &Event) -> bool {
        match event {
            Event::Lost { slot, reason, .. } => {
                let (before, times) = self.off.entry(*slot).or_default();
                *times += 1;
                let news = before != reason;
                before.clone_from(reason);
                news
            }
            Event::Connected { slot, .. } | Event::Retired { slot, .. } => {
                self.off.remove(slot);
                true
            }
            _ => true,
        }
    }

    /// What is to be said at the end of those that never came.
    pub(crate) fn sums(&mut self, names: &[String]) -> Vec<String> {
        let mut off: Vec<_> = self.off.drain().filter(|(_, (_, times))| *times > 1).collect();
        off.sort_by_key(|o| o.0);
        off.into_iter()
            .map(|(slot, (reason, times))| {
                let node = names.get(slot).map_or("?", String::as_str);
                say::shown(&format!("{node} was tried {times} times and not reached: {reason}"))
            })
            .collect()
    }
}

/// Transfers are told about every few seconds, and when they end.
#[derive(Default)]
struct Transfers {
    told: Option<Instant>,
}

impl Transfers {
    fn is_due(&mut self, done: u64, of: u64) -> bool {
        let due = of > 0 && done >= of || self.told.is_some_and(|t| t.elapsed() > Duration::from_secs(5));
        if due || self.told.is_none() {
            self.told = Some(Instant::now());
        }
        due
    }
}

impl Lines {
    pub(crate) fn new(verbose: bool, now: &Shared) -> Self {
        let began = Instant::now();
        let phases = Arc::new(Phases { began, now: Shared::clone(now), phase: Mutex::default() });
        let (over, telling) = (Arc::new(AtomicBool::new(false)), Arc::clone(&phases));
        let ended = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("phases".into()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::park_timeout(OFTEN);
                if !ended.load(Ordering::Relaxed) {
                    telling.tell();
                }
            }
        });
        Self {
            verbose,
            began,
            told: None,
            transfers: Transfers::default(),
            names: Vec::new(),
            tales: Tales::default(),
            now: Shared::clone(now),
            phases,
            over,
            thread: thread.ok(),
        }
    }

    fn say(&self, text: &str) {
        say_at(self.began, text);
    }
}

fn say_at(began: Instant, text: &str) {
    // A render outlives its terminal.
    let _ = writeln!(std::io::stderr(), "[{:>7.1}] {text}", began.elapsed().as_secs_f64());
}

impl Phases {
    /// Says that a phase goes on for long, and how long it was when it ends. Rendering tells of itself.
    fn tell(&self) {
        let mut told = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, words, lasts) = {
            let now = now::lock(&self.now);
            let (name, words, lasts) = now.phase_now();
            (name, words.to_owned(), lasts)
        };
        if told.name != name {
            if told.told.is_some() && told.name != "done" {
                say_at(self.began, &format!("{} took {}", told.words, duration(told.lasted)));
            }
            *told = Phase { name, words: words.clone(), told: None, lasted: lasts };
        }
        told.lasted = told.lasted.max(lasts);
        let silent = matches!(name, "render" | "drain" | "finish" | "done" | "prove" | "pause");
        let due = match told.told {
            None => lasts >= LONG_S,
            Some(told) => told.elapsed().as_secs_f64() >= AGAIN_S,
        };
        if due && !silent {
            let so_far =
                if told.told.is_some() { format!(", {} so far", duration(lasts)) } else { String::new() };
            say_at(self.began, &say::shown(&format!("{words}{so_far}")));
            told.told = Some(Instant::now());
        }
    }
}

impl Show for Lines {
    fn event(&mut self, event: &Event) {
        if let Event::Connecting { slot, node } = event {
            if self.names.len() <= *slot {
                self.names.resize(slot + 1, String::new());
            }
            self.names[*slot].clone_from(node);
        }
        if let Event::Sending { sent: done, of, .. } | Event::Reading { read: done, of } = event
            && (*of == 0 || !self.transfers.is_due(*done, *of))
        {
            return;
        }
        self.phases.tell();
        if let Event::Progress { done, tiles, frames, of_frames, .. } = event {
            let (phase, to_go) = {
                let now = now::lock(&self.now);
                (now.phase_now().0, now.account().to_go())
            };
            // Before anything is rendered there is nothing to tell of but the phase.
            if self.told.is_some_and(|t| t.elapsed() < Duration::from_secs(10))
                || !matches!(phase, "render" | "drain")
            {
                return;
            }
            self.told = Some(Instant::now());
            let to_go = to_go.map_or_else(String::new, |left| format!(", {left} to go"));
            let what = super::finished(*tiles, *frames, *of_frames);
            self.say(&format!("{:.0} %, {what}{to_go}", 100.0 * done));
            return;
        }
        if !self.tales.is_news(event) {
            return;
        }
        if let Some(text) = line(event, &self.names, self.verbose) {
            self.say(&text);
        }
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        for text in self.tales.sums(&self.names) {
            self.say(&text);
        }
    }
}

/// The line for an event, if it is worth one.
pub(crate) fn line(event: &Event, names: &[String], verbose: bool) -> Option<String> {
    words(event, names, verbose).map(|text| say::shown(&text))
}

fn words(event: &Event, names: &[String], verbose: bool) -> Option<String> {
    let name = |slot: &usize| names.get(*slot).map_or("?", String::as_str);
    Some(match event {
        Event::Queued { node, words, .. } if words.is_empty() => format!("{node}: waits for its shell"),
        Event::Queued { node, words, .. } => format!("{node}: {words}"),
        Event::Connected { node, blender, hash, cores, seconds, .. } => {
            let hash = if verbose { format!(" ({hash})") } else { String::new() };
            format!("{node}: Blender {blender}{hash}, {cores} cores, up after {}", duration(*seconds))
        }
        Event::Reading { read, of } => {
            format!("reading the scene's files: {} of {}", bytes(*read), bytes(*of))
        }
        Event::Sending { slot, sent, of, per_second } => {
            let speed = per_second.map_or_else(String::new, |s| format!(", {}/s", bytes(s as u64)));
            format!("{}: received {} of {}{speed}", name(slot), bytes(*sent), bytes(*of))
        }
        Event::Opened { slot, seconds } if verbose => {
            format!("{}: scene open after {}", name(slot), duration(*seconds))
        }
        Event::Scene { scene, camera, engine, size, frame, samples, tile_format, overlap, reasons } => {
            let scene = say::name(scene);
            let mut text = format!("{scene}, frame {frame}, {size}, {engine}, {samples} samples");
            if let Some(camera) = camera {
                text += &format!(", through {}", say::name(camera));
            }
            if verbose {
                text += &format!("; {tile_format} tiles with {overlap} px overlap");
                for reason in reasons {
                    text += &format!("\n          finish: {reason}");
                }
            }
            text
        }
        Event::Shots { of, done: 0 } => format!("{of} pictures to render"),
        Event::Shots { of, done } => format!("{of} pictures, {done} of them are there already"),
        Event::Shot { output, done, of, .. } => format!("{done}/{of}: {}", output.display()),
        Event::Adopted { tiles: 1, .. } => "1 tile of an earlier run is still good".to_owned(),
        Event::Adopted { tiles, .. } => format!("{tiles} tiles of an earlier run are still good"),
        Event::Planned { tiles, seconds, table } => {
            let time = seconds.map_or_else(String::new, |s| format!(", about {}", duration(s)));
            let table = if verbose { format!("\n{}", table.trim_end()) } else { String::new() };
            match tiles {
                0 => format!("tiles are cut as it turns out how long they take{table}"),
                // They are cut anew where that helps: it need not stay at that.
                _ => format!("planned: {}{time}{table}", counted(*tiles, "tile")),
            }
        }
        Event::Stored { slot, region, seconds, .. } if verbose => {
            format!("{}: {} in {}", name(slot), say::region(*region), duration(*seconds))
        }
        Event::Failed { slot, reason, .. } => {
            format!("{}: a tile failed and goes elsewhere: {reason}", name(slot))
        }
        Event::Lost { node, reason, remedy, again_in, .. } => format!(
            "{node}: {reason}; it is tried again {}{}",
            if *again_in < 1.0 { "now".to_owned() } else { "from time to time".to_owned() },
            remedy.as_ref().map_or_else(String::new, |r| format!(" ({r})"))
        ),
        Event::Retired { node, reason, remedy, .. } => format!(
            "{node} takes no further part: {reason}{}",
            remedy.as_ref().map_or_else(String::new, |r| format!(" ({r})"))
        ),
        Event::Device { node, device, names, .. } if device != "CPU" => {
            let named = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
            format!("{node}: renders on {device}{named}")
        }
        Event::Paused { node, .. } => format!("{node}: pauses once its tile is finished"),
        Event::Resumed { node, .. } => format!("{node}: goes on"),
        Event::Proving { .. } => "proving on a small version that tiles are exact on this scene".to_owned(),
        Event::Proof { sentence, .. } => sentence.clone(),
        Event::Checked { places: 1 } => {
            "1 place where tiles meet was rendered once more: the same".to_owned()
        }
        Event::Checked { places } => {
            format!("{places} places where tiles meet were rendered once more: the same")
        }
        Event::Warning { text } => format!("note: {text}"),
        Event::Draining => {
            "stopping: running tiles are finished and kept; once more stops at once".to_owned()
        }
        Event::Stitching if verbose => "stitching".to_owned(),
        Event::Finishing { node } => format!("finishing on {node}"),
        Event::Done { seconds, tiles, adopted, speedup, .. } => {
            let kept = if *adopted > 0 { format!(" and {adopted} from before") } else { String::new() };
            let faster = speedup
                .map_or_else(String::new, |s| format!(", {s:.1} times as fast as the fastest node alone"));
            format!("done in {}: {}{kept}{faster}", duration(*seconds), counted(*tiles, "tile"))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_off_is_told_of_once() {
        let lost = |reason: &str| Event::Lost {
            slot: 1,
            node: "b".into(),
            reason: reason.into(),
            remedy: None,
            again_in: 0.0,
        };
        let mut tales = Tales::default();
        assert!(tales.is_news(&lost("it is off")));
        assert!(!tales.is_news(&lost("it is off")) && !tales.is_news(&lost("it is off")));
        assert!(tales.is_news(&lost("it is another machine")));
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(tales.sums(&names), ["b was tried 4 times and not reached: it is another machine"]);
        assert!(tales.sums(&names).is_empty());
        assert!(!line(&lost("it is off"), &names, false).unwrap().contains("0.0 s"));
    }

    #[test]
    fn one_is_one() {
        let names = ["a".to_owned()];
        let said = |event: Event| line(&event, &names, false).unwrap();
        let planned = Event::Planned { tiles: 1, seconds: None, table: String::new() };
        assert_eq!(said(planned), "planned: 1 tile");
        let done = Event::Done { output: "a.png".into(), seconds: 9.0, tiles: 1, adopted: 0, speedup: None };
        assert_eq!(said(done), "done in 9.0 s: 1 tile");
    }
}
