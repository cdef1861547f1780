//! One text of Blender's preferences: a file of blocks with a description of every structure in it (`SDNA`).

use std::path::Path;

/// Longer than this no preferences are, bytes.
const LONGEST: u64 = 256 << 20;

/// The text in the field `field` of the first structure of this name in the file; `None` where it has no such thing or
/// cannot be read.
pub(super) fn text_of(path: &Path, structure: &str, field: &str) -> Option<Vec<u8>> {
    if std::fs::metadata(path).ok()?.len() > LONGEST {
        return None;
    }
    let file = std::fs::read(path).ok()?;
    let blocks = Blocks::read(&file)?;
    let dna = Dna::read(blocks.all.iter().find(|b| b.code == b"DNA1")?.data, blocks.pointer)?;
    let (number, _) = dna
        .structures
        .iter()
        .enumerate()
        .find(|(_, s)| dna.type_name(s.type_number) == Some(structure.as_bytes()))?;
    let (offset, size) = dna.field(&dna.structures[number], field.as_bytes())?;
    let block = blocks.all.iter().find(|b| b.structure == number as u64 && b.code != b"DNA1")?;
    let text = block.data.get(offset..offset + size)?;
    let end = text.iter().position(|b| *b == 0)?;
    Some(text[..end].to_vec())
}

/// A block of the file.
struct Block<'a> {
    code: &'a [u8],
    structure: u64,
    data: &'a [u8],
}

struct Blocks<'a> {
    /// Bytes of a pointer.
    pointer: usize,
    all: Vec<Block<'a>>,
}

impl<'a> Blocks<'a> {
    /// Reads plain files of machines like this one: others no Blender of today writes as preferences.
    fn read(file: &'a [u8]) -> Option<Self> {
        let rest = file.strip_prefix(b"BLENDER")?;
        // `-v405`: eight bytes a pointer, little endian. From 5.0 on `17-01v0500`: the header's length, its format.
        let (pointer, mut at, wide) = match rest.first()? {
            b'-' if rest.get(1)? == &b'v' => (8, 12, false),
            b'_' if rest.get(1)? == &b'v' => (4, 12, false),
            b'0'..=b'9' => (8, std::str::from_utf8(rest.get(..2)?).ok()?.parse().ok()?, true),
            _ => return None,
        };
        let mut all = Vec::new();
        while let Some(code) = file.get(at..at + 4) {
            // (length, structure) and where the data begins.
            let (length, structure, data) = if wide {
                (u64_at(file, at + 16)?, u64::from(u32_at(file, at + 4)?), at + 32)
            } else {
                let length = u64::from(u32_at(file, at + 4)?);
                (length, u64::from(u32_at(file, at + 8 + pointer)?), at + 16 + pointer)
            };
            let end = data.checked_add(usize::try_from(length).ok()?)?;
            all.push(Block { code, structure, data: file.get(data..end)? });
            if code == b"ENDB" {
                break;
            }
            at = end;
        }
        Some(Self { pointer, all })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

struct Structure {
    type_number: usize,
    /// Type and name of each field.
    fields: Vec<(usize, usize)>,
}

struct Dna<'a> {
    pointer: usize,
    names: Vec<&'a [u8]>,
    types: Vec<&'a [u8]>,
    sizes: Vec<usize>,
    structures: Vec<Structure>,
}

impl<'a> Dna<'a> {
    fn read(data: &'a [u8], pointer: usize) -> Option<Self> {
        let mut at = 4;
        let begin = |code: &[u8], at: &mut usize| -> Option<usize> {
            *at = at.next_multiple_of(4);
            (data.get(*at..*at + 4)? == code).then_some(())?;
            *at += 4;
            let counted = matches!(code, b"NAME" | b"TYPE" | b"STRC");
            let count = if counted { u32_at(data, *at)? as usize } else { 0 };
            *at += if counted { 4 } else { 0 };
            Some(count)
        };
        let texts = |count: usize, at: &mut usize| -> Option<Vec<&'a [u8]>> {
            let mut all = Vec::new();
            for _ in 0..count {
                let rest = data.get(*at..)?;
                let end = rest.iter().position(|b| *b == 0)?;
                all.push(&rest[..end]);
                *at += end + 1;
            }
            Some(all)
        };
        let short = |at: &mut usize| -> Option<usize> {
            let two = data.get(*at..*at + 2)?;
            *at += 2;
            Some(usize::from(u16::from_le_bytes([two[0], two[1]])))
        };
        let count = begin(b"NAME", &mut at)?;
        let names = texts(count, &mut at)?;
        let count = begin(b"TYPE", &mut at)?;
        let types = texts(count, &mut at)?;
        begin(b"TLEN", &mut at)?;
        let sizes = (0..types.len()).map(|_| short(&mut at)).collect::<Option<_>>()?;
        let count = begin(b"STRC", &mut at)?;
        let mut structures = Vec::new();
        for _ in 0..count {
            let type_number = short(&mut at)?;
            let fields = short(&mut at)?;
            let fields = (0..fields).map(|_| Some((short(&mut at)?, short(&mut at)?)));
            structures.push(Structure { type_number, fields: fields.collect::<Option<_>>()? });
        }
        Some(Self { pointer, names, types, sizes, structures })
    }

    fn type_name(&self, number: usize) -> Option<&'a [u8]> {
        self.types.get(number).copied()
    }

    /// Offset and size of a field, bytes.
    fn field(&self, structure: &Structure, wanted: &[u8]) -> Option<(usize, usize)> {
        let mut offset = 0;
        for (kind, name) in &structure.fields {
            let name = self.names.get(*name)?;
            let bare = name.split(|b| *b == b'[').next().unwrap_or_default();
            let mut size = if matches!(bare.first(), Some(b'*' | b'(')) {
                self.pointer
            } else {
                *self.sizes.get(*kind)?
            };
            for dimension in name.split(|b| *b == b'[').skip(1) {
                let digits = dimension.strip_suffix(b"]")?;
                size = size.checked_mul(std::str::from_utf8(digits).ok()?.parse().ok()?)?;
            }
            if bare == wanted {
                return Some((offset, size));
            }
            offset += size;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_damaged_preferences_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
            let file = tempfile::NamedTempFile::new().unwrap();
            for head in [&b"BLENDER-v405"[..], b"BLENDER17-01v0502"] {
                std::fs::write(file.path(), [head, &content].concat()).unwrap();
                prop_assert_eq!(text_of(file.path(), "UserDef", "texture_cachedir"), None);
            }
        }
    }
}
