//! Where the pictures of a render go, and where its tiles are kept: from what was typed to what the library takes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tilecore::Result;
use tilecore::frames::Frames;
use tilecore::job::{Cameras, Request};
use tilecore::naming::Pattern;
use tilecore::render::Names;

/// Where everything goes.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// The picture, or what stands for several.
    pub(crate) output: PathBuf,
    /// What several pictures are called.
    pub(crate) names: Option<Names>,
    /// Where tiles and state are kept.
    pub(crate) work_dir: PathBuf,
}

impl Target {
    /// `typed` is what follows `-o`; `range` says that frames were named as a range, even if it has but one.
    pub(crate) fn new(request: &Request, typed: Option<&Path>, range: bool) -> Result<Self> {
        let cameras = match &request.cameras {
            Cameras::Own => false,
            Cameras::Named(names) => names.len() > 1,
            Cameras::All => true,
        };
        let scenes = request.scenes.len() > 1;
        if let Some(typed) = typed {
            tilecore::formats::refuse_movie(typed)?;
            let places = typed.to_str().filter(|t| {
                let name = t.rsplit('/').next().unwrap_or_default();
                range
                    || cameras
                    || scenes
                    || name.contains('#')
                    || ["{frame}", "{camera}", "{scene}"].iter().any(|place| t.contains(place))
            });
            let Some(text) = places else { return Ok(Self::single(typed.to_owned())) };
            let pattern = Pattern::typed(text)?;
            let work_dir = pattern.work_dir();
            return Ok(Self { output: typed.to_owned(), names: Some(Names::Pattern(pattern)), work_dir });
        }
        let first = match &request.frames {
            Frames::These(frames) if !range => frames.first().copied().unwrap_or_default(),
            _ => {
                let output = PathBuf::from(stem(&request.blend));
                let work_dir = beside(&output, ".tiles");
                return Ok(Self { output, names: Some(Names::Scene), work_dir });
            }
        };
        if cameras || scenes {
            let pattern = Pattern::usual(&request.blend, cameras, scenes);
            let output = PathBuf::from(stem(&request.blend));
            let work_dir = beside(&output, ".tiles");
            return Ok(Self { output, names: Some(Names::Pattern(pattern)), work_dir });
        }
        Ok(Self::single(default_output(&request.blend, first)))
    }

    fn single(output: PathBuf) -> Self {
        Self { work_dir: beside(&output, ".tiles"), output, names: None }
    }
}

fn stem(blend: &Path) -> String {
    blend.file_stem().map_or_else(|| "frame".into(), |s| s.to_string_lossy().into_owned())
}

/// `<stem>_<frame:04>.png` in the current directory.
fn default_output(blend: &Path, frame: i32) -> PathBuf {
    let sign = if frame < 0 { "-" } else { "" };
    PathBuf::from(format!("{}_{sign}{:04}.png", stem(blend), frame.unsigned_abs()))
}

/// The path with something added to its last name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_file_and_frame() {
        assert_eq!(default_output(Path::new("/a/still.blend"), 1), PathBuf::from("still_0001.png"));
        assert_eq!(default_output(Path::new("a b.blend"), -3), PathBuf::from("a b_-0003.png"));
        assert_eq!(beside(Path::new("x/still_0001.png"), ".tiles"), PathBuf::from("x/still_0001.png.tiles"));
    }

    #[test]
    fn one_picture_goes_where_it_was_said_and_several_by_a_pattern() {
        let one = Request::new("/a/b.blend", 7);
        let plain = Target::new(&one, None, false).unwrap();
        assert_eq!((plain.output.to_str(), &plain.names), (Some("b_0007.png"), &None));
        let literal = Target::new(&one, Some(Path::new("x{1}.png")), false).unwrap();
        assert_eq!((literal.names, literal.work_dir.to_str()), (None, Some("x{1}.png.tiles")));
        assert!(Target::new(&one, Some(Path::new("x_##.png")), false).unwrap().names.is_some());
        assert_eq!(Target::new(&one, None, true).unwrap().names, Some(Names::Scene));
        let cameras = Request { cameras: Cameras::All, ..one.clone() };
        let target = Target::new(&cameras, None, false).unwrap();
        assert!(
            matches!(target.names, Some(Names::Pattern(_))) && target.work_dir.to_str() == Some("b.tiles")
        );
        assert!(Target::new(&one, Some(Path::new("x.mp4")), false).is_err());
    }
}
