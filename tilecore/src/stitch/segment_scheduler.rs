//! What is to be done next: the segments being made, and which part or segment a free thread takes up.
//!
//! Segments are opened from the top, a bounded number at a time. A part delivers its rows of one segment after the
//! other; a segment whose rows are all there is closed, then filtered, which takes the last row of the one above, then
//! deflated, which takes the end of the filtered bytes of the one above. The highest segment always goes first, so that
//! the writer is served and the window moves on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::geometry::{Frame, Rect};

/// Rows of the frame cut into segments of equal height; the last may be lower.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segments {
    pub(super) frame: Frame,
    /// Rows of every segment but the last.
    pub(super) rows: u32,
}

impl Segments {
    /// How many there are.
    pub(super) fn count(self) -> u32 {
        self.frame.height().div_ceil(self.rows)
    }

    /// The segment that has row `y`.
    pub(super) fn of_row(self, y: u32) -> u32 {
        y / self.rows
    }

    /// First row of the segment.
    pub(super) fn top(self, segment: u32) -> u32 {
        segment.saturating_mul(self.rows)
    }

    /// First row below the segment.
    pub(super) fn bottom(self, segment: u32) -> u32 {
        self.top(segment).saturating_add(self.rows).min(self.frame.height())
    }
}

/// Pixels of a segment, row by row, filled by the parts that cross it.
pub(super) type Picture = Arc<Mutex<Vec<u8>>>;

/// Something a thread can do.
pub(super) enum Job {
    /// Decode the rows that part has in the segment.
    Decode { part: usize, segment: u32, picture: Picture },
    /// All parts have delivered: fill what no part reaches and note the last row.
    Close { segment: u32, picture: Picture },
    /// Filter the closed segment; `above` is the last row of the one above.
    Filter { segment: u32, picture: Picture, above: Shared },
    /// Deflate the filtered segment, which may refer to `before`, the end of what the one above was filtered to.
    Deflate { segment: u32, filtered: Vec<u8>, before: Shared },
}

/// Bytes that the segment below may look at while the next thing is done here.
pub(super) type Shared = Arc<Vec<u8>>;

/// How far a segment has come.
enum Stage<T> {
    /// This many parts have not delivered.
    Open(usize),
    Closed,
    Filtered(Vec<u8>),
    Deflated(T),
    /// A thread is taking it to the next stage.
    Taken,
}

/// A segment on its way.
struct Slot<T> {
    picture: Picture,
    /// Parts that are ready to deliver their rows.
    todo: Vec<usize>,
    stage: Stage<T>,
    /// Its last row, once it is closed.
    last_row: Option<Shared>,
    /// The end of what it was filtered to, once it is.
    end: Option<Shared>,
}

/// All of it. `T` is what becomes of a segment.
pub(super) struct SegmentScheduler<T> {
    segments: Segments,
    /// Most segments open at a time.
    window: usize,
    /// First and last segment of every part.
    spans: Vec<(u32, u32)>,
    /// Parts by first segment, last first: those not begun.
    unopened: Vec<usize>,
    /// Parts that go on in the first segment not yet open.
    waiting: Vec<usize>,
    /// Number of parts that cross each segment.
    crossing: Vec<usize>,
    /// The segment in the first slot.
    first: u32,
    slots: VecDeque<Slot<T>>,
    /// [`Slot::last_row`] and [`Slot::end`] of the segment above the first slot.
    above: (Option<Shared>, Option<Shared>),
}

impl<T> SegmentScheduler<T> {
    /// A scheduler for parts with these regions; `above` stands for the row above the first.
    pub(super) fn new(segments: Segments, regions: &[Rect], window: usize, above: Vec<u8>) -> Self {
        let spans: Vec<_> = regions
            .iter()
            .map(|r| (segments.of_row(r.y()), segments.of_row(r.bottom().saturating_sub(1))))
            .collect();
        let mut change = vec![0isize; segments.count() as usize + 1];
        for &(first, last) in &spans {
            change[first as usize] += 1;
            change[last as usize + 1] -= 1;
        }
        let crossing = change
            .iter()
            .scan(0isize, |now, by| {
                *now += by;
                Some(now.unsigned_abs())
            })
            .collect();
        let mut unopened: Vec<usize> = (0..regions.len()).collect();
        unopened.sort_by_key(|&i| (spans.get(i).map(|s| s.0), regions.get(i).map(|r| r.x())));
        unopened.reverse();
        let mut this = Self {
            segments,
            window: window.max(1),
            spans,
            unopened,
            waiting: Vec::new(),
            crossing,
            first: 0,
            slots: VecDeque::new(),
            above: (Some(Arc::new(above)), Some(Shared::default())),
        };
        this.open();
        this
    }

    /// Opens segments as far as the window reaches.
    fn open(&mut self) {
        while self.slots.len() < self.window {
            let segment = self.first + self.slots.len() as u32;
            if segment >= self.segments.count() {
                break;
            }
            let mut todo = std::mem::take(&mut self.waiting);
            while let Some(part) =
                self.unopened.pop_if(|p| self.spans.get(*p).is_some_and(|s| s.0 == segment))
            {
                todo.push(part);
            }
            let missing = self.crossing.get(segment as usize).copied().unwrap_or(0);
            self.slots.push_back(Slot {
                picture: Picture::default(),
                todo,
                stage: Stage::Open(missing),
                last_row: None,
                end: None,
            });
        }
    }

    fn slot(&mut self, segment: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(segment.checked_sub(self.first)? as usize)
    }

    /// The next thing to do, if there is something.
    pub(super) fn take(&mut self) -> Option<Job> {
        let (mut above, mut before) = (self.above.0.as_ref(), self.above.1.as_ref());
        for (segment, slot) in (self.first..).zip(&mut self.slots) {
            let picture = || slot.picture.clone();
            let job = match (std::mem::replace(&mut slot.stage, Stage::Taken), above, before) {
                (Stage::Open(0), ..) => Ok(Job::Close { segment, picture: picture() }),
                (Stage::Closed, Some(above), _) => {
                    Ok(Job::Filter { segment, picture: picture(), above: above.clone() })
                }
                (Stage::Filtered(filtered), _, Some(before)) => {
                    Ok(Job::Deflate { segment, filtered, before: before.clone() })
                }
                (stage, ..) => Err(stage),
            };
            match job {
                Ok(job) => return Some(job),
                Err(stage) => slot.stage = stage,
            }
            (above, before) = (slot.last_row.as_ref(), slot.end.as_ref());
        }
        for (segment, slot) in (self.first..).zip(&mut self.slots) {
            if let Some(part) = slot.todo.pop() {
                return Some(Job::Decode { part, segment, picture: slot.picture.clone() });
            }
        }
        None
    }

    /// The part's rows are in the segment's picture.
    pub(super) fn delivered(&mut self, part: usize, segment: u32) {
        if self.spans.get(part).is_some_and(|span| span.1 > segment) {
            match self.slot(segment + 1) {
                Some(next) => next.todo.push(part),
                None => self.waiting.push(part),
            }
        }
        if let Some(Stage::Open(missing)) = self.slot(segment).map(|slot| &mut slot.stage) {
            *missing = missing.saturating_sub(1);
        }
    }

    /// The segment is closed.
    pub(super) fn closed(&mut self, segment: u32, last_row: Vec<u8>) {
        if let Some(slot) = self.slot(segment) {
            slot.stage = Stage::Closed;
            slot.last_row = Some(Arc::new(last_row));
        }
    }

    /// The segment is filtered; `end` is the end of it.
    pub(super) fn filtered(&mut self, segment: u32, filtered: Vec<u8>, end: Vec<u8>) {
        if let Some(slot) = self.slot(segment) {
            slot.stage = Stage::Filtered(filtered);
            slot.end = Some(Arc::new(end));
        }
    }

    /// The segment is deflated.
    pub(super) fn deflated(&mut self, segment: u32, result: T) {
        if let Some(slot) = self.slot(segment) {
            slot.stage = Stage::Deflated(result);
        }
    }

    /// What became of the next segment in order, if it is done; another one is opened in its place.
    pub(super) fn next(&mut self) -> Option<T> {
        let Stage::Deflated(_) = self.slots.front()?.stage else { return None };
        let slot = self.slots.pop_front()?;
        self.above = (slot.last_row, slot.end);
        self.first += 1;
        self.open();
        match slot.stage {
            Stage::Deflated(result) => Some(result),
            _ => None,
        }
    }

    /// Most parts that cross a segment.
    pub(super) fn crowd(&self) -> usize {
        self.crossing.iter().copied().max().unwrap_or(0)
    }

    /// Whether every segment was handed out by [`SegmentScheduler::next`].
    pub(super) fn is_over(&self) -> bool {
        self.first >= self.segments.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever the order in which threads finish, each part delivers each of its segments once and in order, and
        /// segments go through every stage once, after all their parts, with what they need of the one above.
        #[test]
        fn every_row_is_delivered_once_and_in_order(
            (height, rows, window, threads) in (1u32..60, 1u32..9, 1usize..6, 1usize..5),
            places in prop::collection::vec((0u32..60, 1u32..60), 0..12),
            mut luck: u64,
        ) {
            let frame = Frame::new(10, height).unwrap();
            let segments = Segments { frame, rows };
            let regions: Vec<Rect> = places
                .into_iter()
                .map(|(y, h)| Rect::new(0, y % height, 10, h.min(height - y % height)).unwrap())
                .collect();
            let mut scheduler = SegmentScheduler::new(segments, &regions, window, vec![0]);
            let mut next_row: Vec<u32> = regions.iter().map(|r| r.y()).collect();
            let mut ends = vec![None; segments.count() as usize];
            let mut running = Vec::new();
            let mut results = Vec::new();
            while !scheduler.is_over() {
                while running.len() < threads && let Some(job) = scheduler.take() {
                    running.push(job);
                }
                prop_assert!(!running.is_empty(), "nothing left to do before the end");
                luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match running.swap_remove((luck >> 33) as usize % running.len()) {
                    Job::Decode { part, segment, .. } => {
                        let from = next_row[part];
                        prop_assert_eq!(segments.of_row(from), segment);
                        next_row[part] = regions[part].bottom().min(segments.bottom(segment));
                        scheduler.delivered(part, segment);
                    }
                    Job::Close { segment, .. } => {
                        let (top, bottom) = (segments.top(segment), segments.bottom(segment));
                        let here = |r: &Rect| r.y() < bottom && r.bottom() > top;
                        let due = |r: &Rect| r.bottom().min(bottom);
                        prop_assert!(regions.iter().zip(&next_row).all(|(r, n)| !here(r) || *n >= due(r)));

                        prop_assert_eq!(ends[segment as usize].replace(segment), None);
                        scheduler.closed(segment, vec![segment as u8 + 1]);
                    }
                    Job::Filter { segment, above, .. } => {
                        prop_assert_eq!(&*above, &[segment as u8]);
                        scheduler.filtered(segment, vec![1, segment as u8], vec![2, segment as u8]);
                    }
                    Job::Deflate { segment, filtered, before } => {
                        let above = if segment == 0 { vec![] } else { vec![2, segment as u8 - 1] };
                        prop_assert_eq!((filtered, &*before), (vec![1, segment as u8], &above));
                        scheduler.deflated(segment, segment);
                    }
                }
                results.extend(std::iter::from_fn(|| scheduler.next()));
            }
            prop_assert_eq!(results, (0..segments.count()).collect::<Vec<_>>());
            prop_assert!(regions.iter().zip(&next_row).all(|(r, n)| *n == r.bottom()));
        }
    }
}
