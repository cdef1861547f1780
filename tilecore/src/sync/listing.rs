//! What Blender on a node says the scene refers to; it is checked, not believed.

use serde::Deserialize;

use super::names::from_wire;
use crate::error::{Error, Result};

/// The worker's answer to `files`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Listing {
    files: Vec<Entry>,
    #[serde(default)]
    notes: Vec<String>,
    /// The version of the Blender that looks for cached textures, where it does (5.2 and newer).
    #[serde(default)]
    pub(super) texture_cache: Option<String>,
    /// Whether that Blender knows projects (5.3 and newer).
    #[serde(default)]
    pub(super) projects: bool,
    #[serde(default)]
    unknown: Vec<String>,
}

/// One reference as it travels: names as in [`super::names`].
#[derive(Clone, Debug, Deserialize)]
struct Entry {
    what: String,
    #[serde(rename = "in")]
    blend: String,
    path: String,
    need: Need,
    files: Vec<String>,
    like: Option<(String, String)>,
    folders: Option<Vec<String>>,
    endings: Option<Vec<String>>,
}

/// What happens when a file is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Need {
    /// Blender misses it: the picture is another.
    Must,
    /// Blender takes it when it is there.
    May,
    /// It does not matter for the picture.
    Not,
}

/// One reference.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// What refers, for people: `image 'Brick'`.
    pub(super) what: String,
    /// The .blend it stands in, absolute, as it is here.
    pub(super) blend: Vec<u8>,
    /// What stands there.
    pub(super) raw: Vec<u8>,
    pub(super) need: Need,
    /// The files it means, each as if it stood there.
    pub(super) files: Vec<Vec<u8>>,
    /// All files with a number between these two.
    pub(super) like: Option<(Vec<u8>, Vec<u8>)>,
    /// It is a directory of which these are read.
    pub(super) inside: Option<Inside>,
}

/// Which files of a directory.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    /// Folders in it, themselves only (`""` is the directory); everything below it when absent.
    pub(super) folders: Option<Vec<Vec<u8>>>,
    /// How their names end.
    pub(super) endings: Vec<Vec<u8>>,
}

impl Listing {
    /// What refers to files that the worker could not name, each in words.
    pub(super) fn unknown(&self) -> Vec<String> {
        self.unknown.iter().map(|text| crate::text::printable(text, 300)).collect()
    }

    /// The references, and what a person should know about them.
    pub(super) fn read(self) -> Result<(Vec<Reference>, Vec<String>)> {
        let all = |names: &[String]| names.iter().map(|n| from_wire(n)).collect::<Result<Vec<_>>>();
        let references = self.files.iter().map(|entry| {
            let blend = from_wire(&entry.blend)?;
            if !blend.starts_with(b"/") {
                return Err(Error::node("a node listed a file of a scene that it does not have"));
            }
            let like = match &entry.like {
                Some((head, tail)) => Some((from_wire(head)?, from_wire(tail)?)),
                None => None,
            };
            let inside = match &entry.endings {
                Some(endings) => Some(Inside {
                    folders: entry.folders.as_deref().map(all).transpose()?,
                    endings: all(endings)?,
                }),
                None => None,
            };
            Ok(Reference {
                what: crate::text::printable(&entry.what, 200),
                blend,
                raw: from_wire(&entry.path)?,
                need: entry.need,
                files: all(&entry.files)?,
                like,
                inside,
            })
        });
        let notes = self.notes.iter().take(20).map(|n| crate::text::printable(n, 500)).collect();
        Ok((references.collect::<Result<_>>()?, notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What a worker lists, with bytes changed and cut.
        #[test]
        fn no_damaged_listing_panics(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
            cut in any::<prop::sample::Index>(),
        ) {
            let said = r#"{"files":[{"what":"image 'a'","in":"/s/a.blend","path":"//t%2Fb.png","need":"must","files":["//b%FF.png","/x"],"like":["a","%62"],"folders":["","x"],"endings":[".vdb"]},{"what":"","in":"/","path":"","need":"may","files":[],"like":null,"folders":null,"endings":null}],"notes":["n\u001b"]}"#;
            let mut bytes = said.as_bytes().to_vec();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            bytes.truncate(cut.index(2 * bytes.len()).max(1));
            if let Ok(Ok((references, notes))) = serde_json::from_slice::<Listing>(&bytes).map(Listing::read) {
                prop_assert!(references.iter().all(|r| r.blend.starts_with(b"/")), "not absolute");
                prop_assert!(notes.iter().all(|n| !n.contains('\u{1b}')), "steers a terminal");
            }
        }
    }
}
