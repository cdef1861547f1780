//! The beginning of a .blend, which names the Blender that saved it: read here, so that no older Blender has to try.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Bytes of the longest header.
const HEADER: usize = 17;

/// A Blender's version without its last number: files do not change with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// What comes before the point.
    pub major: u32,
    /// What comes after it.
    pub minor: u32,
}

impl Version {
    /// The version that a Blender states (`4.2.0 LTS`); none in anything else.
    pub fn of_blender(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|n| *n < 1000);
        let mut parts = text.trim().split(['.', ' ']);
        Some(Self { major: number(parts.next()?)?, minor: number(parts.next()?)? })
    }

    /// The version of the Blender that saved this file; none where its header does not say it.
    pub fn of_file(path: &Path) -> Option<Self> {
        Self::of_bytes(BufReader::new(File::open(path).ok()?))
    }

    /// The same of a file's content: as it is, or packed by gzip (before 3.0) or zstd (since).
    fn of_bytes(mut source: impl Read) -> Option<Self> {
        let mut start = [0; 4];
        let length = fill(&mut source, &mut start);
        let whole = start.get(..length)?.chain(source);
        let mut header = [0; HEADER];
        let length = match start {
            [0x1f, 0x8b, ..] => fill(flate2::read::GzDecoder::new(whole), &mut header),
            [0x28, 0xb5, 0x2f, 0xfd] => {
                fill(ruzstd::decoding::StreamingDecoder::new(whole).ok()?, &mut header)
            }
            _ => fill(whole, &mut header),
        };
        Self::of_header(header.get(..length)?)
    }

    /// The header alone: `BLENDER-v402`, or since 5.0 `BLENDER17-01v0500`.
    fn of_header(header: &[u8]) -> Option<Self> {
        let rest = header.strip_prefix(b"BLENDER")?;
        let digits = match rest.first()? {
            b'-' | b'_' => rest.get(2..5).filter(|_| rest[1].eq_ignore_ascii_case(&b'v'))?,
            // What other sizes and formats of a header say is not known yet.
            _ => rest.strip_prefix(b"17-01v")?.get(..4)?,
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = digits.iter().fold(0, |number, digit| 10 * number + u32::from(digit - b'0'));
        Some(Self { major: number / 100, minor: number % 100 })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Reads until `into` is full or nothing more comes; says how much there is.
fn fill(mut source: impl Read, into: &mut [u8]) -> usize {
    let mut length = 0;
    while let Some(rest) = into.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(n @ 1..) => length += n,
            _ => break,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn version(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// One block as it is, in a frame that says nothing about its size.
    fn zstd(bytes: &[u8]) -> Vec<u8> {
        let block = ((bytes.len() as u32) << 3) | 1;
        let mut packed = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
        packed.extend(&block.to_le_bytes()[..3]);
        packed.extend(bytes);
        packed
    }

    #[test]
    fn every_header_names_its_blender() {
        for (header, wanted) in [
            (&b"BLENDER-v304REND"[..], Some(version(3, 4))),
            (b"BLENDER_V248REND", Some(version(2, 48))),
            (b"BLENDER-v402REND", Some(version(4, 2))),
            (b"BLENDER17-01v0503REND", Some(version(5, 3))),
            (b"BLENDER17-01v1012REND", Some(version(10, 12))),
            (b"BLENDER17-02v0600REND", None),
            (b"BLENDER-x304REND", None),
            (b"BLENDER-v3", None),
            (b"BLENDER17-01v05", None),
            (b"BLENDER", None),
            (b"hello, blender", None),
            (b"", None),
        ] {
            for bytes in [header.to_vec(), gzip(header), zstd(header)] {
                assert_eq!(Version::of_bytes(&bytes[..]), wanted, "{}", String::from_utf8_lossy(header));
            }
        }
    }

    #[test]
    fn blenders_state_their_version() {
        assert_eq!(Version::of_blender("4.2.0 LTS"), Some(version(4, 2)));
        assert_eq!(Version::of_blender("5.4.0 Alpha"), Some(version(5, 4)));
        assert_eq!(Version::of_blender("3.4"), Some(version(3, 4)));
        for text in ["", "5", "five.two", "5.-1", "99999999999.0"] {
            assert_eq!(Version::of_blender(text), None, "{text}");
        }
        assert!(version(3, 10) < version(4, 2) && version(4, 2) < version(4, 10));
    }

    #[test]
    fn a_file_is_read_from_disk() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), zstd(b"BLENDER17-01v0502REND")).unwrap();
        assert_eq!(Version::of_file(file.path()), Some(version(5, 2)));
        assert_eq!(Version::of_file(Path::new("/nowhere/at all")), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_header_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..4) {
            let bytes = match kind {
                0 => bytes,
                1 => [&[0x1f, 0x8b, 8][..], &bytes].concat(),
                2 => [&[0x28, 0xb5, 0x2f, 0xfd][..], &bytes].concat(),
                _ => [&b"BLENDER"[..], &bytes].concat(),
            };
            let _ = Version::of_bytes(&bytes[..]);
        }
    }
}
