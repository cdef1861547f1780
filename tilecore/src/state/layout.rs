//! The files of a work directory. No other code knows their names.

use std::path::{Path, PathBuf};

use crate::error::{IoContext, Result};

/// Name of the file in which the program that shows a run keeps what goes on now, and what its drafts begin with.
pub(super) const NOW: &str = "now.json";

/// Where everything in a work directory lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkDirLayout {
    root: PathBuf,
}

impl WorkDirLayout {
    /// The layout of this directory, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The state file.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.ron")
    }

    /// Locked by the controller that works there.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The folder of the finished tiles.
    pub fn tiles(&self) -> PathBuf {
        self.root.join("tiles")
    }

    /// One tile's file.
    pub fn tile(&self, file: &str) -> PathBuf {
        self.tiles().join(file)
    }

    /// The picture as far as it is.
    pub fn preview(&self) -> PathBuf {
        self.root.join("preview.png")
    }

    /// The report of a job whose directory is kept.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// Where a picture is stitched to when it is not the result yet.
    pub fn stitched(&self, picture: u32) -> PathBuf {
        let name = if picture == 0 { "frame.exr".to_owned() } else { format!("frame-{picture}.exr") };
        self.root.join(name)
    }

    /// What the results of a shot's finish are called here, with a number after it.
    pub fn finished(&self, shot: usize) -> PathBuf {
        self.root.join(format!("finished-{shot}"))
    }

    /// What goes on now, kept by the program that shows the run; nothing is read from it here.
    pub fn now(&self) -> PathBuf {
        self.root.join(NOW)
    }

    /// The folder in which small frames are compared.
    pub fn proof(&self) -> PathBuf {
        self.root.join("proof")
    }

    /// The folder in which other processes ask for something.
    pub fn errands(&self) -> PathBuf {
        self.root.join("errands")
    }

    /// Removes what a work directory holds besides its lock, and nothing else.
    pub(super) fn clear(&self) -> Result<()> {
        for folder in [self.tiles(), self.errands(), self.proof()] {
            if folder.exists() {
                std::fs::remove_dir_all(&folder).at("remove", &folder)?;
            }
        }
        // Earlier versions stitched PNG tiles to frame.png.
        for path in [self.state(), self.preview(), self.report(), self.root.join("frame.png")] {
            if path.exists() {
                std::fs::remove_file(&path).at("remove", &path)?;
            }
        }
        for entry in std::fs::read_dir(&self.root).at("read", &self.root)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What a finish left behind that was cut short.
            let stitched = name.strip_suffix(".exr").is_some_and(|n| n.starts_with("frame"));
            if stitched || name.starts_with("finished-") || name.starts_with(NOW) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_lock_and_what_is_not_ours_is_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let layout = WorkDirLayout::new(dir.path());
        for folder in [layout.tiles(), layout.errands(), layout.proof()] {
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("x"), "").unwrap();
        }
        let finished = layout.finished(3).with_extension("0");
        let ours = [
            layout.state(),
            layout.preview(),
            layout.report(),
            layout.stitched(0),
            layout.stitched(7),
            finished,
        ];
        let others = [layout.lock(), layout.root().join("notes.txt")];
        for path in ours.iter().chain(&others) {
            std::fs::write(path, "").unwrap();
        }
        layout.clear().unwrap();
        assert!(
            ours.iter().all(|path| !path.exists()) && !layout.tiles().exists() && !layout.proof().exists()
        );
        assert!(others.iter().all(|path| path.exists()));
    }
}
