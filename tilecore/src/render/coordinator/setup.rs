//! Carries out what [set-up](crate::render::setup) wants, and takes a slot from its settings to ready.

use super::Coordinator;
use crate::blender::{BestDevice, Effective, Picture, TileDone};
use crate::cost::{self, CostMap};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::formats::TileFormat;
use crate::node::Device;
use crate::render::messages::{AdoptOrder, Order, Report};
use crate::render::setup::{Effect, Event as Happened, Setup};
use crate::render::slots::Stage;
use crate::render::work::{self, Work};
use crate::schedule::Input;
use crate::text::printable;

/// Bytes of a tile's file per pixel, for the forecast only.
const PNG_PIXEL: f64 = 3.0;
const EXR_PIXEL: f64 = 12.0;

impl Setup<'_> {
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
}

impl Coordinator<'_, '_> {
    /// What a slot says that renders nothing yet.
    pub(super) fn set_up_report(&mut self, slot: usize, report: Report) -> Result<()> {
        // A slot that was left out may still have been at work.
        if self.slots[slot].is_off() {
            return Ok(());
        }
        // An inspector behind a slow link is no reason to wait long either.
        if !matches!(report, Report::Sending(..)) {
            let now = self.clock();
            self.setup.heard(now, slot);
        }
        match report {
            Report::Queued(words) => self.set_up_on(slot, Happened::Queued(words)),
            Report::Booted(hello, seconds) => self.set_up_on(slot, Happened::Booted(hello, seconds)),
            Report::Sending(sent, of, per_second) => {
                self.emit(Event::Sending { slot, sent, of, per_second });
                Ok(())
            }
            Report::Reading(read, of) => {
                self.emit(Event::Reading { read, of });
                Ok(())
            }
            Report::Opened(seconds, opened) => self.set_up_on(slot, Happened::Opened(seconds, opened)),
            Report::Surveyed(survey) => self.set_up_on(slot, Happened::Surveyed(*survey)),
            Report::Looked(facts) => self.set_up_on(slot, Happened::Inspected(*facts)),
            Report::Device(found) => self.device_found(slot, found),
            Report::SetUp(effective) => self.set_up(slot, &effective),
            Report::Adopted(tiles) => {
                let node = self.slots[slot].name.clone();
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
            Report::Refused(error) if self.is_probing(slot) => self.not_measured(slot, &error),
            Report::Refused(error) => self.set_up_on(slot, Happened::Refused(error)),
            _ => Ok(()),
        }
    }

    /// Tells set-up, and carries out what it wants.
    pub(super) fn set_up_on(&mut self, slot: usize, happened: Happened) -> Result<()> {
        let now = self.clock();
        let effects = self.setup.on(now, &mut self.slots, slot, happened);
        self.carry_set_up(effects)
    }

    /// Time has passed.
    pub(super) fn set_up_tick(&mut self) -> Result<()> {
        let now = self.clock();
        let effects = self.setup.tick(now, &mut self.slots);
        self.carry_set_up(effects)
    }

    fn carry_set_up(&mut self, effects: Vec<Effect>) -> Result<()> {
        for effect in effects {
            match effect {
                Effect::Send(slot, order) => self.slots[slot].order(order),
                Effect::Tell(event) => self.emit(event),
                Effect::Decide(slot) => {
                    self.decide()?;
                    self.set_up_on(slot, Happened::Decided)?;
                }
                Effect::SetUp(slot) => self.send_settings(slot),
                Effect::Schedule(input) => self.feed(input)?,
                Effect::GiveUp { slot, error, told } => {
                    self.feed(Input::Lost(slot, error.clone().fatal()))?;
                    if told {
                        self.tell_retired(slot, error.to_string());
                    }
                }
                Effect::Fail(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send_settings(&mut self, slot: usize) {
        self.setup.settle_devices(&mut self.slots);
        if !self.slots[slot].device.is_kind() {
            self.slots[slot].order(Order::Device);
            return;
        }
        let state = &self.slots[slot];
        let next = self.work.as_ref().and_then(Work::next_canvas).or(self.setup.canvases.first());
        if let Some(canvas) = next {
            let picture = Picture { device: state.device, threads: state.threads, ..canvas.picture.clone() };
            state.order(Order::SetUp(Box::new(picture)));
        }
    }

    /// The slot has answered what it can render on.
    fn device_found(&mut self, slot: usize, found: BestDevice) -> Result<()> {
        let (wish, node) = (self.slots[slot].device, self.slots[slot].name.clone());
        let kind = found.device.and_then(|name| name.parse::<Device>().ok()).filter(|d| d.is_kind());
        let faults = printable(&found.faults.join("; "), 500);
        let faults = if faults.is_empty() { String::new() } else { format!(" ({faults})") };
        if kind.is_none() && wish == Device::Gpu {
            let error = Error::node(format!("node {node} has no graphics card that its Blender can use{faults}"))
                .remedy("Leave device=GPU out, or install the driver that Blender needs; `tilectl nodes check` tries it.")
                .fatal();
            return self.set_up_on(slot, Happened::Refused(error));
        }
        let device = kind.unwrap_or(Device::Cpu);
        let first = self
            .slots
            .iter()
            .enumerate()
            .find(|(at, s)| *at != slot && s.device.is_kind() && !s.is_off() && !s.is_booting());
        if let Some((_, other)) = first.filter(|(_, s)| self.request.same_device && s.device != device) {
            let error = Error::node(format!(
                "it computes on {}, {} on {}, and --same-device keeps to one kind",
                device.as_str(),
                other.name,
                other.device.as_str()
            ));
            return self.set_up_on(slot, Happened::Refused(error.fatal()));
        }
        let told = self.slots.iter().any(|s| s.node == self.slots[slot].node && s.device == device);
        self.slots[slot].device = device;
        if kind.is_none() && !told {
            let asks = if wish == Device::Scene { "The scene asks for the GPU; " } else { "" };
            let text =
                format!("{asks}{node} has no graphics card that works{faults} and renders on the processor.");
            self.emit(Event::Warning { text });
        }
        let names = found.names.iter().take(16).map(|name| printable(name, 80)).collect();
        self.emit(Event::Device { slot, node, device: device.as_str().to_owned(), names });
        if self.work.is_some() {
            self.warn_of_mixed_devices();
        }
        self.send_settings(slot);
        Ok(())
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
        let state = &mut self.slots[slot];
        state.stage = Stage::Measuring { patches: Vec::new() };
        if self.rendered == 0 {
            let tiles = work.dir.layout().tiles();
            state.order(Order::Adopt(Box::new(AdoptOrder {
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
        let now = self.clock();
        self.setup.ready.get_or_insert(now);
        if self.on_probation(slot) {
            return Ok(());
        }
        self.ready(slot)
    }
}
