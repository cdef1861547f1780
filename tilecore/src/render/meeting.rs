//! Before anything renders: who is there, what the scene is, which job this is.
//!
//! The first slot that is up is the scout: it opens the scene, lists its files and says what it needs. The others
//! receive the files as soon as they are known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::control::Control;
use super::seat::{Seat, Stage};
use super::shot::Shot;
use super::slot::{AdoptOrder, FilesOrder, Order, Report};
use super::work::{self, Canvas, Work};
use crate::blender::{Effective, Facts, Hello, Picture, TileDone, TileFormat};
use crate::dispatch::Input;
use crate::error::{Error, Kind, Result};
use crate::events::Event;
use crate::frames::Frames;
use crate::geometry::{Frame, Overlap};
use crate::job::{Identity, InputFile, Request, ShotIdentity};
use crate::node::Device;
use crate::plan::{self, CostMap, NodeModel, Tiling};
use crate::state::{Record, WorkDir, now};
use crate::sync::{self, Inputs, Roots, Survey};

/// Seconds between tries to reach a slot that nobody counts on.
const AWAY_S: f64 = 30.0;
/// Steps from library to library.
const SURVEYS: u32 = 64;
/// Bytes of a tile's file per pixel, for the forecast only.
const PNG_PIXEL: f64 = 3.0;
const EXR_PIXEL: f64 = 12.0;

/// What is being found out.
pub(super) struct Meeting {
    /// Files so far; all of them once `settled`.
    inputs: Arc<Inputs>,
    settled: bool,
    /// Which of them may be sent.
    roots: Roots,
    /// How often the scene was looked through for files.
    surveys: u32,
    scout: Option<usize>,
    /// Facts of the scenes asked for, then of the others that their compositors read.
    pub(super) facts: Vec<Facts>,
    pub(super) canvases: Vec<Canvas>,
    pub(super) shots: Vec<Shot>,
    pub(super) overlap: Overlap,
    pub(super) tiling: Tiling,
    /// Version and build hash that all slots must have.
    blender: Option<(String, String)>,
    /// When the first slot was ready.
    ready: Option<Instant>,
    /// Where the picture is costly, where that was measured.
    pub(super) map: Option<CostMap>,
    /// The slot that measures it.
    pub(super) mapper: Option<usize>,
}

impl Meeting {
    /// `here` says that all nodes are this machine: they can read all its files anyhow.
    pub(super) fn new(request: &Request, here: bool) -> Result<Self> {
        let inputs = Arc::new(Inputs::of_blend(&request.blend)?);
        Ok(Self {
            roots: if here { Roots::anywhere() } else { Roots::of(inputs.blend(), &request.roots)? },
            inputs,
            settled: false,
            surveys: 0,
            scout: None,
            facts: Vec::new(),
            canvases: Vec::new(),
            shots: Vec::new(),
            overlap: Overlap(0),
            tiling: request.tiling,
            blender: None,
            ready: None,
            map: None,
            mapper: None,
        })
    }

    /// The planner's view of what is not finished.
    pub(super) fn planning(&self, work: &Work) -> plan::Work {
        let pictures = work
            .canvases
            .iter()
            .zip(work.todo())
            .map(|(canvas, todo)| {
                let map = self.map.clone().filter(|m| m.frame() == canvas.frame);
                let cost = map.unwrap_or_else(|| CostMap::uniform(canvas.frame));
                plan::Picture { frame: canvas.frame, todo, cost }
            })
            .collect();
        let bytes_per_pixel = if work.format() == TileFormat::Exr { EXR_PIXEL } else { PNG_PIXEL };
        plan::Work { pictures, overlap: self.overlap, tiling: self.tiling, bytes_per_pixel }
    }

    /// Whether the frame is rendered in one piece.
    pub(super) fn is_whole(&self) -> bool {
        self.tiling == Tiling::Count(1)
    }

    /// How many of the scenes looked at are those asked for; they come first.
    pub(super) fn asked(&self, request: &Request) -> usize {
        request.scenes.len().max(1).min(self.facts.len())
    }
}

impl Meeting {
    fn scene_of(&self, canvas: u32) -> Option<String> {
        self.canvases.get(canvas as usize).and_then(|c| c.picture.scene.clone())
    }

    /// The shots as the job's identity has them: only where there are several.
    fn identities(&self) -> Vec<ShotIdentity> {
        let of = |shot: &Shot| {
            let canvas = self.canvases.get(shot.canvases.start as usize)?;
            Some(ShotIdentity {
                scene: shot.scene.clone(),
                camera: shot.camera.clone(),
                frame: shot.frame,
                region: canvas.region,
                format: shot.format,
                pictures: shot.canvases.end - shot.canvases.start,
            })
        };
        if self.shots.len() < 2 { Vec::new() } else { self.shots.iter().filter_map(of).collect() }
    }

    /// What is told about every scene, with its first frame. `effective` is what Blender said of the first.
    fn scenes(&self, request: &Request, effective: &Effective) -> Vec<Event> {
        let mut told = Vec::new();
        for facts in &self.facts[..self.asked(request)] {
            let Some(shot) = self.shots.iter().find(|s| s.scene == facts.scene) else { continue };
            let Some(canvas) = self.canvases.get(shot.canvases.start as usize) else { continue };
            let first = shot.scene == effective.scene;
            let reasons = facts.needs.reasons.iter();
            told.push(Event::Scene {
                scene: shot.scene.clone(),
                camera: if first { effective.camera.clone() } else { shot.shown.clone() },
                engine: crate::blender::printable(&facts.engine, 60),
                size: canvas.frame,
                frame: shot.frame,
                samples: if first { effective.samples } else { request.samples.unwrap_or(facts.samples) },
                tile_format: shot.format.extension(),
                overlap: self.overlap.0,
                reasons: reasons.map(|r| crate::blender::printable(&r.text, 300)).collect(),
            });
        }
        told
    }
}

/// What is known about a slot before it renders.
pub(super) fn model(seat: &Seat) -> NodeModel {
    let ready = seat.stage == Stage::Ready;
    NodeModel {
        start_s: if ready { 0.0 } else { seat.start_s },
        sync_s: if ready { 0.0 } else { seat.sync_s },
        rate: seat.rate.unwrap_or(0.0),
        known: seat.rate.is_some(),
        fixed_s: seat.fixed_s.unwrap_or(plan::USUAL_FIXED_S),
        ..NodeModel::unknown(seat.name.clone())
    }
}

impl Control<'_, '_> {
    /// Whether planning can begin: a slot is ready, and every other is too, or is gone, or has had its time.
    pub(super) fn met(&mut self) -> bool {
        let Some(ready) = self.meeting.ready else { return false };
        let slowest = self.seats.iter().map(|s| s.start_s).fold(0.5, f64::max);
        let patience = Duration::from_secs_f64((3.0 * slowest).clamp(2.0, 10.0));
        let coming = self
            .seats
            .iter()
            .any(|s| !matches!(s.stage, Stage::Ready | Stage::Off) && s.losses == 0 && !s.queued);
        self.seats.iter().any(|s| s.stage == Stage::Ready) && (!coming || ready.elapsed() > patience)
    }

    pub(super) fn met_report(&mut self, slot: usize, report: Report) -> Result<()> {
        match report {
            Report::Queued(words) => {
                self.queued(slot, words);
                Ok(())
            }
            Report::Booted(hello, seconds) => self.booted(slot, hello, seconds),
            Report::Sending(sent, of, per_second) => {
                self.emit(Event::Sending { slot, sent, of, per_second });
                Ok(())
            }
            Report::Reading(read, of) => {
                self.emit(Event::Reading { read, of });
                Ok(())
            }
            Report::Opened(seconds) => self.opened(slot, seconds),
            Report::Surveyed(survey) => self.settle(slot, *survey),
            Report::Looked(facts) => self.looked(slot, *facts),
            Report::SetUp(effective) => self.set_up(slot, &effective),
            Report::Adopted(tiles) => {
                let node = self.seats[slot].name.clone();
                for (tile, file) in tiles {
                    if let Some(work) = self.work.as_mut() {
                        work.adopted += 1;
                    }
                    // How long it took went with the connection that rendered it.
                    let done = TileDone { bytes: file.bytes, sha256: file.sha256, ..TileDone::default() };
                    self.record(&tile, node.clone(), &done)?;
                }
                self.measure(slot)
            }
            Report::Probed(seconds) => self.probed(slot, &seconds),
            Report::Refused(error) => self.refused(slot, error),
            _ => Ok(()),
        }
    }

    /// Planning does not wait for who is in a queue; the slot joins when its turn comes.
    fn queued(&mut self, slot: usize, words: String) {
        let seat = &mut self.seats[slot];
        if seat.stage == Stage::Booting {
            seat.queued = true;
            let node = seat.name.clone();
            self.emit(Event::Queued { slot, node, words });
        }
    }

    fn booted(&mut self, slot: usize, hello: Hello, seconds: f64) -> Result<()> {
        let (version, hash) =
            (crate::blender::printable(&hello.version, 60), crate::blender::printable(&hello.hash, 60));
        self.emit(Event::Connected {
            slot,
            node: self.seats[slot].name.clone(),
            blender: version.clone(),
            hash: hash.clone(),
            cores: hello.cores,
            seconds,
        });
        let seat = &mut self.seats[slot];
        // How long a queue was says nothing about the next start.
        seat.start_s = if std::mem::take(&mut seat.queued) { 0.0 } else { seconds };
        seat.hello = Some(hello);
        seat.stage = Stage::Waiting;
        let mine = (version, hash);
        match &self.meeting.blender {
            None => self.meeting.blender = Some(mine),
            Some(first) if *first != mine && !self.request.mixed_versions => {
                let error = self.other_version(slot, first, &mine);
                if !self.seats[slot].late && (self.work.is_none() || self.rendered == 0) {
                    return Err(error);
                }
                self.seats[slot].trouble = Some(error.clone());
                return self.feed(Input::Lost(slot, error.fatal()));
            }
            Some(_) => {}
        }
        self.advance();
        Ok(())
    }

    fn other_version(&self, slot: usize, first: &(String, String), mine: &(String, String)) -> Error {
        let other = self
            .seats
            .iter()
            .find(|s| s.blender() == Some((first.0.as_str(), first.1.as_str())))
            .map_or("the job", |s| s.name.as_str());
        Error::input(format!(
            "the nodes have different Blenders: {other} has {} ({}), {} has {} ({})",
            first.0, first.1, self.seats[slot].name, mine.0, mine.1
        ))
        .remedy("Versions render different pixels: install the same one everywhere, leave one node out, or accept seams with --mixed-versions.")
    }

    /// Moves every waiting slot on as far as it can go.
    pub(super) fn advance(&mut self) {
        for slot in 0..self.seats.len() {
            if self.seats[slot].stage != Stage::Waiting {
                continue;
            }
            let node = self.seats[slot].node;
            let receiving = self.seats.iter().any(|s| s.node == node && s.stage == Stage::Opening);
            let open = if self.meeting.settled {
                !receiving && !self.meeting.canvases.is_empty()
            } else {
                self.meeting.scout.is_none()
            };
            if open {
                if !self.meeting.settled {
                    self.meeting.scout = Some(slot);
                }
                self.open(slot);
            }
        }
    }

    fn open(&mut self, slot: usize) {
        self.seats[slot].stage = Stage::Opening;
        self.seats[slot].order(Order::Open(Arc::clone(&self.meeting.inputs), self.request.scripts));
    }

    fn opened(&mut self, slot: usize, seconds: f64) -> Result<()> {
        self.seats[slot].sync_s += seconds;
        self.emit(Event::Opened { slot, seconds });
        if !self.meeting.settled {
            self.seats[slot].stage = Stage::Looking;
            self.seats[slot].order(Order::Files(Box::new(FilesOrder {
                scenes: self.request.scenes.clone(),
                frames: match &self.request.frames {
                    Frames::These(frames) => Some(frames.clone()),
                    Frames::All => None,
                },
                inputs: Arc::clone(&self.meeting.inputs),
                roots: self.meeting.roots.clone(),
            })));
            return Ok(());
        }
        if self.meeting.canvases.is_empty() {
            return self.look(slot);
        }
        self.begin_set_up(slot);
        self.advance();
        Ok(())
    }

    /// More of the scene's files are known. A library says what it refers to only where it is there itself, so the
    /// scout receives what is new and looks again, until nothing is.
    fn settle(&mut self, slot: usize, survey: Survey) -> Result<()> {
        let blend = self.meeting.inputs.blend().to_owned();
        if survey.grew {
            self.meeting.inputs = Arc::new(survey.inputs);
            self.meeting.surveys += 1;
            if self.meeting.surveys > SURVEYS {
                return Err(Error::input(format!(
                    "the libraries of the scene lead further after {SURVEYS} steps"
                ))
                .remedy("Look for libraries that link one another in a circle under changing paths."));
            }
            self.open(slot);
            return Ok(());
        }
        if !survey.missing.is_empty() && !self.request.allow_missing {
            return Err(sync::complaint(&survey.missing, &blend));
        }
        for text in survey.notes.into_iter().chain(sync::warnings(&survey.missing, &blend)) {
            self.emit(Event::Warning { text });
        }
        self.meeting.settled = true;
        self.look(slot)
    }

    fn look(&mut self, slot: usize) -> Result<()> {
        let known = self.meeting.facts.len();
        let scene = if known < self.request.scenes.len().max(1) {
            self.request.scenes.get(known).cloned()
        } else {
            let read = self.meeting.facts.iter().flat_map(|f| &f.needs.pictures).map(|p| &p.scene);
            let next = read.into_iter().find(|name| !self.meeting.facts.iter().any(|f| f.scene == **name));
            match next.cloned() {
                Some(name) => Some(name),
                None => return self.decide(slot),
            }
        };
        self.seats[slot].stage = Stage::Looking;
        self.seats[slot].order(Order::Look(json!({"scene": scene})));
        Ok(())
    }

    fn looked(&mut self, slot: usize, facts: Facts) -> Result<()> {
        if self.meeting.facts.len() > 64 + self.request.scenes.len() {
            return Err(Error::input("the compositor reads more than 64 scenes"));
        }
        self.meeting.facts.push(facts);
        self.look(slot)
    }

    pub(super) fn begin_set_up(&mut self, slot: usize) {
        let seat = &mut self.seats[slot];
        let next = self.work.as_ref().and_then(Work::next_canvas).or(self.meeting.canvases.first());
        if let Some(canvas) = next {
            seat.stage = Stage::SettingUp;
            seat.order(Order::SetUp(Box::new(Picture {
                device: seat.device,
                threads: seat.threads,
                ..canvas.picture.clone()
            })));
        }
    }

    fn set_up(&mut self, slot: usize, effective: &Effective) -> Result<()> {
        if self.work.is_none() {
            self.measure_canvas(effective)?;
            self.identify(effective)?;
        }
        let Some(work) = self.work.as_ref() else { return Ok(()) };
        let have = work.tiles.iter().map(|t| work::name_of(t.picture, t.region)).collect();
        let canvases = work.canvases.clone();
        let closed = work.closed();
        let seat = &mut self.seats[slot];
        seat.stage = Stage::Measuring;
        if self.rendered == 0 {
            let tiles = work.dir.root().join("tiles");
            seat.order(Order::Adopt(Box::new(AdoptOrder {
                have,
                canvases,
                closed,
                overlap: work.overlap,
                tiles,
            })));
            return Ok(());
        }
        self.ready(slot)
    }

    /// The size that counts is the one Blender took: it renders no side shorter than 4 pixels before the percentage.
    fn measure_canvas(&mut self, effective: &Effective) -> Result<()> {
        let frame = Frame::scaled(effective.resolution.0, effective.resolution.1, effective.percentage)?;
        let Some(first) = self.meeting.canvases.first().filter(|c| c.frame != frame) else { return Ok(()) };
        let (asked, picture) = (first.frame, first.picture.clone());
        let same = |c: &Canvas| {
            c.frame == asked
                && (c.picture.resolution, c.picture.percentage) == (picture.resolution, picture.percentage)
        };
        for canvas in self.meeting.canvases.iter_mut().filter(|c| same(c)) {
            let facts = self.meeting.facts.iter().find(|f| Some(&f.scene) == canvas.picture.scene.as_ref());
            canvas.frame = frame;
            canvas.region = facts.and_then(|f| f.border).map_or(Ok(frame.rect()), |b| b.rect(frame))?;
        }
        self.emit(Event::Warning { text: format!("Blender renders {frame} where {asked} was asked for.") });
        Ok(())
    }

    /// The job is known: its work directory is taken, and what is finished there is taken over.
    fn identify(&mut self, effective: &Effective) -> Result<()> {
        let Some((blender, hash)) = self.meeting.blender.clone() else { return Ok(()) };
        let Some(canvas) = self.meeting.canvases.first() else { return Ok(()) };
        let Some(first) = self.meeting.shots.first() else { return Ok(()) };
        let identity = Identity {
            files: self
                .meeting
                .inputs
                .files
                .iter()
                .map(|f| InputFile { path: self.meeting.inputs.label(f), sha256: f.sha256.clone() })
                .collect(),
            scene: effective.scene.clone(),
            camera: effective.camera.clone(),
            frame: effective.frame,
            seed: effective.seed,
            samples: effective.samples,
            resolution: effective.resolution,
            percentage: effective.percentage,
            size: canvas.frame,
            region: canvas.region,
            format: canvas.picture.format,
            overlap: self.meeting.overlap.0,
            pictures: first.canvases.clone().filter_map(|at| self.meeting.scene_of(at)).collect(),
            blender,
            hash,
            scripts: self.request.scripts,
            shots: self.meeting.identities(),
        };
        let (dir, history) = WorkDir::open(&self.options.work_dir, &identity, self.options.fresh)?;
        let tiles = history.as_ref().map(|h| dir.sound_tiles(h)).unwrap_or_default();
        let _ = self.job.set(identity.id());
        let mut work = Work {
            canvases: self.meeting.canvases.clone(),
            overlap: self.meeting.overlap,
            shots: self.meeting.shots.clone(),
            adopted: tiles.len(),
            put_away: 0,
            identity,
            dir,
            tiles,
            only: self.options.only.clone(),
            preview: None,
        };
        work.recall(history.as_ref(), self.options.skip_existing);
        work.begin_preview(self.options.preview);
        work.dir.append(&Record::Began {
            by: env!("CARGO_PKG_VERSION").to_owned(),
            at: now() - self.clock(),
            nodes: self.seats.iter().map(|s| s.name.clone()).collect(),
        })?;
        let scenes = self.meeting.scenes(self.request, effective);
        let shots = Event::Shots { of: work.shots.len(), done: work.shots_done() };
        let several = work.shots.len() > 1;
        let adopted = Event::Adopted {
            tiles: work.tiles.len(),
            pixels: work.tiles.iter().map(|t| t.region.area()).sum(),
        };
        let any = !work.tiles.is_empty();
        self.work = Some(work);
        for scene in scenes {
            self.emit(scene);
        }
        if several {
            self.emit(shots);
        }
        if any {
            self.emit(adopted);
        }
        self.warn_of_mixed_devices();
        Ok(())
    }

    /// F14: unlike devices are close, not equal.
    fn warn_of_mixed_devices(&mut self) {
        let mut kinds: Vec<Device> = self.seats.iter().map(|s| s.device).collect();
        kinds.sort_unstable_by_key(|d| d.as_str());
        kinds.dedup();
        if kinds.len() > 1 {
            let names: Vec<_> = kinds.iter().map(|d| d.as_str()).collect();
            self.emit(Event::Warning {
                text: format!(
                    "The nodes compute on unlike devices ({}): tiles can differ at the last bit. --same-device keeps to one kind.",
                    names.join(", ")
                ),
            });
        }
    }

    /// Nothing more is to be found out about this slot.
    pub(super) fn measured(&mut self, slot: usize) -> Result<()> {
        self.meeting.ready.get_or_insert_with(Instant::now);
        self.ready(slot)
    }

    /// An order was refused, the link lives.
    fn refused(&mut self, slot: usize, error: Error) -> Result<()> {
        if error.kind() == Kind::Input && self.work.is_none() {
            return Err(error);
        }
        self.lost_for_good(slot, &error)
    }

    fn lost_for_good(&mut self, slot: usize, error: &Error) -> Result<()> {
        self.seats[slot].trouble = Some(error.clone());
        if self.meeting.ready.is_some() && self.seats[slot].stage != Stage::Off {
            // The dispatcher, where there is one, decides; before it there is nothing to hand back.
            self.feed(Input::Lost(slot, error.clone().fatal()))?;
        }
        // The last one's trouble is the error of the whole job, said once.
        let others = (0..self.seats.len()).any(|s| s != slot && self.seats[s].stage != Stage::Off);
        if self.seats[slot].stage != Stage::Off && others {
            self.retire(slot, error.to_string());
        }
        self.seats[slot].stage = Stage::Off;
        self.scout_again(slot);
        self.anyone_left()
    }

    fn scout_again(&mut self, slot: usize) {
        if self.meeting.scout == Some(slot) && self.meeting.canvases.is_empty() {
            self.meeting.scout = None;
            self.meeting.settled = false;
            self.meeting.facts.clear();
        }
        self.advance();
    }

    pub(super) fn lost_before_planning(&mut self, slot: usize, error: &Error) -> Result<()> {
        let seat = &mut self.seats[slot];
        seat.losses += 1;
        if !error.is_retryable() {
            return self.lost_for_good(slot, error);
        }
        if !self.seats.iter().any(|s| s.stage != Stage::Off && !s.is_away()) {
            return self.give_up_on_all(slot);
        }
        let seat = &self.seats[slot];
        let pause = if seat.is_away() { AWAY_S } else { f64::from(1 << seat.losses.min(6)) / 2.0 };
        seat.order(Order::Boot(Duration::from_secs_f64(pause)));
        let node = seat.name.clone();
        let (reason, remedy) = (error.to_string(), error.hint().map(str::to_owned));
        self.emit(Event::Lost { slot, node, reason, remedy, again_in: pause });
        self.scout_again(slot);
        Ok(())
    }

    /// Nobody was reached and nobody is on the way.
    fn give_up_on_all(&mut self, last: usize) -> Result<()> {
        for slot in (0..self.seats.len()).filter(|s| *s != last) {
            if let (true, Some(error)) = (self.seats[slot].is_away(), self.seats[slot].trouble.clone()) {
                self.lost_for_good(slot, &error)?;
            }
        }
        match self.seats[last].trouble.clone() {
            Some(error) => self.lost_for_good(last, &error),
            None => self.anyone_left(),
        }
    }

    /// Fails when no slot is left, with each one's reason.
    fn anyone_left(&self) -> Result<()> {
        if self.seats.iter().any(|s| s.stage != Stage::Off) {
            return Ok(());
        }
        let troubles: Vec<&Error> = self.seats.iter().filter_map(|s| s.trouble.as_ref()).collect();
        match troubles.as_slice() {
            [only] => Err((*only).clone()),
            several => {
                let reasons: Vec<String> = self
                    .seats
                    .iter()
                    .filter_map(|s| s.trouble.as_ref().map(|t| format!("{}: {t}", s.name)))
                    .collect();
                let log = several.iter().find_map(|e| e.process_log()).unwrap_or_default().to_owned();
                Err(Error::render(format!("no node can render; {}", reasons.join("; ")))
                    .remedy(
                        "Run `tilectl nodes check` to see what each node needs; what is finished is kept.",
                    )
                    .log(log))
            }
        }
    }
}
