//! One slot's thread: it owns the link to one Blender, carries out orders in turn, and reports.
//!
//! Everything of a session lives and dies on this thread (libssh2 wants it so). While a tile renders, the finished one
//! before it is fetched over the same link.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use serde_json::Value;

use super::session::{End, Session};
use super::work::Canvas;
use crate::blender::{Effective, Facts, Hello, Opened, Picture, Spooled, TileDone, Worker};
use crate::error::{Error, Kind, Result};
use crate::geometry::{Frame, Overlap, Rect};
use crate::node::{Node, Place};
use crate::proof::compare::Written;
use crate::proof::reference::Asked;
use crate::schedule::Piece;
use crate::sync::{Colour, Inputs, Roots, Survey};

/// A shell that takes longer than this to start waits in a queue.
const QUEUED: Duration = Duration::from_secs(3);

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
    SetUp(Box<Effective>),
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
    Referenced(Result<Vec<Vec<Written>>>),
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

pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) node: Arc<dyn Node>,
    pub(super) run: String,
    pub(super) job: Arc<std::sync::OnceLock<String>>,
    pub(super) orders: Receiver<Order>,
    pub(super) reports: Sender<(usize, Report)>,
    /// Set when everything has to end at once.
    pub(super) abort: Arc<AtomicBool>,
}

impl Slot {
    /// Runs until told to stop or nobody is there to tell.
    pub(super) fn run(self) {
        while let Ok(order) = self.orders.recv() {
            match order {
                Order::Boot(pause) => {
                    let mut next = Some(pause);
                    while let Some(pause) = next.take() {
                        if !self.pause(pause) {
                            if self.aborted() {
                                return;
                            }
                            // The order that ended the wait comes next.
                            break;
                        }
                        match self.session() {
                            Ok(End::Stopped) => return,
                            Ok(End::Reboot(pause)) => next = Some(pause),
                            // Told to stop while it waited: nobody asks any more.
                            Err(e) if e.kind() == Kind::Interrupted => {}
                            Err(e) => self.report(Report::Lost(e)),
                        }
                    }
                }
                Order::Stop => return,
                _ => {} // Meant for a session that is gone.
            }
        }
    }

    pub(super) fn report(&self, report: Report) {
        // Nobody listens any more only when the job is over.
        let _ = self.reports.send((self.index, report));
    }

    /// The colour configuration of Blender here, where the one on the node uses another and nobody has chosen that.
    fn other_colour(&self, hello: &Hello) -> Result<Option<Colour>> {
        let spec = self.node.spec();
        if spec.place == Place::Local || spec.env.contains_key("OCIO") {
            return Ok(None);
        }
        Ok(Colour::here(&hello.version)?.filter(|colour| colour.sha256 != hello.environment.colour))
    }

    /// Waits, unless the slot is told to stop or everything ends meanwhile.
    fn pause(&self, pause: Duration) -> bool {
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

    /// One Blender's life.
    fn session(&self) -> Result<End> {
        let run = format!("{}-{}", self.run, self.index);
        let mut told = Told { since: Instant::now(), words: None };
        // Any order to a slot that waits means that it need not come any more.
        let mut on_wait = |words: Option<&str>| {
            if let Some(words) = words.and_then(|words| told.worth(words)) {
                self.report(Report::Queued(words));
            }
            !self.aborted() && self.orders.is_empty()
        };
        let booted = Worker::start_in_queue(self.node.as_ref(), &run, None, &mut on_wait)?;
        let mut worker = booted.worker;
        let (mut hello, began) = (booted.hello, Instant::now());
        if let Some(colour) = self.other_colour(&hello)? {
            let mut go_on = || !self.aborted();
            colour.inputs.send(&mut worker, &mut |_| !self.aborted())?;
            let own = std::mem::take(&mut hello.environment.ignored_ocio);
            hello = worker.restart(colour.restart_request(), &hello.blender, &mut go_on)?;
            hello.environment.ignored_ocio = own;
            if hello.environment.colour != colour.sha256 {
                return Err(Error::node(format!(
                    "Blender on node {} does not use the colour configuration that was sent to it",
                    self.node.name()
                ))
                .remedy("Check that OCIO names a configuration that this Blender can read, or unset it.")
                .fatal());
            }
        }
        self.report(Report::Booted(hello, booted.seconds + began.elapsed().as_secs_f64()));
        Session::new(self, &mut worker).serve()
    }
}

/// What was told about a wait.
struct Told {
    since: Instant,
    words: Option<String>,
}

impl Told {
    /// The last line of what the place says, if the wait is long and this was not told.
    fn worth(&mut self, words: &str) -> Option<String> {
        let line = words.lines().last().unwrap_or_default().trim().to_owned();
        if self.since.elapsed() < QUEUED || self.words.as_ref() == Some(&line) {
            return None;
        }
        self.words = Some(line.clone());
        Some(line)
    }
}
