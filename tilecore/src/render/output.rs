//! Where the result goes: checked before anything renders, written whole or not at all.

use std::path::{Path, PathBuf};

use crate::error::{Error, IoContext, Result, reason};

/// The place of the final picture.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
}

impl Target {
    /// Makes sure that a file can be written there.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let shown = path.display();
        let refuse = |why: String| {
            Error::input(format!("cannot write {shown}: {why}")).remedy(
                "Choose another place with -o, or see to it that the directory is there and can be written.",
            )
        };
        let path = std::path::absolute(path).map_err(|e| refuse(reason(&e)))?;
        if path.is_dir() {
            return Err(refuse("it is a directory".into()));
        }
        let folder = path.parent().ok_or_else(|| refuse("it has no directory".into()))?;
        if !folder.is_dir() {
            return Err(refuse(format!("the directory {} does not exist", folder.display())));
        }
        tempfile::Builder::new().prefix(".tilectl-").tempfile_in(folder).map_err(|e| refuse(reason(&e)))?;
        Ok(Self { path })
    }

    /// Takes another extension: what the picture turned out to be.
    pub(super) fn extension(&mut self, extension: &str) {
        self.path.set_extension(extension);
    }
}

/// The same name with the suffix of a view before its extension.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    // A view may be told apart by a point.
    let point = if suffix.starts_with('.') { "." } else { "" };
    let mut name = format!("{stem}{point}{}", clean(suffix));
    if let Some(extension) = path.extension() {
        name = format!("{name}.{}", extension.to_string_lossy());
    }
    path.with_file_name(name)
}

/// Where a file goes that the scene writes besides its picture: below `<picture>.outputs`, under the names along the
/// path that its File Output node has. A node cannot make it any other place.
pub(super) fn beside(picture: &Path, target: &str) -> Result<PathBuf> {
    let mut place = picture.as_os_str().to_owned();
    place.push(".outputs");
    let mut place = PathBuf::from(place);
    let folder = place.clone();
    for part in target.split(['/', '\\']).map(clean).filter(|p| !p.is_empty()) {
        place.push(part);
    }
    if place == folder || place.is_dir() {
        return Err(Error::render("a File Output node has no name for its file")
            .remedy("Name the slots of the compositor's File Output nodes in the scene."));
    }
    let folder = place.parent().unwrap_or(Path::new(".")).to_owned();
    std::fs::create_dir_all(&folder).at("create", &folder)?;
    Ok(place)
}

/// One name without anything that leads elsewhere, hides, or means something to a shell or terminal.
fn clean(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_control() || ":*?\"<>|/\\".contains(c) { '_' } else { c }).collect();
    // As long as file names may be on any file system, less what is added for drafts.
    let mut end = name.len().min(200);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].trim_start_matches('.').trim().to_owned()
}

/// Puts `file` at `target`, atomically and durably, across file systems too.
pub(super) fn place(file: &Path, target: &Path) -> Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    if std::fs::rename(file, target).is_err() {
        let mut draft =
            tempfile::Builder::new().prefix(".tilectl-").tempfile_in(folder).at("write", folder)?;
        let mut source = std::fs::File::open(file).at("read", file)?;
        std::io::copy(&mut source, draft.as_file_mut()).at("write", target)?;
        draft.as_file().sync_all().at("write", target)?;
        draft.persist(target).map_err(|e| e.error).at("write", target)?;
        std::fs::remove_file(file).at("remove", file)?;
    }
    crate::state::sync_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_cannot_choose_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let picture = dir.path().join("a.png");
        for (target, place) in [
            ("//render/z0001.exr", "render/z0001.exr"),
            ("/../../etc/passwd", "etc/passwd"),
            ("..\\..\\x.exr", "x.exr"),
            (".bashrc", "bashrc"),
            ("a\u{1b}[2J.png", "a_[2J.png"),
        ] {
            assert_eq!(beside(&picture, target).unwrap(), dir.path().join("a.png.outputs").join(place));
        }
        assert!(beside(&picture, "...").is_err() && beside(&picture, "render").is_err());
        let long = beside(&picture, &"\u{1f600}".repeat(120)).unwrap();
        assert_eq!(long.file_name().unwrap().len(), 200);
        assert_eq!(with_suffix(&picture, "_L"), dir.path().join("a_L.png"));
        assert_eq!(with_suffix(&picture, ".L"), dir.path().join("a.L.png"));
        assert_eq!(with_suffix(&picture, "/../x"), dir.path().join("a_.._x.png"));
    }
}
