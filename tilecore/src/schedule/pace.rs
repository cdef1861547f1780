//! A piece that is being rendered: when it will end by its own pace, and whether it still gives signs of life.

use super::region_tree::PartId;
use super::slot::Slot;

/// Reports may be this many times rarer than the rarest so far before the piece counts as stalled.
const PATIENCE: f64 = 8.0;
/// The same for a piece that never reports: times its expected duration.
const PATIENCE_BLIND: f64 = 4.0;

/// The first sample of many is there long before the pace can be told: Cycles renders it alone.
const LEAST_PROGRESS: f64 = 0.02;

/// Variance of the logarithm of what the first samples of many say about all, where pixels stop one by one.
const FADING: f64 = 0.35;

/// Of a share of the samples, to this power it is the share of the time: between all alike and what was seen.
const EARLY: f64 = 0.5;

/// The piece a slot renders.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) piece: u64,
    pub(super) part: PartId,
    pub(super) picture: u32,
    pub(super) cost: f64,
    pub(super) pixels: u64,
    pub(super) since: f64,
    /// Seconds it was expected to take when it was handed out, and how much of that is not rendering.
    pub(super) expected: f64,
    pub(super) fixed: f64,
    /// Seconds of that to get another picture into memory.
    pub(super) switch: f64,
    /// When it was asked to give it up.
    pub(super) cancelled: Option<f64>,
    /// Variance of the logarithm of what was expected.
    pub(super) variance: f64,
    /// How far it said it is, 0 to 1, and when it last said anything.
    pub(super) progress: f64,
    pub(super) heard: f64,
    /// Whether pixels stop being sampled once they are good: the later samples take less than the first ones.
    pub(super) adaptive: bool,
    /// Its first report from which its pace can be told.
    pub(super) first: Option<(f64, f64)>,
    /// Longest time between two of its reports.
    pub(super) gap: f64,
}

/// How fast a piece is rendered, by its own reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    /// Seconds from when it was handed out to its end.
    pub(super) total: f64,
    /// Seconds that its pixels take.
    pub(super) own: f64,
}

impl Running {
    /// Notes a report.
    pub(super) fn report(&mut self, now: f64, progress: f64) {
        let progress = if self.adaptive { progress.max(0.0).powf(EARLY) } else { progress };
        if progress > self.progress {
            self.gap = self.gap.max(now - self.heard);
            self.progress = progress.min(1.0);
            self.heard = now;
            if self.first.is_none() && self.progress >= LEAST_PROGRESS {
                self.first = Some((now, self.progress));
            }
        }
    }

    /// Its own pace; `None` until it can be told. What came before the first report, the building of the scene for one,
    /// says nothing about what comes after.
    pub(super) fn pace(&self) -> Option<Pace> {
        let (when, first) = self.first?;
        let own = (self.heard - when) / (self.progress - first);
        let total = when - self.since + own * (1.0 - first);
        (self.progress - first >= LEAST_PROGRESS && total > 0.0).then_some(Pace { total, own })
    }

    /// Seconds it takes by its own pace alone.
    pub(super) fn by_pace(&self) -> Option<f64> {
        self.pace().map(|pace| pace.total)
    }

    /// Variance of the logarithm of that: the first samples are not quite like the others.
    pub(super) fn pace_variance(&self) -> f64 {
        let seen = (self.progress - self.first.map_or(0.0, |f| f.1)).max(1e-3);
        0.002 / seen + if self.adaptive { FADING * (1.0 - self.progress).powi(2) } else { 0.0 }
    }

    /// Seconds it takes, as far as can be told from what was expected, with this variance, and from its own pace.
    pub(super) fn projected_s(&self, now: f64, variance: f64) -> f64 {
        let elapsed = now - self.since;
        let mut total = self.expected;
        if let Some(by_pace) = self.by_pace() {
            let trust = variance / (variance + self.pace_variance());
            total = total.powf(1.0 - trust) * by_pace.powf(trust);
            // Silence puts the end off.
            total += (now - self.heard - 2.0 * self.gap).max(0.0);
        }
        if elapsed > total {
            // It is late, and may be as late again as half of what it already is.
            total = elapsed + (elapsed - total) / 2.0;
        }
        total
    }

    /// Whether nothing was heard of it for much longer than its own pace explains. Where no pace is known yet, never.
    pub(super) fn silent(&self, now: f64, slot: &Slot) -> bool {
        now - self.heard.max(slot.alive.unwrap_or(0.0)) > self.patience(slot)
    }

    /// Seconds of silence after which it counts as stalled.
    pub(super) fn patience(&self, slot: &Slot) -> f64 {
        // Its own reports say best how often to expect one. Before the first, the slot's earlier pieces do, and this
        // piece may take longer than expected for honest reasons.
        let doubt = (2.0 * self.variance.sqrt()).exp();
        slot.patience
            * match slot.gap {
                _ if self.progress > 0.0 => PATIENCE * self.gap.max(self.expected / 20.0).max(self.fixed),
                Some(share) => {
                    PATIENCE * (share * self.expected * doubt).max(self.expected / 20.0).max(self.fixed)
                }
                None if slot.model.known => PATIENCE_BLIND * self.expected * doubt,
                None => f64::INFINITY,
            }
    }
}
