//! A slot's end of its channels, and what its thread has to know of the run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::messages::{Order, Report};
use crate::node::Node;

pub(super) struct Port {
    pub(super) index: usize,
    pub(super) node: Arc<dyn Node>,
    pub(super) run: String,
    pub(super) job: Arc<std::sync::OnceLock<String>>,
    pub(super) orders: Receiver<Order>,
    pub(super) reports: Sender<(usize, Report)>,
    /// Set when everything has to end at once.
    pub(super) abort: Arc<AtomicBool>,
}

impl Port {
    pub(super) fn report(&self, report: Report) {
        // Nobody listens any more only when the job is over.
        let _ = self.reports.send((self.index, report));
    }

    /// Waits, unless the slot is told to stop or everything ends meanwhile.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if self.aborted() || !self.orders.is_empty() {
                return false;
            }
            std::thread::sleep(
                Duration::from_millis(50).min(until.saturating_duration_since(Instant::now())),
            );
        }
        !self.aborted()
    }

    pub(super) fn aborted(&self) -> bool {
        self.abort.load(Ordering::Relaxed)
    }
}
