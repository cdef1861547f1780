//! Set-up as a state machine: from slots that connect to slots that are ready for a job that is known.
//!
//! Blenders and environments are compared. The first slot that is up (the *inspector*) opens the .blend, lists its files
//! and says what its scenes need; the others receive the files as soon as they are known. What is lost meanwhile is tried
//! again, given up, or the end of the job. It knows no thread, no wire and no clock, so its paths can be tested without
//! Blender; the coordinator carries out its effects.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::canvas::Canvas;
use super::messages::{FilesOrder, Order};
use super::shot::Shot;
use super::slots::{SlotState, Stage};
use crate::blender::{Facts, Hello, Opened};
use crate::cost::{CostMap, Tiling};
use crate::environment::Environment;
use crate::error::{Error, Kind, Result};
use crate::events;
use crate::frames::Frames;
use crate::geometry::Overlap;
use crate::header::Version;
use crate::job::Request;
use crate::node::Device;
use crate::schedule::Input;
use crate::sync::{self, Colour, Inputs, Roots, Survey};
use crate::text::printable;

/// How long an inspector may be silent until another slot looks too, seconds; the next one has twice that.
const PATIENCE_S: f64 = 30.0;
/// Steps from library to library.
const SURVEYS: u32 = 64;
/// Other scenes that a scene's compositor may read.
const SCENES: usize = 64;
/// Seconds between tries to reach a slot that nobody counts on.
const AWAY_S: f64 = 30.0;

/// What a slot reported.
#[derive(Debug)]
pub(super) enum Event {
    /// Its shell has not started; what the place has said meanwhile.
    Queued(String),
    /// Its Blender is up, after so many seconds.
    Booted(Hello, f64),
    /// It has the scene's files, as far as they are known, and the scene open, after so many seconds.
    Opened(f64, Opened),
    /// The files that the open scene refers to.
    Surveyed(Survey),
    /// What a scene is and needs.
    Inspected(Facts),
    /// All scenes are known and decided on.
    Decided,
    /// It refused an order and lives on.
    Refused(Error),
    /// Its connection or its Blender is gone.
    Lost(Error),
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Effect {
    /// Give a slot an order.
    Send(usize, Order),
    /// Tell what happened.
    Tell(events::Event),
    /// Every scene is known: decide how it is rendered. This slot is the inspector.
    Decide(usize),
    /// Have a slot apply the settings of the first picture that is not written.
    SetUp(usize),
    /// Tell the scheduler, where there is one.
    Schedule(Input),
    /// A slot takes no further part; `told` says whether that is news (the last one's trouble is the error of the job).
    GiveUp { slot: usize, error: Error, told: bool },
    /// The job cannot be done.
    Fail(Error),
}

/// How far the job is, where that decides what becomes of a slot that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    /// It is not known yet which job this is.
    Unknown,
    /// It is.
    Identified,
    /// And tiles were rendered.
    Rendering,
}

/// What is being found out.
pub(super) struct Setup<'a> {
    request: &'a Request,
    /// Files so far; all of them once `settled`.
    pub(super) inputs: Arc<Inputs>,
    settled: bool,
    /// Which of them may be sent.
    roots: Roots,
    /// Whether all nodes that the run began with are this machine.
    pub(super) here: bool,
    /// How often the scene was looked through for files.
    surveys: u32,
    inspector: Option<usize>,
    /// When the inspector last said anything, and how long it may be silent while another slot waits, seconds.
    heard: f64,
    patience_s: f64,
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
    lacked: Vec<String>,
    /// The newest Blender that saved the .blend or a library of it, where their headers say so, and that file.
    saved: Option<(Version, PathBuf)>,
    pub(super) progress: Progress,
    /// When the first slot was ready.
    pub(super) ready: Option<f64>,
    /// Where the picture is costly, where that was measured.
    pub(super) map: Option<CostMap>,
    /// By how much the map says that the first patches misjudged every rate.
    pub(super) scale: f64,
    /// The slot that measures it.
    pub(super) mapper: Option<usize>,
    /// Whether it was said that the nodes compute on unlike devices.
    pub(super) mixed_told: bool,
    effects: Vec<Effect>,
}

impl<'a> Setup<'a> {
    /// `here` says that all nodes are this machine: they can read all its files anyhow.
    pub(super) fn new(request: &'a Request, here: bool) -> Result<Self> {
        let inputs = Arc::new(Inputs::of_blend(&request.blend)?);
        if !here {
            // What is wrong with the configuration that OCIO names here is wrong for every node elsewhere.
            Colour::here("")?;
        }
        Ok(Self {
            request,
            roots: if here { Roots::anywhere() } else { Roots::of(inputs.blend(), &request.roots)? },
            here,
            settled: false,
            surveys: 0,
            inspector: None,
            heard: 0.0,
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
            progress: Progress::Unknown,
            ready: None,
            map: None,
            scale: 1.0,
            mapper: None,
            mixed_told: false,
            inputs,
            effects: Vec::new(),
        })
    }

    /// What is to be done now that a slot said this.
    pub(super) fn on(&mut self, now: f64, slots: &mut [SlotState], slot: usize, event: Event) -> Vec<Effect> {
        // A slot that was left out may still have been at work.
        if slots[slot].is_off() {
            return Vec::new();
        }
        if let Err(error) = self.take(now, slots, slot, event) {
            self.effects.push(Effect::Fail(error));
        }
        std::mem::take(&mut self.effects)
    }

    /// The inspector said something, if that is who this is.
    pub(super) fn heard(&mut self, now: f64, slot: usize) {
        if self.inspector == Some(slot) {
            self.heard = now;
        }
    }

    /// Whether planning can begin: a slot is ready, and every other is too, or is gone, or has had its time.
    pub(super) fn is_done(&self, now: f64, slots: &[SlotState]) -> bool {
        let Some(ready) = self.ready else { return false };
        let slowest = slots.iter().map(|s| s.start_s).fold(0.5, f64::max);
        let patience = (3.0 * slowest).clamp(2.0, 10.0);
        let coming = slots.iter().any(|s| {
            !matches!(s.stage, Stage::Ready { .. } | Stage::Off | Stage::Booting { queued: true })
                && s.losses == 0
                && !s.is_stalled()
        });
        slots.iter().any(SlotState::is_ready) && (!coming || now - ready > patience)
    }

    /// Time has passed. While an inspector says nothing, another slot that could look does so too: whether the first one
    /// hangs or has much to open cannot be told from here.
    pub(super) fn tick(&mut self, now: f64, slots: &mut [SlotState]) -> Vec<Effect> {
        let Some(slot) = self.inspector.filter(|_| self.canvases.is_empty()) else { return Vec::new() };
        let busy = matches!(slots[slot].stage, Stage::Opening { .. } | Stage::Inspecting { .. });
        let silent = now - self.heard;
        if !busy || silent < self.patience_s || !slots.iter().any(|s| s.stage == Stage::Waiting) {
            return Vec::new();
        }
        self.patience_s *= 2.0;
        slots[slot].stall(true);
        let name = &slots[slot].name;
        self.warn(format!(
            "{name} has said nothing about the scene for {silent:.0} s: another node looks at it too."
        ));
        self.inspect_again(now, slots, slot);
        std::mem::take(&mut self.effects)
    }

    /// Why the scene's files may not go to other machines, if they may not: while all nodes were this machine, nobody
    /// asked.
    pub(super) fn kept_here(&self) -> Result<Option<String>> {
        if !self.here {
            return Ok(None);
        }
        let roots = Roots::of(self.inputs.blend(), &self.request.roots)?;
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

    /// Where the scenes do not ask for the GPU, nodes that follow them render on the processor.
    pub(super) fn settle_devices(&self, slots: &mut [SlotState]) {
        let asks = self.facts[..self.asked()].iter().any(|f| f.gpu);
        if !self.facts.is_empty() && !asks {
            for state in slots.iter_mut().filter(|s| s.device == Device::Scene) {
                state.device = Device::Cpu;
            }
        }
    }

    /// Whether the frame is rendered in one piece.
    pub(super) fn is_whole(&self) -> bool {
        self.tiling == Tiling::Count(1)
    }

    /// How many of the scenes looked at are those asked for; they come first.
    pub(super) fn asked(&self) -> usize {
        self.request.scenes.len().max(1).min(self.facts.len())
    }

    fn take(&mut self, now: f64, slots: &mut [SlotState], slot: usize, event: Event) -> Result<()> {
        let answer = matches!(event, Event::Opened(..) | Event::Surveyed(_) | Event::Inspected(_));
        let opened = matches!(event, Event::Opened(..));
        if answer && slots[slot].is_stalled() && !self.back_from_stall(now, slots, slot, opened) {
            return Ok(());
        }
        self.heard(now, slot);
        match event {
            Event::Queued(words) => {
                // Planning does not wait for slots in a queue; they join when their turn comes.
                if slots[slot].is_booting() {
                    slots[slot].stage = Stage::Booting { queued: true };
                    self.tell(events::Event::Queued { slot, node: slots[slot].name.clone(), words });
                }
                Ok(())
            }
            Event::Booted(hello, seconds) => self.booted(now, slots, slot, hello, seconds),
            Event::Opened(seconds, opened) => self.opened(now, slots, slot, seconds, opened),
            Event::Surveyed(survey) => self.surveyed(now, slots, slot, survey),
            Event::Inspected(facts) => self.inspected(slots, slot, facts),
            Event::Decided => {
                self.begin_set_up(slots, slot);
                self.advance(now, slots);
                Ok(())
            }
            Event::Refused(error) if error.kind() == Kind::Input && self.progress == Progress::Unknown => {
                Err(error)
            }
            Event::Refused(error) => self.give_up(now, slots, slot, &error),
            Event::Lost(error) => self.lost(now, slots, slot, &error),
        }
    }

    fn tell(&mut self, event: events::Event) {
        self.effects.push(Effect::Tell(event));
    }

    fn warn(&mut self, text: String) {
        self.tell(events::Event::Warning { text });
    }

    fn booted(
        &mut self,
        now: f64,
        slots: &mut [SlotState],
        slot: usize,
        hello: Hello,
        seconds: f64,
    ) -> Result<()> {
        let (version, hash) = (printable(&hello.version, 60), printable(&hello.hash, 60));
        self.tell(events::Event::Connected {
            slot,
            node: slots[slot].name.clone(),
            blender: version.clone(),
            hash: hash.clone(),
            cores: hello.cores,
            seconds,
        });
        let state = &mut slots[slot];
        // How long a queue was says nothing about the next start.
        state.start_s = if state.stage == (Stage::Booting { queued: true }) { 0.0 } else { seconds };
        let ignored = hello.environment.ignored_ocio.clone();
        state.hello = Some(hello);
        state.stage = Stage::Waiting;
        if let Some(error) = self.too_old(&slots[slot]) {
            return self.give_up(now, slots, slot, &error);
        }
        let mine = (version, hash);
        match self.blender.clone() {
            None => self.blender = Some(mine),
            Some(first) if first != mine && !self.request.mixed_versions => {
                if !self.choose_version(now, slots, slot, &first, mine)? {
                    return Ok(());
                }
            }
            Some(_) => {}
        }
        if let Some(error) = self.other_environment(slots, slot) {
            return self.odd_one_out(slots, slot, error);
        }
        if !ignored.is_empty() {
            let node = &slots[slot].name;
            self.warn(format!(
                "OCIO is set on {node} ({ignored}) and does not count there: the colours are those of this machine. env=OCIO:PATH chooses others."
            ));
        }
        self.advance(now, slots);
        Ok(())
    }

    /// A slot whose tiles would not fit: refused before anything renders, done without afterwards.
    fn odd_one_out(&mut self, slots: &mut [SlotState], slot: usize, error: Error) -> Result<()> {
        if !slots[slot].late && self.progress < Progress::Rendering {
            return Err(error);
        }
        slots[slot].trouble = Some(error.clone());
        self.effects.push(Effect::Schedule(Input::Lost(slot, error.fatal())));
        Ok(())
    }

    /// What keeps the slot's tiles from fitting to those of the others, beside its Blender's version.
    fn other_environment(&self, slots: &[SlotState], slot: usize) -> Option<Error> {
        let mine = &slots[slot].hello.as_ref()?.environment;
        let others = slots.iter().enumerate().filter(|(at, s)| *at != slot && !s.is_off());
        let mut others = others.filter_map(|(at, s)| Some((at, &s.hello.as_ref()?.environment)));
        others.find_map(|(at, theirs)| self.differing(&slots[at], theirs, &slots[slot], mine))
    }

    /// Why tiles of two slots would not fit, whose Blenders are in these environments.
    fn differing(
        &self,
        one: &SlotState,
        theirs: &Environment,
        other: &SlotState,
        mine: &Environment,
    ) -> Option<Error> {
        let mixed = self.request.mixed_versions;
        // Blenders of several versions bring colours and scripts of their own: that was accepted.
        if mixed && one.blender() != other.blender() {
            return None;
        }
        // What a wish comes to is not known before a scene is open.
        let may_be_cpu = |device| matches!(device, Device::Cpu | Device::Scene | Device::Auto);
        let cpu = may_be_cpu(one.device) && may_be_cpu(other.device) && !mixed;
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

    /// Another Blender than that of the job is there. Until the job has begun the newest one wins. Says whether this slot
    /// goes on.
    fn choose_version(
        &mut self,
        now: f64,
        slots: &mut [SlotState],
        slot: usize,
        first: &(String, String),
        mine: (String, String),
    ) -> Result<bool> {
        let number = |blender: &(String, String)| Version::of_blender(&blender.0);
        let begun = self.progress > Progress::Unknown;
        let error = other_version(slots, slot, first, &mine);
        if begun || number(&mine) < number(first) {
            return self.give_up(now, slots, slot, &error).map(|()| false);
        }
        if number(&mine) == number(first) {
            // Neither is the newer one.
            return self.odd_one_out(slots, slot, error).map(|()| false);
        }
        self.blender = Some(mine);
        self.start_over();
        for other in 0..slots.len() {
            let has = slots[other].blender() == Some((first.0.as_str(), first.1.as_str()));
            if other != slot && !slots[other].is_off() && has {
                self.give_up(now, slots, other, &error)?;
            }
        }
        Ok(true)
    }

    /// Why the Blender of this slot cannot take part: what it is to open was saved by a newer one.
    fn too_old(&self, state: &SlotState) -> Option<Error> {
        let (saved, file) = self.saved.as_ref()?;
        let (version, _) = state.blender()?;
        Version::of_blender(version).filter(|mine| mine < saved)?;
        Some(
            Error::input(format!(
                "{} was saved by Blender {saved}, and node {} has Blender {version}, which may lose or crash on what is new in the file",
                file.file_name().unwrap_or_default().to_string_lossy(),
                state.name
            ))
            .remedy(format!("Give the node Blender {saved} or newer, or save the file with the Blender that it has.")),
        )
    }

    /// A library is newer than the .blend: leaves out every Blender that is older. Says whether this slot is.
    fn leave_out_the_old(&mut self, now: f64, slots: &mut [SlotState], slot: usize) -> Result<bool> {
        let newest = self.inputs.blends().filter_map(|path| Some((Version::of_file(path)?, path)));
        self.saved = newest.max_by_key(|found| found.0).map(|(version, path)| (version, path.to_owned()));
        for other in 0..slots.len() {
            let error = self.too_old(&slots[other]).filter(|_| !slots[other].is_off());
            if let Some(error) = error {
                self.give_up(now, slots, other, &error)?;
            }
        }
        Ok(slots[slot].is_off())
    }

    /// Moves every waiting slot on as far as it can go.
    fn advance(&mut self, now: f64, slots: &mut [SlotState]) {
        for slot in 0..slots.len() {
            if slots[slot].stage != Stage::Waiting {
                continue;
            }
            let node = slots[slot].node;
            let receiving =
                slots.iter().any(|s| s.node == node && s.stage == (Stage::Opening { stalled: false }));
            let open =
                if self.settled { !receiving && !self.canvases.is_empty() } else { self.inspector.is_none() };
            if open {
                if !self.settled {
                    self.inspector = Some(slot);
                    self.heard = now;
                }
                self.open(slots, slot);
            }
        }
    }

    fn open(&mut self, slots: &mut [SlotState], slot: usize) {
        slots[slot].stage = Stage::Opening { stalled: false };
        self.effects.push(Effect::Send(slot, Order::Open(Arc::clone(&self.inputs), self.request.scripts)));
    }

    fn opened(
        &mut self,
        now: f64,
        slots: &mut [SlotState],
        slot: usize,
        seconds: f64,
        opened: Opened,
    ) -> Result<()> {
        slots[slot].open_s = seconds;
        self.tell(events::Event::Opened { slot, seconds });
        if !self.opened_in(slots, slot, opened)? {
            return Ok(());
        }
        if !self.settled {
            slots[slot].stage = Stage::Inspecting { stalled: false };
            let order = FilesOrder {
                scenes: self.request.scenes.clone(),
                frames: match &self.request.frames {
                    Frames::These(frames) => json!(frames),
                    Frames::All => Value::Null,
                    Frames::Part { first, last, step } => json!({"first": first, "last": last, "step": step}),
                    Frames::Current => json!("current"),
                },
                inputs: Arc::clone(&self.inputs),
                roots: self.roots.clone(),
            };
            self.effects.push(Effect::Send(slot, Order::Files(Box::new(order))));
            return Ok(());
        }
        if self.canvases.is_empty() {
            self.inspect(slots, slot);
            return Ok(());
        }
        self.begin_set_up(slots, slot);
        self.advance(now, slots);
        Ok(())
    }

    /// With the scene open the slot's Blender may use other colours than before, those of a project: what the slot that
    /// looked at the scene had is what all must have. Says whether the slot goes on.
    fn opened_in(&mut self, slots: &mut [SlotState], slot: usize, opened: Opened) -> Result<bool> {
        let environment = slots[slot].hello.as_ref().map(|h| h.environment.with_scene(&opened.environment));
        let Some(environment) = environment else { return Ok(true) };
        let looks = !self.settled || self.scene_environment.is_none();
        let Some((first, theirs)) = self.scene_environment.as_ref().filter(|_| !looks) else {
            self.scene_environment = Some((slot, environment));
            self.lacked = opened.lacked;
            return Ok(true);
        };
        match self.differing(&slots[*first], theirs, &slots[slot], &environment) {
            Some(error) => self.odd_one_out(slots, slot, error).map(|()| false),
            None => Ok(true),
        }
    }

    /// More of the scene's files are known. A library says what it refers to only where it is there itself, so the
    /// inspector receives what is new and looks again, until nothing is.
    fn surveyed(&mut self, now: f64, slots: &mut [SlotState], slot: usize, survey: Survey) -> Result<()> {
        let blend = self.inputs.blend().to_owned();
        if survey.grew {
            self.inputs = Arc::new(survey.inputs);
            self.surveys += 1;
            if self.surveys > SURVEYS {
                return Err(Error::input(format!(
                    "the libraries of the scene lead further after {SURVEYS} steps"
                ))
                .remedy("Look for libraries that link one another in a circle under changing paths."));
            }
            // What made the inspector's Blender too old leaves it out; another one looks then.
            if !self.leave_out_the_old(now, slots, slot)? {
                self.open(slots, slot);
            }
            return Ok(());
        }
        if !survey.missing.is_empty() && !self.request.allow_missing {
            return Err(sync::complaint(&survey.missing, &blend));
        }
        for text in survey.notes.into_iter().chain(sync::warnings(&survey.missing, &blend)) {
            self.warn(text);
        }
        for text in std::mem::take(&mut self.lacked) {
            let text = printable(&text, 300);
            self.warn(format!("The colour configuration lacks something that the scene wants. {text}"));
        }
        self.settled = true;
        self.inspect(slots, slot);
        Ok(())
    }

    /// Looks at the next scene, or, where all are known, has it decided how they are rendered.
    fn inspect(&mut self, slots: &mut [SlotState], slot: usize) {
        let known = self.facts.len();
        let scene = if known < self.request.scenes.len().max(1) {
            self.request.scenes.get(known).cloned()
        } else {
            let read = self.facts.iter().flat_map(|f| &f.needs.pictures).map(|p| &p.scene);
            let next = read.into_iter().find(|name| !self.facts.iter().any(|f| f.scene == **name));
            match next.cloned() {
                Some(name) => Some(name),
                None => return self.effects.push(Effect::Decide(slot)),
            }
        };
        slots[slot].stage = Stage::Inspecting { stalled: false };
        let request = self.request;
        let main = known < request.scenes.len().max(1);
        // What a scene needs hangs on how it is rendered.
        let order = Order::Look(json!({
            "scene": scene,
            "frame": request.frames.first(),
            "samples": request.samples,
            "resolution": request.resolution.filter(|_| main),
            "percentage": request.percentage.filter(|_| main),
            "passes": request.passes,
        }));
        self.effects.push(Effect::Send(slot, order));
    }

    fn inspected(&mut self, slots: &mut [SlotState], slot: usize, mut facts: Facts) -> Result<()> {
        if self.facts.len() > SCENES + self.request.scenes.len() || facts.needs.pictures.len() > SCENES {
            return Err(Error::input(format!("the compositor reads more than {SCENES} scenes")).remedy(
                "Have it read fewer, or render with --tile-format png, which leaves the compositor out.",
            ));
        }
        let mut seen = HashSet::new();
        facts.needs.pictures.retain(|p| seen.insert(p.scene.clone()));
        self.facts.push(facts);
        self.inspect(slots, slot);
        Ok(())
    }

    fn begin_set_up(&mut self, slots: &mut [SlotState], slot: usize) {
        if !self.canvases.is_empty() {
            slots[slot].stage = Stage::SettingUp;
            self.effects.push(Effect::SetUp(slot));
        }
    }

    /// One that had fallen silent answers. If nobody else has the scene open by now it is the inspector again; otherwise it
    /// does what all the others do. Says whether the answer is still wanted.
    fn back_from_stall(&mut self, now: f64, slots: &mut [SlotState], slot: usize, opened: bool) -> bool {
        slots[slot].stall(false);
        let other = self.inspector.filter(|other| *other != slot);
        let no_further = other.is_none_or(|other| slots[other].is_opening());
        if opened && !self.settled && self.surveys == 0 && no_further {
            if let Some(other) = other {
                slots[other].stall(true);
            }
            self.inspector = Some(slot);
            self.heard = now;
            return true;
        }
        // It has all that there is, and the others are past looking.
        if opened && self.surveys == 0 && !self.canvases.is_empty() {
            return true;
        }
        slots[slot].stage = Stage::Waiting;
        self.advance(now, slots);
        false
    }

    /// The inspector is gone: another one looks.
    fn inspect_again(&mut self, now: f64, slots: &mut [SlotState], slot: usize) {
        if self.inspector == Some(slot) && self.canvases.is_empty() {
            self.inspector = None;
            self.settled = false;
            self.facts.clear();
        }
        self.advance(now, slots);
    }

    /// Everything that was found out about the scene was found out by a Blender that takes no part.
    fn start_over(&mut self) {
        self.inspector = None;
        self.settled = false;
        self.facts.clear();
        self.canvases.clear();
        self.shots.clear();
        self.tiling = self.request.tiling;
        self.overlap = Overlap(0);
        self.scene_environment = None;
        self.lacked.clear();
    }

    /// A slot takes no further part.
    fn give_up(&mut self, now: f64, slots: &mut [SlotState], slot: usize, error: &Error) -> Result<()> {
        slots[slot].trouble = Some(error.clone());
        if !slots[slot].is_off() {
            let told = (0..slots.len()).any(|s| s != slot && !slots[s].is_off());
            slots[slot].stage = Stage::Off;
            self.effects.push(Effect::GiveUp { slot, error: error.clone(), told });
        }
        self.inspect_again(now, slots, slot);
        anyone_left(slots)
    }

    /// A slot is lost before there is a plan: it is tried again, or given up.
    fn lost(&mut self, now: f64, slots: &mut [SlotState], slot: usize, error: &Error) -> Result<()> {
        slots[slot].losses += 1;
        if !error.is_retryable() {
            return self.give_up(now, slots, slot, error);
        }
        if !slots.iter().any(|s| !s.is_off() && !s.is_away()) {
            return self.give_up_on_all(now, slots, slot);
        }
        let state = &slots[slot];
        let pause = if state.is_away() { AWAY_S } else { f64::from(1 << state.losses.min(6)) / 2.0 };
        let node = state.name.clone();
        let (reason, remedy) = (error.to_string(), error.hint().map(str::to_owned));
        self.effects.push(Effect::Send(slot, Order::Boot(Duration::from_secs_f64(pause))));
        self.tell(events::Event::Lost { slot, node, reason, remedy, again_in: pause });
        self.inspect_again(now, slots, slot);
        Ok(())
    }

    /// Nobody was reached and nobody is on the way.
    fn give_up_on_all(&mut self, now: f64, slots: &mut [SlotState], last: usize) -> Result<()> {
        for slot in (0..slots.len()).filter(|s| *s != last) {
            if let (true, Some(error)) = (slots[slot].is_away(), slots[slot].trouble.clone()) {
                self.give_up(now, slots, slot, &error)?;
            }
        }
        match slots[last].trouble.clone() {
            Some(error) => self.give_up(now, slots, last, &error),
            None => anyone_left(slots),
        }
    }
}

/// Fails when no slot is left, with each one's reason.
fn anyone_left(slots: &[SlotState]) -> Result<()> {
    if slots.iter().any(|s| !s.is_off()) {
        return Ok(());
    }
    let troubles: Vec<&Error> = slots.iter().filter_map(|s| s.trouble.as_ref()).collect();
    match troubles.as_slice() {
        [only] => Err((*only).clone()),
        // The scene, not the nodes, has to be changed, or other nodes named.
        [first, ..] if troubles.iter().all(|t| t.kind() == Kind::Input) => Err((*first).clone()),
        several => {
            let reasons: Vec<String> =
                slots.iter().filter_map(|s| s.trouble.as_ref().map(|t| format!("{}: {t}", s.name))).collect();
            let log = several.iter().find_map(|e| e.process_log()).unwrap_or_default().to_owned();
            Err(Error::render(format!("no node can render; {}", reasons.join("; ")))
                .remedy("Run `tilectl nodes check` to see what each node needs; what is finished is kept.")
                .log(log))
        }
    }
}

fn other_version(
    slots: &[SlotState],
    slot: usize,
    first: &(String, String),
    mine: &(String, String),
) -> Error {
    let other = slots
        .iter()
        .find(|s| s.blender() == Some((first.0.as_str(), first.1.as_str())))
        .map_or("the job", |s| s.name.as_str());
    Error::input(format!(
        "the nodes have different Blenders: {other} has {} ({}), {} has {} ({})",
        first.0, first.1, slots[slot].name, mine.0, mine.1
    ))
    .remedy("Versions render different pixels, and one job has one: install the same one everywhere, or accept seams with --mixed-versions.")
}

#[cfg(test)]
mod tests;
