//! From the samples a file stores to pixels: palettes looked up, small depths spread, transparent colours marked.

use super::layout::Layout;

/// How the samples of a file become pixels of its [`Layout`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    /// They are pixels as they are.
    Plain,
    /// Grey or palette indices of 1, 2, 4 or 8 bits, looked up; every entry is a pixel.
    Looked { depth: u8, table: Vec<Vec<u8>> },
    /// Grey or RGB without alpha, of which one colour is transparent.
    Keyed { key: Vec<u8> },
}

impl Samples {
    /// The samples of a file with this image header, palette and transparency chunk, and the layout they lead to.
    /// `None` if the chunks do not go with the header.
    pub(super) fn of(
        colour_type: u8,
        depth: u8,
        palette: Option<&[u8]>,
        transparency: Option<&[u8]>,
    ) -> Option<(Self, Layout)> {
        let sixteen = depth == 16;
        let layout = |colour, alpha| Layout { colour, alpha, sixteen };
        Some(match (colour_type, depth) {
            (3, 1 | 2 | 4 | 8) => {
                let palette =
                    palette.filter(|p| !p.is_empty() && p.len() <= 768 && p.len().is_multiple_of(3))?;
                let alphas = transparency.unwrap_or_default();
                if alphas.len() > palette.len() / 3 {
                    return None;
                }
                let table = palette
                    .chunks_exact(3)
                    .enumerate()
                    .map(|(i, rgb)| match transparency {
                        None => rgb.to_vec(),
                        Some(_) => [rgb, &[alphas.get(i).copied().unwrap_or(255)]].concat(),
                    })
                    .collect();
                (Self::Looked { depth, table }, layout(true, transparency.is_some()))
            }
            (0, 1 | 2 | 4) => {
                let most = (1u16 << depth) - 1;
                let key = match transparency {
                    None => None,
                    Some(&[a, b]) => Some(u16::from_be_bytes([a, b])),
                    Some(_) => return None,
                };
                let table = (0..=most)
                    .map(|v| {
                        let grey = (v * 255 / most) as u8;
                        match key {
                            None => vec![grey],
                            Some(key) => vec![grey, if v == key { 0 } else { 255 }],
                        }
                    })
                    .collect();
                (Self::Looked { depth, table }, layout(false, key.is_some()))
            }
            (0 | 2, 8 | 16) => {
                let colour = colour_type == 2;
                let Some(key) = transparency else { return Some((Self::Plain, layout(colour, false))) };
                let (words, _) = key.as_chunks::<2>();
                if key.len() != if colour { 6 } else { 2 } {
                    return None;
                }
                let key = words
                    .iter()
                    .flat_map(|&[high, low]| if sixteen { vec![high, low] } else { vec![low] })
                    .collect();
                (Self::Keyed { key }, layout(colour, true))
            }
            (4 | 6, 8 | 16) if transparency.is_none() => (Self::Plain, layout(colour_type == 6, true)),
            _ => return None,
        })
    }

    /// Bytes of a stored pixel, at least one: the distance the filters work over.
    pub(super) fn stored_pixel(&self, layout: Layout) -> usize {
        match self {
            Self::Plain => layout.bytes_per_pixel(),
            Self::Looked { .. } => 1,
            Self::Keyed { key } => key.len(),
        }
    }

    /// Bytes of a stored row of this many pixels.
    pub(super) fn stored_row(&self, layout: Layout, width: usize) -> usize {
        match self {
            Self::Looked { depth, .. } => (width * usize::from(*depth)).div_ceil(8),
            _ => width * self.stored_pixel(layout),
        }
    }

    /// Appends the pixels `from..to` of a stored row to `into`, as pixels of `target`. Returns whether all of them are
    /// there and mean something.
    pub(super) fn pixels(
        &self,
        row: &[u8],
        (from, to): (usize, usize),
        layout: Layout,
        target: Layout,
        into: &mut Vec<u8>,
    ) -> bool {
        let stored = self.stored_pixel(layout);
        let part = row.get(from * stored..to * stored);
        match self {
            Self::Plain => part.is_some_and(|part| {
                layout.widen(part, target, into);
                true
            }),
            Self::Keyed { key } => part.is_some_and(|part| {
                let opaque = vec![255; key.len() / if layout.colour { 3 } else { 1 }];
                let clear = vec![0; opaque.len()];
                for pixel in part.chunks_exact(key.len()) {
                    let alpha = if pixel == key { &clear } else { &opaque };
                    layout.widen(&[pixel, alpha].concat(), target, into);
                }
                true
            }),
            Self::Looked { depth, table } => {
                let depth = usize::from(*depth);
                let mask = (1u16 << depth) - 1;
                (from..to).all(|x| {
                    let bit = x * depth;
                    let pixel = row
                        .get(bit / 8)
                        .map(|byte| u16::from(*byte) >> (8 - depth - bit % 8) & mask)
                        .and_then(|index| table.get(usize::from(index)));
                    pixel.is_some_and(|pixel| {
                        layout.widen(pixel, target, into);
                        true
                    })
                })
            }
        }
    }
}
