//! Events on screen: bars in a terminal, lines elsewhere, JSON for programs.

mod bars;
mod countdown;
mod lines;
pub(crate) mod screen;

use std::io::{IsTerminal, Write};

use tilecore::events::Event;

pub(crate) use countdown::Countdown;

use crate::cli::OutputStyle;
use crate::now::{self, Now, Shared};

/// Shows events as they happen.
pub(crate) trait Show {
    /// One event.
    fn event(&mut self, event: &Event);
    /// Nothing more happens: leave the screen in order.
    fn end(&mut self) {}
}

/// What fits the flags and where standard error leads.
pub(crate) fn new(style: &OutputStyle, now: &Shared) -> Box<dyn Show> {
    if style.json {
        Box::new(Json)
    } else if style.quiet {
        screen::lock().silence();
        Box::new(Quiet)
    } else if std::io::stderr().is_terminal() {
        Box::new(bars::Bars::new(style.verbose, now))
    } else {
        Box::new(lines::Lines::new(style.verbose, now))
    }
}

/// As [`new`], where nobody else looks at what goes on.
pub(crate) fn alone(style: &OutputStyle) -> Box<dyn Show> {
    let now = Shared::new(std::sync::Mutex::new(Now::new()));
    let show = new(style, &now);
    Box::new(Alone { now, show })
}

/// Keeps the account for what is shown.
struct Alone {
    now: Shared,
    show: Box<dyn Show>,
}

impl Show for Alone {
    fn event(&mut self, event: &Event) {
        let event = now::lock(&self.now).event(event);
        self.show.event(&event);
    }

    fn end(&mut self) {
        self.show.end();
    }
}

struct Quiet;

impl Show for Quiet {
    fn event(&mut self, _: &Event) {}
}

/// One event a line on standard output.
struct Json;

impl Show for Json {
    fn event(&mut self, event: &Event) {
        let mut out = std::io::stdout().lock();
        // Nobody reads any more: the render goes on all the same.
        let _ = writeln!(out, "{}", crate::say::json(event)).and_then(|()| out.flush());
    }
}

/// How much is done: pictures, where there are several.
fn finished(tiles: usize, pictures: usize, of: usize) -> String {
    if of > 1 {
        format!("{pictures} of {of} pictures done, {}", counted(tiles, "tile"))
    } else {
        format!("{} done", counted(tiles, "tile"))
    }
}

/// So many of something.
pub(crate) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Bytes as people say them.
pub(crate) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "B" || value >= 9.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_read_well() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (12_345_678, "12 MB"),
            (20_000_000_000, "20 GB"),
            (999_700_000, "1.0 GB"),
            (2_500_000_000_000, "2.5 TB"),
        ] {
            assert_eq!(bytes(n), text);
        }
    }
}
