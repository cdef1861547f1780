//! What the library warns of: on standard error, in the program's own words, each warning once.

use std::collections::HashSet;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, PoisonError};

use tilecore::text::printable;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::fault::sentence;
use crate::show::screen;

/// More different ones are not shown.
const MOST: usize = 100;

/// Shows warnings from now on.
pub(crate) fn show() {
    // Only this program sets one, and only once.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Warnings::default()));
}

/// Those that were shown: every slot and every new try finds the same one again.
#[derive(Default)]
struct Warnings {
    told: Mutex<HashSet<String>>,
}

impl Warnings {
    fn is_new(&self, text: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST && told.insert(text.to_owned())
    }
}

impl<S: Subscriber> Layer<S> for Warnings {
    fn enabled(&self, about: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *about.level() <= Level::WARN && about.target().starts_with("tilecore")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let text = printable(&message.0, 1000);
        if self.is_new(&text) {
            let mut screen = screen::lock();
            if !screen.is_silent() {
                screen.say(&format!("tilectl: {}", sentence(&text)));
            }
        }
    }
}

/// The words of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_once() {
        let warnings = Warnings::default();
        assert!(warnings.is_new("a") && !warnings.is_new("a") && warnings.is_new("b"));
        for n in 0..2 * MOST {
            warnings.is_new(&n.to_string());
        }
        assert!(!warnings.is_new("c"));
    }
}
