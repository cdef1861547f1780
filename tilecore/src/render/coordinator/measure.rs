//! Measuring the slots: from the cache of earlier runs, or with small renders in the same warm Blender as the tiles.

use super::Coordinator;
use crate::bench::{Cache, Measured};
use crate::blender::Picture;
use crate::cost::CostMap;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::render::messages::Order;
use crate::render::probe::{self, Gauge};
use crate::render::slots::Stage;
use crate::render::work::Work;
use crate::state::now;

/// By how much the first patches of a picture may misjudge it.
const FURTHEST: f64 = 100.0;

impl Coordinator<'_, '_> {
    /// Begins to measure a slot that is set up, where that serves a purpose and is not known already.
    pub(super) fn measure(&mut self, slot: usize) -> Result<()> {
        let several = self.slots.taking_part() > 1;
        let left = self.work.as_ref().is_some_and(|w| w.todo().iter().any(|rects| !rects.is_empty()));
        if self.options.prove_only || self.request.native.is_some() {
            return self.measured(slot);
        }
        if !self.options.measure && (!several || !left || self.setup.is_whole()) {
            return self.measured(slot);
        }
        if let Some(known) = self.remembered(slot) {
            let state = &mut self.slots[slot];
            (state.rate, state.fixed_s) = (Some(known.rate), Some(known.fixed_s));
            state.bytes_per_s = known.bytes_per_s.filter(|b| b.is_finite() && *b > 1.0);
            // That of then, less what it took to open the file.
            state.build_s = (known.sync_s - state.open_s).max(0.0);
            if self.setup.map.is_none() {
                self.setup.map = known.map.and_then(|cells| CostMap::new(cells).ok());
            }
            return self.measured(slot);
        }
        let Some(work) = self.work.as_ref() else { return Ok(()) };
        let Some(canvas) = work.next_canvas() else { return Ok(()) };
        let patches = probe::first(canvas.region, work.identity.samples);
        self.slots[slot].stage = Stage::Measuring { patches };
        self.ask(slot);
        Ok(())
    }

    /// Sends the slot's patches to it.
    fn ask(&self, slot: usize) {
        let Some(canvas) = self.work.as_ref().and_then(Work::next_canvas) else { return };
        let state = &self.slots[slot];
        let picture = Picture { device: state.device, threads: state.threads, ..canvas.picture.clone() };
        state.order(Order::Probe(Box::new(picture), canvas.frame, state.patches().to_vec(), 600.0));
    }

    /// The slot's answer: first its rate, then, where the picture is worth it, a map of its cost.
    pub(super) fn probed(&mut self, slot: usize, seconds: &[f64]) -> Result<()> {
        let Some(work) = self.work.as_ref() else { return Ok(()) };
        let Some(canvas) = work.next_canvas() else { return Ok(()) };
        let (region, frame, samples) = (canvas.region, canvas.frame, work.identity.samples);
        let patches = self.slots[slot].patches().to_vec();
        self.slots[slot].stage = Stage::Measuring { patches: Vec::new() };
        if let (Some(rate), Some(fixed_s)) = (self.slots[slot].rate, self.slots[slot].fixed_s) {
            // The first one only let Blender take in the number of samples.
            let (patches, seconds) =
                (patches.get(1..).unwrap_or_default(), seconds.get(1..).unwrap_or_default());
            self.setup.map = probe::map(frame, patches, seconds, fixed_s);
            if let Some(mean) = probe::rate_of_map(patches, seconds, fixed_s, samples) {
                self.correct_rates(mean / rate);
            }
            self.remember(slot);
            return self.measured(slot);
        }
        let Some(gauge) = probe::gauge(&patches, seconds, samples) else { return self.measured(slot) };
        let Gauge { sync_s, fixed_s, rate } = gauge;
        let state = &mut self.slots[slot];
        state.build_s = sync_s;
        state.memory.built = true;
        (state.rate, state.fixed_s) = (Some(rate * self.setup.scale), Some(fixed_s));
        // One slot maps the picture; the others need not wait for it.
        if self.setup.map.is_none() && self.setup.mapper.is_none() {
            let slots = self.slots.taking_part();
            let patches = probe::survey(region, samples, gauge, slots);
            if !patches.is_empty() {
                self.setup.mapper = Some(slot);
                self.slots[slot].stage = Stage::Measuring { patches };
                self.ask(slot);
                return Ok(());
            }
        }
        self.remember(slot);
        self.measured(slot)
    }

    /// Whether a slot is being measured with small renders.
    pub(super) fn is_probing(&self, slot: usize) -> bool {
        !self.slots[slot].patches().is_empty()
    }

    /// A node that cannot be measured may render all the same: its tiles will tell how fast it is.
    pub(super) fn not_measured(&mut self, slot: usize, error: &Error) -> Result<()> {
        self.slots[slot].stage = Stage::Measuring { patches: Vec::new() };
        if self.setup.mapper == Some(slot) {
            self.setup.mapper = None;
        }
        let text = format!("{} could not be measured: {error}", self.slots[slot].name);
        self.emit(Event::Warning { text });
        self.measured(slot)
    }

    /// Every slot was measured at the same few places; the map knows how they compare with the rest. It is the word of
    /// one slot about all: one that is beyond what pictures are like counts for nothing.
    fn correct_rates(&mut self, scale: f64) {
        if !(1.0 / FURTHEST..=FURTHEST).contains(&scale) {
            return;
        }
        self.setup.scale = scale;
        for slot in 0..self.slots.len() {
            if let Some(rate) = self.slots[slot].rate.as_mut() {
                *rate *= scale;
                self.remember(slot);
            }
        }
    }

    /// Everything that decides how fast this slot is with this picture, as one key.
    fn key(&self, slot: usize) -> Option<String> {
        let identity = &self.work.as_ref()?.identity;
        let state = &self.slots[slot];
        let threads = state.threads.map_or("auto".to_owned(), |t| t.to_string());
        Some(Cache::key(&[&state.name, state.device.as_str(), &threads, &identity.id()]))
    }

    fn remembered(&self, slot: usize) -> Option<Measured> {
        let cache = Cache::load(self.options.bench.as_ref().filter(|_| !self.options.afresh)?);
        cache.get(&self.key(slot)?).cloned()
    }

    /// Keeps what was measured; a cache that cannot be written is no reason to stop.
    pub(super) fn remember(&self, slot: usize) {
        let (Some(path), Some(key), Some(work)) = (&self.options.bench, self.key(slot), &self.work) else {
            return;
        };
        let state = &self.slots[slot];
        let (Some(rate), Some(fixed_s)) = (state.rate, state.fixed_s) else { return };
        let mut cache = Cache::load(path);
        cache.put(
            key,
            Measured {
                node: state.name.clone(),
                blender: work.identity.blender.clone(),
                scene: work.identity.files.first().map(|f| f.path.clone()).unwrap_or_default(),
                about: format!(
                    "{}, {}frame {}, {}, {} samples, {} tiles",
                    state.device.as_str(),
                    state.threads.map_or_else(String::new, |n| format!("{n} threads, ")),
                    work.identity.frame,
                    work.identity.size,
                    work.identity.samples,
                    work.identity.format.extension().to_uppercase()
                ),
                start_s: state.start_s,
                sync_s: state.sync_s(),
                fixed_s,
                rate,
                bytes_per_s: state.bytes_per_s,
                map: self.setup.map.as_ref().map(|m| m.cells().clone()),
                at: now(),
            },
        );
        if let Err(e) = cache.store() {
            tracing::debug!("measurements are not kept: {e}");
        }
    }
}
