//! The job is known: what is told about it, its work directory, and what is finished there.

use super::Coordinator;
use crate::blender::Effective;
use crate::environment::JobEnvironment;
use crate::error::Result;
use crate::events::Event;
use crate::geometry::Frame;
use crate::job::{Identity, InputFile, Request, ShotIdentity};
use crate::node::Device;
use crate::render::canvas::Canvas;
use crate::render::finalizer::Finalizer;
use crate::render::setup::{Progress, Setup};
use crate::render::shot::Shot;
use crate::render::work::{self, Work};
use crate::state::{Record, WorkDir, now};

impl Setup<'_> {
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
        for facts in &self.facts[..self.asked()] {
            let Some(shot) = self.shots.iter().find(|s| s.scene == facts.scene) else { continue };
            let Some(canvas) = self.canvases.get(shot.canvases.start as usize) else { continue };
            let first = shot.scene == effective.scene;
            let reasons = facts.needs.reasons.iter();
            told.push(Event::Scene {
                scene: shot.scene.clone(),
                camera: if first { effective.camera.clone() } else { shot.shown.clone() },
                engine: crate::text::printable(&facts.engine, 60),
                size: canvas.frame,
                frame: shot.frame,
                samples: if first { effective.samples } else { request.samples.unwrap_or(facts.samples) },
                tile_format: shot.format.extension(),
                overlap: self.overlap.0,
                reasons: reasons.map(|r| crate::text::printable(&r.text, 300)).collect(),
            });
        }
        told
    }
}

impl Coordinator<'_, '_> {
    /// The size that counts is the one Blender took: it renders no side shorter than 4 pixels before the percentage.
    pub(super) fn measure_canvas(&mut self, effective: &Effective) -> Result<()> {
        let frame = Frame::scaled(effective.resolution.0, effective.resolution.1, effective.percentage)?;
        let Some(first) = self.setup.canvases.first().filter(|c| c.frame != frame) else { return Ok(()) };
        let (asked, picture) = (first.frame, first.picture.clone());
        let same = |c: &Canvas| {
            c.frame == asked
                && (c.picture.resolution, c.picture.percentage) == (picture.resolution, picture.percentage)
        };
        for canvas in self.setup.canvases.iter_mut().filter(|c| same(c)) {
            let facts = self.setup.facts.iter().find(|f| Some(&f.scene) == canvas.picture.scene.as_ref());
            canvas.frame = frame;
            canvas.region = facts.and_then(|f| f.border).map_or(Ok(frame.rect()), |b| b.rect(frame))?;
        }
        self.emit(Event::Warning { text: format!("Blender renders {frame} where {asked} was asked for.") });
        Ok(())
    }

    /// The job is known: its work directory is taken, and what is finished there is taken over.
    pub(super) fn identify(&mut self, effective: &Effective) -> Result<()> {
        let Some((blender, hash)) = self.setup.blender.clone() else { return Ok(()) };
        let Some(canvas) = self.setup.canvases.first() else { return Ok(()) };
        let Some(first) = self.setup.shots.first() else { return Ok(()) };
        let identity = Identity {
            files: self
                .setup
                .inputs
                .files
                .iter()
                .map(|f| InputFile { path: self.setup.inputs.label(f), sha256: f.sha256.clone() })
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
            overlap: self.setup.overlap.0,
            pictures: first.canvases.clone().filter_map(|at| self.setup.scene_of(at)).collect(),
            blender,
            hash,
            scripts: self.request.scripts,
            environment: self.environment(),
            whole: self.setup.canvases.iter().any(|c| c.picture.whole),
            shots: self.setup.identities(),
        };
        let (dir, history) = WorkDir::open(&self.options.work_dir, &identity, self.options.fresh)?;
        let tiles = history.as_ref().map(|h| dir.sound_tiles(h)).unwrap_or_default();
        let _ = self.job.set(work::spool_of(&identity, dir.layout().root()));
        let mut work = Work {
            canvases: self.setup.canvases.clone(),
            overlap: self.setup.overlap,
            shots: self.setup.shots.clone(),
            adopted: tiles.len(),
            put_away: 0,
            identity,
            dir,
            tiles,
            only: self.options.only.clone(),
            preview: None,
        };
        work.recall(history.as_ref(), self.options.skip_existing);
        self.finalizer = Finalizer::new(work.shots.iter().map(|s| s.written));
        work.begin_preview(self.options.preview);
        work.dir.append(&Record::Began {
            by: env!("CARGO_PKG_VERSION").to_owned(),
            at: now() - self.clock(),
            nodes: self.slots.iter().map(|s| s.name.clone()).collect(),
        })?;
        let scenes = self.setup.scenes(self.request, effective);
        let shots = Event::Shots { of: work.shots.len(), done: work.shots_done() };
        let several = work.shots.len() > 1;
        let adopted = Event::Adopted {
            tiles: work.tiles.len(),
            pixels: work.tiles.iter().map(|t| t.region.area()).sum(),
        };
        let any = !work.tiles.is_empty();
        self.work = Some(work);
        self.setup.progress = Progress::Identified;
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

    /// What else decides what the pixels are: the same on all nodes, but for the processors where versions are mixed.
    fn environment(&self) -> Option<JobEnvironment> {
        let (_, environment) = self.setup.scene_environment.as_ref()?;
        let cpus = self.slots.iter().filter(|s| s.device == Device::Cpu && !self.request.mixed_versions);
        let cpu = cpus.filter_map(|s| s.hello.as_ref()).map(|h| h.environment.cpu.clone()).next();
        Some(JobEnvironment {
            colour: environment.colour.clone(),
            shown: environment.shown.clone(),
            startup: environment.startup.clone(),
            variables: environment.variables.clone(),
            cpu: cpu.unwrap_or_default(),
        })
    }

    /// F14: unlike devices are close, not equal.
    pub(super) fn warn_of_mixed_devices(&mut self) {
        let taking_part = self.slots.iter().filter(|s| !s.is_off() && s.device.is_kind());
        let mut kinds: Vec<Device> = taking_part.map(|s| s.device).collect();
        kinds.sort_unstable_by_key(|d| d.as_str());
        kinds.dedup();
        if kinds.len() > 1 && !std::mem::replace(&mut self.setup.mixed_told, true) {
            let names: Vec<_> = kinds.iter().map(|d| d.as_str()).collect();
            self.emit(Event::Warning {
                text: format!(
                    "The nodes compute on unlike devices ({}): tiles can differ at the last bit. --same-device keeps to one kind.",
                    names.join(", ")
                ),
            });
        }
    }
}
