//! Metadata of the tiles: kept where all of them say the same.

use super::chunk::{Name, shown};

/// Chunks that say what the pixel values mean, in the order PNG wants them; at most one of each.
const COLOUR: [Name; 7] = [*b"cICP", *b"mDCV", *b"cLLI", *b"iCCP", *b"sRGB", *b"gAMA", *b"cHRM"];
/// Other chunks of which there is at most one and that hold for the stitched picture too.
const SINGLE: [Name; 1] = [*b"pHYs"];
/// Chunks of which there may be many.
const TEXT: [Name; 3] = [*b"tEXt", *b"zTXt", *b"iTXt"];

/// Keywords of texts that Blender writes about the making of one file: when, where, how long. They say nothing about
/// the stitched picture, and kept where all tiles happen to agree they would make its bytes a matter of chance.
const MAKING: [&[u8]; 4] = [b"Date", b"RenderTime", b"Hostname", b"Memory"];

/// Whether a text chunk is about the making of its file.
fn about_making(data: &[u8]) -> bool {
    let keyword = data.split(|b| *b == 0).next().unwrap_or_default();
    MAKING.contains(&keyword) || (keyword.starts_with(b"cycles.") && keyword.ends_with(b"_time"))
}

/// The chunks of one file worth keeping, in the file's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ancillary {
    chunks: Vec<(Name, Vec<u8>)>,
}

impl Ancillary {
    /// Keeps a chunk if it is of a kind that is carried over; of a kind that stands alone, the first.
    pub(super) fn add(&mut self, name: Name, data: Vec<u8>) {
        let single = COLOUR.contains(&name) || SINGLE.contains(&name);
        if (TEXT.contains(&name) && !about_making(&data)) || (single && self.get(name).is_none()) {
            self.chunks.push((name, data));
        }
    }

    fn get(&self, name: Name) -> Option<&[u8]> {
        self.chunks.iter().find(|(n, _)| *n == name).map(|(_, data)| data.as_slice())
    }

    /// What all of them say, and the kinds of chunks on which they do not agree.
    pub(super) fn common<'a>(mut all: impl Iterator<Item = &'a Self>) -> (Self, Vec<String>) {
        let mut dropped = Vec::new();
        let mut common = all.next().cloned().unwrap_or_default();
        for other in all {
            common.agree(other, &mut dropped);
        }
        dropped.sort();
        (common, dropped)
    }

    /// Drops what `other` does not say in the same words, and names the kinds that were dropped here or are
    /// missing here.
    fn agree(&mut self, other: &Self, dropped: &mut Vec<String>) {
        let mut note = |name: Name| {
            let name = shown(name);
            if !dropped.contains(&name) {
                dropped.push(name);
            }
        };
        for (name, _) in other.chunks.iter().filter(|c| !self.chunks.contains(c)) {
            note(*name);
        }
        self.chunks.retain(|chunk| {
            let same = other.chunks.contains(chunk);
            if !same {
                note(chunk.0);
            }
            same
        });
    }

    /// The chunks in the order they belong into a file.
    pub(super) fn ordered(&self) -> Vec<(Name, &[u8])> {
        let of = |names: &'static [Name]| {
            names.iter().flat_map(|name| self.chunks.iter().filter(move |(n, _)| n == name))
        };
        of(&COLOUR).chain(of(&SINGLE)).chain(of(&TEXT)).map(|(n, d)| (*n, d.as_slice())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(chunks: &[(&Name, &[u8])]) -> Ancillary {
        let mut a = Ancillary::default();
        for (name, data) in chunks {
            a.add(**name, data.to_vec());
        }
        a
    }

    #[test]
    fn texts_about_the_making_of_a_tile_are_not_about_the_picture() {
        let mut kept = Ancillary::default();
        for text in [
            &b"Date\0today"[..],
            b"RenderTime\x0000:01",
            b"cycles.ViewLayer.total_time\x001",
            b"Scene\0Scene",
        ] {
            kept.add(*b"tEXt", text.to_vec());
        }
        assert_eq!(kept.ordered(), [(*b"tEXt", &b"Scene\0Scene"[..])]);
    }

    #[test]
    fn only_what_all_say_is_kept_and_in_png_order() {
        let a = of(&[(b"tEXt", b"a"), (b"pHYs", b"p"), (b"tEXt", b"b"), (b"gAMA", b"1"), (b"zzZz", b"x")]);
        let b = of(&[(b"gAMA", b"1"), (b"tEXt", b"b"), (b"pHYs", b"q"), (b"sRGB", b"0")]);
        let (common, dropped) = Ancillary::common([&a, &b].into_iter());
        let kept: Vec<(Name, &[u8])> = vec![(*b"gAMA", b"1"), (*b"tEXt", b"b")];
        assert_eq!(common.ordered(), kept);
        assert_eq!(dropped, ["pHYs", "sRGB", "tEXt"]);
    }
}
