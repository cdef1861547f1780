//! A job from start to end: nodes are reached, the scene is looked at, tiles are planned, rendered, stitched.
//!
//! [`run`] owns everything. One thread per slot talks to its Blender (`slot`), one loop takes what they report
//! and gives orders; it feeds the scheduler in [`crate::schedule`] and records in [`crate::state`].

mod arrival;
mod conclude;
mod control;
mod decide;
mod farewell;
mod identify;
mod lessons;
mod losses;
mod measure;
mod meeting;
mod output;
mod probe;
mod prover;
mod proving;
mod roster;
mod scout;
mod seat;
mod seating;
mod session;
mod shot;
mod slot;
mod spots;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::{Error, Result};
use crate::events::{Event, Sink};
use crate::formats::Format;
use crate::frames::Frames;
use crate::geometry::Rect;
use crate::job::Request;
use crate::naming::Pattern;
use crate::node::Node;
use crate::plan::Plan;
use crate::proof::{Mode, Verdict};
use crate::stitch::{Compression, Part};

use proving::Restart;

pub use roster::Roster;

/// How the files of a job's pictures are called, where there may be several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// As somebody typed.
    Pattern(Pattern),
    /// By the scene's own output path, as Blender would.
    Scene,
}

impl Names {
    /// Whether several frames can have them, as far as that is known before a scene is.
    fn check(&self, frames: &Frames) -> Result<()> {
        match (self, frames) {
            (Self::Pattern(pattern), Frames::These(frames))
                if frames.len() > 1 && !pattern.tells_frames() =>
            {
                Err(Error::input(format!("{} frames would be written to one file", frames.len()))
                    .remedy("Put #### into -o for the number of the frame, for example -o 'shot_####.png'."))
            }
            _ => Ok(()),
        }
    }
}

/// Where the result goes and what is kept.
#[derive(Clone, Debug)]
pub struct Options {
    /// The picture, where there is one and [`Options::names`] does not say it.
    pub output: PathBuf,
    /// What the pictures' files are called; without it a single one is `output`, and several go by the scene's own path.
    pub names: Option<Names>,
    /// Leave out pictures whose file is there.
    pub skip_existing: bool,
    /// Whether the name's extension follows the format of the picture: nobody asked for this very name.
    pub named_by_format: bool,
    /// Tiles and state.
    pub work_dir: PathBuf,
    /// Start over even when the work directory holds finished tiles.
    pub fresh: bool,
    /// Keep the work directory after success.
    pub keep: bool,
    /// How small a stitched PNG is to be.
    pub compression: Compression,
    /// Output format other than the scene's own.
    pub format: Option<Format>,
    /// Where a map of the cost goes, a PNG.
    pub map: Option<PathBuf>,
    /// Where a report goes, an HTML file; one is always in the work directory.
    pub report: Option<PathBuf>,
    /// Keep `preview.png` in the work directory up to date also where tiles are EXR files; each is decoded once more for
    /// it. Where tiles are PNG files it always is.
    pub preview: bool,
    /// Measure every slot with small renders before planning, even where nothing depends on it.
    pub measure: bool,
    /// Where measurements are kept between runs; nowhere when absent.
    pub bench: Option<PathBuf>,
    /// Whether what is kept there is measured all the same.
    pub afresh: bool,
    /// Render only these regions of the first picture, which do not overlap, and leave them as tiles.
    pub only: Option<Vec<Rect>>,
    /// Changes to who takes part while it runs.
    pub roster: Roster,
    /// When to prove that tiles are exact on this scene.
    pub proof: Mode,
    /// Where proofs are kept between runs; nowhere when absent.
    pub proofs: Option<PathBuf>,
    /// Whether only the proof is wanted.
    #[doc(hidden)]
    pub prove_only: bool,
}

impl Options {
    /// The picture at `output`, tiles beside it until it is there, everything else as usual.
    pub fn new(output: impl Into<PathBuf>) -> Self {
        let output = output.into();
        let mut work_dir = output.clone().into_os_string();
        work_dir.push(".tiles");
        Self {
            output,
            names: None,
            skip_existing: false,
            named_by_format: false,
            work_dir: work_dir.into(),
            fresh: false,
            keep: false,
            compression: Compression::default(),
            format: None,
            map: None,
            report: None,
            preview: false,
            measure: false,
            bench: None,
            afresh: false,
            only: None,
            roster: Roster::new(),
            proof: Mode::Auto,
            proofs: None,
            prove_only: false,
        }
    }
}

/// Stops a render from another thread or a signal handler.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicU8>);

impl Cancel {
    /// A handle that has not been used.
    pub fn new() -> Self {
        Self::default()
    }

    /// First call: running tiles are finished and kept, no new ones begin. Second call: stop at once.
    pub fn stop(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_add(1)));
    }

    /// Whether running tiles are to be finished and no more begun.
    pub fn drains(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 1
    }

    /// Whether to stop at once.
    pub fn aborts(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= 2
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The picture; the first of several.
    pub output: PathBuf,
    /// All pictures, in the order asked for.
    pub pictures: Vec<PathBuf>,
    /// Other files the scene writes (its File Output nodes), where they are now.
    pub files: Vec<PathBuf>,
    /// Tiles rendered in this run.
    pub tiles: usize,
    /// Tiles taken over from earlier runs.
    pub adopted: usize,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The tiles themselves, where only they were wanted.
    pub parts: Vec<Part>,
}

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
    control::Control::new(request, nodes, options, cancel, sink)?.plan_only()
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
    control::Control::new(request, nodes, &options, cancel, sink)?.prove_only()
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
        let (outcome, restart) = control::Control::new(&request, &nodes, &options, cancel, sink)?.run();
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
