//! Cleaning up on nodes: what was not used for long, and the longest unused until enough is gone.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::health::{QUEUE, Trouble};
use super::{each, run_name};
use crate::blender::Worker;
use crate::error::Result;
use crate::node::Node;

/// Deleting a hundred thousand files on a slow disk takes its time.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// What was used within this many days, unless `bytes` says otherwise.
    pub days: f64,
    /// At most this much, what was used last; everything when absent.
    pub bytes: Option<u64>,
}

/// What came of it on one node.
#[derive(Clone, Debug, Serialize)]
pub struct Cleaned {
    /// The node's name.
    pub node: String,
    /// Bytes that are gone.
    pub removed: u64,
    /// Bytes that stay: used, or in use.
    pub left: u64,
    /// Why nothing could be done.
    pub trouble: Option<Trouble>,
}

/// Drops cached files and leftovers on all nodes at once. What a render uses at this moment stays. `go_on` is asked
/// five times a second, `told` hears of each node when it is done.
pub fn clean(
    nodes: &[Arc<dyn Node>],
    keep: Keep,
    go_on: &(dyn Fn() -> bool + Sync),
    told: &mut dyn FnMut(&Cleaned),
) -> Vec<Cleaned> {
    #[derive(Deserialize)]
    struct Tidied {
        removed: u64,
        left: u64,
    }
    let tidy = |node: &dyn Node, index: usize| -> Result<Tidied> {
        let mut go_on = || go_on();
        let patience = node.spec().patience().unwrap_or(QUEUE);
        let mut booted = Worker::start(node, &run_name("clean", index), Some(patience), &mut go_on)?;
        let request = json!({"days": keep.days, "keep": keep.bytes});
        booted.worker.call("tidy", request, Some(PATIENCE), &mut go_on)
    };
    let one = |node: &dyn Node, index: usize| match tidy(node, index) {
        Ok(t) => Cleaned { node: node.name().to_owned(), removed: t.removed, left: t.left, trouble: None },
        Err(e) => {
            Cleaned { node: node.name().to_owned(), removed: 0, left: 0, trouble: Some(Trouble::from(&e)) }
        }
    };
    each(nodes, one, told)
}
