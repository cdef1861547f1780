//! What the coordinator and the slots say to each other: plain data, which neither side's code is needed for.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::canvas::Canvas;
use crate::blender::{BestDevice, Effective, Facts, Hello, Opened, Picture, Spooled, TileDone};
use crate::error::{Error, Result};
use crate::geometry::{Frame, Overlap, Rect};
use crate::proof::compare::Written;
use crate::proof::reference::{Asked, Rendered};
use crate::schedule::Piece;
use crate::sync::{Inputs, Roots, Survey};

/// What the render loop asks of a slot.
#[derive(Debug)]
pub(super) enum Order {
    /// Connect and start Blender, after a pause.
    Boot(Duration),
    /// Send what is missing and open the scene.
    Open(Arc<Inputs>, bool),
    /// List the files the open scene refers to, and find and hash them here.
    Files(Box<FilesOrder>),
    /// Read what the scene is.
    Look(Value),
    /// Find the best kind of GPU that works.
    Device,
    /// Apply a picture's settings and read them back.
    SetUp(Box<Picture>),
    /// Time small renders.
    Probe(Box<Picture>, Frame, Vec<(Rect, u32)>, f64),
    /// Fetch what an earlier connection left in the spool.
    Adopt(Box<AdoptOrder>),
    /// Render a tile.
    Render(Box<Tile>),
    /// Render these tiles of a proof one after the other and fetch them.
    Prove(Vec<Tile>),
    /// Give a tile up.
    Cancel(u64),
    /// Make the final picture of the stitched frames (path of each scene's).
    Finish(Box<FinishOrder>),
    /// The job is over: forget its spool.
    Forget,
    /// End.
    Stop,
}

/// A tile to render.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    pub(super) piece: Piece,
    /// With overlap.
    pub(super) rendered: Rect,
    pub(super) frame: Frame,
    pub(super) name: String,
    pub(super) picture: Picture,
    /// Where the file goes.
    pub(super) into: PathBuf,
}

/// Which files are asked for, and which may be sent.
#[derive(Debug)]
pub(super) struct FilesOrder {
    /// The active one where there are none.
    pub(super) scenes: Vec<String>,
    /// A list; `null` for all of the scene, `"current"` for the current one.
    pub(super) frames: Value,
    /// What the node has.
    pub(super) inputs: Arc<Inputs>,
    pub(super) roots: Roots,
}

/// What of the spool is worth fetching.
#[derive(Debug)]
pub(super) struct AdoptOrder {
    /// Names of tiles that are here already.
    pub(super) have: Vec<String>,
    pub(super) canvases: Vec<Canvas>,
    /// Pictures of which nothing is wanted any more.
    pub(super) closed: HashSet<u32>,
    pub(super) overlap: Overlap,
    /// Directory of the tiles here.
    pub(super) tiles: PathBuf,
}

/// What the finish needs.
#[derive(Clone, Debug)]
pub(super) struct FinishOrder {
    pub(super) picture: Picture,
    /// What it is made of besides its own scene.
    pub(super) sources: Vec<Picture>,
    /// Scene name and stitched file.
    pub(super) stitched: Vec<(String, PathBuf)>,
    pub(super) format: Option<String>,
    /// The most bytes that a result may have.
    pub(super) most: u64,
    /// What the results are called here, with a number after it.
    pub(super) into: PathBuf,
    /// Where Blender renders the whole frame by itself instead: what is asked of each scene.
    pub(super) native: Option<Vec<Asked>>,
    /// Whether clocks and machines are left out of stamps.
    pub(super) repeatable: bool,
}

/// What a slot says.
#[derive(Debug)]
pub(super) enum Report {
    /// The shell has not started yet; what the place has said meanwhile.
    Queued(String),
    Booted(Hello, f64),
    /// Bytes sent, bytes to send, bytes per second of late.
    Sending(u64, u64, Option<f64>),
    /// Bytes of the scene's files read here to hash them, and bytes to read.
    Reading(u64, u64),
    Opened(f64, Opened),
    Surveyed(Box<Survey>),
    Looked(Box<Facts>),
    Device(BestDevice),
    SetUp(Box<Effective>),
    /// What Blender is at while it builds the scene, in its own words.
    Stage(String),
    /// The worker answers, and its process used this share of one core since it did so last.
    Alive(f64),
    Probed(Vec<f64>),
    Adopted(Vec<(Tile, Spooled)>),
    Sample(u64, u32, u32),
    /// Piece, and the seconds that went into building the scene.
    Rendered(u64, f64, f64),
    /// And the seconds its file took on its way.
    Stored(Box<Tile>, TileDone, f64),
    Cancelled(u64),
    Failed(u64, Error),
    Finished(Vec<FinishedFile>),
    /// A shot is stitched, with so many tiles that hold pixels that are not a number; no slot's own report.
    Stitched(usize, Result<usize>),
    /// All tiles of an order to prove are here.
    Proved,
    /// A case of the proof is stitched, into the picture itself or not; no slot's own report.
    ProofStitched(usize, Result<Option<Written>>),
    /// What this machine's Blender makes of the file as it lies; no slot's own report.
    Referenced(Result<Rendered>),
    /// The job's spool is gone.
    Forgotten,
    /// An order other than a tile failed, the link lives.
    Refused(Error),
    /// The link is gone.
    Lost(Error),
}

/// A file the finish made.
#[derive(Clone, Debug)]
pub(super) struct FinishedFile {
    /// Where it is here now.
    pub(super) path: PathBuf,
    /// What the scene's own File Output node wanted it to be called; `None` for the picture itself.
    pub(super) target: Option<String>,
    /// Suffix of its view, where views have files of their own.
    pub(super) suffix: String,
}
