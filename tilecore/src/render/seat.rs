//! What the render loop knows about one slot, and the channel on which it gives orders.

use crossbeam_channel::Sender;

use super::messages::Order;
use super::probe::Patches;
use crate::blender::Hello;
use crate::error::Error;

/// Where a slot is on its way from nothing to rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Connecting, logging in, starting Blender.
    Booting,
    /// Blender is up; the scene's files are not known yet, or another slot of the node receives them.
    Waiting,
    /// Receiving files and opening the scene.
    Opening,
    /// Listing the scene's files, looking at the scene: only the first slot does.
    Looking,
    /// Applying the picture's settings.
    SettingUp,
    /// Being measured, or handing over what an earlier connection left.
    Measuring,
    /// Renders, or could.
    Ready,
    /// Takes no further part.
    Off,
}

/// Losses in a row before planning until nobody counts on a slot any more.
const LOSSES: u32 = 3;

/// A file of so many bytes, or that takes so many seconds, tells how fast a link is.
const ENOUGH: u64 = 1 << 20;
const LONG_S: f64 = 0.5;

/// One slot as the loop sees it.
pub(super) struct Seat {
    pub(super) name: String,
    /// Which node it is on: slots of one node share its store.
    pub(super) node: usize,
    pub(super) device: crate::node::Device,
    pub(super) threads: Option<u32>,
    pub(super) orders: Sender<Order>,
    /// Whether it was the scout, fell silent, and is done without until it answers.
    pub(super) astray: bool,
    pub(super) stage: Stage,
    /// Whether its shell has not started because it waits in a queue.
    pub(super) queued: bool,
    pub(super) hello: Option<Hello>,
    pub(super) start_s: f64,
    /// Seconds to open the scene's file.
    pub(super) open_s: f64,
    /// Seconds to build the scene for rendering.
    pub(super) build_s: f64,
    /// Whether small renders have built it.
    pub(super) built: bool,
    pub(super) rate: Option<f64>,
    pub(super) fixed_s: Option<f64>,
    /// Bytes per second from it to here, where a tile was large or slow enough to tell.
    pub(super) bytes_per_s: Option<f64>,
    /// Small renders whose times are awaited.
    pub(super) patches: Patches,
    /// Losses in a row before anything was rendered.
    pub(super) losses: u32,
    /// Whether the user has it wait.
    pub(super) held: bool,
    /// Whether it has a tile to render.
    pub(super) rendering: bool,
    /// Whether it ever had one, which may lie in its spool.
    pub(super) has_rendered: bool,
    /// Whether a tile came from it.
    pub(super) proven: bool,
    /// The picture it rendered last, and whether that tile was its first.
    pub(super) picture: Option<u32>,
    pub(super) new_picture: bool,
    /// Whether it came while the job ran.
    pub(super) late: bool,
    /// Why it was lost last.
    pub(super) trouble: Option<Error>,
}

impl Seat {
    /// Whether it could not be reached and nobody counts on it.
    pub(super) fn is_away(&self) -> bool {
        self.losses >= LOSSES
    }

    /// A tile's file came in so many seconds. What is small and quick tells of the way there and back, not of the
    /// link; of what tells, the best counts, because links are shared.
    pub(super) fn delivered(&mut self, bytes: u64, seconds: f64) {
        if bytes >= ENOUGH || seconds >= LONG_S {
            let rate = bytes as f64 / seconds.max(1e-6);
            self.bytes_per_s = Some(self.bytes_per_s.map_or(rate, |known| known.max(rate)));
        }
    }

    /// Gives an order; a slot whose thread is gone takes none, and its loss has been reported.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Seconds from a warm Blender to one that has the scene ready to render.
    pub(super) fn sync_s(&self) -> f64 {
        self.open_s + self.build_s
    }

    /// Version and build hash of its Blender.
    pub(super) fn blender(&self) -> Option<(&str, &str)> {
        self.hello.as_ref().map(|h| (h.version.as_str(), h.hash.as_str()))
    }
}
