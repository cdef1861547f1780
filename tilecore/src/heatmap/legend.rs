//! The legend of a heat map: a bar of its colours, and seconds in round numbers below it.

use super::HeatMap;
use super::canvas::Canvas;
use super::draw::{Scale, Style};
use super::font;

/// The colour of letters and ticks.
pub(super) const INK: [u8; 3] = [34, 34, 38];

impl HeatMap {
    /// A bar of all colours with seconds below it, in the lowest part of the canvas.
    pub(super) fn legend(&self, canvas: &mut Canvas, top: u32, style: Style) {
        if !style.legend {
            return;
        }
        let size = dot(canvas.width());
        let (left, right) = (6 * size, canvas.width().saturating_sub(6 * size).max(6 * size + 1));
        let (bar_top, bar_bottom) = (top + 5 * size, top + 14 * size);
        let span = right - left;
        for x in left..right {
            let at = f64::from(x - left) / f64::from((span - 1).max(1));
            canvas.fill(x, bar_top, x + 1, bar_bottom, style.palette.color(at));
        }
        let mut free = 0;
        for value in self.ticks(style.scale) {
            let x = left + (self.place(value, style.scale) * f64::from(span - 1)).round() as u32;
            let text = self.label(value);
            let wide = Canvas::text_width(size, &text);
            let start = x.saturating_sub(wide / 2).min(canvas.width().saturating_sub(wide + size)).max(size);
            if start < free || start + wide > canvas.width() {
                continue;
            }
            canvas.fill(x, bar_bottom, x + size, bar_bottom + 2 * size, INK);
            canvas.text(start, bar_bottom + 3 * size, size, INK, &text);
            free = start + wide + 2 * font::ADVANCE * size;
        }
        let room = canvas.width().saturating_sub(2 * left);
        let captions = [
            format!(
                "seconds per megapixel on the fastest node, whole frame {} s",
                short(self.total_seconds(), self.total_seconds() / 100.0)
            ),
            "seconds per megapixel on the fastest node".into(),
            "seconds per megapixel".into(),
            "s/mpx".into(),
        ];
        if let Some(caption) = captions.iter().find(|c| Canvas::text_width(size, c) <= room) {
            canvas.text(left, bar_bottom + (3 + font::HEIGHT + 2) * size, size, INK, caption);
        }
    }

    /// Round numbers within the range, ascending.
    pub(crate) fn ticks(&self, scale: Scale) -> Vec<f64> {
        let (least, most) = self.range();
        let step = step(most - least);
        if most <= least || step <= 0.0 || !step.is_normal() {
            return vec![least];
        }
        match scale {
            Scale::Linear => {
                let first = (least / step).ceil();
                (0..12)
                    .map(|i| (first + f64::from(i)) * step)
                    .take_while(|v| *v <= most * (1.0 + 1e-12))
                    .collect()
            }
            Scale::Log => {
                let lowest = least.max(most * 1e-4).log10().floor() as i32;
                (lowest..=most.log10().ceil() as i32)
                    .flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(power)))
                    .filter(|v| *v >= least && *v <= most)
                    .collect()
            }
        }
    }

    /// A tick's label.
    pub(crate) fn label(&self, value: f64) -> String {
        let (least, most) = self.range();
        short(value, if most > least { step(most - least).min(value.abs().max(1e-12)) } else { value / 10.0 })
    }
}

/// Pixels that the legend of a map of this width takes below it.
pub(super) fn height(width: u32, style: Style) -> u32 {
    if style.legend { 40 * dot(width) } else { 0 }
}

/// Pixels of one dot of the legend's letters, for a map of this width.
fn dot(width: u32) -> u32 {
    (width / 400).clamp(1, 8)
}

/// One, two or five times a power of ten, about a fifth of `span`.
fn step(span: f64) -> f64 {
    if span <= 0.0 || !span.is_finite() {
        return 0.0;
    }
    let rough = span / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let digit = rough / power;
    power
        * if digit < 1.5 {
            1.0
        } else if digit < 3.5 {
            2.0
        } else if digit < 7.5 {
            5.0
        } else {
            10.0
        }
}

/// A number with as many decimals as `step` needs.
fn short(value: f64, step: f64) -> String {
    let decimals = if step > 0.0 { (-(step.log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize } else { 1 };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{block, frame};
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_range() {
        for (least, most) in [(1.0, 5.0), (0.0, 0.013), (117.0, 118.0), (1e-9, 1e9), (3.0, 3.0)] {
            let frame = frame(20, 10);
            let (left, right) = frame.rect().cut(true, 10).unwrap();
            let map = HeatMap::new(frame, &[block(left, least / 1e4), block(right, most / 1e4)]).unwrap();
            for scale in [Scale::Linear, Scale::Log] {
                let ticks = map.ticks(scale);
                assert!(ticks.len() <= 30 && ticks.windows(2).all(|w| w[0] < w[1]), "{ticks:?}");
                let places = ticks.iter().map(|t| map.place(*t, scale));
                assert!(places.into_iter().all(|p| (-1e-6..=1.0 + 1e-6).contains(&p)), "{ticks:?}");
            }
        }
    }

    #[test]
    fn labels_have_the_decimals_they_need() {
        assert_eq!([short(2.0, 1.0), short(0.25, 0.05), short(1500.0, 500.0)], ["2", "0.25", "1500"]);
    }

    #[test]
    fn tiny_maps_can_have_a_legend_too() {
        let frame = frame(1, 1);
        let map = HeatMap::new(frame, &[block(frame.rect(), 1.0)]).unwrap();
        assert!(map.draw(Style::default()).png().is_ok());
    }
}
