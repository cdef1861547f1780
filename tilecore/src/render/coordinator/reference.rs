//! This machine's own Blender, which renders what a proof's tiles are compared with.

use std::path::PathBuf;

use super::Coordinator;
use super::cases::Case;
use crate::blender::Picture;
use crate::environment::{Difference, Environment};
use crate::error::{Error, IoContext, Result};
use crate::node::{Device, Place};
use crate::proof::reference::{self, Small};
use crate::render::messages::Report;
use crate::render::slots::SlotState;

impl Coordinator<'_, '_> {
    /// This machine's Blender that a reference is rendered with, or why there is none.
    pub(super) fn reference_blender(&self) -> Result<PathBuf, String> {
        let wanted = self.setup.blender.clone().ok_or("no node has said what Blender it has")?;
        if let Some(why) = self.no_room_here() {
            return Err(why);
        }
        // F14: what a GPU makes is not compared with what a processor makes.
        let mut rendering = self.slots.iter().filter(|s| s.is_ready()).peekable();
        let on_gpus = rendering.peek().is_some() && rendering.all(|s| s.device != Device::Cpu);
        if on_gpus && !self.slots.iter().any(|s| !s.is_off() && self.is_here(s)) {
            return Err("the nodes compute on GPUs, and this machine is none of them".into());
        }
        // What a local node was started with is what its worker said of itself.
        let local = self.slots.iter().filter(|s| self.is_here(s)).find_map(|s| {
            let hello = s.hello.as_ref()?;
            let same = (&hello.version, &hello.hash) == (&wanted.0, &wanted.1);
            (same && !hello.program.is_empty()).then(|| PathBuf::from(&hello.program))
        });
        if let Some(blender) = local {
            return Ok(blender);
        }
        let blender = PathBuf::from("blender");
        match reference::version_of(&blender) {
            Some(found) if found == wanted => Ok(blender),
            Some((version, hash)) => Err(format!(
                "this machine's Blender is {version} ({hash}), the nodes have {} ({})",
                wanted.0, wanted.1
            )),
            None => Err("this machine has no Blender".into()),
        }
    }

    /// Whether a slot is on this machine.
    fn is_here(&self, slot: &SlotState) -> bool {
        self.slots.nodes().get(slot.node).is_some_and(|n| n.spec().place == Place::Local)
    }

    /// Why this machine's memory does not take the scene a second time, if it does not.
    fn no_room_here(&self) -> Option<String> {
        let free = available_memory()?;
        // What was free when the Blender here started, less what is now, is what the scene takes.
        let before =
            self.slots.iter().filter(|s| self.is_here(s)).filter_map(|s| s.hello.as_ref()?.memory).max();
        let size = std::fs::metadata(&self.request.blend).map_or(0, |m| m.len());
        let takes = before.map_or(0, |b| b.saturating_sub(free)).max(size.saturating_mul(2));
        (takes.saturating_mul(5) / 4 > free).then(|| {
            format!("the scene takes about {} MB, and this machine has {} MB left", takes >> 20, free >> 20)
        })
    }

    /// Has it render the small pictures, beside everything else.
    pub(super) fn begin_reference(&mut self) -> Result<()> {
        let blender = match self.reference_blender() {
            Ok(blender) => blender,
            Err(why) => {
                let _ = self.reporting.send((usize::MAX, Report::Referenced(Err(Error::render(why)))));
                return Ok(());
            }
        };
        self.proving.references += 1;
        let folder = self.proof_folder().join(format!("reference-{}", self.proving.references));
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        // A slot that never came up does not know its device.
        let local = self.slots.iter().find(|s| self.is_here(s) && s.device.is_kind());
        let (threads, device) = local.map_or((None, Device::Cpu), |s| (s.threads, s.device));
        let small = |case: &Case| Small {
            picture: Picture { threads, device, ..case.picture.clone() },
            scenes: case.scenes.clone(),
            format: case.written_as.clone(),
        };
        let order = reference::Order {
            blender,
            blend: std::path::absolute(&self.request.blend).at("read", &self.request.blend)?,
            scripts: self.request.scripts,
            pictures: self.proving.cases.iter().map(small).collect(),
            folder,
        };
        let (reporting, abort) = (self.reporting.clone(), self.abort.clone());
        let thread = std::thread::Builder::new()
            .name("reference".into())
            .spawn(move || {
                let go_on = || !abort.load(std::sync::atomic::Ordering::Relaxed);
                let _ = reporting.send((usize::MAX, Report::Referenced(reference::render(&order, &go_on))));
            })
            .map_err(|e| Error::render(format!("cannot start a thread: {e}")))?;
        self.proving.threads.push(thread);
        Ok(())
    }

    /// What besides the scene's files differs between this machine's Blender and those of the nodes.
    pub(super) fn unlike_here(&self) -> Option<Difference> {
        let (_, there) = self.setup.scene_environment.as_ref()?;
        let here = self.proving.environment.as_ref()?;
        // What a Blender offers with a default scene is not asked for in the middle of another one.
        let here = Environment { shown: there.shown.clone(), ..here.clone() };
        let cpu = self.slots.iter().any(|s| s.device == Device::Cpu);
        here.difference(there, cpu)
    }
}

/// Memory that programs can have, bytes, where the system says it.
fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
}
