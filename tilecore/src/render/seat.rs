//! What the render loop knows about one slot, and the channel on which it gives orders.

use crossbeam_channel::Sender;

use super::messages::Order;
use super::probe::Patches;
use crate::blender::Hello;
use crate::cost::{self, NodeModel};
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
    /// A slot that is not connected. `late` says that it came while the job ran.
    pub(super) fn new(
        name: String,
        node: usize,
        device: crate::node::Device,
        threads: Option<u32>,
        orders: Sender<Order>,
        late: bool,
    ) -> Self {
        Self {
            name,
            node,
            device,
            threads,
            orders,
            astray: false,
            stage: Stage::Booting,
            queued: false,
            hello: None,
            start_s: 0.0,
            open_s: 0.0,
            build_s: 0.0,
            built: false,
            rate: None,
            fixed_s: None,
            bytes_per_s: None,
            patches: Vec::new(),
            losses: 0,
            held: false,
            rendering: false,
            has_rendered: false,
            proven: false,
            picture: None,
            new_picture: false,
            late,
            trouble: None,
        }
    }

    /// Its connection or its Blender is gone, and with it what that had in memory.
    pub(super) fn lost(&mut self, error: Error) {
        self.stage = Stage::Booting;
        self.rendering = false;
        self.picture = None;
        self.built = false;
        self.trouble = Some(error);
    }

    /// What is known about it before it renders, from nothing, as a new run finds it.
    pub(super) fn cold(&self) -> NodeModel {
        NodeModel {
            start_s: self.start_s + self.open_s,
            sync_s: self.build_s,
            rate: self.rate.unwrap_or(0.0),
            known: self.rate.is_some(),
            fixed_s: self.fixed_s.unwrap_or(cost::USUAL_FIXED_S),
            transfer_bytes_per_s: self.bytes_per_s.unwrap_or(f64::INFINITY),
            ..NodeModel::unknown(self.name.clone())
        }
    }

    /// The same as it is now.
    pub(super) fn model(&self) -> NodeModel {
        let cold = self.cold();
        if self.stage == Stage::Ready { NodeModel { start_s: 0.0, sync_s: 0.0, ..cold } } else { cold }
    }

    /// A Blender that crashes while it opens or builds the scene does so again, or, worse, makes something else of what
    /// the crash left: the node that has not rendered anything of it is not tried again.
    pub(super) fn beyond_help(&self, error: Error) -> Error {
        let began = self.rendering
            || matches!(self.stage, Stage::Opening | Stage::Looking | Stage::SettingUp | Stage::Measuring);
        if !error.is_crash() || !began || self.proven {
            return error;
        }
        let words = error.process_log().and_then(last_words).unwrap_or_default();
        let error = error.within("opening or building the scene failed").fatal();
        match words.as_str() {
            "" => error,
            words => error.remedy(format!(
                "Open and render it with Blender alone on that node; Blender's last words were: {words}."
            )),
        }
    }

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

/// The last line of a log that says anything but where Blender wrote its own report.
fn last_words(log: &str) -> Option<String> {
    let tells = |line: &&str| !line.is_empty() && !line.contains(".crash.txt");
    let line = log.lines().rev().map(str::trim).find(tells)?;
    Some(line.trim_end_matches('.').chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(stage: Stage) -> Seat {
        let orders = crossbeam_channel::unbounded().0;
        Seat { stage, ..Seat::new("a".into(), 0, crate::node::Device::Cpu, None, orders, false) }
    }

    #[test]
    fn a_crash_while_the_scene_opens_is_not_tried_again() {
        let crash = || {
            Error::node("Blender crashed")
                .by_signal(11)
                .log("Read x\nWriting: /tmp/a.crash.txt\nout of memory.\n")
        };
        let error = seat(Stage::Opening).beyond_help(crash());
        assert!(!error.is_retryable());
        assert!(error.hint().unwrap().contains("last words were: out of memory"), "{error}");
        assert!(seat(Stage::Booting).beyond_help(crash()).is_retryable(), "it had not begun");
        let rendered = Seat { proven: true, rendering: true, ..seat(Stage::Ready) };
        assert!(rendered.beyond_help(crash()).is_retryable(), "it has rendered this scene before");
    }

    #[test]
    fn quick_files_say_nothing_about_the_link() {
        let mut seat = seat(Stage::Ready);
        seat.delivered(1000, 0.001);
        assert_eq!(seat.bytes_per_s, None);
        seat.delivered(1 << 20, 0.5);
        seat.delivered(1 << 20, 1.0);
        assert_eq!(seat.bytes_per_s, Some(2.0 * f64::from(1 << 20)), "links are shared: the best counts");
    }
}
