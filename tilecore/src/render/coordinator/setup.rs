//! Before anything renders: who is there, what the scene is, which job this is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Coordinator;
use crate::blender::{Effective, Facts, Hello, Opened, Picture, TileDone};
use crate::cost;
use crate::cost::{CostMap, NodeModel, Tiling};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::formats::TileFormat;
use crate::geometry::Overlap;
use crate::header::Version;
use crate::job::Request;
use crate::node::Device;
use crate::render::canvas::Canvas;
use crate::render::messages::{AdoptOrder, Order, Report};
use crate::render::seat::{Seat, Stage};
use crate::render::shot::Shot;
use crate::render::work::{self, Work};
use crate::schedule::Input;
use crate::sync::{Colour, Inputs, Roots};

/// How long a scout may be silent until another slot looks too, seconds; the next one has twice that.
const PATIENCE_S: f64 = 30.0;
/// Bytes of a tile's file per pixel, for the forecast only.
const PNG_PIXEL: f64 = 3.0;
const EXR_PIXEL: f64 = 12.0;

/// What is being found out.
pub(super) struct Meeting {
    /// Files so far; all of them once `settled`.
    pub(super) inputs: Arc<Inputs>,
    pub(super) settled: bool,
    /// Which of them may be sent.
    pub(super) roots: Roots,
    /// Whether all nodes that the run began with are this machine.
    pub(super) here: bool,
    /// How often the scene was looked through for files.
    pub(super) surveys: u32,
    pub(super) scout: Option<usize>,
    /// When the scout last said anything, and how long it may be silent while another slot waits, seconds.
    pub(super) scouted: Instant,
    pub(super) patience_s: f64,
    /// Facts of the scenes asked for, then of the others that their compositors read.
    pub(super) facts: Vec<Facts>,
    pub(super) canvases: Vec<Canvas>,
    pub(super) shots: Vec<Shot>,
    pub(super) overlap: Overlap,
    pub(super) tiling: Tiling,
    /// Version and build hash that all slots must have.
    pub(super) blender: Option<(String, String)>,
    /// The slot that looked at the scene, and what its Blender is like with the scene open.
    pub(super) scene_environment: Option<(usize, Environment)>,
    /// What the scene wants of the colour configuration in vain.
    pub(super) lacked: Vec<String>,
    /// The newest Blender that saved the .blend or a library of it, where their headers say so, and that file.
    pub(super) saved: Option<(Version, PathBuf)>,
    /// When the first slot was ready.
    pub(super) ready: Option<Instant>,
    /// Where the picture is costly, where that was measured.
    pub(super) map: Option<CostMap>,
    /// By how much the map says that the first patches misjudged every rate.
    pub(super) scale: f64,
    /// The slot that measures it.
    pub(super) mapper: Option<usize>,
}

impl Meeting {
    /// `here` says that all nodes are this machine: they can read all its files anyhow.
    pub(super) fn new(request: &Request, here: bool) -> Result<Self> {
        let inputs = Arc::new(Inputs::of_blend(&request.blend)?);
        if !here {
            // What is wrong with the configuration that OCIO names here is wrong for every node elsewhere.
            Colour::here("")?;
        }
        Ok(Self {
            roots: if here { Roots::anywhere() } else { Roots::of(inputs.blend(), &request.roots)? },
            here,
            settled: false,
            surveys: 0,
            scout: None,
            scouted: Instant::now(),
            patience_s: PATIENCE_S,
            facts: Vec::new(),
            canvases: Vec::new(),
            shots: Vec::new(),
            overlap: Overlap(0),
            tiling: request.tiling,
            blender: None,
            scene_environment: None,
            lacked: Vec::new(),
            saved: Version::of_file(inputs.blend()).map(|version| (version, inputs.blend().to_owned())),
            ready: None,
            map: None,
            scale: 1.0,
            mapper: None,
            inputs,
        })
    }

    /// Why the scene's files may not go to other machines, if they may not: while all nodes were this machine, nobody
    /// asked.
    pub(super) fn kept_here(&self, request: &Request) -> Result<Option<String>> {
        if !self.here {
            return Ok(None);
        }
        let roots = Roots::of(self.inputs.blend(), &request.roots)?;
        let outside = self
            .inputs
            .files
            .iter()
            .skip(1)
            .find(|f| f.path.canonicalize().map_or(true, |real| !roots.admit(&real)));
        Ok(outside.map(|file| {
            format!(
                "the scene uses {}, which lies outside its own folder or is hidden; run it again with --root for that folder.",
                self.inputs.label(file)
            )
        }))
    }

    /// The planner's view of what is not finished.
    pub(super) fn planning(&self, work: &Work) -> cost::Work {
        let pictures = work
            .canvases
            .iter()
            .zip(work.todo())
            .map(|(canvas, todo)| {
                let map = self.map.clone().filter(|m| m.frame() == canvas.frame);
                let cost = map.unwrap_or_else(|| CostMap::uniform(canvas.frame));
                cost::Picture { frame: canvas.frame, todo, cost }
            })
            .collect();
        let bytes_per_pixel = if work.format() == TileFormat::Exr { EXR_PIXEL } else { PNG_PIXEL };
        cost::Work { pictures, overlap: self.overlap, tiling: self.tiling, bytes_per_pixel }
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

/// What is known about a slot before it renders.
pub(super) fn model(seat: &Seat) -> NodeModel {
    let cold = cold(seat);
    if seat.stage == Stage::Ready { NodeModel { start_s: 0.0, sync_s: 0.0, ..cold } } else { cold }
}

/// The same from nothing, as a new run finds it.
pub(super) fn cold(seat: &Seat) -> NodeModel {
    NodeModel {
        start_s: seat.start_s + seat.open_s,
        sync_s: seat.build_s,
        rate: seat.rate.unwrap_or(0.0),
        known: seat.rate.is_some(),
        fixed_s: seat.fixed_s.unwrap_or(cost::USUAL_FIXED_S),
        transfer_bytes_per_s: seat.bytes_per_s.unwrap_or(f64::INFINITY),
        ..NodeModel::unknown(seat.name.clone())
    }
}

impl Coordinator<'_, '_> {
    /// Whether planning can begin: a slot is ready, and every other is too, or is gone, or has had its time.
    pub(super) fn met(&mut self) -> bool {
        let Some(ready) = self.meeting.ready else { return false };
        let slowest = self.seats.iter().map(|s| s.start_s).fold(0.5, f64::max);
        let patience = Duration::from_secs_f64((3.0 * slowest).clamp(2.0, 10.0));
        let coming = self.seats.iter().any(|s| {
            !matches!(s.stage, Stage::Ready | Stage::Off) && s.losses == 0 && !s.queued && !s.astray
        });
        self.seats.iter().any(|s| s.stage == Stage::Ready) && (!coming || ready.elapsed() > patience)
    }

    pub(super) fn met_report(&mut self, slot: usize, report: Report) -> Result<()> {
        // Who was left out may still have been at work.
        if self.seats[slot].stage == Stage::Off {
            return Ok(());
        }
        let answer = matches!(report, Report::Opened(..) | Report::Surveyed(_) | Report::Looked(_));
        if answer
            && self.seats[slot].astray
            && !self.back_from_astray(slot, matches!(report, Report::Opened(..)))
        {
            return Ok(());
        }
        // One behind a slow link is no reason to wait long either.
        if self.meeting.scout == Some(slot) && !matches!(report, Report::Sending(..)) {
            self.meeting.scouted = Instant::now();
        }
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
            Report::Opened(seconds, opened) => self.opened(slot, seconds, opened),
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
            (crate::text::printable(&hello.version, 60), crate::text::printable(&hello.hash, 60));
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
        let ignored = hello.environment.ignored_ocio.clone();
        seat.hello = Some(hello);
        seat.astray = false;
        seat.stage = Stage::Waiting;
        if let Some(error) = self.too_old(slot) {
            return self.lost_for_good(slot, &error);
        }
        let mine = (version, hash);
        match self.meeting.blender.clone() {
            None => self.meeting.blender = Some(mine),
            Some(first) if first != mine && !self.request.mixed_versions => {
                if !self.choose_version(slot, &first, mine)? {
                    return Ok(());
                }
            }
            Some(_) => {}
        }
        if let Some(error) = self.other_environment(slot) {
            return self.odd_one_out(slot, error);
        }
        if !ignored.is_empty() {
            let node = &self.seats[slot].name;
            let text = format!(
                "OCIO is set on {node} ({ignored}) and does not count there: the colours are those of this machine. env=OCIO:PATH chooses others."
            );
            self.emit(Event::Warning { text });
        }
        self.advance();
        Ok(())
    }

    /// A slot whose tiles would not fit: refused before anything renders, done without afterwards.
    fn odd_one_out(&mut self, slot: usize, error: Error) -> Result<()> {
        if !self.seats[slot].late && (self.work.is_none() || self.rendered == 0) {
            return Err(error);
        }
        self.seats[slot].trouble = Some(error.clone());
        self.feed(Input::Lost(slot, error.fatal()))
    }

    /// What keeps the slot's tiles from fitting to those of the others, beside its Blender's version.
    fn other_environment(&self, slot: usize) -> Option<Error> {
        let mine = &self.seats[slot].hello.as_ref()?.environment;
        let others = self.seats.iter().enumerate().filter(|(at, s)| *at != slot && s.stage != Stage::Off);
        let mut others = others.filter_map(|(at, s)| Some((at, &s.hello.as_ref()?.environment)));
        others.find_map(|(at, theirs)| self.differing(at, theirs, slot, mine))
    }

    /// Why tiles of the slots `first` and `slot` would not fit, whose Blenders are in these environments.
    fn differing(
        &self,
        first: usize,
        theirs: &Environment,
        slot: usize,
        mine: &Environment,
    ) -> Option<Error> {
        let (one, other) = (&self.seats[first], &self.seats[slot]);
        let mixed = self.request.mixed_versions;
        // Blenders of several versions bring colours and scripts of their own: that was accepted.
        if mixed && one.blender() != other.blender() {
            return None;
        }
        let cpu = one.device == Device::Cpu && other.device == Device::Cpu && !mixed;
        let difference = theirs.difference(mine, cpu)?;
        Some(
            Error::input(format!(
                "the nodes have different {}: {} has {}, {} has {}",
                difference.words(),
                one.name,
                difference.mine,
                other.name,
                difference.others
            ))
            .remedy(difference.remedy()),
        )
    }

    /// With the scene open the slot's Blender may use other colours than before, those of a project: what the slot that
    /// looked at the scene had is what all must have. Says whether the slot goes on.
    pub(super) fn opened_in(&mut self, slot: usize, opened: Opened) -> Result<bool> {
        let environment =
            self.seats[slot].hello.as_ref().map(|h| h.environment.with_scene(&opened.environment));
        let Some(environment) = environment else { return Ok(true) };
        let looks = !self.meeting.settled || self.meeting.scene_environment.is_none();
        let Some((first, theirs)) = self.meeting.scene_environment.as_ref().filter(|_| !looks) else {
            self.meeting.scene_environment = Some((slot, environment));
            self.meeting.lacked = opened.lacked;
            return Ok(true);
        };
        match self.differing(*first, theirs, slot, &environment) {
            Some(error) => self.odd_one_out(slot, error).map(|()| false),
            None => Ok(true),
        }
    }

    /// Another Blender than that of the job is there. Until the job has begun the newest one wins. Says whether this slot
    /// goes on.
    fn choose_version(
        &mut self,
        slot: usize,
        first: &(String, String),
        mine: (String, String),
    ) -> Result<bool> {
        let number = |blender: &(String, String)| Version::of_blender(&blender.0);
        let begun = self.work.is_some();
        let error = self.other_version(slot, first, &mine);
        if begun || number(&mine) < number(first) {
            return self.lost_for_good(slot, &error).map(|()| false);
        }
        if number(&mine) == number(first) {
            // Neither is the newer one.
            return self.odd_one_out(slot, error).map(|()| false);
        }
        self.meeting.blender = Some(mine);
        self.start_over();
        let others = |seat: &Seat| seat.blender() == Some((first.0.as_str(), first.1.as_str()));
        for other in 0..self.seats.len() {
            if other != slot && self.seats[other].stage != Stage::Off && others(&self.seats[other]) {
                self.lost_for_good(other, &error)?;
            }
        }
        Ok(true)
    }

    /// Why the Blender of this slot cannot take part: what it is to open was saved by a newer one.
    fn too_old(&self, slot: usize) -> Option<Error> {
        let (saved, file) = self.meeting.saved.as_ref()?;
        let seat = &self.seats[slot];
        let (version, _) = seat.blender()?;
        Version::of_blender(version).filter(|mine| mine < saved)?;
        Some(
            Error::input(format!(
                "{} was saved by Blender {saved}, and node {} has Blender {version}, which may lose or crash on what is new in the file",
                file.file_name().unwrap_or_default().to_string_lossy(),
                seat.name
            ))
            .remedy(format!("Give the node Blender {saved} or newer, or save the file with the Blender that it has.")),
        )
    }

    /// A library is newer than the .blend: leaves out every Blender that is older. Says whether this slot is.
    pub(super) fn leave_out_the_old(&mut self, slot: usize) -> Result<bool> {
        let newest = self.meeting.inputs.blends().filter_map(|path| Some((Version::of_file(path)?, path)));
        self.meeting.saved =
            newest.max_by_key(|found| found.0).map(|(version, path)| (version, path.to_owned()));
        for other in 0..self.seats.len() {
            if let Some(error) = self.too_old(other).filter(|_| self.seats[other].stage != Stage::Off) {
                self.lost_for_good(other, &error)?;
            }
        }
        Ok(self.seats[slot].stage == Stage::Off)
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
        .remedy("Versions render different pixels, and one job has one: install the same one everywhere, or accept seams with --mixed-versions.")
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
            let tiles = work.dir.layout().tiles();
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

    /// Nothing more is to be found out about this slot.
    pub(super) fn measured(&mut self, slot: usize) -> Result<()> {
        self.meeting.ready.get_or_insert_with(Instant::now);
        if self.on_probation(slot) {
            return Ok(());
        }
        self.ready(slot)
    }
}
