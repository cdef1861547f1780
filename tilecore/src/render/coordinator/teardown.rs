//! The end of a run on its nodes: what a job left there goes, also where the Blender that left it is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Coordinator;
use crate::blender::Worker;
use crate::node::Node;
use crate::render::messages::{Order, Report};
use crate::render::slots::{Output, Stage};

/// A Blender that is well answers sooner.
const ANSWER: Duration = Duration::from_secs(2);
/// For nodes whose Blender is not there any more another one is started, which takes no longer than this.
const ANOTHER: Duration = Duration::from_secs(5);

impl Coordinator<'_, '_> {
    /// Lets every node forget the job's spool, and waits a moment for it.
    pub(super) fn tear_down(&mut self) {
        // A slot that is still starting has nothing to forget, and need not come.
        for state in self.slots.iter().filter(|s| !s.is_off()) {
            if state.hello.is_some() && !state.is_booting() {
                state.order(Order::Forget);
            }
            state.order(Order::Stop);
        }
        let forgotten = self.wait_for_forgotten();
        let left: BTreeSet<usize> = self
            .slots
            .iter()
            .filter(|s| s.output > Output::Nothing && !forgotten.contains(&s.node))
            .map(|s| s.node)
            .collect();
        if let Some(job) = self.job.get() {
            self.clean_up(&left, job);
        }
        let until = Instant::now() + ANSWER;
        while Instant::now() < until && self.threads.iter().any(|t| !t.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for every Blender that was told to forget; answers with the nodes of those that did.
    fn wait_for_forgotten(&self) -> BTreeSet<usize> {
        let until = Instant::now() + ANSWER;
        let mut open: BTreeSet<usize> = (0..self.slots.len())
            .filter(|s| !matches!(self.slots[*s].stage, Stage::Off | Stage::Booting { .. }))
            .collect();
        let mut forgotten = BTreeSet::new();
        while !open.is_empty() {
            let Some(left) = until.checked_duration_since(Instant::now()) else { break };
            match self.reports.recv_timeout(left) {
                Ok((slot, Report::Forgotten)) => {
                    open.remove(&slot);
                    forgotten.insert(self.slots[slot].node);
                }
                Ok((slot, Report::Lost(_))) => {
                    open.remove(&slot);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        forgotten
    }

    /// Starts another Blender on each of these nodes, all at once, to remove the job's spool.
    fn clean_up(&self, nodes: &BTreeSet<usize>, job: &str) {
        let until = Instant::now() + ANOTHER;
        let threads: Vec<_> = nodes
            .iter()
            .filter_map(|at| {
                let (node, run, job) =
                    (Arc::clone(&self.slots.nodes()[*at]), self.run.clone(), job.to_owned());
                let abort = Arc::clone(&self.abort);
                let go_on = move || Instant::now() < until && !abort.load(Ordering::Relaxed);
                std::thread::Builder::new().spawn(move || forget(node.as_ref(), &run, &job, &go_on)).ok()
            })
            .collect();
        // One that cannot be reached may hang in its connection for longer.
        while Instant::now() < until && threads.iter().any(|t| !t.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits a moment for the slots that are not there yet: they withdraw what they queued.
    pub(super) fn withdraw(&self) {
        let until = Instant::now() + Duration::from_millis(500);
        let queued = self.slots.iter().zip(&self.threads).filter(|(state, _)| state.is_booting());
        while Instant::now() < until && queued.clone().any(|(_, thread)| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A Blender that is started only to forget a job. When it cannot be, the node forgets by itself after a month.
fn forget(node: &dyn Node, run: &str, job: &str, go_on: &dyn Fn() -> bool) {
    let run = format!("{run}-forget");
    if let Ok(mut booted) = Worker::start_in_queue(node, &run, None, &mut |_| go_on()) {
        let request = json!({"job": job, "all": true});
        let _ = booted.worker.call::<serde_json::Value>("drop", request, Some(ANSWER), &mut || go_on());
    }
}
