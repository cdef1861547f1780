//! How a pixel lies in memory: which channels, how wide; and the way from one layout to a larger one.

/// Channels and depth of a pixel as PNG stores it: grey or RGB, alpha or none, 8 bits or 16 (big-endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct Layout {
    pub(super) colour: bool,
    pub(super) alpha: bool,
    pub(super) sixteen: bool,
}

impl Layout {
    pub(super) fn channels(self) -> usize {
        (if self.colour { 3 } else { 1 }) + usize::from(self.alpha)
    }

    pub(super) fn depth(self) -> u8 {
        if self.sixteen { 16 } else { 8 }
    }

    pub(super) fn bytes_per_pixel(self) -> usize {
        self.channels() * usize::from(self.depth() / 8)
    }

    /// PNG's colour type number.
    pub(super) fn colour_type(self) -> u8 {
        match (self.colour, self.alpha) {
            (false, false) => 0,
            (true, false) => 2,
            (false, true) => 4,
            (true, true) => 6,
        }
    }

    /// The smallest layout that holds both without loss.
    pub(super) fn union(self, other: Self) -> Self {
        Self {
            colour: self.colour || other.colour,
            alpha: self.alpha || other.alpha,
            sixteen: self.sixteen || other.sixteen,
        }
    }

    /// Appends pixels of this layout to `into` as pixels of `target`, which holds them without loss: grey is repeated,
    /// missing alpha is opaque, 8 bits become 16 by `v * 257`. (For a preview, 16 bits are cut to the upper 8.)
    pub(super) fn widen(self, pixels: &[u8], target: Self, into: &mut Vec<u8>) {
        if self == target {
            into.extend_from_slice(pixels);
            return;
        }
        for pixel in pixels.chunks_exact(self.bytes_per_pixel()) {
            let sample = |channel: usize| -> u16 {
                if self.sixteen {
                    u16::from_be_bytes([
                        pixel.get(2 * channel).copied().unwrap_or(0),
                        pixel.get(2 * channel + 1).copied().unwrap_or(0),
                    ])
                } else {
                    u16::from(pixel.get(channel).copied().unwrap_or(0)) * 257
                }
            };
            let mut push = |value: u16| {
                if target.sixteen {
                    into.extend_from_slice(&value.to_be_bytes());
                } else {
                    into.push((value >> 8) as u8);
                }
            };
            let colours = if self.colour { [0, 1, 2] } else { [0, 0, 0] };
            for &channel in colours.iter().take(if target.colour { 3 } else { 1 }) {
                push(sample(channel));
            }
            if target.alpha {
                push(if self.alpha { sample(self.channels() - 1) } else { u16::MAX });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_eight_becomes_rgba_sixteen() {
        let rgba16 = Layout { colour: true, alpha: true, sixteen: true };
        let mut out = Vec::new();
        Layout::default().widen(&[0x00, 0x80], rgba16, &mut out);
        assert_eq!(out, [0, 0, 0, 0, 0, 0, 255, 255, 128, 128, 128, 128, 128, 128, 255, 255]);
    }

    #[test]
    fn alpha_and_colour_stay_in_place() {
        let grey_alpha = Layout { alpha: true, ..Layout::default() };
        let rgba = Layout { colour: true, alpha: true, sixteen: false };
        let mut out = Vec::new();
        grey_alpha.widen(&[7, 9], rgba, &mut out);
        assert_eq!(out, [7, 7, 7, 9]);
        let rgb = Layout { colour: true, ..Layout::default() };
        out.clear();
        rgb.widen(&[1, 2, 3], rgba, &mut out);
        assert_eq!(out, [1, 2, 3, 255]);
        assert_eq!(rgb.union(grey_alpha), rgba);
    }
}
