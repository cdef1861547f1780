//! What the files of many pictures are called: a pattern with places for frame, camera and scene.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::formats::{Format, extension, refuse_movie};

/// A file name for every picture of a job.
///
/// The last run of `#` in the file's own name is the frame's number with that many digits at least, as in Blender;
/// `{frame}`, `{camera}` and `{scene}` may stand anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The extension follows the format of the pictures.
    by_format: bool,
}

/// What one picture puts into the places.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Scene.
    pub scene: &'a str,
    /// Camera in effect.
    pub camera: &'a str,
    /// Frame number.
    pub frame: i32,
    /// Extension that files of the pictures' format have.
    pub extension: &'a str,
}

impl Pattern {
    /// As somebody typed it, relative to the working directory. A name that ends in no picture's extension takes that
    /// of the format.
    ///
    /// # Errors
    /// When it is a movie's name, or no file's.
    pub fn typed(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.file_name().is_none() || text.ends_with('/') {
            return Err(Error::input(format!("`{text}` names no file"))
                .remedy("Name the files as in -o 'out/shot_####.png'."));
        }
        refuse_movie(path)?;
        let by_format = extension(path).is_none_or(|e| Format::of_extension(&e).is_none());
        Ok(Self { text: text.to_owned(), by_format })
    }

    /// `<stem>_####` in the working directory, with camera and scene where there are several.
    pub fn usual(blend: &Path, cameras: bool, scenes: bool) -> Self {
        let stem = blend.file_stem().map_or_else(|| "frame".into(), |s| literal(&s.to_string_lossy()));
        let text = spread(&format!("{stem}_####"), cameras, scenes);
        Self { text, by_format: true }
    }

    /// The output path that the scene itself has, by Blender's rules; nothing where that is not below the folder of
    /// the .blend: a file that came from elsewhere has no say in where things go here.
    pub fn of_scene(path: &str, blend: &Path, cameras: bool, scenes: bool) -> Option<Self> {
        let below = path.strip_prefix("//")?.replace('\\', "/");
        let plain =
            Path::new(&below).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        if !plain || below.chars().any(char::is_control) {
            return None;
        }
        let folder = std::path::absolute(blend).ok()?;
        let folder = folder.parent()?.to_str()?.to_owned();
        let (dirs, name) = below.rsplit_once('/').map_or(("", below.as_str()), |(d, n)| (d, n));
        // Blender itself appends the frame's number where the name has no place for it.
        let name = if name.contains('#') { literal(name) } else { format!("{}####", literal(name)) };
        let name = spread(&name, cameras, scenes);
        let folder = literal(&folder);
        let text = if dirs.is_empty() {
            format!("{folder}/{name}")
        } else {
            format!("{folder}/{}/{name}", literal(dirs))
        };
        Some(Self { text, by_format: true })
    }

    /// Whether every frame has another name.
    pub fn tells_frames(&self) -> bool {
        self.text.contains("{frame}") || self.name().contains('#')
    }

    /// Whether somebody chose the extension.
    pub fn extension(&self) -> Option<String> {
        extension(Path::new(&self.text)).filter(|_| !self.by_format)
    }

    /// Where tiles and state of such a job are kept when nobody says where.
    pub fn work_dir(&self) -> PathBuf {
        let mut fixed = PathBuf::new();
        let mut rest = Vec::new();
        for part in Path::new(&self.text).components() {
            let text = part.as_os_str().to_string_lossy().into_owned();
            if rest.is_empty() && !text.contains(['#', '{']) {
                fixed.push(part);
            } else {
                rest.push(text);
            }
        }
        fixed.join(format!("{}.tiles", rest.join("-")))
    }

    fn name(&self) -> &str {
        self.text.rsplit('/').next().unwrap_or_default()
    }

    /// The file of one picture.
    pub fn path(&self, places: Places<'_>) -> PathBuf {
        let (dirs, name) = self.text.rsplit_once('/').map_or(("", self.text.as_str()), |(d, n)| (d, n));
        let name = filled(&numbered(name, places.frame), places);
        let mut path = if dirs.is_empty() && !self.text.starts_with('/') {
            PathBuf::new()
        } else {
            PathBuf::from(format!("{}/", filled(dirs, places)))
        };
        path.push(name);
        if !self.by_format {
            return path;
        }
        // As Blender does: another picture's extension gives way, anything else is part of the name.
        match extension(&path) {
            Some(e) if e.eq_ignore_ascii_case(places.extension) => path,
            Some(e) if Format::of_extension(&e).is_some() => path.with_extension(places.extension),
            _ => {
                let mut whole = path.into_os_string();
                whole.push(".");
                whole.push(places.extension);
                whole.into()
            }
        }
    }
}

/// Keeps braces that are meant as such.
fn literal(text: &str) -> String {
    text.replace('{', "{{")
}

/// Makes room for camera and scene before the number.
fn spread(name: &str, cameras: bool, scenes: bool) -> String {
    let places = [(scenes, "{scene}_"), (cameras, "{camera}_")];
    let added: String = places.iter().filter(|p| p.0).map(|p| p.1).collect();
    let at = run(name).map_or(name.len(), |r| r.start);
    format!("{}{added}{}", &name[..at], &name[at..])
}

/// The last run of `#`.
fn run(name: &str) -> Option<std::ops::Range<usize>> {
    let end = name.rfind('#')? + 1;
    let start = name[..end].trim_end_matches('#').len();
    Some(start..end)
}

fn numbered(name: &str, frame: i32) -> String {
    match run(name) {
        Some(r) => format!("{}{}{}", &name[..r.start], number(frame, r.len()), &name[r.end..]),
        None => name.to_owned(),
    }
}

/// At least so many digits, without the sign.
fn number(frame: i32, digits: usize) -> String {
    let sign = if frame < 0 { "-" } else { "" };
    format!("{sign}{:0digits$}", frame.unsigned_abs())
}

fn filled(text: &str, places: Places<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out += &rest[..at];
        rest = &rest[at..];
        let known = [
            ("{{", "{".to_owned()),
            ("{frame}", number(places.frame, 4)),
            ("{camera}", plain(places.camera)),
            ("{scene}", plain(places.scene)),
        ];
        let (mark, value) =
            known.into_iter().find(|k| rest.starts_with(k.0)).unwrap_or(("{", "{".to_owned()));
        out += &value;
        rest = &rest[mark.len()..];
    }
    out + rest
}

/// A name from a .blend as part of a file name: it leads nowhere, hides nothing and says nothing to a terminal.
fn plain(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if c.is_control() || ":*?\"<>|/\\#".contains(c) { '_' } else { c })
        .take(80)
        .collect();
    let name = name.trim().trim_start_matches('.').to_owned();
    if name.is_empty() { "_".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(frame: i32) -> Places<'static> {
        Places { scene: "Shop", camera: "Cam.001", frame, extension: "png" }
    }

    #[test]
    fn places_are_filled_as_blender_does() {
        for (text, frame, path) in [
            ("out/shot_####.png", 7, "out/shot_0007.png"),
            ("out/shot_####.exr", 7, "out/shot_0007.exr"),
            ("##_a_###.png", -7, "##_a_-007.png"),
            ("a#", 12345, "a12345.png"),
            ("a##/b", 1, "a##/b.png"),
            ("a_{camera}_{frame}", 1, "a_Cam.001_0001.png"),
            ("{scene}/{camera}/#.jpg", 3, "Shop/Cam.001/3.jpg"),
            ("/tmp/a#", 3, "/tmp/a3.png"),
            ("/a#", 3, "/a3.png"),
            ("x.001_####", 3, "x.001_0003.png"),
            ("{what}{{_#", 3, "{what}{_3.png"),
        ] {
            assert_eq!(Pattern::typed(text).unwrap().path(places(frame)), PathBuf::from(path), "{text}");
        }
        assert!(Pattern::typed("a.mp4").unwrap_err().hint().unwrap().contains("ffmpeg"));
        assert!(Pattern::typed("a/").is_err());
    }

    #[test]
    fn the_scenes_own_path_counts_only_below_its_folder() {
        let blend = Path::new("/s/a{1}/x.blend");
        let of = |path: &str| Pattern::of_scene(path, blend, false, false).map(|p| p.path(places(3)));
        for (own, path) in [
            ("//render/shot_####.png", "/s/a{1}/render/shot_0003.png"),
            ("//render/shot_", "/s/a{1}/render/shot_0003.png"),
            ("//render/", "/s/a{1}/render/0003.png"),
            ("//", "/s/a{1}/0003.png"),
            ("//x.jpg", "/s/a{1}/x.jpg0003.png"),
            ("//x##.jpg", "/s/a{1}/x03.png"),
            ("//r\\x{camera}#", "/s/a{1}/r/x{camera}3.png"),
        ] {
            assert_eq!(of(own), Some(PathBuf::from(path)), "{own}");
        }
        for own in ["/tmp/", "", "//../x", "/etc/x", "C:\\x", "//a/../../x", "//a\u{1b}[2J"] {
            assert_eq!(of(own), None, "{own}");
        }
        let both = Pattern::of_scene("//shot_##", blend, true, true).unwrap();
        assert_eq!(both.path(places(3)), PathBuf::from("/s/a{1}/shot_Shop_Cam.001_03.png"));
        let usual = Pattern::usual(Path::new("/a/b#.blend"), true, false);
        assert_eq!(usual.path(places(3)), PathBuf::from("b#_Cam.001_0003.png"));
    }

    #[test]
    fn names_from_the_file_lead_nowhere() {
        let hostile = Places { camera: "../../.ssh/a\u{1b}#", ..places(1) };
        let path = Pattern::typed("o/{camera}_#").unwrap().path(hostile);
        assert_eq!(path, PathBuf::from("o/_.._.ssh_a___1.png"));
        let empty = Places { camera: "..", ..places(1) };
        assert_eq!(Pattern::typed("{camera}/#").unwrap().path(empty), PathBuf::from("_/1.png"));
    }

    #[test]
    fn tiles_are_kept_beside_the_files() {
        for (text, dir) in [
            ("out/shot_####.png", "out/shot_####.png.tiles"),
            ("o/{camera}/####.png", "o/{camera}-####.png.tiles"),
        ] {
            assert_eq!(Pattern::typed(text).unwrap().work_dir(), PathBuf::from(dir));
        }
    }
}
