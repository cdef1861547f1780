//! Which frames are asked for: `7`, `1-250`, `1-250x5`, `1,7,90-95`, or all that the scene has.

use std::str::FromStr;

use crate::error::{Error, Result};

/// The frames that Blender knows.
const KNOWN: std::ops::RangeInclusive<i32> = -1_048_574..=1_048_574;
/// No job has more.
const MOST: usize = 100_000;

/// Frames to render, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frames {
    /// These, each once.
    These(Vec<i32>),
    /// From the scene's first to its last, by its step.
    All,
    /// The same with other ends or another step, where they are given.
    Part {
        /// First frame.
        first: Option<i32>,
        /// Last frame.
        last: Option<i32>,
        /// Step.
        step: Option<u32>,
    },
    /// The one that is current in the file.
    Current,
}

impl Frames {
    /// A single frame.
    pub fn one(frame: i32) -> Self {
        Self::These(vec![frame])
    }

    /// The frames of a scene with this first frame, last frame and step, where `current` is the current one.
    ///
    /// # Errors
    /// When the scene has none, or too many.
    pub fn of(&self, (first, last, step): (i32, i32, i32), current: i32) -> Result<Vec<i32>> {
        match self {
            Self::Current => Ok(vec![current]),
            Self::These(frames) => Ok(frames.clone()),
            Self::All => span(first, last, step.max(1).unsigned_abs()).ok_or_else(|| {
                Error::input(format!("the scene's own range, {first} to {last} by {step}, cannot be rendered"))
                    .remedy("Set first and last frame in Blender's output properties, or name frames with --frames 1-250.")
            }),
            Self::Part { first: from, last: to, step: by } => {
                let (from, to) = (from.unwrap_or(first), to.unwrap_or(last));
                let by = by.unwrap_or(step.max(1).unsigned_abs());
                span(from, to, by).ok_or_else(|| {
                    Error::input(format!("there are no frames from {from} to {to} by {by}")).remedy(
                        "An end that is not given is the scene's own. Name frames with -s and -e, or --frames 1-250.",
                    )
                })
            }
        }
    }

    /// The first of them, where that is known without the scene.
    pub fn first(&self) -> Option<i32> {
        match self {
            Self::These(frames) => frames.first().copied(),
            Self::Part { first, .. } => *first,
            Self::All | Self::Current => None,
        }
    }
}

/// From `first` to `last`; nothing when that makes no sense.
fn span(first: i32, last: i32, step: u32) -> Option<Vec<i32>> {
    let fits = KNOWN.contains(&first) && KNOWN.contains(&last) && first <= last && step > 0;
    let frames = fits.then(|| (first..=last).step_by(step as usize).take(MOST + 1).collect::<Vec<_>>())?;
    (frames.len() <= MOST).then_some(frames)
}

impl FromStr for Frames {
    type Err = Error;

    /// Frames and ranges after commas. A frame in several ranges is rendered once, at its first place.
    fn from_str(text: &str) -> Result<Self> {
        if text.trim().eq_ignore_ascii_case("all") {
            return Ok(Self::All);
        }
        let mut frames = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for part in text.split(',') {
            let Some(range) = range(part.trim()) else {
                return Err(Error::input(format!("`{part}` names no frames"))
                    .remedy("Write them as 1-250, 1-250x5, 1,7,90-95 or all, from -1048574 to 1048574."));
            };
            frames.extend(range.into_iter().filter(|frame| seen.insert(*frame)));
            if frames.len() > MOST {
                return Err(Error::input(format!("`{text}` are more than {MOST} frames"))
                    .remedy("Render them in several jobs."));
            }
        }
        Ok(Self::These(frames))
    }
}

/// `7`, `-3`, `1-250`, `-5--1`, `1-250x5`.
fn range(text: &str) -> Option<Vec<i32>> {
    let (ends, step) = match text.split_once(['x', 'X']) {
        Some((ends, step)) => (ends, step.trim().parse().ok()?),
        None => (text, 1),
    };
    let number = |text: &str| text.trim().parse::<i32>().ok();
    // A minus at the beginning is the number's own.
    match ends.char_indices().skip(1).find(|(_, c)| *c == '-') {
        Some((at, _)) => span(number(&ends[..at])?, number(&ends[at + 1..])?, step),
        None if text.len() == ends.len() => span(number(ends)?, number(ends)?, 1),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_steps_and_lists() {
        for (text, frames) in [
            ("7", &[7][..]),
            ("-3", &[-3]),
            ("1-4", &[1, 2, 3, 4]),
            ("-5--3", &[-5, -4, -3]),
            ("-1-1", &[-1, 0, 1]),
            ("1-10x4", &[1, 5, 9]),
            ("1, 7, 90-92", &[1, 7, 90, 91, 92]),
            ("1-3,2-5,1", &[1, 2, 3, 4, 5]),
            ("9,1-2", &[9, 1, 2]),
        ] {
            assert_eq!(text.parse::<Frames>().unwrap(), Frames::These(frames.to_vec()), "{text}");
        }
        assert_eq!("all".parse::<Frames>().unwrap(), Frames::All);
        assert_eq!(Frames::All.of((2, 9, 3), 1).unwrap(), [2, 5, 8]);
        let part = |first, last, step| Frames::Part { first, last, step }.of((2, 9, 3), 1);
        assert_eq!(part(Some(4), None, None).unwrap(), [4, 7]);
        assert_eq!(part(None, Some(5), Some(1)).unwrap(), [2, 3, 4, 5]);
        assert!(part(Some(10), None, None).is_err());
    }

    #[test]
    fn what_names_no_frames_is_refused() {
        for text in [
            "",
            "5-1",
            "1-",
            "x",
            "1-5x0",
            "1x2",
            "1..5",
            "1,,2",
            "0.5",
            "1-9999999",
            "99999999999",
            "1-250x-5",
        ] {
            let error = text.parse::<Frames>().unwrap_err();
            assert!(error.hint().is_some(), "{text}");
        }
        assert!(Frames::All.of((5, 1, 1), 1).is_err());
        assert!("-1048574-1048574".parse::<Frames>().is_err());
    }
}
