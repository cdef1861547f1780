//! From a number between 0 and 1 to a colour.

use serde::{Deserialize, Serialize};

/// How cost becomes colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Palette {
    /// Black is fastest, white is slowest.
    Grey,
    /// From dark blue over green to yellow: evenly brighter, and the same to colour-blind eyes.
    #[default]
    Viridis,
    /// From blue over green to red: more steps to tell apart, and not for colour-blind eyes.
    Turbo,
}

/// Viridis at tenths (S. van der Walt and N. Smith, CC0), sRGB.
const VIRIDIS: [u32; 11] = [
    0x44_01_54, 0x48_24_75, 0x41_44_87, 0x35_5f_8d, 0x2a_78_8e, 0x21_91_8c, 0x22_a8_84, 0x44_bf_70,
    0x7a_d1_51, 0xbd_df_26, 0xfd_e7_25,
];

/// Turbo at fourteenths (A. Mikhailov), sRGB.
const TURBO: [u32; 15] = [
    0x30_12_3b, 0x41_45_ab, 0x46_75_ed, 0x39_a2_fc, 0x1b_cf_d4, 0x24_ec_a6, 0x61_fc_6c, 0xa4_fc_3b,
    0xd1_e8_34, 0xf3_c6_3a, 0xfe_9b_2d, 0xf3_63_15, 0xd9_38_06, 0xb1_19_01, 0x7a_04_02,
];

impl Palette {
    /// The colour at `at`, 0 (cheapest) to 1 (dearest); beyond that the nearer end.
    pub fn color(self, at: f64) -> [u8; 3] {
        let at = if at.is_finite() { at.clamp(0.0, 1.0) } else { 0.0 };
        match self {
            Palette::Grey => [(at * 255.0).round() as u8; 3],
            Palette::Viridis => between(&VIRIDIS, at),
            Palette::Turbo => between(&TURBO, at),
        }
    }

    /// By name, as the command line has it.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "grey" | "gray" => Some(Palette::Grey),
            "viridis" => Some(Palette::Viridis),
            "turbo" => Some(Palette::Turbo),
            _ => None,
        }
    }
}

/// Straight between the two nearest of evenly spaced colours.
fn between(stops: &[u32], at: f64) -> [u8; 3] {
    let place = at * (stops.len() - 1) as f64;
    let low = (place as usize).min(stops.len() - 2);
    let part = place - low as f64;
    [16, 8, 0].map(|shift| {
        let channel = |stop: u32| f64::from((stop >> shift) & 0xff);
        let (a, b) = (channel(stops[low]), channel(stops[low + 1]));
        (a + (b - a) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of an sRGB colour, 0 to 1.
    fn luminance(color: [u8; 3]) -> f64 {
        let linear = color.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn grey_and_viridis_only_get_brighter() {
        for palette in [Palette::Grey, Palette::Viridis] {
            let steps: Vec<f64> = (0..=255).map(|i| luminance(palette.color(f64::from(i) / 255.0))).collect();
            assert!(steps.windows(2).all(|w| w[1] > w[0] - 1e-4), "{palette:?}");
            assert!(steps[255] > steps[0] + 0.6);
        }
    }

    #[test]
    fn ends_are_exact_and_nothing_lies_beyond() {
        assert_eq!((Palette::Grey.color(0.0), Palette::Grey.color(1.0)), ([0; 3], [255; 3]));
        assert_eq!(Palette::Viridis.color(1.0), [0xfd, 0xe7, 0x25]);
        assert_eq!(Palette::Turbo.color(0.0), [0x30, 0x12, 0x3b]);
        for palette in [Palette::Grey, Palette::Viridis, Palette::Turbo] {
            assert_eq!(palette.color(7.0), palette.color(1.0));
            assert_eq!(palette.color(-7.0), palette.color(0.0));
            assert_eq!(palette.color(f64::NAN), palette.color(0.0));
        }
    }

    #[test]
    fn neighbours_differ_little() {
        for palette in [Palette::Viridis, Palette::Turbo] {
            for i in 0..1000 {
                let (a, b) = (palette.color(f64::from(i) / 1000.0), palette.color(f64::from(i + 1) / 1000.0));
                assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 2), "{palette:?} {i}");
            }
        }
    }
}
