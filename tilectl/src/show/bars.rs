//! Bars in a terminal: one for the frame, one line per node with what it does now.

use std::time::Instant;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tilecore::events::Event;
use tilecore::text::duration;

use super::{Countdown, Show, bytes, lines, screen};

pub(crate) struct Bars {
    verbose: bool,
    all: MultiProgress,
    frame: ProgressBar,
    nodes: Vec<ProgressBar>,
    names: Vec<String>,
    began: Instant,
    left: Countdown,
}

impl Bars {
    pub(crate) fn new(verbose: bool) -> Self {
        let all = MultiProgress::new();
        let mut screen = screen::lock();
        screen.begin(&all);
        let frame = all.add(ProgressBar::new(1000));
        frame.set_style(
            ProgressStyle::with_template("{bar:32} {percent:>3} %  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        frame.set_message("reaching the nodes");
        frame.tick();
        Self {
            verbose,
            all,
            frame,
            nodes: Vec::new(),
            names: Vec::new(),
            began: Instant::now(),
            left: Countdown::default(),
        }
    }

    fn say(&self, slot: usize, text: String) {
        if let Some(node) = self.nodes.get(slot) {
            node.set_message(text);
        }
    }
}

impl Show for Bars {
    fn event(&mut self, event: &Event) {
        let mut screen = screen::lock();
        match event {
            Event::Connecting { slot, node } => {
                while self.nodes.len() <= *slot {
                    let line = self.all.add(ProgressBar::new_spinner());
                    line.set_style(
                        ProgressStyle::with_template("  {prefix}  {msg}")
                            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                    );
                    self.nodes.push(line);
                    self.names.push(String::new());
                }
                self.names[*slot].clone_from(node);
                let width = self.names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
                for (line, name) in self.nodes.iter().zip(&self.names) {
                    line.set_prefix(format!("{name:width$}"));
                }
                self.say(*slot, "connecting".into());
            }
            Event::Queued { slot, .. } => self.say(*slot, "waiting in a queue".into()),
            Event::Connected { slot, .. } => self.say(*slot, "Blender is up".into()),
            Event::Reading { read, of } if read < of => {
                self.frame.set_message(format!(
                    "reading the scene's files, {} of {}",
                    bytes(*read),
                    bytes(*of)
                ));
            }
            Event::Sending { slot, sent, of, per_second } if *of > 0 => {
                let speed = per_second.map_or_else(String::new, |s| format!(", {}/s", bytes(s as u64)));
                self.say(*slot, format!("receiving {} of {}{speed}", bytes(*sent), bytes(*of)));
            }
            Event::Opened { slot, .. } => self.say(*slot, "scene is open".into()),
            Event::Ready { slot } => self.say(*slot, "waiting for a tile".into()),
            Event::Began { slot, region, .. } => self.say(*slot, format!("{region}")),
            Event::Sample { slot, done, of, .. } => {
                let region = self.nodes.get(*slot).map(ProgressBar::message).unwrap_or_default();
                let region = region.split("  ").next().unwrap_or_default().to_owned();
                self.say(*slot, format!("{region}  sample {done}/{of}"));
            }
            Event::Rendered { slot, .. } => self.say(*slot, "sending its tile".into()),
            Event::Lost { slot, again_in, .. } => {
                self.say(*slot, format!("lost, tried again in {}", duration(*again_in)));
            }
            Event::Retired { slot, .. } => self.say(*slot, "out".into()),
            Event::Progress { done, tiles, eta, frames, of_frames, .. } => {
                self.frame.set_position((done * 1000.0) as u64);
                let left = self.left.show(self.began.elapsed().as_secs_f64(), *eta);
                let left = left.map_or_else(String::new, |s| format!(", {} to go", duration(s)));
                let what = super::finished(*tiles, *frames, *of_frames);
                self.frame.set_message(format!("{what}{left}"));
            }
            Event::Stitching => self.frame.set_message("stitching"),
            Event::Finishing { node } => self.frame.set_message(format!("finishing on {node}")),
            _ => {}
        }
        let shown = matches!(
            event,
            Event::Progress { .. } | Event::Connected { .. } | Event::Finishing { .. } | Event::Queued { .. }
        );
        if let Some(text) = lines::line(event, &self.names, self.verbose).filter(|_| !shown || self.verbose)
            && !matches!(event, Event::Progress { .. } | Event::Reading { .. } | Event::Sending { .. })
        {
            screen.say(&text);
        }
    }

    fn end(&mut self) {
        let mut screen = screen::lock();
        for node in &self.nodes {
            node.finish_and_clear();
        }
        self.frame.finish_and_clear();
        screen.end();
    }
}
