//! Before anything renders: who is there, what the scene is, which job this is.
//!
//! The first slot that is up is the scout: it opens the scene, lists its files and says what it needs. The others
//! receive the files as soon as they are known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::control::Control;
use super::format::Format;
use super::seat::{Seat, Stage};
use super::slot::{AdoptOrder, FilesOrder, Order, Report};
use super::work::{self, Canvas, Work};
use crate::blender::{Effective, Facts, Hello, Needs, Picture, TileDone, TileFormat};
use crate::dispatch::Input;
use crate::error::{Error, Kind, Result};
use crate::events::Event;
use crate::geometry::{Frame, Overlap, Rect};
use crate::job::{Identity, InputFile, Request};
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
    /// Facts of the scene asked for, then of the others that its compositor reads.
    facts: Vec<Facts>,
    canvases: Vec<Canvas>,
    overlap: Overlap,
    tiling: Tiling,
    /// Version and build hash that all slots must have.
    blender: Option<(String, String)>,
    /// When the first slot was ready.
    ready: Option<Instant>,
    /// Format of the picture, where it is not the scene's own.
    format: Option<Format>,
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
            overlap: Overlap(0),
            tiling: request.tiling,
            blender: None,
            ready: None,
            format: None,
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

    /// The picture's format, where it is not the scene's own.
    pub(super) fn format(&self) -> Option<Format> {
        self.format
    }

    /// What the scene needs, from what was asked for and what was found.
    pub(super) fn facts(&self) -> Option<&Facts> {
        self.facts.first()
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
    fn advance(&mut self) {
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
                scene: self.request.scene.clone(),
                frames: vec![self.request.frame],
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
        let scene = match self.meeting.facts.first() {
            None => self.request.scene.clone(),
            Some(first) => {
                let next = first
                    .needs
                    .pictures
                    .iter()
                    .map(|p| &p.scene)
                    .find(|name| !self.meeting.facts.iter().any(|f| f.scene == **name));
                match next {
                    Some(name) => Some(name.clone()),
                    None => return self.decide(slot),
                }
            }
        };
        self.seats[slot].stage = Stage::Looking;
        self.seats[slot].order(Order::Look(json!({"scene": scene})));
        Ok(())
    }

    fn looked(&mut self, slot: usize, facts: Facts) -> Result<()> {
        if self.meeting.facts.len() > 64 {
            return Err(Error::input("the compositor reads more than 64 scenes"));
        }
        self.meeting.facts.push(facts);
        self.look(slot)
    }

    /// From facts and wishes to pictures.
    fn decide(&mut self, slot: usize) -> Result<()> {
        let Some(first) = self.meeting.facts.first().cloned() else { return Ok(()) };
        let request = self.request;
        let needs = &first.needs;
        let own = needs.format.as_deref().unwrap_or("PNG");
        let format = self.tile_format(needs, own)?;
        if let Some(reason) = needs.refuse.first().filter(|_| format == TileFormat::Exr) {
            return Err(Error::input(crate::blender::printable(&reason.text, 500)).remedy(
                reason.remedy.as_deref().map_or_else(
                    || "Change the scene, or accept a difference with --tile-format png.".into(),
                    |r| crate::blender::printable(r, 500),
                ),
            ));
        }
        self.meeting.overlap = Overlap(request.overlap.unwrap_or(needs.overlap).min(4096));
        if let Some(why) = needs.whole.as_ref().filter(|_| !request.force_tiles) {
            self.meeting.tiling = Tiling::Count(1);
            let why = crate::blender::printable(why, 500);
            self.emit(Event::Warning {
                text: format!(
                    "The frame is rendered whole on one node: {why} --force-tiles cuts it all the same."
                ),
            });
        }
        for note in needs.notes.iter().take(20) {
            self.emit(Event::Warning { text: crate::blender::printable(note, 500) });
        }
        let names: Vec<String> = if format == TileFormat::Exr && !needs.pictures.is_empty() {
            needs.pictures.iter().map(|p| p.scene.clone()).collect()
        } else {
            vec![first.scene.clone()]
        };
        let mut canvases = Vec::new();
        for name in names {
            if let Some(facts) = self.meeting.facts.iter().find(|f| f.scene == name) {
                canvases.push(canvas(request, facts, &first, format)?);
            }
        }
        self.meeting.canvases = canvases;
        self.begin_set_up(slot);
        self.advance();
        Ok(())
    }

    /// The tiles' format, from the picture's: what the flags or the name of the output say, else the scene's own.
    fn tile_format(&mut self, needs: &Needs, own: &str) -> Result<TileFormat> {
        let extension = self.options.output.extension().map(|e| e.to_string_lossy().into_owned());
        let by_name = extension
            .filter(|_| !self.options.named_by_format)
            .filter(|e| !Format::named(own).is_some_and(|f| f.has_extension(e)))
            .and_then(|e| Format::of_extension(&e));
        let wanted = self.options.format.or(by_name);
        let picture = wanted.or(Format::named(own));
        self.meeting.format = wanted;
        let chosen = match (self.request.tile_format, picture) {
            (Some(TileFormat::Png), Some(Format::Png) | None) => TileFormat::Png,
            (Some(TileFormat::Png), Some(other)) if wanted.is_some() => {
                return Err(Error::input(format!("PNG tiles alone cannot become {}", other.name()))
                    .remedy("Leave --tile-format out, or write a .png."));
            }
            (Some(format), _) => format,
            (None, Some(Format::Png)) if own != "PNG" => TileFormat::Exr,
            (None, Some(Format::Png)) => needs.tile_format,
            (None, _) => TileFormat::Exr,
        };
        let named = if chosen == TileFormat::Png { Some(Format::Png) } else { picture };
        if let Some(format) = named.filter(|_| self.options.named_by_format) {
            self.target.extension(format.extension());
        }
        Ok(chosen)
    }

    fn begin_set_up(&mut self, slot: usize) {
        let seat = &mut self.seats[slot];
        if let Some(canvas) = self.meeting.canvases.first() {
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
        let seat = &mut self.seats[slot];
        seat.stage = Stage::Measuring;
        if self.rendered == 0 {
            let tiles = work.dir.root().join("tiles");
            seat.order(Order::Adopt(Box::new(AdoptOrder { have, canvases, overlap: work.overlap, tiles })));
            return Ok(());
        }
        self.ready(slot)
    }

    /// The size that counts is the one Blender took: it renders no side shorter than 4 pixels before the percentage.
    fn measure_canvas(&mut self, effective: &Effective) -> Result<()> {
        let frame = Frame::scaled(effective.resolution.0, effective.resolution.1, effective.percentage)?;
        let border = self.meeting.facts().and_then(|f| f.border);
        let Some(canvas) = self.meeting.canvases.first_mut().filter(|c| c.frame != frame) else {
            return Ok(());
        };
        let asked = std::mem::replace(&mut canvas.frame, frame);
        canvas.region = border.map_or(Ok(frame.rect()), |b| b.rect(frame))?;
        self.emit(Event::Warning { text: format!("Blender renders {frame} where {asked} was asked for.") });
        Ok(())
    }

    /// The job is known: its work directory is taken, and what is finished there is taken over.
    fn identify(&mut self, effective: &Effective) -> Result<()> {
        let Some((blender, hash)) = self.meeting.blender.clone() else { return Ok(()) };
        let Some(canvas) = self.meeting.canvases.first() else { return Ok(()) };
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
            pictures: self.meeting.canvases.iter().filter_map(|c| c.picture.scene.clone()).collect(),
            blender,
            hash,
            scripts: self.request.scripts,
        };
        let (dir, history) = WorkDir::open(&self.options.work_dir, &identity, self.options.fresh)?;
        let tiles = history.as_ref().map(|h| dir.sound_tiles(h)).unwrap_or_default();
        let _ = self.job.set(identity.id());
        let mut work = Work {
            canvases: self.meeting.canvases.clone(),
            overlap: self.meeting.overlap,
            adopted: tiles.len(),
            identity,
            dir,
            tiles,
            only: self.options.only.clone(),
            preview: None,
        };
        work.begin_preview(self.options.preview);
        work.dir.append(&Record::Began {
            by: env!("CARGO_PKG_VERSION").to_owned(),
            at: now() - self.clock(),
            nodes: self.seats.iter().map(|s| s.name.clone()).collect(),
        })?;
        let reasons = self.meeting.facts().map(|f| f.needs.reasons.clone()).unwrap_or_default();
        let scene = Event::Scene {
            scene: effective.scene.clone(),
            camera: effective.camera.clone(),
            engine: crate::blender::printable(&effective.engine, 60),
            size: work.identity.size,
            frame: effective.frame,
            samples: effective.samples,
            tile_format: work.format().extension(),
            overlap: work.overlap.0,
            reasons: reasons.iter().map(|r| crate::blender::printable(&r.text, 300)).collect(),
        };
        let adopted = Event::Adopted {
            tiles: work.tiles.len(),
            pixels: work.tiles.iter().map(|t| t.region.area()).sum(),
        };
        let any = !work.tiles.is_empty();
        self.work = Some(work);
        self.emit(scene);
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

/// One picture to render.
fn canvas(request: &Request, facts: &Facts, first: &Facts, format: TileFormat) -> Result<Canvas> {
    let main = facts.scene == first.scene;
    let resolution = if main { request.resolution.unwrap_or(facts.resolution) } else { facts.resolution };
    let percentage = if main { request.percentage.unwrap_or(facts.percentage) } else { facts.percentage };
    let frame = Frame::scaled(resolution.0, resolution.1, percentage)?;
    let region: Rect = match &facts.border {
        Some(border) => border.rect(frame)?,
        None => frame.rect(),
    };
    Ok(Canvas {
        picture: Picture {
            scene: Some(facts.scene.clone()),
            camera: if main { request.camera.clone() } else { None },
            frame: request.frame,
            seed: request.seed,
            samples: request.samples,
            resolution: if main { request.resolution } else { None },
            percentage: if main { request.percentage } else { None },
            threads: None,
            device: Device::Cpu,
            persistent: request.persistent,
            format,
        },
        frame,
        region,
    })
}
