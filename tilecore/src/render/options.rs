//! What a run is asked for besides the request: where things go, what is kept, how it is stopped; and what came of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::roster::Roster;
use crate::error::{Error, Result};
use crate::formats::Format;
use crate::frames::Frames;
use crate::geometry::Rect;
use crate::naming::Pattern;
use crate::proof::Mode;
use crate::stitch::{Compression, Part};

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
    pub(super) fn check(&self, frames: &Frames) -> Result<()> {
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

/// Why a run has to start over.
#[derive(Clone, Debug)]
pub(super) enum Restart {
    /// The picture cannot be made from tiles: frames are rendered whole.
    Whole(String),
    /// Without these nodes.
    Without(Vec<String>),
}
