//! Names of files between here and a node: bytes, and how Blender reads a path.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A name as it travels: each byte is the character of the same number, which any JSON parser keeps as it is.
pub(super) fn to_wire(name: &[u8]) -> String {
    name.iter().map(|b| char::from(*b)).collect()
}

/// The bytes of a name that travelled.
///
/// # Errors
/// When the node sent something else.
pub(super) fn from_wire(text: &str) -> Result<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<_, _>>().map_err(|_| {
        Error::node("a node listed a file under a name that is none")
            .remedy("Check that nothing on that node imitates Blender; run `tilectl nodes check`.")
    })
}

/// A path from bytes.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// A path's bytes.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// The names along an absolute path: it is mirrored below the job's directory on the node, so that relative
/// references between files keep their meaning and no two files can collide.
pub(super) fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A name for people: nothing in it can steer a terminal, and a line break does not break the line.
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in bytes(path).utf8_chunks() {
        for c in chunk.valid().chars() {
            let odd = c.is_control()
                || ('\u{200e}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c);
            if odd {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// Where a reference leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The path here, absolute, without `.`, `..` and doubled slashes.
    pub(super) path: Vec<u8>,
    /// Whether Blender comes to the same place on a node by itself, because the reference is relative to a .blend that
    /// lies in the mirrored tree.
    pub(super) follows: bool,
}

/// The file that Blender opens for `raw` in the .blend at `blend` (absolute): relative with `//`, either slash in any
/// path, `..` taken back by name, and a drive taken for a directory. Anything else is relative to where Blender was
/// started, which is `here`. The same on Blender 3.4 to 5.0.
pub(super) fn resolve(raw: &[u8], blend: &[u8], here: &[u8]) -> Target {
    let slashed = |text: &[u8]| text.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect::<Vec<u8>>();
    let folder = |of: &[u8]| of[..of.iter().rposition(|b| *b == b'/').unwrap_or(0)].to_vec();
    if let Some(rest) = raw.strip_prefix(b"//") {
        let mut path = folder(blend);
        path.push(b'/');
        path.extend(slashed(rest));
        let (path, beyond) = normal(&path);
        return Target { path, follows: !beyond };
    }
    let path = match raw {
        [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic() => {
            [&[b'/', drive.to_ascii_lowercase()], slashed(&raw[2..]).as_slice()].concat()
        }
        [b'/', ..] => slashed(raw),
        _ => [here, b"/", slashed(raw).as_slice()].concat(),
    };
    Target { path: normal(&path).0, follows: false }
}

/// The path without `.`, `..` and doubled slashes, and whether a `..` led beyond the root.
pub(super) fn normal(path: &[u8]) -> (Vec<u8>, bool) {
    let mut names: Vec<&[u8]> = Vec::new();
    let mut beyond = false;
    for name in path.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => beyond |= names.pop().is_none(),
            _ => names.push(name),
        }
    }
    let mut normal = Vec::with_capacity(path.len());
    for name in names {
        normal.push(b'/');
        normal.extend_from_slice(name);
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    (normal, beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(raw: &str) -> (String, bool) {
        let target = resolve(raw.as_bytes(), b"/p/lnk/a.blend", b"/cwd");
        (String::from_utf8(target.path).unwrap(), target.follows)
    }

    #[test]
    fn paths_are_read_as_blender_reads_them() {
        // Seen with bpy.utils.blend_paths(absolute=True) on 3.4.1, 4.2 and 5.0.
        for (raw, path, follows) in [
            ("//tex/a.png", "/p/lnk/tex/a.png", true),
            ("//../tex/a.png", "/p/tex/a.png", true),
            ("//..\\tex\\a.png", "/p/tex/a.png", true),
            ("//tex/../b.png", "/p/lnk/b.png", true),
            ("//../../../../x.png", "/x.png", false),
            ("///tmp/a.png", "/p/lnk/tmp/a.png", true),
            ("C:\\tex\\a.png", "/c/tex/a.png", false),
            ("C:/tex/a.png", "/c/tex/a.png", false),
            ("/abs/../q.png", "/q.png", false),
            ("/abs//q.png", "/abs/q.png", false),
            ("/abs\\q.png", "/abs/q.png", false),
            ("rel/a.png", "/cwd/rel/a.png", false),
            ("// a b/'q\".png", "/p/lnk/ a b/'q\".png", true),
            ("//n\nl.png", "/p/lnk/n\nl.png", true),
        ] {
            assert_eq!(at(raw), (path.to_owned(), follows), "{raw:?}");
        }
    }

    #[test]
    fn names_are_shown_without_harm() {
        let odd = path(b"a\n\x1b[31m\xff\xc3\xa9.png");
        assert_eq!(shown(&odd), "a\\n\\u{1b}[31m\\xff\u{e9}.png");
    }

    proptest! {
        #[test]
        fn every_name_survives_the_wire(name in prop::collection::vec(any::<u8>(), 0..60)) {
            let line = serde_json::to_string(&to_wire(&name)).unwrap();
            let text: String = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(from_wire(&text).unwrap(), name);
        }

        #[test]
        fn what_is_resolved_has_no_way_up(raw in prop::collection::vec(any::<u8>(), 0..60)) {
            let target = resolve(&raw, b"/p/a.blend", b"/cwd");
            prop_assert!(target.path.starts_with(b"/"));
            for part in parts(&target.path) {
                prop_assert!(part != b".." && part != b"." && !part.contains(&b'/'));
            }
        }
    }
}
