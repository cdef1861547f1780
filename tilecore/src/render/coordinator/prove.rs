//! Carries out a proof on the job's own slots: what it renders are small versions of some of the job's pictures.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use super::Coordinator;
use super::cases::{Case, cases};
use crate::blender::Picture;
use crate::environment::Environment;
use crate::error::{Error, IoContext, Kind, Result};
use crate::events::Event;
use crate::formats::TileFormat;
use crate::proof::compare::{Written, compare};
use crate::proof::{Cache, Finding, Mode, Verdict};
use crate::render::messages::{FinishOrder, FinishedFile, Order, Report, Tile};
use crate::render::options::Restart;
use crate::render::prover::{Effect, Event as Happened, Idle, Prover, Settled, Task};
use crate::render::slots::Output;
use crate::render::stitching::{Sheets, moved};
use crate::render::validate;
use crate::render::work::grown_within;
use crate::render::work::{self, Work};
use crate::schedule::Input;
use crate::state::{Record, now};
use crate::stitch::Part;
use crate::sync::{Hashes, InputPath, Stamp};

/// How long a task is believed to take, seconds.
pub(super) const TASK_S: f64 = 1.0;
/// Part of the job's time that a proof may take where nobody asked for one.
const SHARE: f64 = 0.03;
/// Seconds that a proof takes besides opening and building the scene.
const BESIDES_S: f64 = 1.5;

/// The proof of a job, as far as it is.
#[derive(Default)]
pub(super) struct Proving {
    prover: Option<Prover>,
    pub(super) cases: Vec<Case>,
    began: f64,
    pub(super) threads: Vec<JoinHandle<()>>,
    /// What came of it.
    pub(super) verdict: Option<Verdict>,
    /// Whether nothing is to be waited for: it holds, was not asked for, or could not be made.
    pub(super) done: bool,
    /// Slots that came later and render a small frame before they take part.
    probation: BTreeSet<usize>,
    pub(super) references: usize,
    /// What besides the scene's files decides what this machine's Blender makes.
    pub(super) environment: Option<Environment>,
    key: Option<String>,
}

impl Proving {
    /// Waits until nothing of it runs any more.
    pub(super) fn settle(&mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    fn has(&self, slot: usize) -> bool {
        self.probation.contains(&slot) || self.prover.as_ref().is_some_and(|p| p.has(slot))
    }
}

impl Coordinator<'_, '_> {
    /// Whether a slot is busy with the proof.
    pub(super) fn is_proving(&self, slot: usize) -> bool {
        self.proving.has(slot)
    }

    /// Whether pictures may be written: tiles are proved, or nobody wants to know.
    pub(super) fn is_proved(&self) -> bool {
        self.proving.done || (self.proving.prover.is_none() && self.options.proof != Mode::Always)
    }

    /// Begins the proof where it is wanted at once: asked for, or something about scene or Blender is not known.
    pub(super) fn begin_proof(&mut self) -> Result<()> {
        let unknown = self.setup.blender.as_ref().is_some_and(|b| crate::proof::is_untested(&b.0));
        let wanted = match self.options.proof {
            Mode::Never => false,
            Mode::Always => true,
            Mode::Auto => unknown,
        };
        if !self.can_be_proved() {
            self.proving.done = true;
            return Ok(());
        }
        if wanted { self.prove() } else { Ok(()) }
    }

    /// Begins the proof where it has turned out to cost next to nothing beside the job.
    pub(super) fn consider_proof(&mut self) -> Result<()> {
        let idle = self.proving.prover.is_none() && !self.proving.done;
        if !idle || self.options.proof != Mode::Auto || self.draining() {
            return Ok(());
        }
        let Some(left) = self.scheduler.as_ref().and_then(|d| d.eta(self.clock())) else { return Ok(()) };
        let ready = |s: &&crate::render::slots::SlotState| s.is_ready();
        let slowest = |of: fn(&crate::render::slots::SlotState) -> f64| {
            self.slots.iter().filter(ready).map(of).fold(0.0, f64::max)
        };
        let cost = slowest(|s| s.start_s) + slowest(|s| s.open_s) + 2.0 * slowest(|s| s.build_s) + BESIDES_S;
        if cost <= SHARE * (self.clock() + left) { self.prove() } else { Ok(()) }
    }

    /// Whether there is something to prove.
    fn can_be_proved(&self) -> bool {
        let cut = self.work.as_ref().is_some_and(|w| w.only.is_none() && !w.shots.is_empty());
        cut && self.request.native.is_none()
    }

    fn prove(&mut self) -> Result<()> {
        let Some(work) = self.work.as_ref() else { return Ok(()) };
        let cases = match cases(self.request, &self.setup.facts, work) {
            Ok(cases) => cases,
            Err(error) => return self.not_proved(&error),
        };
        self.proving.key = Some(self.proof_key(work, &cases));
        if let Some(verdict) = self.remembered_proof() {
            return self.proved(verdict);
        }
        let folder = self.proof_folder();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let weaker = self.reference_blender().err();
        let tiles: Vec<usize> = cases.iter().map(|c| c.pieces.len()).collect();
        let mut prover = Prover::new(&tiles, weaker);
        let effects = prover.begin();
        self.proving.began = self.clock();
        self.proving.cases = cases;
        self.proving.prover = Some(prover);
        self.emit(Event::Proving { pictures: tiles.len(), tiles: tiles.iter().sum() });
        self.carry(effects)?;
        self.hand_out_proof()
    }

    pub(super) fn proof_folder(&self) -> PathBuf {
        self.work.as_ref().map(|w| w.dir.layout().proof()).unwrap_or_default()
    }

    /// What a proof is kept under: everything that decides whether it holds, but samples, seed and size.
    fn proof_key(&self, work: &Work, cases: &[Case]) -> String {
        let identity = &work.identity;
        let mut parts: Vec<String> =
            identity.files.iter().map(|f| format!("{} {}", f.path, f.sha256)).collect();
        parts.push(format!("{} {}", identity.blender, identity.hash));
        parts.push(format!(
            "{:?} {:?} {:?} {} {} {} {} {}",
            self.request.tile_format,
            self.request.overlap,
            self.options.format,
            self.request.scripts,
            self.request.force_tiles,
            self.request.passes,
            self.request.allow_missing,
            self.request.persistent
        ));
        for case in cases {
            parts.push(format!(
                "{:?} {:?} {} {:?} {:?}",
                case.picture.scene, case.picture.camera, case.picture.frame, case.format, case.written_as
            ));
        }
        let nodes: BTreeSet<String> = self
            .slots
            .iter()
            .filter(|s| !s.is_off() && s.hello.is_some())
            .map(|s| {
                let hello = s.hello.as_ref().map(|h| (&h.version, &h.hash, &h.environment));
                format!("{} {:?} {hello:?}", self.slots.nodes()[s.node].name(), s.device)
            })
            .collect();
        parts.extend(nodes);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        Cache::key(&parts)
    }

    fn remembered_proof(&self) -> Option<Verdict> {
        if self.options.prove_only {
            return None;
        }
        Cache::load(self.options.proofs.as_ref()?).get(self.proving.key.as_ref()?)
    }

    /// Offers the proof every slot that has nothing to do.
    pub(super) fn hand_out_proof(&mut self) -> Result<()> {
        if self.proving.done || self.proving.prover.is_none() {
            return Ok(());
        }
        let idle: Vec<Idle> = (0..self.slots.len())
            .filter(|s| {
                let state = &self.slots[*s];
                state.is_free() && !self.is_finishing(*s) && !self.is_proving(*s)
            })
            .map(|slot| Idle { slot, node: self.slots[slot].node })
            .collect();
        let expected = self.expected_nodes();
        let effects = self.proving.prover.as_mut().map(|p| p.offer(&idle, &expected)).unwrap_or_default();
        self.carry(effects)
    }

    /// Nodes that render, or will soon.
    fn expected_nodes(&self) -> BTreeSet<usize> {
        self.slots.iter().filter(|s| s.is_ready() && !s.held).map(|s| s.node).collect()
    }

    fn carry(&mut self, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Send(slot, task) => self.send_on(slot, &task)?,
                Effect::Reference => self.begin_reference()?,
                Effect::Stitch(case) => self.stitch_proof(case)?,
            }
        }
        Ok(())
    }

    fn send_on(&mut self, slot: usize, task: &Task) -> Result<()> {
        self.feed(Input::Lent(slot, TASK_S))?;
        let order = match task {
            Task::Tiles(case, tiles) => {
                let tiles = tiles.iter().filter_map(|at| self.proof_tile(*case, *at, slot)).collect();
                self.slots[slot].output = self.slots[slot].output.max(Output::Begun);
                Order::Prove(tiles)
            }
            Task::Finish(case) => match self.finish_of(*case, slot, false) {
                Some(order) => Order::Finish(Box::new(order)),
                None => return Ok(()),
            },
            Task::Whole(case) => match self.finish_of(*case, slot, true) {
                Some(order) => Order::Finish(Box::new(order)),
                None => return Ok(()),
            },
        };
        self.slots[slot].memory.picture = None;
        self.slots[slot].order(order);
        Ok(())
    }

    fn proof_tile(&self, case: usize, at: usize, slot: usize) -> Option<Tile> {
        let (work, folder) = (self.work.as_ref()?, self.proof_folder());
        let this = self.proving.cases.get(case)?;
        let piece = *this.pieces.get(at)?;
        let canvas = this.canvases.get(piece.picture as usize)?;
        let state = &self.slots[slot];
        let name = format!("proof{case}-{}", work::name_of(piece.picture, piece.region));
        Some(Tile {
            piece,
            rendered: grown_within(piece.region, work.overlap, canvas.region),
            frame: canvas.frame,
            into: folder.join(format!("{name}.{}", this.format.extension())),
            name,
            picture: Picture { device: state.device, threads: state.threads, ..canvas.picture.clone() },
        })
    }

    /// The order to finish a case's stitched tiles, or to render it whole.
    fn finish_of(&self, case: usize, slot: usize, whole: bool) -> Option<FinishOrder> {
        let this = self.proving.cases.get(case)?;
        let state = &self.slots[slot];
        let here = |p: &Picture| Picture { device: state.device, threads: state.threads, ..p.clone() };
        let folder = self.proof_folder();
        let stitched = this.canvases.iter().enumerate().map(|(at, canvas)| {
            (canvas.picture.scene.clone().unwrap_or_default(), stitched(&folder, case, at))
        });
        let main = &this.picture;
        Some(FinishOrder {
            picture: here(main),
            sources: this.canvases.iter().map(|c| &c.picture).filter(|p| *p != main).map(here).collect(),
            stitched: if whole { Vec::new() } else { stitched.collect() },
            format: this.written_as.clone(),
            most: validate::most(TileFormat::Exr, this.canvases.first()?.frame.area()),
            into: folder.join(format!("{}-{case}-{slot}", if whole { "whole" } else { "candidate" })),
            native: whole.then(|| this.scenes.clone()),
            repeatable: true,
        })
    }

    fn stitch_proof(&mut self, case: usize) -> Result<()> {
        let Some(this) = self.proving.cases.get(case) else { return Ok(()) };
        let folder = self.proof_folder();
        let mut pictures = Vec::new();
        for (at, canvas) in this.canvases.iter().enumerate() {
            let tiles = (0..this.pieces.len()).filter(|p| this.pieces[*p].picture as usize == at);
            let parts = tiles.filter_map(|p| self.proof_tile(case, p, 0)).map(|tile| Part {
                path: tile.into,
                region: tile.piece.region,
                rendered: tile.rendered,
            });
            let target = match this.format {
                TileFormat::Png => folder.join(format!("candidate-{case}.png")),
                TileFormat::Exr => stitched(&folder, case, at),
            };
            pictures.push((moved(parts.collect(), canvas.region), canvas.region.size(), target));
        }
        let done = (this.format == TileFormat::Png).then(|| Written {
            name: Written::picture(""),
            path: folder.join(format!("candidate-{case}.png")),
        });
        let sheets =
            Sheets { format: this.format, pictures, compression: crate::stitch::Compression::default() };
        let reporting = self.reporting.clone();
        let thread = std::thread::Builder::new()
            .name("stitch proof".into())
            .spawn(move || {
                let outcome = sheets.stitch().map(|_| done);
                let _ = reporting.send((usize::MAX, Report::ProofStitched(case, outcome)));
            })
            .map_err(|e| Error::render(format!("cannot start a thread: {e}")))?;
        self.proving.threads.push(thread);
        Ok(())
    }

    /// What a slot says about the proof; gives back what is not about it.
    pub(super) fn hear_proof(&mut self, slot: usize, report: Report) -> Result<Option<Report>> {
        let happened = match report {
            Report::ProofStitched(case, outcome) => Happened::Stitched(case, outcome),
            Report::Referenced(outcome) => Happened::Referenced(outcome.map(|rendered| {
                self.proving.environment = Some(rendered.environment);
                rendered.pictures
            })),
            report if !self.is_proving(slot) => return Ok(Some(report)),
            Report::Proved => Happened::Tiles(slot),
            Report::Finished(files) if self.proving.probation.remove(&slot) => {
                self.end_of_probation(slot, &files)?;
                return Ok(None);
            }
            Report::Refused(_) if self.proving.probation.remove(&slot) => {
                self.ready(slot)?;
                return Ok(None);
            }
            Report::Finished(files) => Happened::Files(slot, files.into_iter().map(written).collect()),
            Report::Refused(error) => Happened::Failed(slot, error),
            other => return Ok(Some(other)),
        };
        let back = match &happened {
            Happened::Tiles(slot) | Happened::Files(slot, _) | Happened::Failed(slot, _) => Some(*slot),
            _ => None,
        };
        self.proof_heard(happened)?;
        if let Some(slot) = back.filter(|s| !self.is_proving(*s)) {
            self.feed(Input::Returned(slot))?;
            self.hand_out_finishes()?;
        }
        Ok(None)
    }

    /// A slot is gone, and known to be: what it was to do for the proof is another's, or its own when it is back.
    pub(super) fn proof_lost(&mut self, slot: usize) -> Result<()> {
        if self.proving.probation.remove(&slot) || !self.is_proving(slot) {
            return Ok(());
        }
        self.proof_heard(Happened::Lost(slot))
    }

    fn proof_heard(&mut self, happened: Happened) -> Result<()> {
        let expected = self.expected_nodes();
        let Some(prover) = self.proving.prover.as_mut() else { return Ok(()) };
        let effects = prover.on(happened, &expected);
        self.carry(effects)?;
        self.hand_out_proof()?;
        if self.proving.done {
            return Ok(());
        }
        match self.proving.prover.as_ref().and_then(|p| p.settled().cloned()) {
            None => Ok(()),
            Some(Ok(settled)) => {
                let verdict = self.verdict(settled);
                self.proved(verdict)
            }
            Some(Err(error)) => self.not_proved(&error),
        }
    }

    fn verdict(&self, settled: Settled) -> Verdict {
        let name =
            |node: usize| self.slots.nodes().get(node).map_or_else(String::new, |n| n.name().to_owned());
        let blender = self.setup.blender.clone().unwrap_or_default().0;
        let mut verdict = settled.verdict(&name, blender, self.clock() - self.proving.began);
        if verdict.finding == Finding::Foreign
            && let Some(difference) = self.unlike_here()
        {
            let why = format!(
                "this machine's Blender and the nodes have different {}: here {}, there {}",
                difference.words(),
                difference.mine,
                difference.others
            );
            verdict.differs =
                Some(verdict.differs.map_or(why.clone(), |differs| format!("{differs}; {why}")));
        }
        verdict
    }

    /// The proof is made, one way or the other.
    fn proved(&mut self, verdict: Verdict) -> Result<()> {
        self.proving.done = true;
        if !verdict.holds()
            && let Some(file) = self.changed_input()
        {
            let changed = format!("{} changed while the scene was proved", crate::sync::shown(&file));
            return Err(Error::input(changed).remedy("Render again once nothing writes to it any more."));
        }
        self.proving.verdict = Some(verdict.clone());
        if let Some(work) = self.work.as_mut() {
            work.dir.append(&Record::Proof { verdict: verdict.clone(), at: now() })?;
        }
        self.emit(Event::Proof { verdict: verdict.clone(), sentence: verdict.sentence() });
        if verdict.holds() {
            self.keep_proof(&verdict);
            return self.close_all();
        }
        if self.options.prove_only {
            return Ok(());
        }
        let sentence = verdict.sentence();
        let trimmed = sentence.trim_end_matches('.').to_owned();
        if self.request.force_tiles {
            let text = format!("{sentence} --force-tiles goes ahead all the same.");
            self.emit(Event::Warning { text });
            return self.close_all();
        }
        self.restart = match &verdict.finding {
            Finding::Cut => Some(Restart::Whole(trimmed.clone())),
            Finding::Nodes(names) => Some(Restart::Without(names.clone())),
            _ => None,
        };
        Err(Error::input(trimmed).remedy(verdict.remedy()))
    }

    /// The proof could not be made.
    fn not_proved(&mut self, error: &Error) -> Result<()> {
        self.proving.done = true;
        if error.kind() == Kind::Interrupted {
            return Err(error.clone());
        }
        if self.options.prove_only || self.options.proof == Mode::Always {
            return Err(error.clone().within("the proof could not be made"));
        }
        let untested = self.setup.blender.as_ref().is_some_and(|b| crate::proof::is_untested(&b.0));
        if untested && !self.request.force_tiles {
            let why = format!(
                "this Blender is newer than the tested ones, and the proof could not be made: {error}"
            );
            self.restart = Some(Restart::Whole(why.clone()));
            return Err(Error::input(why).remedy("--force-tiles cuts the frame all the same."));
        }
        self.emit(Event::Warning { text: format!("Not proved on this scene: {error}.") });
        self.close_all()
    }

    /// A file of the scene that is another one by now than what the nodes have.
    fn changed_input(&self) -> Option<PathBuf> {
        let mut hashes = Hashes::open();
        let changed = |file: &&InputPath| {
            Stamp::of(&file.path).ok() != Some(file.stamp)
                && InputPath::hashed(&file.path, &mut hashes).ok().is_none_or(|now| now.sha256 != file.sha256)
        };
        self.setup.inputs.files.iter().find(changed).map(|file| file.path.clone())
    }

    fn keep_proof(&self, verdict: &Verdict) {
        let (Some(path), Some(key)) = (&self.options.proofs, &self.proving.key) else { return };
        if verdict.remembered {
            return;
        }
        let mut cache = Cache::load(path);
        cache.put(key.clone(), verdict.clone(), now());
        if let Err(e) = cache.store() {
            tracing::debug!("the proof is not kept: {e}");
        }
    }

    /// Pictures that waited for the proof are written now.
    fn close_all(&mut self) -> Result<()> {
        let several = self.work.as_ref().map_or(0, |w| w.shots.len());
        if several > 1 {
            for shot in 0..several {
                self.close(shot)?;
            }
        }
        Ok(())
    }

    /// A slot of a node that came later renders a small frame first, where there is something to compare it with. Says
    /// whether it does.
    pub(super) fn on_probation(&mut self, slot: usize) -> bool {
        let node = self.slots[slot].node;
        let holds = self.proving.verdict.as_ref().is_some_and(Verdict::holds);
        let known = self.proving.prover.as_ref().and_then(|p| p.settled()?.as_ref().ok());
        let new = known.is_some_and(|s| !s.nodes.contains(&node));
        let reference = self.proving.prover.as_ref().is_some_and(|p| p.reference(0).is_some());
        if !(self.slots[slot].late && holds && new && reference) {
            return false;
        }
        let Some(order) = self.finish_of(0, slot, true) else { return false };
        self.proving.probation.insert(slot);
        self.slots[slot].order(Order::Finish(Box::new(order)));
        true
    }

    fn end_of_probation(&mut self, slot: usize, files: &[FinishedFile]) -> Result<()> {
        let files: Vec<Written> = files.iter().cloned().map(written).collect();
        let reference =
            self.proving.prover.as_ref().and_then(|p| p.reference(0).cloned()).unwrap_or_default();
        let found = compare(&files, &reference)?;
        let repeats = self.proving.verdict.as_ref().is_some_and(|v| v.finding == Finding::Exact);
        if found.is_equal() || !repeats {
            return self.ready(slot);
        }
        let name = self.slots[slot].name.clone();
        let error = Error::node(format!(
            "{name} makes another picture of this scene than the others: {}",
            found.words()
        ))
        .remedy("Look there for another Blender build, colour configuration or add-on.")
        .fatal();
        self.slots[slot].trouble = Some(error.clone());
        self.feed(Input::Lost(slot, error))
    }

    /// Waits until the proof is made.
    pub(super) fn wait_for_proof(&mut self) -> Result<()> {
        while self.proving.prover.is_some() && !self.proving.done {
            self.hand_out_proof()?;
            self.step()?;
        }
        Ok(())
    }
}

/// Where a canvas of a case is stitched to.
fn stitched(folder: &Path, case: usize, canvas: usize) -> PathBuf {
    folder.join(format!("stitched-{case}-{canvas}.exr"))
}

/// A file that a finish made, by what it is.
fn written(file: FinishedFile) -> Written {
    Written { name: file.target.unwrap_or_else(|| Written::picture(&file.suffix)), path: file.path }
}
