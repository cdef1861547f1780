//! One slot as the scheduler sees it: whether it can render, how fast it is believed to be, and what it has been through.

use super::members::DesiredState;
use super::pace::Running;
use super::region_tree::PartId;
use super::speed::{Lesson, Speed};
use crate::cost::NodeModel;
use crate::error::Error;

/// Whether it can be given work.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// The plan left it out; it is started, or used if it is warm all the same, when it is needed after all.
    Reserve {
        /// It is there and only has to be used.
        warm: bool,
    },
    /// Connecting, opening the scene, or waiting to be connected again; expected to be ready at this time.
    Starting {
        /// When it began to.
        since: f64,
        /// When it should be ready.
        expected: f64,
    },
    /// Warm.
    Ready,
    /// Not to be reached for a while now; tried again from time to time.
    Away,
    /// Out for good, and why.
    Retired(String),
}

/// A rendered piece on its way here.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) piece: u64,
    pub(super) part: PartId,
    pub(super) pixels: u64,
    pub(super) cost: f64,
    /// When the uplink began, or will begin, to send it.
    pub(super) since: f64,
    /// When it should be here.
    pub(super) expected: f64,
}

/// One Blender on one node.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) model: NodeModel,
    pub(super) state: State,
    pub(super) desired: DesiredState,
    pub(super) running: Option<Running>,
    /// Rendered pieces on their way here.
    pub(super) delivering: Vec<Delivery>,
    /// When its uplink has sent all that it has to.
    pub(super) link_free: f64,
    /// It has something else to do, about until then.
    pub(super) lent: Option<f64>,
    /// The picture it has in memory.
    pub(super) picture: Option<u32>,
    /// Seconds per pixel of its uplink.
    pub(super) uplink: f64,
    /// How sure its rate and fixed cost are.
    pub(super) speed: Speed,
    /// Factor on the silence after which it counts as stalled.
    pub(super) patience: f64,
    /// When its worker was last heard to be at work; none where workers do not say it.
    pub(super) alive: Option<f64>,
    /// Longest time between two reports of a piece, as a share of the piece's time, if it reports at all.
    pub(super) gap: Option<f64>,
    /// Pieces of it that were stored.
    pub(super) stored: usize,
    /// Losses and failures since the last piece that was stored.
    pub(super) troubles: u32,
    pub(super) last_error: Option<Error>,
}

impl Slot {
    pub(super) fn new(model: NodeModel, bytes_per_pixel: f64, state: State) -> Self {
        Self {
            speed: Speed::new(model.known),
            uplink: (bytes_per_pixel / model.transfer_bytes_per_s).max(0.0),
            model,
            state,
            desired: DesiredState::Work,
            running: None,
            delivering: Vec::new(),
            link_free: 0.0,
            lent: None,
            picture: None,
            patience: 1.0,
            alive: None,
            gap: None,
            stored: 0,
            troubles: 0,
            last_error: None,
        }
    }

    /// Whether it may ever render again without being asked back.
    pub(super) fn lives(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready)
    }

    pub(super) fn retired(&self) -> bool {
        matches!(self.state, State::Retired(_))
    }

    /// Cost per second it can render *and* deliver, at this many pixels per cost unit.
    pub(super) fn throughput(&self, pixels_per_cost: f64) -> f64 {
        1.0 / (1.0 / self.model.rate).max(self.uplink * pixels_per_cost)
    }

    /// Seconds from being handed a piece to having rendered it.
    pub(super) fn render_s(&self, picture: u32, cost: f64) -> f64 {
        self.fixed_s(picture) + cost / self.model.rate
    }

    /// Seconds to build this picture's scene, where the slot does not have it in memory.
    pub(super) fn build_s(&self, picture: u32) -> f64 {
        let built = self.picture.map_or(!self.model.unbuilt, |p| p == picture);
        if built { 0.0 } else { self.model.sync_s }
    }

    /// Seconds that a piece of this picture costs besides its pixels.
    pub(super) fn fixed_s(&self, picture: u32) -> f64 {
        self.model.fixed_s + self.build_s(picture)
    }

    /// When a piece handed out at `from` is here.
    pub(super) fn stored_at(&self, from: f64, picture: u32, cost: f64, pixels: f64) -> f64 {
        (from + self.render_s(picture, cost)).max(self.link_free) + pixels * self.uplink
    }

    /// When it can take the next piece; infinite for one that will not or from which nothing is heard.
    pub(super) fn free_at(&self, now: f64) -> f64 {
        match self.state {
            _ if self.desired != DesiredState::Work => f64::INFINITY,
            State::Reserve { .. } | State::Away | State::Retired(_) => f64::INFINITY,
            // One that is late may be as late again as half of what it already is.
            State::Starting { expected, .. } => expected.max(now + (now - expected).max(0.0) / 2.0),
            State::Ready => match &self.running {
                None => now.max(self.link_free - self.model.fixed_s).max(self.lent.unwrap_or(now)),
                Some(r) => self.ends_at(now, r).max(self.link_free),
            },
        }
    }

    /// When it can begin with the pixels of what waits: it may have to build the scene first. Where not `only` one picture
    /// waits, it goes on with the one that it has.
    pub(super) fn begins_at(&self, now: f64, only: Option<u32>) -> f64 {
        self.free_at(now) + self.build_s(only.or(self.picture).unwrap_or(0))
    }

    /// When a running piece ends; infinite if nothing is heard of it any more.
    pub(super) fn ends_at(&self, now: f64, running: &Running) -> f64 {
        if running.silent(now, self) {
            f64::INFINITY
        } else if running.cancelled.is_some() {
            // It was asked to, and does so soon.
            now + self.model.fixed_s
        } else {
            (running.since + running.projected_s(now, running.variance)).max(now)
        }
    }

    /// A piece was rendered and is being sent.
    pub(super) fn delivered_from(&mut self, now: f64, running: &Running) {
        let since = self.link_free.max(now);
        let expected = since + running.pixels as f64 * self.uplink;
        self.link_free = expected;
        let (piece, part, pixels, cost) = (running.piece, running.part, running.pixels, running.cost);
        self.delivering.push(Delivery { piece, part, pixels, cost, since, expected });
    }

    /// A piece has arrived.
    pub(super) fn delivered(&mut self, now: f64, piece: u64) {
        if let Some(at) = self.delivering.iter().position(|d| d.piece == piece) {
            let delivery = self.delivering.remove(at);
            self.learn_uplink(delivery.pixels, now - delivery.since);
            // The next one's turn begins now.
            let mut free = now;
            for next in &mut self.delivering {
                next.since = free;
                free += next.pixels as f64 * self.uplink;
                next.expected = free;
            }
            self.link_free = free;
        }
        self.stored += 1;
        self.troubles = 0;
    }

    /// Learns from a piece (or the part of one) how fast it is; returns what that says about the region, where `map_variance` says how far the map is trusted and `noise`
    /// how far the measurement.
    pub(super) fn learn(&mut self, cost: f64, seconds: f64, map_variance: f64, noise: f64) -> Option<Lesson> {
        let lesson = self.speed.learn(&mut self.model, cost, seconds, map_variance, noise)?;
        self.model.known = true;
        Some(lesson)
    }

    /// Learns how fast the uplink is from a piece that has arrived.
    fn learn_uplink(&mut self, pixels: u64, seconds: f64) {
        if pixels > 0 && seconds >= 0.0 && seconds.is_finite() {
            let seen = seconds / pixels as f64;
            self.uplink = if self.stored == 0 { seen } else { f64::midpoint(self.uplink, seen) };
        }
    }
}
