//! The proof of a job as a state machine: it takes events and offers of idle slots, and returns what is to be done.
//!
//! It knows no Blender, no clock and no file but by name, so every path through it can be tested. `proving` carries out
//! its effects. What it proves are small versions of some of the job's pictures, one after the other: every expected
//! node renders a share of the tiles, one finishes them, and the files are compared with the reference. Where they
//! differ, the reference is rendered once more (does Blender repeat itself?) and every node renders the small frame
//! whole by itself (which of them is to blame?).

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, Result};
use crate::proof::compare::{Comparison, Written, compare};
use crate::proof::{Finding, Strength, Verdict};

/// How many tasks may fail until the proof is given up.
const FAILURES: usize = 4;

/// What one slot does for the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Renders these tiles of a case.
    Tiles(usize, Vec<usize>),
    /// Finishes the stitched tiles of a case.
    Finish(usize),
    /// Renders a case whole, by itself.
    Whole(usize),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Send an idle slot on a task.
    Send(usize, Task),
    /// Have this machine's Blender render all cases as the file lies.
    Reference,
    /// Stitch the tiles of a case.
    Stitch(usize),
}

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// A slot is back with its tiles.
    Tiles(usize),
    /// A slot is back with what it finished or rendered whole.
    Files(usize, Vec<Written>),
    /// A slot is back with nothing.
    Failed(usize, Error),
    /// A slot is gone.
    Lost(usize),
    /// A case is stitched; the file is the picture already, or has to be finished.
    Stitched(usize, Result<Option<Written>>),
    /// This machine's Blender is done with all cases, or failed.
    Referenced(Result<Vec<Vec<Written>>>),
}

/// How far a tile of the proof is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tile {
    Open,
    With(usize),
    Here,
}

/// One small picture.
#[derive(Debug)]
struct Case {
    tiles: Vec<Tile>,
    /// Nodes that have rendered, or render, tiles of it.
    nodes: BTreeSet<usize>,
    stitching: bool,
    /// Whether stitched tiles wait for the finish.
    unfinished: bool,
    candidate: Option<Vec<Written>>,
}

/// A slot as the prover sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle {
    pub(super) slot: usize,
    pub(super) node: usize,
}

pub(super) struct Prover {
    cases: Vec<Case>,
    strength: Strength,
    /// Why the reference is the weaker kind.
    weaker: Option<String>,
    /// Every case by the reference; a second time where something differed.
    references: Vec<Vec<Vec<Written>>>,
    /// Whether this machine's Blender is at it.
    referring: bool,
    /// The node whose whole frames are the reference, where that is the weaker kind, and those so far.
    referrer: Option<usize>,
    own: Vec<Vec<Written>>,
    tasks: BTreeMap<usize, (usize, Task)>,
    /// The case in which something differs, and how.
    differs: Option<(usize, Comparison)>,
    /// By node, its whole frame of that case.
    wholes: BTreeMap<usize, Vec<Written>>,
    failures: usize,
    /// Channels and tiles compared.
    channels: usize,
    /// What differs in metadata alone.
    metadata: Option<String>,
    /// Whether no small picture shows anything.
    black: bool,
    settled: Option<Result<Settled>>,
}

/// What the prover found out; names, versions and times are added where they are known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settled {
    pub(super) finding: SettledFinding,
    pub(super) strength: Strength,
    pub(super) weaker: Option<String>,
    pub(super) tiles: usize,
    pub(super) channels: usize,
    pub(super) pictures: usize,
    /// Nodes that rendered tiles.
    pub(super) nodes: Vec<usize>,
    pub(super) differs: Option<String>,
    /// Whether no small picture shows anything.
    pub(super) black: bool,
}

/// As [`Finding`], with nodes by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SettledFinding {
    Exact,
    Unrepeatable(usize),
    Cut,
    Nodes(Vec<usize>),
    Foreign,
}

impl Settled {
    /// With the names of nodes.
    pub(super) fn verdict(self, name: &dyn Fn(usize) -> String, blender: String, seconds: f64) -> Verdict {
        Verdict {
            finding: match self.finding {
                SettledFinding::Exact => Finding::Exact,
                SettledFinding::Unrepeatable(pixels) => Finding::Unrepeatable { pixels },
                SettledFinding::Cut => Finding::Cut,
                SettledFinding::Nodes(nodes) => Finding::Nodes(nodes.into_iter().map(name).collect()),
                SettledFinding::Foreign => Finding::Foreign,
            },
            strength: self.strength,
            weaker: self.weaker,
            tiles: self.tiles,
            channels: self.channels,
            pictures: self.pictures,
            nodes: self.nodes.into_iter().map(name).collect(),
            blender,
            differs: self.differs,
            seconds,
            remembered: false,
            black: self.black,
        }
    }
}

impl Prover {
    /// A proof of so many small pictures, each of so many tiles. `weaker` says why this machine's Blender cannot make
    /// the reference, if it cannot.
    pub(super) fn new(tiles: &[usize], weaker: Option<String>) -> Self {
        let case = |tiles: &usize| Case {
            tiles: vec![Tile::Open; *tiles],
            nodes: BTreeSet::new(),
            stitching: false,
            unfinished: false,
            candidate: None,
        };
        Self {
            cases: tiles.iter().map(case).collect(),
            strength: if weaker.is_some() { Strength::NodesFiles } else { Strength::FileInPlace },
            weaker,
            references: Vec::new(),
            referring: false,
            referrer: None,
            own: Vec::new(),
            tasks: BTreeMap::new(),
            differs: None,
            wholes: BTreeMap::new(),
            failures: 0,
            channels: 0,
            metadata: None,
            black: false,
            settled: None,
        }
    }

    /// What comes first.
    pub(super) fn begin(&mut self) -> Vec<Effect> {
        self.refer()
    }

    /// Whether a slot is on a task of the proof.
    pub(super) fn has(&self, slot: usize) -> bool {
        self.tasks.contains_key(&slot)
    }

    /// What came of it, once it is settled; an error where it could not be made.
    pub(super) fn settled(&self) -> Option<&Result<Settled>> {
        self.settled.as_ref()
    }

    /// The reference's files of every case, where there are any.
    pub(super) fn reference(&self, case: usize) -> Option<&Vec<Written>> {
        self.references.first().and_then(|r| r.get(case))
    }

    fn refer(&mut self) -> Vec<Effect> {
        if self.strength == Strength::FileInPlace && !self.referring {
            self.referring = true;
            return vec![Effect::Reference];
        }
        Vec::new()
    }

    /// Slots that have nothing to do; `expected` are the nodes that take part or are on their way.
    pub(super) fn offer(&mut self, idle: &[Idle], expected: &BTreeSet<usize>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for each in idle {
            if self.settled.is_some() || self.tasks.contains_key(&each.slot) {
                continue;
            }
            if let Some(task) = self.errand_for(each.node, expected) {
                if let Task::Tiles(case, tiles) = &task {
                    for tile in tiles {
                        self.cases[*case].tiles[*tile] = Tile::With(each.slot);
                    }
                    self.cases[*case].nodes.insert(each.node);
                }
                self.tasks.insert(each.slot, (each.node, task.clone()));
                effects.push(Effect::Send(each.slot, task));
            }
        }
        effects
    }

    fn errand_for(&self, node: usize, expected: &BTreeSet<usize>) -> Option<Task> {
        let busy = |task: &dyn Fn(usize, &Task) -> bool| self.tasks.values().any(|(n, e)| task(*n, e));
        if let Some((case, _)) = self.differs {
            // One whole frame by each node; where a node's frame is the reference, that node renders one more.
            let again = self.strength == Strength::NodesFiles && self.referrer == Some(node);
            let done = if again { self.references.len() > 1 } else { self.wholes.contains_key(&node) };
            let at_it = busy(&|n, e| n == node && matches!(e, Task::Whole(_)));
            return (!done && !at_it).then_some(Task::Whole(case));
        }
        if let Some(case) = self.cases.iter().position(|c| c.unfinished)
            && !busy(&|_, e| *e == Task::Finish(case))
        {
            return Some(Task::Finish(case));
        }
        if self.strength == Strength::NodesFiles
            && self.references.is_empty()
            && self.referrer.is_none_or(|referrer| referrer == node)
            && !busy(&|_, e| matches!(e, Task::Whole(_)))
        {
            return Some(Task::Whole(self.own.len()));
        }
        self.cases.iter().enumerate().find_map(|(number, case)| {
            let open: Vec<usize> = (0..case.tiles.len()).filter(|t| case.tiles[*t] == Tile::Open).collect();
            // Those that are expected and have had nothing yet have a share of what is left.
            let others = expected.iter().filter(|n| **n != node && !case.nodes.contains(n)).count();
            if open.is_empty() || (case.nodes.contains(&node) && others > 0) {
                return None;
            }
            let share = open.len().div_ceil(others + 1);
            Some(Task::Tiles(number, open.into_iter().take(share).collect()))
        })
    }

    /// Takes what happened.
    pub(super) fn on(&mut self, event: Event, expected: &BTreeSet<usize>) -> Vec<Effect> {
        if self.settled.is_some() {
            if let Event::Tiles(slot) | Event::Files(slot, _) | Event::Failed(slot, _) | Event::Lost(slot) =
                event
            {
                self.tasks.remove(&slot);
            }
            return Vec::new();
        }
        match event {
            Event::Tiles(slot) => {
                if let Some((_, Task::Tiles(case, tiles))) = self.tasks.remove(&slot) {
                    for tile in tiles {
                        self.cases[case].tiles[tile] = Tile::Here;
                    }
                }
            }
            Event::Files(slot, files) => match self.tasks.remove(&slot) {
                Some((_, Task::Finish(case))) => {
                    self.cases[case].unfinished = false;
                    self.cases[case].candidate = Some(files);
                }
                Some((node, Task::Whole(_))) => self.whole(node, files),
                _ => {}
            },
            Event::Failed(slot, error) => {
                self.take_back(slot);
                self.failed(error);
            }
            Event::Lost(slot) => self.take_back(slot),
            Event::Stitched(case, Ok(Some(file))) => self.cases[case].candidate = Some(vec![file]),
            Event::Stitched(case, Ok(None)) => self.cases[case].unfinished = true,
            Event::Stitched(_, Err(error)) => self.settled = Some(Err(error)),
            Event::Referenced(Ok(files)) => {
                self.referring = false;
                self.references.push(files);
            }
            Event::Referenced(Err(error)) => {
                self.referring = false;
                if self.references.is_empty() {
                    self.without_reference(&error);
                } else {
                    // It was rendered before: there is nothing else to hold against it.
                    self.references.push(self.references[0].clone());
                }
            }
        }
        self.advance(expected)
    }

    /// This machine's Blender does not make a reference: a node's own render of the sent files has to do.
    fn without_reference(&mut self, error: &Error) {
        self.strength = Strength::NodesFiles;
        self.weaker = Some(error.to_string());
    }

    fn whole(&mut self, node: usize, files: Vec<Written>) {
        if self.differs.is_some() {
            if self.strength == Strength::NodesFiles && self.referrer == Some(node) {
                let mut again = self.references[0].clone();
                if let Some((case, _)) = self.differs {
                    again[case] = files;
                }
                self.references.push(again);
            } else {
                self.wholes.insert(node, files);
            }
            return;
        }
        self.referrer = Some(node);
        self.own.push(files);
        if self.own.len() == self.cases.len() {
            self.references.push(std::mem::take(&mut self.own));
        }
    }

    fn take_back(&mut self, slot: usize) {
        let Some((node, task)) = self.tasks.remove(&slot) else { return };
        if let Task::Tiles(case, _) = task {
            let case = &mut self.cases[case];
            for tile in case.tiles.iter_mut().filter(|t| **t == Tile::With(slot)) {
                *tile = Tile::Open;
            }
            case.nodes.remove(&node);
        } else if matches!(task, Task::Whole(_)) && self.differs.is_none() {
            // Its frames were to be the reference; another node's will be.
            self.referrer = None;
            self.own.clear();
        }
    }

    fn failed(&mut self, error: Error) {
        self.failures += 1;
        if self.failures >= FAILURES || !error.is_retryable() {
            self.settled = Some(Err(error));
        }
    }

    fn advance(&mut self, expected: &BTreeSet<usize>) -> Vec<Effect> {
        if self.settled.is_some() {
            return Vec::new();
        }
        let mut effects = Vec::new();
        for (number, case) in self.cases.iter_mut().enumerate() {
            if !case.stitching && case.tiles.iter().all(|t| *t == Tile::Here) {
                case.stitching = true;
                effects.push(Effect::Stitch(number));
            }
        }
        let complete = self.cases.iter().all(|c| c.candidate.is_some()) && !self.references.is_empty();
        if complete && self.differs.is_none() {
            match self.judge() {
                Ok(Some(difference)) => {
                    self.differs = Some(difference);
                    effects.append(&mut self.refer());
                }
                Ok(None) => {
                    let metadata = std::mem::take(&mut self.metadata);
                    self.settle(SettledFinding::Exact, metadata);
                }
                Err(error) => self.settled = Some(Err(error)),
            }
        }
        if self.differs.is_some() && self.settled.is_none() {
            self.diagnose(expected);
        }
        effects
    }

    /// The first case that differs from the reference, and how.
    fn judge(&mut self) -> Result<Option<(usize, Comparison)>> {
        (self.channels, self.metadata, self.black) = (0, None, true);
        for (number, case) in self.cases.iter().enumerate() {
            let reference = self.reference(number).cloned().unwrap_or_default();
            let found = compare(case.candidate.as_deref().unwrap_or_default(), &reference)?;
            self.channels += found.channels;
            self.black &= found.black;
            if !found.metadata.is_empty() {
                self.metadata.get_or_insert_with(|| found.words());
            }
            if !found.is_equal() {
                return Ok(Some((number, found)));
            }
        }
        Ok(None)
    }

    /// Once the second reference and the whole frames of all nodes are here, says what is to blame.
    fn diagnose(&mut self, expected: &BTreeSet<usize>) {
        let Some((case, found)) = self.differs.clone() else { return };
        if self.references.len() < 2 {
            return;
        }
        let is_referrer = |n: &usize| self.strength == Strength::NodesFiles && self.referrer == Some(*n);
        let taking_part: BTreeSet<usize> =
            self.cases.iter().flat_map(|c| &c.nodes).copied().filter(|n| expected.contains(n)).collect();
        if taking_part.iter().any(|n| !is_referrer(n) && !self.wholes.contains_key(n)) {
            return;
        }
        let files =
            |set: usize| self.references.get(set).and_then(|r| r.get(case)).cloned().unwrap_or_default();
        let (first, second) = (files(0), files(1));
        let between = match compare(&second, &first) {
            Ok(between) => between,
            Err(error) => {
                self.settled = Some(Err(error));
                return;
            }
        };
        if found.is_within(&between) {
            let differing = between.differing();
            return self.settle(SettledFinding::Unrepeatable(differing), None);
        }
        let mut odd = Vec::new();
        let mut told = None;
        for (node, whole) in &self.wholes {
            match compare(whole, &first) {
                Ok(apart) if apart.is_equal() || apart.is_within(&between) => {}
                Ok(apart) => {
                    odd.push(*node);
                    told.get_or_insert(apart.words());
                }
                Err(error) => {
                    self.settled = Some(Err(error));
                    return;
                }
            }
        }
        let right = self.wholes.len() - odd.len() + usize::from(self.referrer.is_some());
        let finding = match (odd.is_empty(), right) {
            (true, _) => SettledFinding::Cut,
            (false, 0) => SettledFinding::Foreign,
            (false, _) => SettledFinding::Nodes(odd),
        };
        self.settle(finding, Some(told.unwrap_or_else(|| found.words())));
    }

    fn settle(&mut self, finding: SettledFinding, differs: Option<String>) {
        let nodes: BTreeSet<usize> = self.cases.iter().flat_map(|c| c.nodes.iter().copied()).collect();
        self.settled = Some(Ok(Settled {
            finding,
            strength: self.strength,
            weaker: self.weaker.clone(),
            tiles: self.cases.iter().map(|c| c.tiles.len()).sum(),
            channels: self.channels,
            pictures: self.cases.len(),
            nodes: nodes.into_iter().collect(),
            differs,
            black: self.black,
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    /// Pictures of one grey pixel on disk.
    struct Shelf(tempfile::TempDir);

    impl Shelf {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn picture(&self, value: u8) -> Vec<Written> {
            let path: PathBuf = self.0.path().join(format!("{value}.png"));
            Self::write(&path, value);
            vec![Written { name: Written::picture(""), path }]
        }

        fn write(path: &Path, value: u8) {
            let file = std::fs::File::create(path).unwrap();
            let mut encoder = png::Encoder::new(file, 1, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&[value]).unwrap();
        }
    }

    fn nodes(of: &[usize]) -> BTreeSet<usize> {
        of.iter().copied().collect()
    }

    fn idle(slot: usize) -> Idle {
        Idle { slot, node: slot }
    }

    /// Two nodes have rendered nine tiles and stitched them into `value`, the reference is `reference`.
    fn compared(shelf: &Shelf, value: u8, reference: u8) -> (Prover, Vec<Effect>) {
        let both = nodes(&[0, 1]);
        let mut prover = Prover::new(&[9], None);
        assert_eq!(prover.begin(), [Effect::Reference]);
        let sent = prover.offer(&[idle(0), idle(1)], &both);
        let shares: Vec<usize> = sent
            .iter()
            .map(|e| match e {
                Effect::Send(_, Task::Tiles(0, tiles)) => tiles.len(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(shares, [5, 4], "each node has its share");
        assert!(prover.on(Event::Tiles(0), &both).is_empty());
        assert_eq!(prover.on(Event::Tiles(1), &both), [Effect::Stitch(0)]);
        let stitched = shelf.picture(value).pop();
        assert!(prover.on(Event::Stitched(0, Ok(stitched)), &both).is_empty());
        let effects = prover.on(Event::Referenced(Ok(vec![shelf.picture(reference)])), &both);
        (prover, effects)
    }

    fn finding(prover: &Prover) -> SettledFinding {
        prover.settled().expect("settled").as_ref().unwrap().finding.clone()
    }

    #[test]
    fn what_is_equal_is_exact() {
        let (prover, effects) = compared(&Shelf::new(), 7, 7);
        assert!(effects.is_empty());
        assert_eq!(finding(&prover), SettledFinding::Exact);
        let settled = prover.settled().unwrap().as_ref().unwrap();
        assert_eq!((settled.tiles, settled.channels, settled.nodes.as_slice()), (9, 1, &[0, 1][..]));
    }

    #[test]
    fn what_differs_is_looked_into_and_the_odd_node_is_named() {
        let (shelf, both) = (Shelf::new(), nodes(&[0, 1]));
        for (whole, expected) in [
            ([7, 7], SettledFinding::Cut),
            ([7, 9], SettledFinding::Nodes(vec![1])),
            ([9, 9], SettledFinding::Foreign),
        ] {
            let (mut prover, effects) = compared(&shelf, 8, 7);
            assert_eq!(effects, [Effect::Reference], "does Blender repeat itself?");
            let sent = prover.offer(&[idle(0), idle(1)], &both);
            assert_eq!(sent, [Effect::Send(0, Task::Whole(0)), Effect::Send(1, Task::Whole(0))]);
            prover.on(Event::Files(0, shelf.picture(whole[0])), &both);
            prover.on(Event::Files(1, shelf.picture(whole[1])), &both);
            assert!(prover.settled().is_none(), "the second reference is not here");
            prover.on(Event::Referenced(Ok(vec![shelf.picture(7)])), &both);
            assert_eq!(finding(&prover), expected);
        }
    }

    #[test]
    fn a_scene_that_blender_does_not_repeat_is_no_fault() {
        let (shelf, both) = (Shelf::new(), nodes(&[0, 1]));
        let (mut prover, _) = compared(&shelf, 8, 7);
        prover.offer(&[idle(0), idle(1)], &both);
        prover.on(Event::Referenced(Ok(vec![shelf.picture(6)])), &both);
        prover.on(Event::Files(0, shelf.picture(9)), &both);
        prover.on(Event::Files(1, shelf.picture(5)), &both);
        assert_eq!(finding(&prover), SettledFinding::Unrepeatable(1));
    }

    #[test]
    fn a_node_that_leaves_gives_its_tiles_back() {
        let both = nodes(&[0, 1]);
        let mut prover = Prover::new(&[4], None);
        prover.begin();
        prover.offer(&[idle(0), idle(1)], &both);
        prover.on(Event::Tiles(0), &both);
        prover.on(Event::Lost(1), &both);
        assert!(prover.offer(&[idle(0)], &both).is_empty(), "the other node may come back");
        let sent = prover.offer(&[idle(0)], &nodes(&[0]));
        assert_eq!(sent, [Effect::Send(0, Task::Tiles(0, vec![2, 3]))]);
    }

    #[test]
    fn without_this_machines_blender_a_nodes_own_frame_is_the_reference() {
        let (shelf, both) = (Shelf::new(), nodes(&[0, 1]));
        let mut prover = Prover::new(&[1], Some("there is no Blender here".into()));
        assert!(prover.begin().is_empty());
        let sent = prover.offer(&[idle(0), idle(1)], &both);
        assert_eq!(sent, [Effect::Send(0, Task::Whole(0)), Effect::Send(1, Task::Tiles(0, vec![0]))]);
        prover.on(Event::Files(0, shelf.picture(7)), &both);
        prover.on(Event::Tiles(1), &both);
        prover.on(Event::Stitched(0, Ok(None)), &both);
        assert_eq!(prover.offer(&[idle(1)], &both), [Effect::Send(1, Task::Finish(0))]);
        prover.on(Event::Files(1, shelf.picture(7)), &both);
        let settled = prover.settled().unwrap().as_ref().unwrap();
        assert_eq!(
            (settled.finding.clone(), settled.strength),
            (SettledFinding::Exact, Strength::NodesFiles)
        );
    }

    #[test]
    fn a_reference_that_fails_makes_way_for_the_weaker_kind() {
        let both = nodes(&[0]);
        let mut prover = Prover::new(&[1], None);
        prover.begin();
        prover.on(Event::Referenced(Err(Error::render("no room"))), &both);
        assert_eq!(prover.offer(&[idle(0)], &both), [Effect::Send(0, Task::Whole(0))]);
    }

    #[test]
    fn what_fails_again_and_again_is_given_up() {
        let both = nodes(&[0]);
        let mut prover = Prover::new(&[1], None);
        prover.begin();
        for _ in 0..FAILURES {
            assert!(prover.settled().is_none());
            prover.offer(&[idle(0)], &both);
            prover.on(Event::Failed(0, Error::render("no").retryable()), &both);
        }
        assert!(prover.settled().unwrap().is_err());
    }

    #[test]
    fn every_picture_has_to_be_equal() {
        let (shelf, one) = (Shelf::new(), nodes(&[0]));
        let mut prover = Prover::new(&[1, 1], None);
        prover.begin();
        prover.on(Event::Referenced(Ok(vec![shelf.picture(1), shelf.picture(2)])), &one);
        for (case, value) in [(0, 1), (1, 3)] {
            assert_eq!(prover.offer(&[idle(0)], &one), [Effect::Send(0, Task::Tiles(case, vec![0]))]);
            assert_eq!(prover.on(Event::Tiles(0), &one), [Effect::Stitch(case)]);
            prover.on(Event::Stitched(case, Ok(shelf.picture(value).pop())), &one);
        }
        assert_eq!(prover.differs.as_ref().unwrap().0, 1);
        assert_eq!(prover.offer(&[idle(0)], &one), [Effect::Send(0, Task::Whole(1))]);
    }
}
