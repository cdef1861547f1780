//! Who takes part may change while a render runs: nodes are added, paused and let go from another thread.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::node::Node;

/// What is to change. Nodes are meant by their names, with all their slots.
#[derive(Clone)]
pub(super) enum Change {
    Add(Arc<dyn Node>),
    Remove(String),
    Pause(Option<String>),
    Resume(Option<String>),
}

/// A handle on the members of a running job; clones are the same handle.
///
/// Changes take effect within a fraction of a second, at tile boundaries; those that make no sense by then (a node that
/// takes no part, a name that is taken) are told as [`Event::Warning`](crate::events::Event::Warning).
#[derive(Clone, Debug)]
pub struct Roster {
    sender: Sender<Change>,
    changes: Receiver<Change>,
}

impl Default for Roster {
    fn default() -> Self {
        let (sender, changes) = unbounded();
        Self { sender, changes }
    }
}

impl Roster {
    /// A handle that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more node; it is started at once and renders as soon as it is ready.
    pub fn add(&self, node: Arc<dyn Node>) {
        self.ask(Change::Add(node));
    }

    /// The node finishes its tiles and takes no further part.
    pub fn remove(&self, node: impl Into<String>) {
        self.ask(Change::Remove(node.into()));
    }

    /// The node, or every node, finishes its tiles and then waits, warm.
    pub fn pause(&self, node: Option<&str>) {
        self.ask(Change::Pause(node.map(str::to_owned)));
    }

    /// The node, or every node, renders again.
    pub fn resume(&self, node: Option<&str>) {
        self.ask(Change::Resume(node.map(str::to_owned)));
    }

    fn ask(&self, change: Change) {
        // The other end is in this very handle.
        let _ = self.sender.send(change);
    }

    pub(super) fn next(&self) -> Option<Change> {
        self.changes.try_recv().ok()
    }
}
