//! Sample counts: fractions in a tile, numbers of samples in the stitched frame.
//!
//! Cycles stores how many samples a pixel got as a share of the most that any pixel of the same render got. A tile
//! with adaptive sampling may be done sooner than the frame, so the worker writes what that most was into the tile's
//! `Note`; see `counts.py`.

use std::path::Path;

use ::exr::meta::attribute::{AttributeValue, ChannelList, SampleType, Text};
use ::exr::meta::header::Header;

use super::tile::damaged;
use crate::error::Result;

const FIELD: &str = "Note";
const MARK: &str = "tilectl samples:";
const PASS: &str = ".Debug Sample Count";
/// More samples than Blender lets anybody ask for.
const MOST: u32 = 1 << 24;

/// A sample count channel of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// Bytes per pixel of all channels before it.
    before: usize,
    /// The samples that its 1.0 stands for.
    most: u32,
}

/// Whether a channel holds sample counts: `LAYER.Debug Sample Count[.VIEW].X`.
fn is_count(name: &Text) -> bool {
    let name = name.to_string();
    let Some((_, rest)) = name.rsplit_once(PASS) else { return false };
    rest == ".X"
        || rest.strip_suffix(".X").is_some_and(|view| view.starts_with('.') && !view[1..].contains('.'))
}

fn channels(list: &ChannelList) -> impl Iterator<Item = usize> + '_ {
    let mut before = 0;
    list.list.iter().filter_map(move |channel| {
        let at = before;
        before += channel.sample_type.bytes_per_sample();
        (channel.sample_type == SampleType::F32 && is_count(&channel.name)).then_some(at)
    })
}

/// The sample count channels of a tile, if its worker wrote down what they mean.
pub(super) fn read(header: &Header, path: &Path) -> Result<Vec<Count>> {
    let Some(AttributeValue::Text(note)) = header.own_attributes.other.get(&Text::from(FIELD)) else {
        return Ok(Vec::new());
    };
    let note = note.to_string();
    let Some(numbers) = note.strip_prefix(MARK) else { return Ok(Vec::new()) };
    let bad = || damaged(path, "it does not say how many samples were taken");
    let most: Vec<u32> = numbers
        .split_whitespace()
        .map(|n| n.parse().ok().filter(|n| (1..=MOST).contains(n)).ok_or_else(bad))
        .collect::<Result<_>>()?;
    let found: Vec<usize> = channels(&header.channels).collect();
    if found.len() != most.len() {
        return Err(bad());
    }
    Ok(found.into_iter().zip(most).map(|(before, most)| Count { before, most }).collect())
}

/// Turns the shares in lines of a tile into numbers of samples.
pub(super) fn apply(
    counts: &[Count],
    data: &mut [u8],
    width: usize,
    pixel: usize,
    path: &Path,
) -> Result<()> {
    for row in data.chunks_exact_mut(width * pixel) {
        for count in counts {
            let start = count.before * width;
            let shares = row.get_mut(start..start + width * 4).unwrap_or_default();
            for share in shares.as_chunks_mut().0 {
                let samples = f32::from_ne_bytes(*share) * count.most as f32;
                // A count is a whole number, and what rounding makes of the share is far smaller than this.
                if !samples.is_finite() || (samples - samples.round()).abs() > 0.02 {
                    return Err(damaged(path, "its sample counts are not those that were reported"));
                }
                *share = samples.round().to_ne_bytes();
            }
        }
    }
    Ok(())
}

/// Writes into the frame's header the most samples that any pixel of it got.
pub(super) fn merge(header: &mut Header, tiles: &[Vec<Count>]) {
    let Some(mut most) = tiles.first().map(|t| t.iter().map(|c| c.most).collect::<Vec<_>>()) else { return };
    if most.is_empty() {
        return;
    }
    for tile in tiles {
        for (most, count) in most.iter_mut().zip(tile) {
            *most = count.most.max(*most);
        }
    }
    let numbers: Vec<String> = most.iter().map(u32::to_string).collect();
    let note = format!("{MARK} {}", numbers.join(" "));
    header.own_attributes.other.insert(Text::from(FIELD), AttributeValue::Text(Text::from(note.as_str())));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_channels_are_told_from_others() {
        for (name, is) in [
            ("Layer.Debug Sample Count.X", true),
            ("A.B.Debug Sample Count.left.X", true),
            ("Layer.Debug Sample Count.Y", false),
            ("Layer.Debug Sample Count.left.right.X", false),
            ("Layer.Debug Sample Counter.X", false),
            ("Layer.Depth.Z", false),
        ] {
            assert_eq!(is_count(&Text::from(name)), is, "{name}");
        }
    }

    #[test]
    fn shares_become_whole_numbers_for_any_most() {
        for most in [1u32, 3, 48, 300, 1023, 4096, 65_535, 100_000] {
            let step = (most / 500).max(1) as usize;
            let numbers: Vec<u32> = (1..=most).step_by(step).collect();
            let share = |n: u32| (n as f32 * (1.0 / most as f32)).to_ne_bytes();
            let mut data: Vec<u8> = numbers.iter().flat_map(|&n| share(n)).collect();
            apply(&[Count { before: 0, most }], &mut data, numbers.len(), 4, Path::new("t")).unwrap();
            let back: Vec<u32> = data.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b) as u32).collect();
            assert_eq!(back, numbers, "{most}");
        }
    }

    #[test]
    fn counts_that_do_not_fit_are_named() {
        let mut data = (1.0f32 / 3.0).to_ne_bytes().to_vec();
        let e =
            apply(&[Count { before: 0, most: 16 }], &mut data, 1, 4, Path::new("tile-7.exr")).unwrap_err();
        assert!(e.to_string().contains("tile-7.exr"), "{e}");
    }
}
