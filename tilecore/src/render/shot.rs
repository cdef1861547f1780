//! One picture that is asked for, a scene through a camera at a frame.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::output;
use crate::blender::Picture;
use crate::error::{Error, IoContext, Result};
use crate::formats::{Format, TileFormat};

/// One picture that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Shot {
    pub(super) scene: String,
    /// Itself, as Blender is told of it; what is rendered for it may be others.
    pub(super) picture: Picture,
    /// Camera that was asked for; the scene's own when absent.
    pub(super) camera: Option<String>,
    /// Camera in effect, as far as it is known.
    pub(super) shown: Option<String>,
    pub(super) frame: i32,
    /// The pictures that are rendered for it, indices into the job's canvases.
    pub(super) canvases: Range<u32>,
    /// Its tiles.
    pub(super) format: TileFormat,
    /// Its file's format, where that is not the scene's own.
    pub(super) written_as: Option<Format>,
    /// Its file.
    pub(super) path: PathBuf,
    /// Whether its file is there.
    pub(super) written: bool,
}

impl Shot {
    /// What it is, for people.
    pub(super) fn words(&self) -> String {
        let camera = self.shown.as_ref().map_or_else(String::new, |c| format!(" through {c}"));
        crate::text::printable(&format!("frame {} of {}{camera}", self.frame, self.scene), 200)
    }
}

/// Makes sure that every shot has a file of its own, and that it can be written.
pub(super) fn check_paths(shots: &mut [Shot]) -> Result<()> {
    for shot in shots.iter_mut() {
        shot.path = std::path::absolute(&shot.path).at("write", &shot.path)?;
    }
    let mut seen: HashMap<&Path, &Shot> = HashMap::new();
    for shot in shots.iter() {
        if let Some(other) = seen.insert(&shot.path, shot) {
            return Err(clash(other, shot));
        }
    }
    let mut folders: Vec<&Path> = shots.iter().filter_map(|s| s.path.parent()).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        std::fs::create_dir_all(folder).at("create", folder).map_err(|e| {
            Error::input(e.to_string())
                .remedy("Choose another place with -o, or make the directory writable.")
        })?;
    }
    for shot in shots.iter() {
        if shot.path.is_dir() {
            return Err(Error::input(format!("cannot write {}: it is a directory", shot.path.display()))
                .remedy("Choose other names with -o."));
        }
    }
    shots.first().map_or(Ok(()), |first| output::Target::new(&first.path).map(|_| ()))
}

/// Two shots that would be written to one file.
fn clash(a: &Shot, b: &Shot) -> Error {
    let remedy = if a.frame != b.frame {
        "Put #### into -o for the number of the frame, for example -o 'shot_####.png'."
    } else if a.scene != b.scene {
        "Put {scene} into -o, for example -o '{scene}_####.png'."
    } else {
        "Put {camera} into -o, for example -o '{camera}_####.png', and give cameras names that differ."
    };
    Error::input(format!("{} and {} would both be written to {}", a.words(), b.words(), a.path.display()))
        .remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shot(scene: &str, camera: &str, frame: i32, path: &Path) -> Shot {
        Shot {
            scene: scene.into(),
            picture: Picture::plain(),
            camera: None,
            shown: Some(camera.into()),
            frame,
            canvases: 0..1,
            format: TileFormat::Png,
            written_as: None,
            path: path.to_owned(),
            written: false,
        }
    }

    #[test]
    fn no_two_shots_share_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (other, hint) in [
            (shot("S", "A", 2, &at("x.png")), "####"),
            (shot("T", "A", 1, &at("x.png")), "{scene}"),
            (shot("S", "B", 1, &at("x.png")), "{camera}"),
        ] {
            let error = check_paths(&mut [shot("S", "A", 1, &at("x.png")), other]).unwrap_err();
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
        let mut fine = [shot("S", "A", 1, &at("new/x.png")), shot("S", "A", 2, &at("new/y.png"))];
        check_paths(&mut fine).unwrap();
        assert!(at("new").is_dir());
        assert!(check_paths(&mut [shot("S", "A", 1, dir.path())]).is_err());
        std::fs::write(at("file"), b"").unwrap();
        assert!(check_paths(&mut [shot("S", "A", 1, &at("file/x.png"))]).is_err());
    }
}
