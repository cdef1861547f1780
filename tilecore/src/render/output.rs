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
            Error::input(format!("cannot write {shown}: {why}"))
                .remedy("Choose another place with -o, or make the directory writable.")
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

    /// Puts a finished file there.
    pub(super) fn place(&self, file: &Path) -> Result<()> {
        place(file, &self.path)
    }
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
