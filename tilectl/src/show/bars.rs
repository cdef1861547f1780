//! Bars in a terminal: one for the frame, one line per node with what it does now. Both are drawn again as time passes,
//! also where nothing happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tilecore::events::Event;
use tilecore::text::duration;

use super::{Show, counted, lines, screen};
use crate::now::{self, Account, Shared};
use crate::say;

/// How often the lines are drawn where nothing happens.
const OFTEN: Duration = Duration::from_millis(500);

pub(crate) struct Bars {
    verbose: bool,
    lines: Arc<Lines>,
    names: Vec<String>,
    tales: lines::Tales,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is on the screen.
struct Lines {
    now: Shared,
    all: MultiProgress,
    frame: ProgressBar,
    nodes: Mutex<Vec<ProgressBar>>,
}

impl Bars {
    pub(crate) fn new(verbose: bool, now: &Shared) -> Self {
        let all = MultiProgress::new();
        let mut screen = screen::lock();
        screen.begin(&all);
        let frame = all.add(ProgressBar::new(1000));
        frame.set_style(
            ProgressStyle::with_template("{bar:32} {percent:>3} %  {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let lines = Arc::new(Lines { now: Arc::clone(now), all, frame, nodes: Mutex::default() });
        lines.draw();
        let (over, drawn) = (Arc::new(AtomicBool::new(false)), Arc::clone(&lines));
        let ended = Arc::clone(&over);
        let thread = std::thread::Builder::new().name("bars".into()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                std::thread::park_timeout(OFTEN);
                let screen = screen::lock();
                if !ended.load(Ordering::Relaxed) {
                    drawn.draw();
                }
                drop(screen);
            }
        });
        Self { verbose, lines, names: Vec::new(), tales: lines::Tales::default(), over, thread: thread.ok() }
    }
}

impl Lines {
    /// Brings everything up to date. Only who holds the screen draws.
    fn draw(&self) {
        let account = now::lock(&self.now).account();
        self.frame.set_position((account.done * 1000.0) as u64);
        self.frame.set_message(sum(&account));
        let mut lines = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.len() < account.nodes.len() {
            let line = self.all.add(ProgressBar::new_spinner());
            line.set_style(
                ProgressStyle::with_template("  {prefix}  {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            lines.push(line);
        }
        let width = account.nodes.iter().map(|n| n.name.chars().count()).max().unwrap_or(0);
        for (line, node) in lines.iter().zip(&account.nodes) {
            line.set_prefix(format!("{:width$}", say::name(&node.name)));
            line.set_message(say::name(&node.line()));
        }
    }
}

/// The whole run in a few words: what goes on, how much there is, how long it takes.
fn sum(account: &Account) -> String {
    let mut text = account.phase.clone();
    if account.phase != "rendering" && account.phase_s >= 1.0 {
        text += &format!(", {}", duration(account.phase_s.floor()));
    }
    if account.pictures > 1 {
        text += &format!(", {} of {} pictures", account.pictures_done, account.pictures);
    }
    if account.tiles > 0 {
        text += &format!(", {}", counted(account.tiles, "tile"));
    }
    if let Some(left) = account.to_go() {
        text += &format!(", {left} to go");
    }
    text
}

impl Show for Bars {
    fn event(&mut self, event: &Event) {
        let mut screen = screen::lock();
        if let Event::Connecting { slot, node } = event {
            if self.names.len() <= *slot {
                self.names.resize(slot + 1, String::new());
            }
            self.names[*slot].clone_from(node);
        }
        self.lines.draw();
        // What the lines show already need not be said as well.
        let shown = matches!(
            event,
            Event::Progress { .. }
                | Event::Connected { .. }
                | Event::Finishing { .. }
                | Event::Queued { .. }
                | Event::Lost { .. }
                | Event::Paused { .. }
                | Event::Resumed { .. }
        );
        let moving = matches!(event, Event::Progress { .. } | Event::Reading { .. } | Event::Sending { .. });
        if (shown && !self.verbose) || moving || !self.tales.is_news(event) {
            return;
        }
        if let Some(text) = lines::line(event, &self.names, self.verbose) {
            screen.say(&text);
        }
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        let mut screen = screen::lock();
        for node in self.lines.nodes.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            node.finish_and_clear();
        }
        self.lines.frame.finish_and_clear();
        screen.end();
        drop(screen);
        for text in self.tales.sums(&self.names) {
            screen::lock().say(&text);
        }
    }
}
