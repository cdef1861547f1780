//! What the tiles of a finished run taught about its slots and its picture, kept for the next run of the same job.

use super::Coordinator;
use crate::cost::{Cells, CostMap};
use crate::geometry::{Frame, Rect};

/// Cells along the longer side of the map that is kept.
const CELLS: u32 = 48;

/// A tile, and what it took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    slot: usize,
    region: Rect,
    /// With its overlap.
    rendered: Rect,
    /// Seconds for its pixels alone.
    own: f64,
}

impl Coordinator<'_, '_> {
    /// The next run of this job knows from the start what this one learnt.
    pub(super) fn calibrate(&mut self) {
        let (Some(scheduler), Some(work)) = (&self.scheduler, &self.work) else { return };
        let [canvas] = work.canvases.as_slice() else { return };
        // How long adopted tiles took says nothing about the slots of this run.
        if work.adopted > 0 || work.only.is_some() || canvas.region != canvas.frame.rect() {
            return;
        }
        let models: Vec<(f64, f64)> = scheduler.models().map(|m| (m.rate, m.fixed_s)).collect();
        let slot_of = |name: &str| self.slots.iter().position(|s| s.name == name);
        let taken: Option<Vec<Taken>> = work
            .tiles
            .iter()
            .map(|t| {
                let slot = slot_of(&t.node)?;
                let own = t.seconds - models.get(slot)?.1;
                Some(Taken { slot, region: t.region, rendered: t.rendered, own: own.max(0.05 * t.seconds) })
            })
            .collect();
        let Some(taken) = taken else { return };
        let speeds: Vec<f64> = models.iter().map(|m| m.0).collect();
        let Some((map, rates)) = learn(canvas.frame, &taken, &speeds) else { return };
        self.setup.map = Some(map);
        for (slot, rate) in rates.into_iter().enumerate() {
            if let (Some(rate), Some(state)) = (rate, self.slots.get_mut(slot)) {
                (state.rate, state.fixed_s) = (Some(rate), Some(models[slot].1));
                self.remember(slot);
            }
        }
    }
}

/// The picture's map and every slot's rate by what its tiles took; `speeds` tell how the slots compare.
fn learn(frame: Frame, taken: &[Taken], speeds: &[f64]) -> Option<(CostMap, Vec<Option<f64>>)> {
    let cell = f64::from(frame.width().max(frame.height())) / f64::from(CELLS);
    let along = |side: u32| ((f64::from(side) / cell).round() as u32).clamp(1, side.min(CELLS));
    let (columns, rows) = (along(frame.width()), along(frame.height()));
    let edge = |i: u32, of: u32, side: u32| (u64::from(side) * u64::from(i) / u64::from(of)) as u32;
    let mut cost = vec![0.0; (columns * rows) as usize];
    for row in 0..rows {
        for column in 0..columns {
            let (x, y) = (edge(column, columns, frame.width()), edge(row, rows, frame.height()));
            let (right, bottom) =
                (edge(column + 1, columns, frame.width()), edge(row + 1, rows, frame.height()));
            let here = Rect::new(x, y, right - x, bottom - y).ok()?;
            for t in taken {
                let Some(common) = here.intersection(t.region) else { continue };
                let density = t.own * speeds.get(t.slot)? / t.rendered.area() as f64;
                cost[(row * columns + column) as usize] +=
                    (density * common.area() as f64 / here.area() as f64) as f32;
            }
        }
    }
    let map = CostMap::new(Cells { frame, columns, rows, cost }).ok()?;
    let rates = (0..speeds.len())
        .map(|slot| {
            let mine = || taken.iter().filter(|t| t.slot == slot);
            let cost: f64 = mine().map(|t| map.cost_of(t.rendered)).sum();
            let own: f64 = mine().map(|t| t.own).sum();
            Some(cost / own).filter(|rate| rate.is_finite() && *rate > 0.0)
        })
        .collect();
    Some((map, rates))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_what_is_foretold() {
        let frame = Frame::new(400, 200).unwrap();
        // The left half costs four times as much; the second slot is twice as fast.
        let tiles = [(0, 0, 0, 8.0), (1, 100, 0, 4.0), (0, 200, 0, 2.0), (1, 300, 0, 1.0)];
        let taken: Vec<Taken> = tiles
            .iter()
            .map(|&(slot, x, y, own)| {
                let region = Rect::new(x, y, 100, 200).unwrap();
                Taken { slot, region, rendered: region, own }
            })
            .collect();
        let (map, rates) = learn(frame, &taken, &[10.0, 20.0, 5.0]).unwrap();
        let rates: Vec<f64> = rates.into_iter().flatten().collect();
        assert_eq!(rates.len(), 2, "the third rendered nothing");
        assert!((rates[1] / rates[0] - 2.0).abs() < 0.02, "{rates:?}");
        let left = map.cost_of(Rect::new(0, 0, 200, 200).unwrap());
        let right = map.cost_of(Rect::new(200, 0, 200, 200).unwrap());
        assert!((left / right - 4.0).abs() < 0.05, "{left} {right}");
        // Alone the first would take 8 + 8 + 2 + 2 seconds.
        assert!((map.cost_of(frame.rect()) / rates[0] - 20.0).abs() < 0.1);
    }
}
