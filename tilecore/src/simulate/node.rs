//! A simulated slot: what it really does, and what befalls it.

use crate::cost::NodeModel;

/// What befalls a slot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// From `at` on it runs at this factor of its speed; 0 stops it as SIGSTOP does.
    Speed {
        /// Seconds.
        at: f64,
        /// 1 is its usual speed.
        factor: f64,
    },
    /// It vanishes, and can be connected again after `back_s` seconds, if at all.
    Death {
        /// Seconds.
        at: f64,
        /// Seconds from then until it can be reached again.
        back_s: Option<f64>,
    },
    /// Its next piece after this time fails.
    Failure {
        /// Seconds.
        at: f64,
    },
}

/// One slot as it really is.
#[derive(Clone, Debug)]
pub struct SimNode {
    /// True figures; `known` means nothing here.
    pub model: NodeModel,
    /// When it is started (for those of the plan) or joins.
    pub joins_at: f64,
    /// Standard deviation of the logarithm of every piece's duration.
    pub noise: f64,
    /// Reports of progress per piece; 0 for a slot that never reports.
    pub reports: u32,
    /// Seconds from being asked to give a piece up to having done so; infinite if it cannot.
    pub cancel_s: f64,
    /// Seconds until a vanished connection is noticed.
    pub detect_s: f64,
    /// What befalls it, in order of time.
    pub faults: Vec<Fault>,
}

impl SimNode {
    /// A slot that behaves.
    pub fn new(model: NodeModel) -> Self {
        Self {
            model,
            joins_at: 0.0,
            noise: 0.0,
            reports: 16,
            cancel_s: 0.1,
            detect_s: 5.0,
            faults: Vec::new(),
        }
    }

    /// When `work` seconds of work at usual speed, begun at `from`, are done; infinite if never.
    pub fn done_at(&self, from: f64, work: f64) -> f64 {
        let (mut at, mut left, mut factor) = (from, work.max(0.0), 1.0);
        for fault in &self.faults {
            let Fault::Speed { at: change, factor: next } = *fault else { continue };
            if change > at {
                let done = (change - at) * factor;
                if factor > 0.0 && done >= left {
                    return at + left / factor;
                }
                left -= done;
                at = change;
            }
            factor = next;
        }
        if left <= 0.0 && factor > 0.0 {
            at
        } else if factor > 0.0 {
            at + left / factor
        } else {
            f64::INFINITY
        }
    }

    /// Seconds of work at usual speed that it can do between two times, were it always busy.
    pub fn capacity(&self, from: f64, to: f64) -> f64 {
        let (mut at, mut sum, mut factor) = (from, 0.0, 1.0);
        for fault in &self.faults {
            let Fault::Speed { at: change, factor: next } = *fault else { continue };
            if change > at && change < to {
                sum += (change - at) * factor;
                at = change;
            }
            if change < to {
                factor = next;
            }
        }
        sum + (to - at).max(0.0) * factor
    }

    /// The spans of time in which it can be reached, up to `to`.
    pub fn alive(&self, to: f64) -> Vec<(f64, f64)> {
        let mut spans = Vec::new();
        let mut from = Some(self.joins_at);
        for fault in &self.faults {
            if let Fault::Death { at, back_s } = *fault {
                if let Some(start) = from.filter(|s| *s < at) {
                    spans.push((start, at));
                }
                from = back_s.map(|b| at + b);
            }
        }
        spans.extend(from.map(|start| (start, f64::INFINITY)));
        spans.into_iter().filter(|s| s.0 < to).map(|s| (s.0, s.1.min(to))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_waits_while_it_is_stopped() {
        let mut node = SimNode::new(NodeModel::unknown("a"));
        node.faults = vec![Fault::Speed { at: 10.0, factor: 0.0 }, Fault::Speed { at: 15.0, factor: 0.5 }];
        assert!((node.done_at(0.0, 10.0) - 10.0).abs() < 1e-9);
        assert!((node.done_at(5.0, 6.0) - 17.0).abs() < 1e-9);
        assert!((node.done_at(12.0, 0.0) - 15.0).abs() < 1e-9);
        assert!((node.capacity(5.0, 17.0) - 6.0).abs() < 1e-9);
        node.faults.pop();
        assert!(node.done_at(5.0, 6.0).is_infinite());
    }

    #[test]
    fn it_lives_between_its_deaths() {
        let mut node = SimNode::new(NodeModel::unknown("a"));
        node.faults =
            vec![Fault::Death { at: 5.0, back_s: Some(3.0) }, Fault::Death { at: 20.0, back_s: None }];
        assert_eq!(node.alive(100.0), [(0.0, 5.0), (8.0, 20.0)]);
        assert_eq!(node.alive(10.0), [(0.0, 5.0), (8.0, 10.0)]);
    }
}
