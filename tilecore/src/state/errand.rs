//! Errands: what another process wants of the controller that works in a directory, each a small file in it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::WorkDirLayout;
use crate::error::{Error, IoContext, Result};

/// No errand is longer, bytes.
const LONGEST: u64 = 64 * 1024;

/// One wish. Nodes are meant by their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Errand {
    /// A node joins, as `--node` would name it.
    Add(String),
    /// A node finishes its tiles and leaves.
    Remove(String),
    /// A node (or every one) finishes its tiles and waits.
    Pause(Option<String>),
    /// A node (or every one) goes on.
    Resume(Option<String>),
}

impl Errand {
    /// Leaves it for the controller that works in `root`; the file is gone when it was taken.
    ///
    /// # Errors
    /// When this is no work directory, or nobody works in it now.
    pub fn leave(&self, root: &Path) -> Result<PathBuf> {
        if !WorkDirLayout::new(root).state().is_file() {
            return Err(Error::input(format!("{} is not a work directory of tilectl", root.display()))
                .remedy("Name the directory that a render keeps its tiles in, usually <output>.tiles."));
        }
        if !is_running(root) {
            return Err(Error::input(format!("no tilectl is rendering in {}", root.display())).remedy(
                "Start the render again with the nodes you want: it goes on from what is finished.",
            ));
        }
        let folder = WorkDirLayout::new(root).errands();
        std::fs::create_dir_all(&folder).at("create", &folder)?;
        let text = ron::to_string(self).map_err(|e| Error::render(format!("cannot write an errand: {e}")))?;
        let mut draft = tempfile::Builder::new().prefix(".").tempfile_in(&folder).at("write", &folder)?;
        draft.write_all(text.as_bytes()).at("write", &folder)?;
        let name = format!("{:017.6}-{}.ron", super::now(), std::process::id());
        let path = folder.join(name);
        draft.persist(&path).map_err(|e| e.error).at("write", &path)?;
        Ok(path)
    }

    /// Takes what was left in `root`, oldest first; what makes no sense is an error of its own.
    pub fn collect(root: &Path) -> Vec<Result<Self>> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(WorkDirLayout::new(root).errands())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "ron"))
            .take(1000)
            .collect();
        files.sort();
        files.iter().map(|path| Self::take(path)).collect()
    }

    fn take(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let read = std::fs::File::open(path)
            .and_then(|f| f.take(LONGEST).read_to_string(&mut text))
            .at("read", path);
        std::fs::remove_file(path).at("remove", path)?;
        read?;
        ron::from_str(&text).map_err(|e| {
            Error::input(format!("{} makes no sense: {}", path.display(), e.code))
                .remedy("Use tilectl nodes add, remove, pause or resume.")
        })
    }
}

/// Whether a controller works in this directory now.
pub fn is_running(root: &Path) -> bool {
    // Only looked at, never waited for.
    std::fs::File::open(WorkDirLayout::new(root).lock())
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_are_taken_once_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(Errand::Pause(None).leave(root).unwrap_err().to_string().contains("not a work directory"));
        std::fs::write(WorkDirLayout::new(root).state(), "").unwrap();
        assert!(Errand::Pause(None).leave(root).unwrap_err().to_string().contains("no tilectl is rendering"));
        let lock = std::fs::File::create(WorkDirLayout::new(root).lock()).unwrap();
        lock.try_lock().unwrap();
        assert!(is_running(root));
        let errands = [
            Errand::Add("anna@box,slots=2".into()),
            Errand::Pause(Some("box".into())),
            Errand::Resume(None),
            Errand::Remove("box".into()),
        ];
        for errand in &errands {
            assert!(errand.leave(root).unwrap().is_file());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        std::fs::write(WorkDirLayout::new(root).errands().join("~.ron"), "Explode(").unwrap();
        let mut taken = Errand::collect(root);
        assert!(taken.pop().unwrap().is_err());
        assert_eq!(taken.into_iter().map(Result::unwrap).collect::<Vec<_>>(), errands);
        assert!(Errand::collect(root).is_empty());
    }
}
