//! One slot as dispatch sees it: whether it can render, what it renders, and what it has been through.

use crate::error::Error;
use crate::plan::NodeModel;

/// Whether it can be given work.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Connecting, opening the scene, or waiting to be connected again.
    Starting,
    /// Warm.
    Ready,
    /// Out for good, and why.
    Retired(String),
}

/// The piece it renders.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) piece: u64,
    pub(super) cost: f64,
    pub(super) since: f64,
    /// It was asked to give it up.
    pub(super) cancelled: bool,
    /// How far it said it is, 0 to 1.
    pub(super) progress: f64,
}

/// One Blender on one node.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) model: NodeModel,
    pub(super) state: State,
    pub(super) running: Option<Running>,
    /// Rendered, on their way here.
    pub(super) delivering: Vec<u64>,
    /// Losses and failures since the last piece that was stored.
    pub(super) troubles: u32,
    pub(super) last_error: Option<Error>,
}

impl Slot {
    pub(super) fn new(model: NodeModel) -> Self {
        Self {
            model,
            state: State::Starting,
            running: None,
            delivering: Vec::new(),
            troubles: 0,
            last_error: None,
        }
    }

    /// Whether it may ever render again.
    pub(super) fn lives(&self) -> bool {
        !matches!(self.state, State::Retired(_))
    }

    /// Learns from a finished piece how fast it is: half of what the piece says, half of what was believed.
    pub(super) fn learn(&mut self, cost: f64, seconds: f64) {
        let rendering = (seconds - self.model.fixed_s).max(seconds * 0.2);
        if !(cost > 0.0 && rendering > 0.0 && rendering.is_finite()) {
            return;
        }
        let seen = cost / rendering;
        let weight = if self.model.known { 0.5 } else { 1.0 };
        self.model.rate = (self.model.rate.ln() * (1.0 - weight) + seen.ln() * weight).exp();
        self.model.known = true;
    }
}
