//! A job from start to end: nodes are reached, the scene is looked at, tiles are planned, rendered, stitched.
//!
//! [`run`] owns everything. One thread per slot talks to its Blender (`slot`), one loop takes what they report
//! and gives orders; it feeds the scheduler in [`crate::schedule`] and records in [`crate::state`].

mod canvas;
mod coordinator;
mod finalizer;
mod messages;
mod options;
mod output;
mod port;
mod probe;
mod prover;
mod roster;
mod session;
mod setup;
mod shot;
mod slot_thread;
mod slots;
mod stitching;
mod validate;
mod work;

use std::sync::Arc;

use crate::error::Result;
use crate::events::{Event, Sink};
use crate::job::Request;
use crate::node::Node;
use crate::plan::Plan;
use crate::proof::{Mode, Verdict};

use coordinator::Coordinator;
use options::Restart;

pub use options::{Cancel, Names, Options, Outcome};
pub use roster::Roster;

/// Reaches the nodes, looks at the scene, measures, and says what [`run`] would do; nothing is rendered or kept.
///
/// # Errors
/// As [`run`].
pub fn plan(
    request: &Request,
    nodes: &[Arc<dyn Node>],
    options: &Options,
    cancel: &Cancel,
    sink: &mut Sink<'_>,
) -> Result<Plan> {
    request.check()?;
    Coordinator::new(request, nodes, options, cancel, sink)?.plan_only()
}

/// Proves on `nodes` that what is made from tiles is exact on this scene; nothing else is rendered or kept.
///
/// # Errors
/// As [`run`], and where the proof could not be made. A proof that does not hold is no error.
pub fn prove(
    request: &Request,
    nodes: &[Arc<dyn Node>],
    options: &Options,
    cancel: &Cancel,
    sink: &mut Sink<'_>,
) -> Result<Verdict> {
    request.check()?;
    let options = Options { proof: Mode::Always, prove_only: true, ..options.clone() };
    Coordinator::new(request, nodes, &options, cancel, sink)?.prove_only()
}

/// Renders everything that is asked for on `nodes`.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) before anything renders when the request cannot be carried out as it is,
/// [`Kind::Render`](crate::error::Kind::Render) when it could not be completed, and
/// [`Kind::Interrupted`](crate::error::Kind::Interrupted) when it was stopped. Whatever was finished stays in the work
/// directory, and the same call goes on from there.
pub fn run(
    request: &Request,
    nodes: &[Arc<dyn Node>],
    options: &Options,
    cancel: &Cancel,
    sink: &mut Sink<'_>,
) -> Result<Outcome> {
    request.check()?;
    let (mut request, mut nodes, mut options) = (request.clone(), nodes.to_vec(), options.clone());
    loop {
        let (outcome, restart) = Coordinator::new(&request, &nodes, &options, cancel, sink)?.run();
        // Tiles that were rendered so far are not right.
        options.fresh |= restart.is_some();
        match restart {
            None => return outcome,
            Some(Restart::Whole(why)) => {
                sink(Event::Warning {
                    text: format!(
                        "The frame is rendered whole on one node: {why}. --force-tiles cuts it all the same."
                    ),
                });
                request.native = Some(why);
            }
            Some(Restart::Without(names)) => {
                let before = nodes.len();
                nodes.retain(|n| !names.iter().any(|name| name == n.name()));
                if nodes.is_empty() || nodes.len() == before {
                    return outcome;
                }
                sink(Event::Warning {
                    text: format!(
                        "Left out: {}. What was rendered so far is rendered again without.",
                        names.join(", ")
                    ),
                });
                options.proof = Mode::Always;
            }
        }
    }
}
