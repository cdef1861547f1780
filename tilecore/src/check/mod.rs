//! Looking at nodes without rendering anything for anybody: who is there, what with, what is wrong; and cleaning up.
//!
//! Every node is spoken to on a thread of its own, all at once.

mod health;
mod tidy;

pub use health::{Clock, Health, Trouble, check};
pub use tidy::{Cleaned, Keep, clean};

use std::sync::Arc;

use crate::node::Node;

/// Asks each node that takes part something, all at the same time. `told` hears every answer as it comes; the result
/// is in the order of the nodes.
fn each<T: Send>(
    nodes: &[Arc<dyn Node>],
    ask: impl Fn(&dyn Node, usize) -> T + Sync,
    told: &mut dyn FnMut(&T),
) -> Vec<T> {
    let (sender, answers) = crossbeam_channel::unbounded();
    std::thread::scope(|scope| {
        for (index, node) in nodes.iter().enumerate().filter(|(_, n)| n.spec().enabled) {
            let (sender, ask) = (sender.clone(), &ask);
            scope.spawn(move || {
                // The receiver outlives all of these threads.
                let _ = sender.send((index, ask(node.as_ref(), index)));
            });
        }
        drop(sender);
        let mut all: Vec<(usize, T)> = Vec::new();
        for (index, answer) in answers {
            told(&answer);
            all.push((index, answer));
        }
        all.sort_by_key(|(index, _)| *index);
        all.into_iter().map(|(_, answer)| answer).collect()
    })
}

/// A name for a worker that renders nothing, unlike that of any other running one.
fn run_name(what: &str, index: usize) -> String {
    let now = (crate::state::now() * 1000.0) as u64 & 0xffff_ffff;
    format!("{what}-{:08x}{now:08x}-{index}", std::process::id())
}
