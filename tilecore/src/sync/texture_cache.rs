//! Cached textures that the artist's Blender would take (from 5.2 on; F18): `NAME.N-HASH.tx`, in `blender_tx` beside an
//! image or in a folder of the preferences, while one is as old as its image to the second.
//!
//! One that is older or newer is not sent: Blender passes over it, as if it were not there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::names::{bytes, shown};
use super::{Hashes, InputPath, colour, preferences};
use crate::error::{Error, Result};

/// The folder beside every image.
const BESIDE: &str = "blender_tx";
/// More files than this are not looked at in one folder.
const MOST: usize = 1_000_000;

/// Where the artist's preferences say that cached textures are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextureFolder {
    /// In a folder of this name beside each image.
    Beside(Vec<u8>),
    /// In this one, absolute.
    At(PathBuf),
}

impl TextureFolder {
    /// What the preferences of this version of Blender say, where they say anything.
    pub(super) fn preferred(version: &str) -> Option<Self> {
        let file = match std::env::var_os("BLENDER_USER_CONFIG").filter(|dir| !dir.is_empty()) {
            Some(dir) => PathBuf::from(dir),
            None => colour::user_folder(version)?.join("config"),
        };
        let said = preferences::text_of(&file.join("userpref.blend"), "UserDef", "texture_cachedir")?;
        if said.is_empty() {
            return None;
        }
        let path = super::names::path(&said);
        Some(if path.is_absolute() { Self::At(path) } else { Self::Beside(said) })
    }
}

/// Names of cached textures in a folder, by the name of the image.
type Folder = HashMap<Vec<u8>, Vec<PathBuf>>;

fn read(folder: &Path) -> Folder {
    let mut found = Folder::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten().take(MOST) {
        let name = entry.file_name();
        if let Some(image) = image_of(name.as_encoded_bytes()) {
            found.entry(image.to_vec()).or_default().push(folder.join(&name));
        }
    }
    found
}

/// The name of the image that a cached texture of this name is of.
fn image_of(name: &[u8]) -> Option<&[u8]> {
    let stem = name.strip_suffix(b".tx")?;
    let at = stem.iter().rposition(|b| *b == b'.')?;
    let mut parts = stem[at + 1..].splitn(2, |b| *b == b'-');
    let version = parts.next().filter(|v| !v.is_empty() && v.iter().all(u8::is_ascii_digit));
    let hash = parts.next().filter(|h| h.len() == 32 && h.iter().all(u8::is_ascii_hexdigit));
    version.and(hash).map(|_| &stem[..at])
}

/// Cached textures of these files that count, with the file that each is as old as.
pub(super) fn of<'a>(
    files: &'a [InputPath],
    folder: Option<&TextureFolder>,
) -> Vec<(PathBuf, &'a InputPath)> {
    let mut folders: HashMap<PathBuf, Folder> = HashMap::new();
    let mut found = Vec::new();
    for file in files {
        let (Some(beside), Some(name)) = (file.path.parent(), file.path.file_name()) else { continue };
        let mut places = vec![beside.join(BESIDE)];
        match folder {
            Some(TextureFolder::Beside(own)) => places.push(beside.join(super::names::path(own))),
            Some(TextureFolder::At(path)) => places.push(path.clone()),
            None => {}
        }
        places.dedup();
        for place in places {
            let cached = folders.entry(place).or_insert_with_key(|place| read(place));
            for path in cached.get(bytes(Path::new(name as &OsStr))).into_iter().flatten() {
                let stamp = super::Stamp::of(path);
                if stamp.is_ok_and(|stamp| stamp.modified_s() == file.stamp.modified_s()) {
                    found.push((path.clone(), file));
                }
            }
        }
    }
    found.sort_by(|a, b| (&a.0, &a.1.sha256).cmp(&(&b.0, &b.1.sha256)));
    found.dedup_by(|a, b| a.0 == b.0 && a.1.sha256 == b.1.sha256);
    found
}

/// Hashes what [`of`] found.
///
/// # Errors
/// When one of them could be of several images: their names do not tell, and neither do their times.
pub(super) fn hashed(
    found: &[(PathBuf, &InputPath)],
    hashes: &mut Hashes,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Vec<InputPath>> {
    if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(Error::input(format!(
            "the cached texture {} may be of {} or of {}, which are equally old",
            shown(&pair[0].0),
            shown(&pair[0].1.path),
            shown(&pair[1].1.path)
        ))
        .remedy("Touch one of the two and have Blender generate its texture cache again, or switch the texture cache off."));
    }
    let paths: Vec<PathBuf> = found.iter().map(|(path, _)| path.clone()).collect();
    let all = hashes.of(&paths, progress)?;
    let with_age = |((path, image), hashed): (&(PathBuf, &InputPath), Result<_>)| {
        let as_old_as = Some(image.sha256.clone());
        Ok(InputPath { as_old_as, ..InputPath::new(path.clone(), hashed?) })
    };
    found.iter().zip(all).map(with_age).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    fn aged(path: &Path, seconds: u64, nanos: u32) {
        let time = UNIX_EPOCH + Duration::new(seconds, nanos);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn names_tell_the_image() {
        let hash = "926BDA8569F1F2504902F06ABA51E46D";
        assert_eq!(image_of(format!("a.b.png.0-{hash}.tx").as_bytes()), Some(&b"a.b.png"[..]));
        for wrong in
            ["a.png.tx", "a.png.0-12.tx", "a.png.x-926BDA8569F1F2504902F06ABA51E46D.tx", ".tx", "a.png"]
        {
            assert_eq!(image_of(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn only_what_is_as_old_as_its_image_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(at("tex/blender_tx")).unwrap();
        fs::create_dir_all(at("other")).unwrap();
        fs::create_dir_all(at("cache")).unwrap();
        let tx = |name: &str, of: u8| format!("{name}.0-{of:032X}.tx");
        for (number, name) in ["tex/a.png", "tex/b.png", "other/a.png"].into_iter().enumerate() {
            fs::write(at(name), name).unwrap();
            aged(&at(name), 1000 + number as u64, 700_000_000);
        }
        let cached = [
            (format!("tex/blender_tx/{}", tx("a.png", 1)), 1000),
            (format!("tex/blender_tx/{}", tx("a.png", 2)), 999),
            (format!("tex/blender_tx/{}", tx("b.png", 3)), 1002),
            (format!("cache/{}", tx("a.png", 4)), 1002),
        ];
        for (name, age) in &cached {
            fs::write(at(name), name).unwrap();
            aged(&at(name), *age, 0);
        }
        let files: Vec<_> = ["tex/a.png", "tex/b.png", "other/a.png"]
            .iter()
            .map(|f| InputPath::of(&at(f)).unwrap())
            .collect();
        let names = |found: &[(PathBuf, &InputPath)]| {
            found.iter().map(|(path, image)| (path.clone(), image.path.clone())).collect::<Vec<_>>()
        };
        let beside = of(&files, None);
        assert_eq!(names(&beside), [(at(&cached[0].0), at("tex/a.png"))]);
        // In a common folder the time tells which image it is of.
        let folder = TextureFolder::At(at("cache"));
        let common = of(&files, Some(&folder));
        assert_eq!(names(&common)[0], (at(&cached[3].0), at("other/a.png")));
        let hashed = hashed(&common, &mut Hashes::default(), &mut |_, _| true).unwrap();
        assert_eq!(hashed[0].as_old_as.as_ref(), Some(&files[2].sha256));
        aged(&at("tex/a.png"), 1002, 0);
        let files: Vec<_> = files.iter().map(|f| InputPath::of(&f.path).unwrap()).collect();
        let unclear = of(&files, Some(&folder));
        let error = super::hashed(&unclear, &mut Hashes::default(), &mut |_, _| true).unwrap_err();
        assert!(error.to_string().contains("equally old"), "{error}");
    }
}
