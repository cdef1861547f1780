//! Where the nodes' time went: shares, efficiency against the ideal, and why it took longer or shorter than planned.

use super::escape::percent;
use super::{NodeReport, ReportData, SpanKind};
use crate::text::duration;

/// What one node did, seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Share {
    /// Starting.
    pub start: f64,
    /// Synchronising.
    pub sync: f64,
    /// Rendering what is part of the picture.
    pub tiles: f64,
    /// Rendering what was not needed.
    pub spare: f64,
    /// Rendering what failed.
    pub failed: f64,
    /// Away.
    pub away: f64,
    /// Finishing.
    pub finish: f64,
    /// None of these.
    pub idle: f64,
    /// Tiles that are part of the picture.
    pub count: usize,
    /// Failed attempts.
    pub failures: usize,
    /// Its part of the work, 0 to 1.
    pub contribution: f64,
    /// Its rate as a multiple of the slowest node's.
    pub relative_rate: f64,
}

/// The whole job's account.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// One a node, in the order of the nodes.
    pub shares: Vec<Share>,
    /// Time that controllers ran, seconds.
    pub working_s: f64,
    /// Time the job would have needed had every node rendered at its rate from the first second to the last, seconds.
    pub ideal_s: f64,
    /// `ideal_s / working_s`, 0 to 1.
    pub efficiency: f64,
    /// What the fastest node alone would have needed, seconds.
    pub alone_s: Option<f64>,
    /// `alone_s / working_s`.
    pub speedup: Option<f64>,
    /// Where all nodes' capacity went: what people read, its CSS class, and its part of the whole.
    pub capacity: Vec<(&'static str, &'static str, f64)>,
    /// Why it took longer or shorter than planned, one sentence each; empty when nothing was planned.
    pub reasons: Vec<String>,
}

impl Account {
    /// Counts it all up. Nothing in it is taken for granted: times that are no numbers count as zero.
    pub fn of(data: &ReportData) -> Self {
        let elapsed = number(data.elapsed_s);
        let paused: f64 = data.pauses.iter().map(|(from, to)| length(*from, *to, elapsed)).sum();
        let working_s = (elapsed - paused).max(0.0);
        let rates = rates(&data.nodes);
        let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let mut shares: Vec<Share> = data
            .nodes
            .iter()
            .zip(&rates)
            .map(|(node, rate)| share(node, elapsed, working_s, rate / slowest))
            .collect();

        let useful: f64 = shares.iter().zip(&rates).map(|(s, rate)| s.tiles * rate).sum();
        let power: f64 = rates.iter().sum();
        for (share, rate) in shares.iter_mut().zip(&rates) {
            share.contribution = if useful > 0.0 { share.tiles * rate / useful } else { 0.0 };
        }
        let ideal_s = if power > 0.0 { useful / power } else { 0.0 };
        let efficiency = if working_s > 0.0 { (ideal_s / working_s).min(1.0) } else { 0.0 };
        let alone_s =
            data.alone_s.filter(|s| s.is_finite() && *s > 0.0).or_else(|| alone(&shares, &rates, useful));
        let mut this = Self {
            capacity: capacity(&shares, &rates, working_s),
            reasons: Vec::new(),
            speedup: alone_s.filter(|_| working_s > 0.0).map(|alone| alone / working_s),
            shares,
            working_s,
            ideal_s,
            efficiency,
            alone_s,
        };
        this.reasons = this.explain(data);
        this
    }

    /// What speaks for the difference between plan and render, the largest first where that can be said.
    fn explain(&self, data: &ReportData) -> Vec<String> {
        let Some(predicted) = data.predicted_s.filter(|p| p.is_finite() && *p > 0.0) else {
            return Vec::new();
        };
        let mut reasons = Vec::new();
        let ratio = self.working_s / predicted;
        reasons.push(if (0.9..=1.1).contains(&ratio) {
            "The plan was within a tenth of what happened.".to_owned()
        } else {
            format!("It took {} instead of the planned {}.", duration(self.working_s), duration(predicted))
        });
        for (node, share) in data.nodes.iter().zip(&self.shares) {
            if let Some(expected) = node.expected_s.filter(|e| e.is_finite() && *e > 0.0) {
                let ratio = share.tiles / expected;
                if share.tiles > 0.0 && !(0.87..=1.15).contains(&ratio) {
                    reasons.push(format!(
                        "{} needed {} for tiles for which its rate promised {}.",
                        node.name,
                        duration(share.tiles),
                        duration(expected)
                    ));
                }
            }
            if share.failures > 0 {
                let attempts = if share.failures == 1 { "attempt" } else { "attempts" };
                let (n, lost) = (share.failures, duration(share.failed));
                reasons.push(format!("{n} failed {attempts} on {} cost {lost}.", node.name));
            }
            if share.away > 0.0 {
                reasons.push(format!("{} was away for {}.", node.name, duration(share.away)));
            }
            if share.count == 0 && share.spare == 0.0 && node.trouble.is_some() {
                reasons.push(format!("{} contributed nothing.", node.name));
            }
        }
        let part = |class: &str| self.capacity.iter().filter(|c| c.1 == class).map(|c| c.2).sum::<f64>();
        for (class, what) in [
            ("idle", "Nodes without work to do"),
            ("sync", "Sending files, opening the scene and building it for rendering"),
            ("start", "Connecting and starting Blender"),
        ] {
            if part(class) > 0.05 {
                reasons.push(format!("{what} took {} of all nodes' capacity.", percent(part(class))));
            }
        }
        reasons
    }
}

/// Every node's rate; where it was not measured, the mean of those that were, or one.
fn rates(nodes: &[NodeReport]) -> Vec<f64> {
    let known = |n: &NodeReport| n.rate.filter(|r| r.is_finite() && *r > 0.0);
    let all: Vec<f64> = nodes.iter().filter_map(known).collect();
    let mean = if all.is_empty() { 1.0 } else { all.iter().sum::<f64>() / all.len() as f64 };
    nodes.iter().map(|n| known(n).unwrap_or(mean)).collect()
}

fn share(node: &NodeReport, elapsed: f64, working: f64, relative_rate: f64) -> Share {
    let mut share = Share { relative_rate, ..Share::default() };
    for span in &node.spans {
        let seconds = length(span.from_s, span.to_s, elapsed);
        match span.kind {
            SpanKind::Start => share.start += seconds,
            SpanKind::Sync => share.sync += seconds,
            SpanKind::Tile => {
                share.tiles += seconds;
                share.count += 1;
            }
            // It may not be needed in the end; until then it is.
            SpanKind::Working => share.tiles += seconds,
            SpanKind::Spare => share.spare += seconds,
            SpanKind::Failed => {
                share.failed += seconds;
                share.failures += 1;
            }
            SpanKind::Away => share.away += seconds,
            SpanKind::Finish => share.finish += seconds,
        }
    }
    let busy =
        share.start + share.sync + share.tiles + share.spare + share.failed + share.away + share.finish;
    share.idle = (working - busy).max(0.0);
    share
}

/// The fastest node that rendered, with all the work, and its own start and sync.
fn alone(shares: &[Share], rates: &[f64], useful: f64) -> Option<f64> {
    shares
        .iter()
        .zip(rates)
        .filter(|(share, _)| share.count > 0)
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map(|(share, rate)| share.start + share.sync + useful / rate)
}

fn capacity(shares: &[Share], rates: &[f64], working: f64) -> Vec<(&'static str, &'static str, f64)> {
    let whole = rates.iter().sum::<f64>() * working;
    let part = |of: fn(&Share) -> f64| {
        let sum: f64 = shares.iter().zip(rates).map(|(s, rate)| of(s) * rate).sum();
        if whole > 0.0 { (sum / whole).min(1.0) } else { 0.0 }
    };
    [
        ("rendering", "tile", part(|s| s.tiles)),
        ("sync", "sync", part(|s| s.sync)),
        ("start", "start", part(|s| s.start)),
        ("finish", "finish", part(|s| s.finish)),
        ("not needed", "spare", part(|s| s.spare)),
        ("failed", "failed", part(|s| s.failed)),
        ("away", "away", part(|s| s.away)),
        ("idle", "idle", part(|s| s.idle)),
    ]
    .into_iter()
    .filter(|(_, _, part)| *part > 0.0)
    .collect()
}

/// A number of seconds that can be counted with.
pub(super) fn number(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds.max(0.0) } else { 0.0 }
}

/// How much of `from..to` lies within `0..elapsed`.
fn length(from: f64, to: f64, elapsed: f64) -> f64 {
    (number(to).min(elapsed) - number(from).min(elapsed)).max(0.0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Span;
    use super::*;

    pub(in super::super) fn span(kind: SpanKind, from_s: f64, to_s: f64) -> Span {
        Span { kind, from_s, to_s, region: None, note: None }
    }

    fn node(name: &str, rate: f64, spans: &[(SpanKind, f64, f64)]) -> NodeReport {
        let spans = spans.iter().map(|(kind, from, to)| span(*kind, *from, *to)).collect();
        NodeReport { name: name.into(), rate: Some(rate), spans, ..NodeReport::default() }
    }

    fn farm() -> ReportData {
        use SpanKind::{Failed, Start, Sync, Tile};
        ReportData {
            elapsed_s: 100.0,
            predicted_s: Some(80.0),
            nodes: vec![
                node(
                    "a",
                    3.0,
                    &[(Start, 0.0, 2.0), (Sync, 2.0, 10.0), (Tile, 10.0, 60.0), (Tile, 60.0, 95.0)],
                ),
                node(
                    "b",
                    1.0,
                    &[(Start, 0.0, 5.0), (Sync, 5.0, 20.0), (Tile, 20.0, 70.0), (Failed, 70.0, 90.0)],
                ),
            ],
            ..ReportData::default()
        }
    }

    #[test]
    fn shares_add_up() {
        let account = Account::of(&farm());
        let [a, b] = &account.shares[..] else { panic!() };
        assert_eq!((a.count, a.tiles, a.idle, b.idle, b.failures), (2, 85.0, 5.0, 10.0, 1));
        // 3 x 85 + 1 x 50 of 4 x 100.
        assert!((account.efficiency - 305.0 / 400.0).abs() < 1e-12);
        assert!((a.contribution + b.contribution - 1.0).abs() < 1e-12 && a.contribution > 0.8);
        // a alone: 10 s of start and sync, 305 units at 3 a second.
        assert!((account.alone_s.unwrap() - (10.0 + 305.0 / 3.0)).abs() < 1e-9);
        let whole: f64 = account.capacity.iter().map(|c| c.2).sum();
        assert!((whole - 1.0).abs() < 1e-9, "{:?}", account.capacity);
    }

    #[test]
    fn reasons_name_who_and_how_much() {
        let mut farm = farm();
        farm.nodes[0].expected_s = Some(60.0);
        let said = Account::of(&farm).reasons.join(" ");
        for part in
            ["instead of the planned", "a needed 85 s", "promised 60 s", "1 failed attempt on b cost 20 s"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
        farm.predicted_s = Some(99.0);
        assert!(Account::of(&farm).reasons[0].contains("within a tenth"));
        farm.predicted_s = None;
        assert!(Account::of(&farm).reasons.is_empty());
    }

    #[test]
    fn pauses_are_nobodys_idle_time() {
        let mut farm = farm();
        farm.elapsed_s = 1100.0;
        farm.pauses = vec![(100.0, 1100.0)];
        let account = Account::of(&farm);
        assert_eq!((account.working_s, account.shares[0].idle), (100.0, 5.0));
    }

    #[test]
    fn nonsense_does_no_harm() {
        let mut farm = farm();
        farm.nodes[0].spans.push(span(SpanKind::Tile, f64::NAN, f64::INFINITY));
        farm.nodes[0].spans.push(span(SpanKind::Tile, 50.0, -3.0));
        farm.nodes[1].rate = Some(f64::NAN);
        farm.elapsed_s = f64::INFINITY;
        for data in [farm, ReportData::default()] {
            let account = Account::of(&data);
            assert!(account.efficiency.is_finite() && account.working_s.is_finite());
            assert!(account.capacity.iter().all(|c| (0.0..=1.0).contains(&c.2)));
        }
    }
}
