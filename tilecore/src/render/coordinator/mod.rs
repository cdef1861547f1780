//! The coordinator: it hears what slots report, routes it to the part of the run that it is about, and gives orders.

mod calibrate;
mod cases;
mod decide;
mod finalize;
mod identify;
mod measure;
mod members;
mod prove;
mod record;
mod reference;
mod run;
mod scheduling;
mod setup;
mod spots;
mod teardown;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use self::prove::Proving;
use self::spots::Spots;
use super::finalizer::Finalizer;
use super::messages::Report;
use super::options::{Cancel, Options, Restart};
use super::output::Target;
use super::roster::Change;
use super::setup::{Event as Happened, Setup};
use super::slots::Slots;
use super::work::Work;
use crate::error::{Error, Kind, Result};
use crate::events::{Event, Sink};
use crate::geometry::Rect;
use crate::job::Request;
use crate::node::{Device, Node, Place};
use crate::schedule::{Input, Scheduler};
use crate::state::{Record, now};

/// A process that uses less than this share of one core does not render; what its worker itself needs is less.
const ALIVE: f64 = 0.01;
/// How long the loop sleeps when nothing is reported.
const TICK: Duration = Duration::from_millis(200);

pub(super) struct Coordinator<'a, 'b> {
    request: &'a Request,
    options: &'a Options,
    cancel: &'a Cancel,
    sink: &'a mut Sink<'b>,
    slots: Slots,
    /// What this run is called on its nodes.
    run: String,
    threads: Vec<JoinHandle<()>>,
    reporting: Sender<(usize, Report)>,
    reports: Receiver<(usize, Report)>,
    abort: Arc<AtomicBool>,
    job: Arc<OnceLock<String>>,
    began: Instant,
    setup: Setup<'a>,
    work: Option<Work>,
    scheduler: Option<Scheduler>,
    /// Changes of members that wait for the plan.
    deferred: Vec<Change>,
    /// Regions of pieces that slots have and that are not stored yet.
    handed: HashMap<u64, Rect>,
    /// File names of stored pieces, to discard them by.
    files: HashMap<u64, String>,
    /// Tiles rendered in this run.
    rendered: usize,
    /// Tiles that the plan has; none where it cannot tell.
    planned: usize,
    complete: bool,
    draining: bool,
    told: Instant,
    target: Target,
    /// What had to be said.
    warnings: Vec<String>,
    finalizer: Finalizer,
    /// The thread that stitches.
    stitching: Option<JoinHandle<()>>,
    /// Files that the scene writes besides its pictures, and views of pictures.
    side_files: Vec<PathBuf>,
    proving: Proving,
    spots: Spots,
    /// Why the run has to start over, where the proof says so.
    restart: Option<Restart>,
}

impl<'a, 'b> Coordinator<'a, 'b> {
    /// Checks what can be checked before anything starts.
    pub(super) fn new(
        request: &'a Request,
        nodes: &[Arc<dyn Node>],
        options: &'a Options,
        cancel: &'a Cancel,
        sink: &'a mut Sink<'b>,
    ) -> Result<Self> {
        let target = match &options.names {
            None => Target::new(&options.output)?,
            // Which files those are is known once the scenes are.
            Some(names) => {
                names.check(&request.frames)?;
                Target { path: options.output.clone() }
            }
        };
        let (reporting, reports) = unbounded();
        let mut control = Self {
            request,
            options,
            cancel,
            sink,
            slots: Slots::default(),
            run: format!("{:08x}{:08x}", std::process::id(), (now() * 1000.0) as u64 & 0xffff_ffff),
            threads: Vec::new(),
            reporting,
            reports,
            abort: Arc::default(),
            job: Arc::default(),
            began: Instant::now(),
            setup: Setup::new(request, nodes.iter().all(|n| n.spec().place == Place::Local))?,
            work: None,
            scheduler: None,
            deferred: Vec::new(),
            handed: HashMap::new(),
            files: HashMap::new(),
            rendered: 0,
            planned: 0,
            complete: false,
            draining: false,
            told: Instant::now(),
            target,
            warnings: Vec::new(),
            finalizer: Finalizer::default(),
            stitching: None,
            side_files: Vec::new(),
            proving: Proving::default(),
            spots: Spots::default(),
            restart: None,
        };
        control.add_all(nodes)?;
        Ok(control)
    }

    pub(super) fn emit(&mut self, event: Event) {
        match &event {
            Event::Warning { text } => self.warnings.push(text.clone()),
            Event::Lost { node, reason, .. } | Event::Retired { node, reason, .. } => {
                self.warnings.push(format!("{node}: {reason}"));
            }
            _ => {}
        }
        self.warnings.truncate(200);
        (self.sink)(event);
    }

    /// Seconds since the run began: the clock of the scheduler.
    pub(super) fn clock(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Whether running tiles are finished and no new ones begin.
    pub(super) fn draining(&self) -> bool {
        self.draining
    }

    /// Waits for one report, or for nothing, and does what follows from it.
    pub(super) fn step(&mut self) -> Result<()> {
        if self.cancel.aborts() || (self.cancel.drains() && self.scheduler.is_none()) {
            return Err(self.interrupted());
        }
        if self.cancel.drains() && !self.draining {
            self.draining = true;
            self.emit(Event::Draining);
            self.feed(Input::Drain)?;
        }
        match self.reports.recv_timeout(TICK) {
            Ok((slot, report)) => self.take(slot, report)?,
            Err(_) if self.threads.iter().all(JoinHandle::is_finished) => {
                return Err(
                    Error::render("every node's thread has ended").remedy("Run the same command again.")
                );
            }
            Err(_) => self.feed(Input::Tick)?,
        }
        self.set_up_tick()?;
        self.change_members()?;
        if self.told.elapsed() >= TICK {
            self.told = Instant::now();
            self.tell_progress();
        }
        Ok(())
    }

    pub(super) fn tell_progress(&mut self) {
        let (Some(scheduler), Some(work)) = (&self.scheduler, &self.work) else { return };
        let run = scheduler.progress(self.clock());
        let tiles = work.tiles.len() + work.put_away;
        let before = work.area().saturating_sub(run.of_pixels) as f64 / work.area().max(1) as f64;
        let event = Event::Progress {
            done: before + (1.0 - before) * run.done,
            tiles,
            of: tiles + self.planned.saturating_sub(run.tiles),
            eta: run.eta,
            frames: work.shots_done(),
            of_frames: work.shots.len(),
        };
        self.emit(event);
    }

    fn take(&mut self, slot: usize, report: Report) -> Result<()> {
        match report {
            Report::Stage(words) => {
                self.emit(Event::Stage { slot, words });
                return Ok(());
            }
            // While a GPU renders, the processor may have nothing to do.
            Report::Alive(share) if share >= ALIVE || self.slots[slot].device != Device::Cpu => {
                return self.feed(Input::Alive(slot));
            }
            Report::Alive(_) => return Ok(()),
            _ => {}
        }
        let Some(report) = self.hear_spot(slot, report) else { return Ok(()) };
        let Some(report) = self.hear_proof(slot, report)? else { return Ok(()) };
        let Some(report) = self.hear_finish(slot, report)? else { return Ok(()) };
        if let Some(error) = self.own_trouble(slot, &report) {
            return Err(error.clone());
        }
        match report {
            Report::Sample(tile, done, of) => {
                self.emit(Event::Sample { slot, tile, done, of });
                let part = if of > 0 { f64::from(done) / f64::from(of) } else { 0.0 };
                self.feed(Input::Progress(slot, tile, part))
            }
            Report::Rendered(tile, seconds, sync) => {
                self.emit(Event::Rendered { slot, tile, seconds });
                self.built(slot, tile, sync)?;
                self.free(slot)?;
                self.feed(Input::Rendered(slot, tile))
            }
            Report::Stored(tile, done, seconds) => {
                self.slots[slot].delivered(done.bytes, seconds);
                self.stored(slot, &tile, done)
            }
            Report::Cancelled(tile) => {
                self.handed.remove(&tile);
                self.emit(Event::Cancelled { slot, tile });
                self.free(slot)?;
                self.feed(Input::Cancelled(slot, tile))
            }
            Report::Failed(tile, error) => {
                let reason = error.to_string();
                let region = self.handed.remove(&tile);
                self.failed(slot, region, reason.clone())?;
                self.emit(Event::Failed { slot, tile, reason });
                self.free(slot)?;
                self.feed(Input::Failed(slot, tile, error))
            }
            Report::Lost(error) => self.lost(slot, error),
            other => self.set_up_report(slot, other),
        }
    }

    /// What went wrong on this machine (its disk is full or cannot be written to): no other node helps with that.
    fn own_trouble<'r>(&self, slot: usize, report: &'r Report) -> Option<&'r Error> {
        let error = match report {
            Report::Failed(_, error) => error,
            // Before a session is there, it is the link that cannot be made.
            Report::Lost(error) if !self.slots[slot].is_booting() => error,
            _ => return None,
        };
        (error.kind() == Kind::Render && !error.is_retryable()).then_some(error)
    }

    fn lost(&mut self, slot: usize, error: Error) -> Result<()> {
        if self.slots[slot].is_off() {
            // It was left out before its connection ended.
            return self.proof_lost(slot);
        }
        let error = self.slots[slot].beyond_help(error);
        if let Some(work) = self.work.as_mut() {
            let (node, reason) = (self.slots[slot].name.clone(), error.to_string());
            work.dir.append(&Record::Lost { node, reason, at: now() })?;
        }
        self.slots[slot].lost(error.clone());
        self.proof_lost(slot)?;
        // A scheduler that has nothing more to hand out does not ask for anybody; a finish may.
        if self.scheduler.is_some() && !self.complete {
            return self.feed(Input::Lost(slot, error));
        }
        self.set_up_on(slot, Happened::Lost(error))
    }
}
