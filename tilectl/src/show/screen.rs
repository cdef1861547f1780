//! The terminal, of which there is one: bars are drawn on it, and now and then somebody has something to say or to ask.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};

static SCREEN: Mutex<Screen> =
    Mutex::new(Screen { bars: None, asking: false, silent: false, waiting: Vec::new() });

/// Who draws now, and what has to wait.
pub(crate) struct Screen {
    bars: Option<MultiProgress>,
    /// A question stands there and must stay until it is answered.
    asking: bool,
    silent: bool,
    /// Lines that came meanwhile.
    waiting: Vec<String>,
}

/// The screen, for as long as one draws.
pub(crate) fn lock() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a question of the user. Bars go away until it is answered; what they show goes on without a pause.
pub(crate) fn ask<T>(question: impl FnOnce() -> T) -> T {
    lock().pause();
    let answer = question();
    lock().go_on();
    answer
}

impl Screen {
    /// Bars are drawn from now on.
    pub(crate) fn begin(&mut self, bars: &MultiProgress) {
        if self.asking {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        self.bars = Some(bars.clone());
    }

    /// No bars any more.
    pub(crate) fn end(&mut self) {
        self.bars = None;
    }

    /// Only errors are worth a word from now on.
    pub(crate) fn silence(&mut self) {
        self.silent = true;
    }

    /// Whether nothing but errors is to be said.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    /// Writes a line, above the bars where there are some.
    pub(crate) fn say(&mut self, line: &str) {
        if self.asking {
            self.waiting.push(line.to_owned());
            return;
        }
        match &self.bars {
            Some(bars) if !bars.is_hidden() => {
                let _ = bars.println(line);
            }
            // A render outlives its terminal.
            _ => {
                let _ = writeln!(std::io::stderr(), "{line}");
            }
        }
    }

    fn pause(&mut self) {
        self.asking = true;
        if let Some(bars) = &self.bars {
            let _ = bars.clear();
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    fn go_on(&mut self) {
        self.asking = false;
        if let Some(bars) = &self.bars {
            bars.set_draw_target(ProgressDrawTarget::stderr());
        }
        for line in std::mem::take(&mut self.waiting) {
            self.say(&line);
        }
    }
}
