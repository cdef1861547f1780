//! Plain log lines, for when standard error is no terminal.

use std::io::Write;
use std::time::{Duration, Instant};

use tilecore::events::Event;
use tilecore::text::duration;

use super::{Countdown, Show, bytes};
use crate::say;

pub(crate) struct Lines {
    verbose: bool,
    began: Instant,
    told: Option<Instant>,
    transfers: Transfers,
    names: Vec<String>,
    left: Countdown,
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
    pub(crate) fn new(verbose: bool) -> Self {
        Self {
            verbose,
            began: Instant::now(),
            told: None,
            transfers: Transfers::default(),
            names: Vec::new(),
            left: Countdown::default(),
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
            && !self.transfers.is_due(*done, *of)
        {
            return;
        }
        let mut counted = None;
        if let Event::Progress { eta, .. } = event {
            let eta = self.left.show(self.began.elapsed().as_secs_f64(), *eta);
            if self.told.is_some_and(|t| t.elapsed() < Duration::from_secs(10)) {
                return;
            }
            self.told = Some(Instant::now());
            let mut told = event.clone();
            if let Event::Progress { eta: shown, .. } = &mut told {
                *shown = eta;
            }
            counted = Some(told);
        }
        if let Some(text) = line(counted.as_ref().unwrap_or(event), &self.names, self.verbose) {
            // A render outlives its terminal.
            let _ = writeln!(std::io::stderr(), "[{:>7.1}] {text}", self.began.elapsed().as_secs_f64());
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
        Event::Adopted { tiles, .. } => format!("{tiles} tiles of an earlier run are still good"),
        Event::Planned { tiles, seconds, table } => {
            let time = seconds.map_or_else(String::new, |s| format!(", about {}", duration(s)));
            let table = if verbose { format!("\n{}", table.trim_end()) } else { String::new() };
            match tiles {
                0 => format!("tiles are cut as it turns out how long they take{table}"),
                1 => format!("1 tile to render{time}{table}"),
                _ => format!("{tiles} tiles to render{time}{table}"),
            }
        }
        Event::Stored { slot, region, seconds, .. } if verbose => {
            format!("{}: {region} in {}", name(slot), duration(*seconds))
        }
        Event::Failed { slot, reason, .. } => {
            format!("{}: a tile failed and goes elsewhere: {reason}", name(slot))
        }
        Event::Lost { node, reason, remedy, again_in, .. } => format!(
            "{node}: {reason}; tried again in {}{}",
            duration(*again_in),
            remedy.as_ref().map_or_else(String::new, |r| format!(" ({r})"))
        ),
        Event::Retired { node, reason, remedy, .. } => format!(
            "{node} takes no further part: {reason}{}",
            remedy.as_ref().map_or_else(String::new, |r| format!(" ({r})"))
        ),
        Event::Progress { done, tiles, eta, frames, of_frames, .. } => format!(
            "{:.0} %, {}{}",
            100.0 * done,
            super::finished(*tiles, *frames, *of_frames),
            eta.map_or_else(String::new, |s| format!(", {} to go", duration(s)))
        ),
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
            format!("done in {}: {tiles} tiles{kept}{faster}", duration(*seconds))
        }
        _ => return None,
    })
}
