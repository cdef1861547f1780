//! The end of every shot as a state machine: its tiles are stitched, an idle slot finishes it, it goes to its place.
//!
//! It knows no Blender, no thread and no clock, so every path through it can be tested; the coordinator carries out its
//! effects. One shot is stitched at a time; finishes run on as many slots as are idle.

use std::collections::VecDeque;

use super::messages::FinishedFile;
use crate::error::{Error, Result};

/// How many slots may fail at the finish of a shot before the job does.
const TRIES: usize = 4;
/// A slot that is this many times slower than the fastest finishes nothing while others are there.
const TOO_SLOW: f64 = 4.0;
/// How long a finish is believed to take while none is known, seconds.
const USUAL_S: f64 = 2.0;

/// What happened.
#[derive(Debug)]
pub(super) enum Event {
    /// Every tile of a shot is here, and tiles are proved where that is wanted.
    Complete(usize),
    /// A shot cannot be made from tiles: a slot is to render it whole.
    Whole(usize),
    /// A shot is stitched: into the picture itself, or into a file that has to be finished.
    Stitched(usize, Result<Stitched>),
    /// A slot made these files, which were checked.
    Finished(usize, Vec<FinishedFile>),
    /// A slot failed at its finish and lives on.
    Failed(usize, Error),
    /// A slot that was at a finish is gone.
    Lost(usize, Error),
}

/// What came of stitching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stitched {
    /// The picture, at its place.
    Picture,
    /// A file of passes that Blender makes the picture of.
    Passes,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// Stitch a shot's tiles.
    Stitch(usize),
    /// Have a slot finish a shot, or render it whole; it will take about so many seconds.
    Finish { slot: usize, shot: usize, whole: bool, seconds: f64 },
    /// The slot has nothing to finish any more.
    Return(usize),
    /// Put on record that a slot failed at a finish.
    Record(usize, Error),
    /// Put what a finish made of a shot into its place.
    Place(usize, Vec<FinishedFile>),
    /// The shot's file is there.
    Written(usize),
    /// The job cannot be completed.
    Fail(Error),
}

/// A slot that could finish something, now or later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) slot: usize,
    /// Measured rate; 0 where none is known.
    pub(super) rate: f64,
    /// Whether it has nothing to do.
    pub(super) idle: bool,
}

/// How far a shot is.
#[derive(Clone, Debug, PartialEq)]
enum Stage {
    /// Not all of its tiles are here.
    Open,
    /// Waits to be stitched, or is.
    Stitching,
    /// Waits for a slot that finishes it, or is with one.
    Finishing {
        whole: bool,
        /// Slots that failed at it.
        tried: Vec<usize>,
        /// The slot that is at it, and since when.
        by: Option<(usize, f64)>,
    },
    /// Its file is there.
    Done,
}

/// All shots of a job on their way into their files.
#[derive(Debug, Default)]
pub(super) struct Finalizer {
    shots: Vec<Stage>,
    /// Shots that wait to be stitched, and the one that is.
    waiting: VecDeque<usize>,
    stitching: Option<usize>,
    /// How long the last finish took, seconds.
    took: Option<f64>,
}

impl Finalizer {
    /// One entry per shot of the job: whether its file is there already.
    pub(super) fn new(written: impl IntoIterator<Item = bool>) -> Self {
        let stage = |written| if written { Stage::Done } else { Stage::Open };
        Self { shots: written.into_iter().map(stage).collect(), ..Self::default() }
    }

    /// Whether tiles of a shot are still wanted.
    pub(super) fn is_open(&self, shot: usize) -> bool {
        self.shots.get(shot) == Some(&Stage::Open)
    }

    /// Whether tiles of some shot are.
    pub(super) fn any_open(&self) -> bool {
        self.shots.contains(&Stage::Open)
    }

    /// Whether some shot is on its way into its file.
    pub(super) fn is_busy(&self) -> bool {
        self.shots.iter().any(|s| matches!(s, Stage::Stitching | Stage::Finishing { .. }))
    }

    /// Whether some shot waits for a slot.
    pub(super) fn waits_for_a_slot(&self) -> bool {
        self.shots.iter().any(|s| matches!(s, Stage::Finishing { by: None, .. }))
    }

    /// The shot that a slot is finishing.
    pub(super) fn shot_of(&self, slot: usize) -> Option<usize> {
        self.shots.iter().position(|s| matches!(s, Stage::Finishing { by: Some((at, _)), .. } if *at == slot))
    }

    /// What is to be done now that this happened.
    pub(super) fn on(&mut self, now: f64, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Complete(shot) => {
                if self.enter(shot, Stage::Stitching) {
                    self.waiting.push_back(shot);
                }
            }
            Event::Whole(shot) => {
                self.enter(shot, unfinished(true));
            }
            Event::Stitched(shot, Ok(made)) => {
                self.stitching = self.stitching.filter(|at| *at != shot);
                if let Some(stage) = self.shots.get_mut(shot).filter(|s| **s == Stage::Stitching) {
                    *stage = match made {
                        Stitched::Picture => Stage::Done,
                        Stitched::Passes => unfinished(false),
                    };
                    effects.extend((made == Stitched::Picture).then_some(Effect::Written(shot)));
                }
            }
            Event::Stitched(_, Err(error)) => effects.push(Effect::Fail(error)),
            Event::Finished(slot, files) => {
                let Some(shot) = self.shot_of(slot) else { return effects };
                if let Stage::Finishing { by: Some((_, since)), .. } = self.shots[shot] {
                    self.took = Some(now - since);
                }
                self.shots[shot] = Stage::Done;
                effects.extend([Effect::Place(shot, files), Effect::Written(shot), Effect::Return(slot)]);
            }
            Event::Failed(slot, error) => {
                if self.shot_of(slot).is_some() {
                    effects.push(Effect::Return(slot));
                    self.put_back(slot, error, &mut effects);
                }
            }
            Event::Lost(slot, error) => self.put_back(slot, error, &mut effects),
        }
        if self.stitching.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            self.stitching = Some(next);
            effects.push(Effect::Stitch(next));
        }
        effects
    }

    /// Gives the first waiting finish to an idle slot: the fastest, preferring those that have not failed at it.
    pub(super) fn offer(&mut self, now: f64, ready: &[Ready]) -> Option<Effect> {
        let seconds = self.took.unwrap_or(USUAL_S);
        let fastest = ready.iter().map(|r| r.rate).fold(0.0, f64::max);
        let shot = self.shots.iter().position(|s| matches!(s, Stage::Finishing { by: None, .. }))?;
        let Stage::Finishing { whole, tried, by } = &mut self.shots[shot] else { return None };
        let fit =
            |r: &&Ready| r.idle && (tried.contains(&r.slot) || r.rate <= 0.0 || r.rate * TOO_SLOW >= fastest);
        let best = ready.iter().filter(fit).min_by(|a, b| {
            tried.contains(&a.slot).cmp(&tried.contains(&b.slot)).then(b.rate.total_cmp(&a.rate))
        })?;
        *by = Some((best.slot, now));
        Some(Effect::Finish { slot: best.slot, shot, whole: *whole, seconds })
    }

    /// An open shot is on its way; says whether it was open.
    fn enter(&mut self, shot: usize, stage: Stage) -> bool {
        let open = self.is_open(shot);
        if open {
            self.shots[shot] = stage;
        }
        open
    }

    /// A finish failed on a slot; another one may do better.
    fn put_back(&mut self, slot: usize, error: Error, effects: &mut Vec<Effect>) {
        let Some(shot) = self.shot_of(slot) else { return };
        let Stage::Finishing { tried, by, .. } = &mut self.shots[shot] else { return };
        *by = None;
        tried.push(slot);
        effects.push(Effect::Record(slot, error.clone()));
        if !error.is_retryable() || tried.len() >= TRIES {
            effects.push(Effect::Fail(error));
        }
    }
}

fn unfinished(whole: bool) -> Stage {
    Stage::Finishing { whole, tried: Vec::new(), by: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done, in short.
    fn words(effects: &[Effect]) -> Vec<String> {
        let word = |effect: &Effect| match effect {
            Effect::Stitch(shot) => format!("stitch {shot}"),
            Effect::Finish { slot, shot, whole, .. } => {
                format!("{} {shot} on {slot}", if *whole { "render" } else { "finish" })
            }
            Effect::Return(slot) => format!("return {slot}"),
            Effect::Record(slot, _) => format!("record {slot}"),
            Effect::Place(shot, _) => format!("place {shot}"),
            Effect::Written(shot) => format!("written {shot}"),
            Effect::Fail(error) => format!("fail: {error}"),
        };
        effects.iter().map(word).collect()
    }

    fn one(effect: Option<Effect>) -> String {
        words(&effect.into_iter().collect::<Vec<_>>()).join(", ")
    }

    fn idle(rates: &[f64]) -> Vec<Ready> {
        rates.iter().enumerate().map(|(slot, rate)| Ready { slot, rate: *rate, idle: true }).collect()
    }

    /// A job of so many shots of which the first is stitched and waits for its finish.
    fn stitched(shots: usize) -> Finalizer {
        let mut f = Finalizer::new(vec![false; shots]);
        assert_eq!(words(&f.on(0.0, Event::Complete(0))), ["stitch 0"]);
        assert!(f.on(1.0, Event::Stitched(0, Ok(Stitched::Passes))).is_empty());
        f
    }

    fn bad() -> Error {
        Error::render("no memory").retryable()
    }

    #[test]
    fn a_png_is_written_when_it_is_stitched() {
        let mut f = Finalizer::new([false]);
        assert!(f.any_open() && !f.is_busy());
        assert_eq!(words(&f.on(0.0, Event::Complete(0))), ["stitch 0"]);
        assert!(f.on(0.0, Event::Complete(0)).is_empty(), "once is enough");
        assert!(f.is_busy() && !f.waits_for_a_slot());
        assert_eq!(words(&f.on(1.0, Event::Stitched(0, Ok(Stitched::Picture)))), ["written 0"]);
        assert!(!f.is_busy() && !f.any_open());
    }

    #[test]
    fn one_shot_is_stitched_at_a_time() {
        let mut f = Finalizer::new([false, true, false]);
        assert!(f.on(0.0, Event::Complete(1)).is_empty(), "its file is there");
        assert_eq!(words(&f.on(0.0, Event::Complete(2))), ["stitch 2"]);
        assert!(f.on(0.0, Event::Complete(0)).is_empty());
        let next = f.on(1.0, Event::Stitched(2, Ok(Stitched::Passes)));
        assert_eq!(words(&next), ["stitch 0"], "while the first is finished");
        assert_eq!(one(f.offer(1.0, &idle(&[1.0]))), "finish 2 on 0");
    }

    #[test]
    fn what_cannot_be_stitched_ends_the_job() {
        let mut f = Finalizer::new([false]);
        f.on(0.0, Event::Complete(0));
        let end = f.on(1.0, Event::Stitched(0, Err(Error::render("a tile is gone"))));
        assert_eq!(words(&end), ["fail: a tile is gone"]);
    }

    #[test]
    fn a_finish_that_fails_twice_is_done_by_a_third() {
        let mut f = stitched(1);
        let slots = idle(&[1.0, 3.0, 2.0]);
        assert_eq!(one(f.offer(1.0, &slots)), "finish 0 on 1", "the fastest first");
        assert_eq!(words(&f.on(2.0, Event::Failed(1, bad()))), ["return 1", "record 1"]);
        assert_eq!(one(f.offer(2.0, &slots)), "finish 0 on 2");
        assert_eq!(words(&f.on(3.0, Event::Failed(2, bad()))), ["return 2", "record 2"]);
        assert_eq!(one(f.offer(3.0, &slots)), "finish 0 on 0");
        let end = f.on(7.0, Event::Finished(0, Vec::new()));
        assert_eq!(words(&end), ["place 0", "written 0", "return 0"]);
        assert!(!f.is_busy());
        assert!(f.on(8.0, Event::Failed(0, bad())).is_empty(), "it has nothing to fail at");
    }

    #[test]
    fn a_lone_slot_may_try_again_and_the_fourth_failure_ends_the_job() {
        let mut f = stitched(1);
        for _ in 0..3 {
            assert_eq!(one(f.offer(1.0, &idle(&[1.0]))), "finish 0 on 0");
            assert_eq!(words(&f.on(2.0, Event::Failed(0, bad()))), ["return 0", "record 0"]);
        }
        f.offer(3.0, &idle(&[1.0]));
        let end = f.on(4.0, Event::Failed(0, bad()));
        assert_eq!(words(&end), ["return 0", "record 0", "fail: no memory"]);
    }

    #[test]
    fn an_error_that_no_other_slot_helps_with_ends_the_job_at_once() {
        let mut f = stitched(1);
        f.offer(1.0, &idle(&[1.0, 1.0]));
        let end = f.on(2.0, Event::Failed(0, Error::input("no such pass")));
        assert_eq!(words(&end), ["return 0", "record 0", "fail: no such pass"]);
    }

    #[test]
    fn the_finish_of_a_slot_that_is_lost_goes_elsewhere() {
        let mut f = stitched(1);
        f.offer(1.0, &idle(&[9.0]));
        let lost = f.on(2.0, Event::Lost(0, Error::node("gone")));
        assert_eq!(words(&lost), ["record 0"], "what is gone is not returned");
        assert!(f.waits_for_a_slot() && f.shot_of(0).is_none());
        assert!(f.offer(2.0, &[]).is_none());
        assert_eq!(one(f.offer(3.0, &idle(&[0.0]))), "finish 0 on 0");
    }

    #[test]
    fn a_slot_that_is_far_slower_finishes_nothing_while_faster_ones_render() {
        let mut f = stitched(1);
        let busy = Ready { slot: 0, rate: 10.0, idle: false };
        let slow = Ready { slot: 1, rate: 1.0, idle: true };
        assert!(f.offer(1.0, &[busy, slow]).is_none());
        assert_eq!(one(f.offer(1.0, &[slow])), "finish 0 on 1");
    }

    #[test]
    fn a_frame_that_cannot_be_cut_is_rendered_whole() {
        let mut f = Finalizer::new([false, false]);
        f.on(0.0, Event::Whole(0));
        f.on(0.0, Event::Whole(1));
        assert_eq!(one(f.offer(0.0, &idle(&[1.0, 2.0]))), "render 0 on 1");
        assert_eq!(one(f.offer(0.0, &idle(&[1.0]))), "render 1 on 0");
    }
}
