//! The run itself: a queue of things that will happen, and the slots they happen to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::World;
use super::node::Fault;
use crate::error::Error;
use crate::random::SplitMix64;
use crate::schedule::{Action, Input, Options, Piece, Scheduler, SlotId, Start};

/// How a run ended.
#[derive(Clone, Debug)]
pub enum End {
    /// Every pixel is stored, or it was drained.
    Complete,
    /// The scheduler gave the job up.
    Failed(Error),
    /// Nothing more would ever happen, or the limit was reached.
    Stuck,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// When, seconds.
    pub seconds: f64,
    /// The stored pieces that count.
    pub stored: Vec<Piece>,
    /// Who rendered what, and when: (slot, piece, from, to); pieces that were cut short end there.
    pub rendered: Vec<(SlotId, Piece, f64, f64)>,
    /// Seconds spent on what was not needed in the end.
    pub wasted_s: f64,
    /// Rules the scheduler broke; always empty.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Whether it ended with every pixel stored.
    pub fn is_complete(&self) -> bool {
        matches!(self.end, End::Complete)
    }
}

#[derive(Clone, Debug)]
enum Event {
    Join(SlotId),
    Ready(SlotId, u32),
    Report(SlotId, u32, u64, f64),
    Rendered(SlotId, u32, u64),
    Stored(SlotId, u32, u64),
    Failed(SlotId, u32, u64),
    Cancelled(SlotId, u32, u64),
    Death(SlotId),
    Noticed(SlotId, u32),
    Connect(SlotId, u32),
    User(usize),
    Tick,
}

/// Something that will happen, sorted so that the earliest is the greatest; a number keeps equal times in the order
/// they were made.
#[derive(Debug)]
struct Timed(Reverse<(u64, u64)>, Event);

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Timed {}

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Of a share of an adaptive piece's samples, to this power it is the share of its time: seen on Blender 3.4.1 with 1024
/// samples, of which 3 % took a quarter of the time.
const FADING: f64 = 0.4;

/// A slot while it runs.
#[derive(Clone, Debug, Default)]
struct Live {
    /// Things made for an earlier connection no longer happen.
    epoch: u32,
    up: bool,
    /// The scheduler was told that it is up, and not yet that it no longer is.
    believed: bool,
    retired: bool,
    busy: Option<(Piece, f64)>,
    picture: Option<u32>,
    link_free: f64,
    /// When its failures are due.
    failures: Vec<f64>,
}

struct Run<'a> {
    world: &'a World,
    chance: SplitMix64,
    queue: BinaryHeap<Timed>,
    made: u64,
    live: Vec<Live>,
    pieces: BTreeMap<u64, (Piece, f64)>,
    stored: BTreeMap<u64, Piece>,
    out: Outcome,
}

/// Runs a job in a world. Slots of the world beyond those of the start join when their time has come.
pub fn run(world: &World, start: &Start<'_>, options: Options, seed: u64) -> Outcome {
    let mut run = Run {
        world,
        chance: SplitMix64::new(seed),
        queue: BinaryHeap::new(),
        made: 0,
        live: vec![Live::default(); world.nodes.len()],
        pieces: BTreeMap::new(),
        stored: BTreeMap::new(),
        out: Outcome {
            end: End::Stuck,
            seconds: 0.0,
            stored: Vec::new(),
            rendered: Vec::new(),
            wasted_s: 0.0,
            violations: Vec::new(),
        },
    };
    run.set_up(start);
    let mut scheduler = Scheduler::new(start, options);
    run.go(&mut scheduler, start.slots.len());
    run.sum_up()
}

impl Run<'_> {
    fn set_up(&mut self, start: &Start<'_>) {
        for (slot, node) in self.world.nodes.iter().enumerate() {
            for fault in &node.faults {
                match *fault {
                    Fault::Death { at, .. } => self.at(at, Event::Death(slot)),
                    Fault::Failure { at } => self.live[slot].failures.push(at),
                    Fault::Speed { .. } => {}
                }
            }
            match start.slots.get(slot) {
                Some(slot) if slot.reserve => {}
                Some(_) => self.at(node.joins_at, Event::Connect(slot, 0)),
                None => self.at(node.joins_at, Event::Join(slot)),
            }
        }
        for (index, (at, _)) in self.world.user.iter().enumerate() {
            self.at(*at, Event::User(index));
        }
        self.at(0.0, Event::Tick);
    }

    fn at(&mut self, time: f64, event: Event) {
        // Positive times sort as their bits do. What never happens is not noted.
        if time.is_finite() && time <= self.world.limit_s {
            self.made += 1;
            self.queue.push(Timed(Reverse((time.max(0.0).to_bits(), self.made)), event));
        }
    }

    fn go(&mut self, scheduler: &mut Scheduler, planned: usize) {
        let mut joined = planned;
        while let Some(Timed(Reverse((bits, _)), event)) = self.queue.pop() {
            let now = f64::from_bits(bits);
            let Some(input) = self.happen(now, event, &mut joined) else { continue };
            self.out.seconds = now;
            for action in scheduler.on(now, input.clone()) {
                if self.act(now, action) {
                    return;
                }
            }
        }
    }

    /// Lets it happen; returns what the scheduler hears of it.
    fn happen(&mut self, now: f64, event: Event, joined: &mut usize) -> Option<Input> {
        match event {
            Event::Tick => {
                // Without anything else to come there is nothing to wait for, except a stalled slot that is to be
                // given up: the limit ends that.
                self.at(now + self.world.tick_s, Event::Tick);
                Some(Input::Tick)
            }
            Event::User(index) => Some(self.world.user[index].1.clone()),
            Event::Join(slot) => {
                // Slots join in the order of their times, which is that of their numbers.
                if slot != *joined {
                    self.out.violations.push(format!("slot {slot} joined as {joined}"));
                }
                *joined += 1;
                self.connect(now, slot);
                Some(Input::Joined(self.world.nodes[slot].model.clone()))
            }
            Event::Connect(slot, epoch) => {
                if epoch == self.live[slot].epoch {
                    self.connect(now, slot);
                }
                None
            }
            Event::Ready(slot, epoch) => self.current(slot, epoch).then(|| {
                self.live[slot].up = true;
                self.live[slot].believed = true;
                Input::Ready(slot)
            }),
            Event::Report(slot, epoch, piece, done) => (self.current(slot, epoch)
                && self.is_busy(slot, piece))
            .then_some(Input::Progress(slot, piece, done)),
            Event::Rendered(slot, epoch, piece) => {
                if !self.current(slot, epoch) || !self.is_busy(slot, piece) {
                    return None;
                }
                self.end_piece(now, slot)?;
                let pixels = self.pixels(piece);
                let node = &self.world.nodes[slot];
                let send = pixels * self.world.bytes_per_pixel / node.model.transfer_bytes_per_s;
                let here = node.done_at(self.live[slot].link_free.max(now), send);
                self.live[slot].link_free = here;
                self.at(here, Event::Stored(slot, epoch, piece));
                Some(Input::Rendered(slot, piece))
            }
            Event::Stored(slot, epoch, piece) => self.current(slot, epoch).then(|| {
                if let Some((piece, _)) = self.pieces.get(&piece) {
                    self.stored.insert(piece.id, *piece);
                }
                Input::Stored(slot, piece)
            }),
            Event::Failed(slot, epoch, piece) => {
                if !self.current(slot, epoch) || !self.is_busy(slot, piece) {
                    return None;
                }
                self.end_piece(now, slot);
                Some(Input::Failed(slot, piece, Error::render("the simulated tile failed")))
            }
            Event::Cancelled(slot, epoch, piece) => {
                if !self.current(slot, epoch) || !self.is_busy(slot, piece) {
                    return None;
                }
                self.end_piece(now, slot);
                Some(Input::Cancelled(slot, piece))
            }
            Event::Death(slot) => {
                self.drop_connection(now, slot);
                let epoch = self.live[slot].epoch;
                self.at(now + self.world.nodes[slot].detect_s, Event::Noticed(slot, epoch));
                None
            }
            Event::Noticed(slot, epoch) => self
                .current(slot, epoch)
                .then(|| Input::Lost(slot, Error::node("the simulated connection is gone"))),
        }
    }

    fn current(&self, slot: SlotId, epoch: u32) -> bool {
        self.live[slot].epoch == epoch && !self.live[slot].retired
    }

    fn is_busy(&self, slot: SlotId, piece: u64) -> bool {
        self.live[slot].busy.is_some_and(|(p, _)| p.id == piece)
    }

    fn pixels(&self, piece: u64) -> f64 {
        let Some((piece, _)) = self.pieces.get(&piece) else { return 0.0 };
        self.world
            .truth
            .get(piece.picture as usize)
            .map_or(0.0, |(map, _)| piece.region.grown(self.world.overlap, map.frame()).area() as f64)
    }

    fn end_piece(&mut self, now: f64, slot: SlotId) -> Option<f64> {
        let (piece, since) = self.live[slot].busy.take()?;
        self.out.rendered.push((slot, piece, since, now));
        Some(since)
    }

    fn drop_connection(&mut self, now: f64, slot: SlotId) {
        self.end_piece(now, slot);
        let live = &mut self.live[slot];
        live.epoch += 1;
        live.up = false;
        live.picture = None;
        live.link_free = now;
    }

    fn connect(&mut self, now: f64, slot: SlotId) {
        let node = &self.world.nodes[slot];
        let epoch = self.live[slot].epoch;
        if node.alive(f64::INFINITY).iter().any(|(from, to)| *from <= now && now < *to) {
            self.at(node.done_at(now, node.model.ready_s()), Event::Ready(slot, epoch));
        } else {
            self.at(now + node.detect_s, Event::Noticed(slot, epoch));
        }
    }

    /// Carries an action out; returns whether it was the last.
    fn act(&mut self, now: f64, action: Action) -> bool {
        match action {
            Action::Render(slot, piece) => self.render(now, slot, piece),
            Action::Cancel(slot, piece) => {
                if self.is_busy(slot, piece) {
                    let (node, epoch) = (&self.world.nodes[slot], self.live[slot].epoch);
                    self.at(node.done_at(now, node.cancel_s), Event::Cancelled(slot, epoch, piece));
                }
            }
            Action::Discard(piece) => {
                if self.stored.remove(&piece).is_none() {
                    self.out.violations.push(format!("piece {piece} was discarded and is not stored"));
                }
            }
            Action::Reconnect(slot, wait) => {
                self.drop_connection(now, slot);
                self.live[slot].believed = false;
                let epoch = self.live[slot].epoch;
                self.at(now + wait, Event::Connect(slot, epoch));
            }
            Action::Retire(slot, _) => {
                self.drop_connection(now, slot);
                self.live[slot].retired = true;
            }
            Action::Complete => {
                self.out.end = End::Complete;
                return true;
            }
            Action::Fail(error) => {
                self.out.end = End::Failed(error);
                return true;
            }
        }
        false
    }

    fn render(&mut self, now: f64, slot: SlotId, piece: Piece) {
        let rules = [
            (self.live[slot].retired, "is retired"),
            (!self.live[slot].believed, "is not ready"),
            (self.live[slot].busy.is_some(), "is busy"),
            (self.pieces.contains_key(&piece.id), "gets a piece whose number was used"),
        ];
        for (broken, what) in rules {
            if broken {
                self.out.violations.push(format!("slot {slot} {what} and gets piece {} at {now}", piece.id));
            }
        }
        self.pieces.insert(piece.id, (piece, now));
        if !self.live[slot].up {
            // It vanished, which is not noticed yet: the piece goes nowhere.
            return;
        }
        let node = &self.world.nodes[slot];
        let cost = self.world.cost_of(piece.picture, piece.region);
        let switch = match self.live[slot].picture.replace(piece.picture) {
            Some(before) if before != piece.picture => node.model.sync_s,
            None if node.model.unbuilt => node.model.sync_s,
            _ => 0.0,
        };
        let noise = if node.noise > 0.0 { self.chance.factor(node.noise) } else { 1.0 };
        let (fixed, rendering) = (node.model.fixed_s + switch, cost / node.model.rate * noise);
        let epoch = self.live[slot].epoch;
        self.live[slot].busy = Some((piece, now));
        let fails = self.live[slot].failures.first().is_some_and(|at| *at <= now)
            || self.world.poison.is_some_and(|p| p.intersection(piece.region).is_some());
        if fails {
            if self.live[slot].failures.first().is_some_and(|at| *at <= now) {
                self.live[slot].failures.remove(0);
            }
            self.at(node.done_at(now, fixed + rendering / 2.0), Event::Failed(slot, epoch, piece.id));
            return;
        }
        for i in 1..node.reports {
            let done = f64::from(i) / f64::from(node.reports);
            // With adaptive sampling (the only use of an overlap) the first samples take most of the time.
            let by_then = if self.world.overlap.0 > 0 { done.powf(FADING) } else { done };
            let at = node.done_at(now, fixed + rendering * by_then);
            self.at(at, Event::Report(slot, epoch, piece.id, done));
        }
        self.at(node.done_at(now, fixed + rendering), Event::Rendered(slot, epoch, piece.id));
    }

    fn sum_up(mut self) -> Outcome {
        let busy: Vec<SlotId> = (0..self.live.len()).collect();
        let now = self.out.seconds;
        for slot in busy {
            self.end_piece(now, slot);
        }
        self.out.wasted_s = self
            .out
            .rendered
            .iter()
            .filter(|(_, piece, ..)| !self.stored.contains_key(&piece.id))
            .map(|(_, _, from, to)| to - from)
            .sum();
        self.out.stored = self.stored.into_values().collect();
        self.out
    }
}
