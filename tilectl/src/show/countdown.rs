//! The time to go as people see it: it counts down, and what is predicted anew bends it instead of making it jump.

/// A prediction is much longer when it is more than this many times, and these seconds, longer than what is shown.
const WORSE: f64 = 1.5;
const WORSE_S: f64 = 5.0;
/// After this many seconds that is no noise: a node is gone, or a region costs more than anybody knew.
const PATIENCE_S: f64 = 8.0;
/// The difference to the prediction falls to 1/e in this part of the predicted time, ...
const SWING: f64 = 0.2;
/// ... in seconds at least and at most.
const SWING_S: (f64, f64) = (1.0, 5.0);

/// Shows predictions of the time to go.
///
/// Where the prediction is shorter than what is shown, it counts faster; where it is longer, slower, and at worst it
/// stands still. Only a prediction that stays much longer lets it rise, and then over some seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Countdown {
    /// Seconds that are shown, and the clock when they were.
    shown: Option<(f64, f64)>,
    /// Since when the prediction is much longer.
    worse: Option<f64>,
}

impl Countdown {
    /// What to show at `now` (seconds of any clock) when `predicted` seconds are expected to be left.
    pub(crate) fn show(&mut self, now: f64, predicted: Option<f64>) -> Option<f64> {
        let predicted = predicted.filter(|s| s.is_finite()).map(|s| s.max(0.0));
        let Some((shown, then)) = self.shown else {
            self.shown = predicted.map(|s| (s, now));
            return predicted;
        };
        let dt = (now - then).max(0.0);
        let counted = (shown - dt).max(0.0);
        // Nothing predicted: the clock alone.
        let predicted = predicted.unwrap_or(counted);
        let swing = 1.0 - (-dt / (predicted * SWING).clamp(SWING_S.0, SWING_S.1)).exp();
        let next = if predicted <= 0.0 {
            0.0
        } else if self.is_worse(now, shown, predicted) {
            shown + (predicted - shown) * swing
        } else {
            (counted + (predicted - counted) * swing).min(shown)
        };
        self.shown = Some((next, now));
        Some(next)
    }

    /// Whether the prediction has been much longer for so long that it is to be believed.
    fn is_worse(&mut self, now: f64, shown: f64, predicted: f64) -> bool {
        if predicted <= shown * WORSE + WORSE_S {
            // Once it rises, it goes on until the two agree.
            let rising = self.worse.is_some_and(|since| now - since >= PATIENCE_S);
            if !(rising && predicted > shown * 1.02) {
                self.worse = None;
            }
        } else if self.worse.is_none() {
            self.worse = Some(now);
        }
        self.worse.is_some_and(|since| now - since >= PATIENCE_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Predictions of a render on three unlike nodes, every two seconds: seconds since it began, seconds to go.
    const RECORDED: [(f64, f64); 30] = [
        (0.0, 61.2),
        (2.0, 57.9),
        (4.0, 63.8),
        (6.0, 66.0),
        (8.0, 55.4),
        (10.0, 51.0),
        (12.0, 53.7),
        (14.0, 52.2),
        (16.0, 43.1),
        (18.0, 44.6),
        (20.0, 46.9),
        (22.0, 41.3),
        (24.0, 38.8),
        (26.0, 37.0),
        (28.0, 39.4),
        (30.0, 30.2),
        (32.0, 27.7),
        (34.0, 28.9),
        (36.0, 27.5),
        (38.0, 23.3),
        (40.0, 20.1),
        (42.0, 21.6),
        (44.0, 18.8),
        (46.0, 14.2),
        (48.0, 13.7),
        (50.0, 12.9),
        (52.0, 8.4),
        (54.0, 6.3),
        (56.0, 4.9),
        (58.0, 0.0),
    ];

    /// The predictions between the recorded ones are as the last: that is how the scheduler's come.
    fn shown(recorded: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let mut countdown = Countdown::default();
        let (first, last) = (recorded[0].0, recorded[recorded.len() - 1].0);
        let steps = ((last - first) / 0.2).round() as usize;
        (0..=steps)
            .map(|step| {
                let now = first + step as f64 * 0.2;
                let known = recorded.iter().rev().find(|(at, _)| *at <= now + 1e-9).unwrap();
                let left = if known.1 > 0.0 { known.1 - (now - known.0) } else { 0.0 };
                (now, countdown.show(now, Some(left.max(0.1 * known.1))).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_recorded_render_counts_down_without_a_jump() {
        let shown = shown(&RECORDED);
        for pair in shown.windows(2).filter(|pair| pair[1].1 > 0.0) {
            let step = pair[0].1 - pair[1].1;
            assert!((0.0..=1.0).contains(&step), "at {:.1} s it goes by {step:.2} s", pair[1].0);
        }
        for (now, left) in shown.iter().filter(|(now, _)| *now < 50.0) {
            let truth = 58.0 - now;
            assert!(
                (left - truth).abs() < 0.25 * truth + 2.0,
                "{left:.1} s are shown with {truth:.1} s to go"
            );
        }
        assert!(shown.last().unwrap().1 < 0.01);
    }

    #[test]
    fn a_render_that_is_much_shorter_than_planned_is_soon_shown_so() {
        let mut countdown = Countdown::default();
        let mut left = countdown.show(0.0, Some(60.0)).unwrap();
        for step in 1..=20 {
            left = countdown.show(f64::from(step) * 0.2, Some(10.0 - f64::from(step) * 0.2)).unwrap();
        }
        assert!(left < 15.0, "{left:.1} s instead of 6");
    }

    #[test]
    fn a_lost_node_is_admitted_within_half_a_minute() {
        let mut countdown = Countdown::default();
        let mut before = 100.0;
        for step in 0..400 {
            let now = f64::from(step) * 0.2;
            let end = if now < 20.0 { 100.0 } else { 300.0 };
            let left = countdown.show(now, Some(end - now)).unwrap();
            assert!((left - before).abs() < 12.0, "{before:.1} becomes {left:.1}");
            if now < 27.0 {
                assert!(left <= before, "it rises for what may be noise");
            }
            if now > 50.0 {
                assert!((left - (end - now)).abs() < 10.0, "at {now:.0} s: {left:.0} s");
            }
            before = left;
        }
    }

    #[test]
    fn nothing_predicted_is_nothing_shown_and_then_the_clock() {
        let mut countdown = Countdown::default();
        assert_eq!(countdown.show(0.0, None), None);
        assert_eq!(countdown.show(1.0, Some(f64::NAN)), None);
        assert_eq!(countdown.show(2.0, Some(10.0)), Some(10.0));
        assert_eq!(countdown.show(5.0, None), Some(7.0));
        assert_eq!(countdown.show(50.0, None), Some(0.0));
        assert_eq!(countdown.show(4.0, Some(0.0)), Some(0.0));
    }
}
