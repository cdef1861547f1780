//! The slots of a run: which nodes take part, where each slot is on its way from nothing to rendering, and the channel on
//! which it is given orders.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::messages::Order;
use super::probe::Patches;
use crate::blender::Hello;
use crate::cost::{self, NodeModel};
use crate::error::Error;
use crate::geometry::Rect;
use crate::node::Node;

/// Where a slot is on its way from nothing to rendering, with what counts only there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    /// Connecting, logging in, starting Blender. `queued` says that its shell has not started because it waits in a queue.
    Booting { queued: bool },
    /// Blender is up; the scene's files are not known yet, or another slot of the node receives them.
    Waiting,
    /// Receiving files and opening the scene. `stalled` says that it was the inspector, fell silent, and is done without
    /// until it answers.
    Opening { stalled: bool },
    /// Listing the scene's files, looking at the scene: only the inspector does.
    Inspecting { stalled: bool },
    /// Applying the picture's settings.
    SettingUp,
    /// Handing over what an earlier connection left, or being measured with small renders of these patches.
    Measuring { patches: Patches },
    /// Renders, or could.
    Ready { rendering: Option<Rendering> },
    /// Takes no further part.
    Off,
}

/// A tile that a slot renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rendering {
    pub(super) piece: u64,
    /// Whether the tile before was one of another picture, or there was none: the scene is built with it.
    pub(super) new_picture: bool,
}

/// What has come of a slot's rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Output {
    /// It has never had anything to render.
    Nothing,
    /// It has, and its files may lie in its spool.
    Begun,
    /// A tile came from it.
    Stored,
}

/// What its Blender has in memory, gone with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Whether small renders have built the scene.
    pub(super) built: bool,
    /// The picture it rendered last.
    pub(super) picture: Option<u32>,
}

/// Losses in a row before planning until nobody counts on a slot any more.
const LOSSES: u32 = 3;

/// A file of so many bytes, or that takes so many seconds, tells how fast a link is.
const ENOUGH: u64 = 1 << 20;
const LONG_S: f64 = 0.5;

/// One slot as the loop sees it.
pub(super) struct SlotState {
    pub(super) name: String,
    /// Which node it is on: slots of one node share its store.
    pub(super) node: usize,
    pub(super) device: crate::node::Device,
    pub(super) threads: Option<u32>,
    pub(super) orders: Sender<Order>,
    pub(super) stage: Stage,
    pub(super) hello: Option<Hello>,
    pub(super) start_s: f64,
    /// Seconds to open the scene's file.
    pub(super) open_s: f64,
    /// Seconds to build the scene for rendering.
    pub(super) build_s: f64,
    pub(super) rate: Option<f64>,
    pub(super) fixed_s: Option<f64>,
    /// Bytes per second from it to here, where a tile was large or slow enough to tell.
    pub(super) bytes_per_s: Option<f64>,
    /// Losses in a row before anything was rendered.
    pub(super) losses: u32,
    /// Whether the user has it wait.
    pub(super) held: bool,
    pub(super) output: Output,
    pub(super) memory: Memory,
    /// Whether it came while the job ran.
    pub(super) late: bool,
    /// Why it was lost last.
    pub(super) trouble: Option<Error>,
}

/// All slots of a run, and the nodes that they are on. Slots and nodes that leave keep their numbers.
#[derive(Default)]
pub(super) struct Slots {
    states: Vec<SlotState>,
    nodes: Vec<Arc<dyn Node>>,
}

impl Deref for Slots {
    type Target = [SlotState];

    fn deref(&self) -> &[SlotState] {
        &self.states
    }
}

impl DerefMut for Slots {
    fn deref_mut(&mut self) -> &mut [SlotState] {
        &mut self.states
    }
}

impl Slots {
    /// One more node; returns its number.
    pub(super) fn add_node(&mut self, node: Arc<dyn Node>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// One more slot.
    pub(super) fn add(&mut self, state: SlotState) {
        self.states.push(state);
    }

    /// All nodes by their numbers.
    pub(super) fn nodes(&self) -> &[Arc<dyn Node>] {
        &self.nodes
    }

    /// How many take part.
    pub(super) fn taking_part(&self) -> usize {
        self.states.iter().filter(|s| !s.is_off()).count()
    }

    /// Slots that take part: those of a node, or the one slot of this name, or all.
    pub(super) fn called(&self, name: Option<&str>) -> Vec<usize> {
        let is_meant = |s: &SlotState| {
            let node = self.nodes.get(s.node).map(|n| n.name());
            !s.is_off() && name.is_none_or(|name| node == Some(name) || s.name == name)
        };
        (0..self.states.len()).filter(|s| is_meant(&self.states[*s])).collect()
    }

    /// Whether a node of this name takes part; one that left does not.
    pub(super) fn is_present(&self, node: &str) -> bool {
        self.states.iter().any(|s| !s.is_off() && self.nodes.get(s.node).is_some_and(|n| n.name() == node))
    }
}

impl SlotState {
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
            stage: Stage::Booting { queued: false },
            hello: None,
            start_s: 0.0,
            open_s: 0.0,
            build_s: 0.0,
            rate: None,
            fixed_s: None,
            bytes_per_s: None,
            losses: 0,
            held: false,
            output: Output::Nothing,
            memory: Memory::default(),
            late,
            trouble: None,
        }
    }

    /// Its connection or its Blender is gone, and with it what that had in memory.
    pub(super) fn lost(&mut self, error: Error) {
        self.reboot();
        self.trouble = Some(error);
    }

    /// It is started anew.
    pub(super) fn reboot(&mut self) {
        self.stage = Stage::Booting { queued: false };
        self.memory = Memory::default();
    }

    /// It begins to render a tile of a picture.
    pub(super) fn begin(&mut self, piece: u64, picture: u32) {
        let new_picture = self.memory.picture.replace(picture) != Some(picture);
        self.output = self.output.max(Output::Begun);
        if let Stage::Ready { rendering } = &mut self.stage {
            *rendering = Some(Rendering { piece, new_picture });
        }
    }

    /// It renders nothing any more.
    pub(super) fn rest(&mut self) {
        if let Stage::Ready { rendering } = &mut self.stage {
            *rendering = None;
        }
    }

    /// The tile that it renders.
    pub(super) fn rendering(&self) -> Option<Rendering> {
        match &self.stage {
            Stage::Ready { rendering } => *rendering,
            _ => None,
        }
    }

    /// Whether it renders, or could.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready { .. })
    }

    /// Whether it could take something to do at once.
    pub(super) fn is_free(&self) -> bool {
        self.stage == Stage::Ready { rendering: None } && !self.held
    }

    /// Whether it takes no further part.
    pub(super) fn is_off(&self) -> bool {
        self.stage == Stage::Off
    }

    /// Whether its Blender is not up.
    pub(super) fn is_booting(&self) -> bool {
        matches!(self.stage, Stage::Booting { .. })
    }

    /// Whether it opens the scene.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.stage, Stage::Opening { .. })
    }

    /// Whether it was the inspector and fell silent.
    pub(super) fn is_stalled(&self) -> bool {
        matches!(self.stage, Stage::Opening { stalled: true } | Stage::Inspecting { stalled: true })
    }

    /// Notes whether it fell silent as the inspector.
    pub(super) fn stall(&mut self, now: bool) {
        if let Stage::Opening { stalled } | Stage::Inspecting { stalled } = &mut self.stage {
            *stalled = now;
        }
    }

    /// The patches it is measured with; none where it is not.
    pub(super) fn patches(&self) -> &[(Rect, u32)] {
        match &self.stage {
            Stage::Measuring { patches } => patches,
            _ => &[],
        }
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
        if self.is_ready() { NodeModel { start_s: 0.0, sync_s: 0.0, ..cold } } else { cold }
    }

    /// A Blender that crashes while it opens or builds the scene does so again, or, worse, makes something else of what
    /// the crash left: the node that has not rendered anything of it is not tried again.
    pub(super) fn beyond_help(&self, error: Error) -> Error {
        let began =
            !matches!(self.stage, Stage::Booting { .. } | Stage::Waiting | Stage::Ready { rendering: None });
        if !error.is_crash() || !began || self.output == Output::Stored {
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

    fn state(stage: Stage) -> SlotState {
        let orders = crossbeam_channel::unbounded().0;
        SlotState { stage, ..SlotState::new("a".into(), 0, crate::node::Device::Cpu, None, orders, false) }
    }

    #[test]
    fn slots_are_meant_by_their_nodes_or_their_own_names_while_they_take_part() {
        let mut slots = Slots::default();
        for (name, own) in [("a", vec!["a#1", "a#2"]), ("b", vec!["b"])] {
            let spec = crate::node::NodeSpec::new(name, crate::node::Place::Local);
            let node = slots.add_node(Arc::new(crate::node::Local::new(spec)));
            for own in own {
                slots.add(SlotState { name: own.into(), node, ..state(Stage::Waiting) });
            }
        }
        assert_eq!((slots.called(Some("a")), slots.called(Some("a#2"))), (vec![0, 1], vec![1]));
        assert_eq!((slots.called(None).len(), slots.taking_part()), (3, 3));
        slots[0].stage = Stage::Off;
        assert_eq!((slots.called(Some("a")), slots.taking_part()), (vec![1], 2));
        assert!(slots.is_present("a") && slots.is_present("b") && !slots.is_present("c"));
        slots[1].stage = Stage::Off;
        assert!(!slots.is_present("a"), "it left, and may come back");
    }

    #[test]
    fn a_crash_while_the_scene_opens_is_not_tried_again() {
        let crash = || {
            Error::node("Blender crashed")
                .by_signal(11)
                .log("Read x\nWriting: /tmp/a.crash.txt\nout of memory.\n")
        };
        let error = state(Stage::Opening { stalled: false }).beyond_help(crash());
        assert!(!error.is_retryable());
        assert!(error.hint().unwrap().contains("last words were: out of memory"), "{error}");
        assert!(
            state(Stage::Booting { queued: false }).beyond_help(crash()).is_retryable(),
            "it had not begun"
        );
        let rendering = Some(Rendering { piece: 1, new_picture: false });
        let rendered = SlotState { output: Output::Stored, ..state(Stage::Ready { rendering }) };
        assert!(rendered.beyond_help(crash()).is_retryable(), "it has rendered this scene before");
    }

    #[test]
    fn the_first_tile_of_a_picture_builds_it_and_a_lost_blender_forgets_it() {
        let mut state = state(Stage::Ready { rendering: None });
        assert!(state.is_free() && state.output == Output::Nothing);
        let mut builds = |piece, picture| {
            state.begin(piece, picture);
            let builds = state.rendering().unwrap().new_picture;
            assert!(!state.is_free());
            state.rest();
            builds
        };
        assert_eq!([builds(1, 0), builds(2, 0), builds(3, 1)], [true, false, true]);
        state.lost(Error::node("gone"));
        assert!(state.is_booting() && state.rendering().is_none() && state.output == Output::Begun);
        state.stage = Stage::Ready { rendering: None };
        state.begin(4, 1);
        assert!(state.rendering().unwrap().new_picture, "another Blender has to build it again");
        let held = SlotState { held: true, ..self::state(Stage::Ready { rendering: None }) };
        assert!(held.is_ready() && !held.is_free());
    }

    #[test]
    fn only_a_slot_that_opens_or_inspects_can_stall() {
        for (stage, stalls) in [
            (Stage::Opening { stalled: false }, true),
            (Stage::Inspecting { stalled: false }, true),
            (Stage::Waiting, false),
            (Stage::Off, false),
        ] {
            let mut state = state(stage);
            state.stall(true);
            assert_eq!(state.is_stalled(), stalls);
            state.stall(false);
            assert!(!state.is_stalled());
        }
    }

    #[test]
    fn quick_files_say_nothing_about_the_link() {
        let mut state = state(Stage::Ready { rendering: None });
        state.delivered(1000, 0.001);
        assert_eq!(state.bytes_per_s, None);
        state.delivered(1 << 20, 0.5);
        state.delivered(1 << 20, 1.0);
        assert_eq!(state.bytes_per_s, Some(2.0 * f64::from(1 << 20)), "links are shared: the best counts");
    }
}
