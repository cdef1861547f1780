//! Where the pictures of a render go, and where its tiles are kept: from what was typed to what the library takes. What
//! cannot be written is refused here, before any node is reached.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tilecore::formats::Format;
use tilecore::frames::Frames;
use tilecore::job::{Cameras, Request};
use tilecore::naming::Pattern;
use tilecore::render::Names;
use tilecore::{Error, Result};

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
            let Some(text) = places else { return Self::named(typed) };
            let pattern = Pattern::typed(text)?;
            let work_dir = pattern.work_dir();
            return Ok(Self { output: typed.to_owned(), names: Some(Names::Pattern(pattern)), work_dir });
        }
        let first = match &request.frames {
            Frames::These(frames) if !range => frames.first().copied(),
            Frames::Current => None,
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
        Ok(match first {
            Some(first) => Self::single(default_output(&request.blend, first)),
            // Its number is known once the scene is.
            None => Self {
                work_dir: beside(Path::new(&stem(&request.blend)), ".tiles"),
                output: PathBuf::from(stem(&request.blend)),
                names: Some(Names::Pattern(Pattern::usual(&request.blend, false, false))),
            },
        })
    }

    /// One picture of this name. Where that has no extension of a picture, it takes that of the format, as in Blender.
    fn named(typed: &Path) -> Result<Self> {
        let single = Self::single(typed.to_owned());
        let (None, Some(text)) = (format_of(typed), typed.to_str()) else { return Ok(single) };
        // A directory is refused as such.
        if typed.is_dir() || typed.file_name().is_none() || text.ends_with('/') {
            return Ok(single);
        }
        let pattern = Pattern::typed(&text.replace('{', "{{"))?;
        writable(typed)?;
        Ok(Self { names: Some(Names::Pattern(pattern)), ..single })
    }

    fn single(output: PathBuf) -> Self {
        Self { work_dir: beside(&output, ".tiles"), output, names: None }
    }
}

/// The format that files of this name have.
fn format_of(path: &Path) -> Option<Format> {
    Format::of_extension(path.extension()?.to_str()?)
}

/// Refuses a name that says another format than the flag does.
pub(crate) fn agree(output: Option<&Path>, format: Option<Format>, flag: &str) -> Result<()> {
    let (Some(output), Some(format)) = (output, format) else { return Ok(()) };
    let said = output.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    if Format::of_extension(&said).is_none() || format.has_extension(&said) {
        return Ok(());
    }
    let right = output.with_extension(format.extension());
    Err(Error::input(format!("{} is no name for {} ({flag})", output.display(), format.name()))
        .remedy(format!("Write -o {}, or leave {flag} out.", right.display())))
}

/// The name of a picture that is always a PNG: one without the extension of a picture takes that.
pub(crate) fn png(path: &Path) -> Result<PathBuf> {
    match format_of(path) {
        Some(Format::Png) => {}
        Some(other) => {
            return Err(Error::input(format!(
                "{} is a name for {}, and this picture is a PNG",
                path.display(),
                other.name()
            ))
            .remedy(format!("Write {} instead.", path.with_extension("png").display())));
        }
        None => {
            tilecore::formats::refuse_movie(path)?;
            return writable(&beside(path, ".png"));
        }
    }
    writable(path)
}

/// Makes sure that a file can be written there, before anything takes time.
pub(crate) fn writable(path: &Path) -> Result<PathBuf> {
    let refuse = |why: &str| {
        Error::input(format!("cannot write {}: {why}", path.display()))
            .remedy("Choose another place, or see to it that the directory is there and can be written.")
    };
    if path.is_dir() {
        return Err(refuse("it is a directory"));
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(refuse(&format!("the directory {} does not exist", folder.display())));
    }
    tempfile::Builder::new()
        .prefix(".tilectl-")
        .tempfile_in(folder)
        .map_err(|e| refuse(&tilecore::error::reason(&e)))?;
    Ok(path.to_owned())
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
    use tilecore::naming::Places;

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
        let current = Request { frames: Frames::Current, ..one.clone() };
        let target = Target::new(&current, None, false).unwrap();
        assert_eq!((target.output.to_str(), target.work_dir.to_str()), (Some("b"), Some("b.tiles")));
        let Some(Names::Pattern(pattern)) = target.names else { panic!("it has a number") };
        let places = Places { scene: "S", camera: "C", frame: 12, extension: "png" };
        assert_eq!(pattern.path(places), PathBuf::from("b_0012.png"));
    }

    #[test]
    fn a_name_without_a_pictures_extension_takes_one() {
        let places = Places { scene: "S", camera: "C", frame: 7, extension: "jpg" };
        let one = Request::new("/a/b.blend", 7);
        for (typed, path) in
            [("o.xyz", "o.xyz.jpg"), ("o", "o.jpg"), ("v1.2", "v1.2.jpg"), ("x{{1}", "x{{1}.jpg")]
        {
            let target = Target::new(&one, Some(Path::new(typed)), false).unwrap();
            let Some(Names::Pattern(pattern)) = target.names else { panic!("{typed}") };
            assert_eq!(pattern.path(places), PathBuf::from(path));
            assert_eq!(target.work_dir, PathBuf::from(format!("{typed}.tiles")));
        }
        let png = png(Path::new("heat")).unwrap();
        assert_eq!(png, PathBuf::from("heat.png"));
        assert!(super::png(Path::new("heat.jpg")).unwrap_err().hint().unwrap().contains("heat.png"));
        assert!(super::png(Path::new("/no/such/heat.png")).is_err());
    }

    #[test]
    fn a_name_and_a_flag_agree() {
        let say = |name: &str, format| agree(Some(Path::new(name)), Some(format), "--format");
        assert!(say("o.png", Format::Jpeg).unwrap_err().hint().unwrap().contains("-o o.jpg"));
        for (name, format) in
            [("o.jpeg", Format::Jpeg), ("o.exr", Format::OpenExrMultilayer), ("o", Format::Tiff)]
        {
            say(name, format).unwrap();
        }
    }
}
