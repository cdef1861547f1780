//! File formats: of tiles, of pictures by Blender's names and by extension, and movies, which are refused.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Names that only movies have.
const MOVIES: [&str; 11] = ["mp4", "mov", "avi", "mkv", "webm", "ogv", "mpg", "mpeg", "m4v", "flv", "gif"];

/// The two kinds of tile file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TileFormat {
    /// 8- or 16-bit PNG, stitched as it is.
    Png,
    /// 32-bit multilayer `OpenEXR`, stitched and then finished in Blender.
    Exr,
}

impl TileFormat {
    /// File name extension.
    pub fn extension(self) -> &'static str {
        match self {
            TileFormat::Png => "png",
            TileFormat::Exr => "exr",
        }
    }
}

/// A format that Blender writes a still picture in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// 8 or 16 bits a channel.
    Png,
    /// 8 bits, lossy.
    Jpeg,
    /// 8 or 16 bits a channel.
    Tiff,
    /// 8 bits.
    Webp,
    /// Half or full floats.
    OpenExr,
    /// Every pass of every view layer.
    OpenExrMultilayer,
    /// Windows bitmap.
    Bmp,
    /// Truevision.
    Targa,
    /// Radiance.
    Hdr,
}

impl Format {
    const ALL: [(Format, &'static str, &'static [&'static str]); 9] = [
        (Format::Png, "PNG", &["png"]),
        (Format::Jpeg, "JPEG", &["jpg", "jpeg"]),
        (Format::Tiff, "TIFF", &["tif", "tiff"]),
        (Format::Webp, "WEBP", &["webp"]),
        (Format::OpenExr, "OPEN_EXR", &["exr"]),
        (Format::OpenExrMultilayer, "OPEN_EXR_MULTILAYER", &["exr"]),
        (Format::Bmp, "BMP", &["bmp"]),
        (Format::Targa, "TARGA", &["tga"]),
        (Format::Hdr, "HDR", &["hdr"]),
    ];

    /// Blender's name for it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|f| f.0 == self).map_or("PNG", |f| f.1)
    }

    /// The usual file name extension.
    pub fn extension(self) -> &'static str {
        Self::ALL.iter().find(|f| f.0 == self).and_then(|f| f.2.first()).unwrap_or(&"png")
    }

    /// The format Blender calls so, if it is one of these.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|f| f.1 == name).map(|f| f.0)
    }

    /// The format that files with this extension have; `exr` is single-layer.
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.iter().find(|f| f.2.iter().any(|e| e.eq_ignore_ascii_case(extension))).map(|f| f.0)
    }

    /// Whether a file of this format may begin with `head`, its first twelve bytes.
    pub(crate) fn begins(self, head: &[u8]) -> bool {
        match self {
            Format::Png => head.starts_with(b"\x89PNG\r\n\x1a\n"),
            Format::Jpeg => head.starts_with(b"\xff\xd8\xff"),
            Format::Tiff => [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|m| head.starts_with(*m)),
            Format::Webp => head.starts_with(b"RIFF") && head.ends_with(b"WEBP"),
            Format::OpenExr | Format::OpenExrMultilayer => head.starts_with(b"v/1\x01"),
            Format::Bmp => head.starts_with(b"BM"),
            Format::Hdr => head.starts_with(b"#?"),
            // It begins with its header's numbers.
            Format::Targa => head.len() == 12,
        }
    }

    /// Whether files of this format carry the extension.
    pub fn has_extension(self, extension: &str) -> bool {
        Self::ALL.iter().any(|f| f.0 == self && f.2.iter().any(|e| e.eq_ignore_ascii_case(extension)))
    }
}

impl std::str::FromStr for Format {
    type Err = Error;

    /// Blender's name in any case, or a usual abbreviation.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.to_ascii_uppercase().replace('-', "_");
        let name = match name.as_str() {
            "EXR" => "OPEN_EXR",
            "EXR_MULTILAYER" | "MULTILAYER" => "OPEN_EXR_MULTILAYER",
            "JPG" => "JPEG",
            "TIF" => "TIFF",
            "TGA" => "TARGA",
            other => other,
        };
        if is_movie(text) || ["FFMPEG", "AVI_JPEG", "AVI_RAW"].contains(&name) {
            return Err(movie(&format!("{text} is a movie format")));
        }
        Self::named(name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|f| f.1).collect();
            Error::input(format!("`{text}` is not a picture format"))
                .remedy(format!("Choose one of {}.", names.join(", ")))
        })
    }
}

/// Says how to come to a movie, if that is what the file is called.
///
/// # Errors
/// Then.
pub fn refuse_movie(path: &Path) -> Result<()> {
    match extension(path) {
        Some(e) if is_movie(&e) => Err(movie(&format!("{e} is a movie"))),
        _ => Ok(()),
    }
}

/// Whether only movies have this extension.
fn is_movie(extension: &str) -> bool {
    MOVIES.contains(&extension.to_ascii_lowercase().as_str())
}

/// Movies are not rendered in parts; what to do instead.
pub(crate) fn movie(what: &str) -> Error {
    Error::input(format!("{what}, and a movie cannot be put together from frames of several machines"))
        .remedy("Render frames (--format png or exr) and encode them afterwards, for example with ffmpeg -i shot_%04d.png shot.mp4.")
}

/// The extension of a file name.
pub(crate) fn extension(path: &Path) -> Option<String> {
    path.extension().map(|e| e.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_extensions_find_their_format() {
        for (format, name, extensions) in Format::ALL {
            assert_eq!(name.to_lowercase().parse::<Format>().unwrap(), format);
            assert!(extensions.iter().all(|e| format.has_extension(e)));
        }
        assert_eq!("exr".parse::<Format>().unwrap(), Format::OpenExr);
        assert_eq!(Format::of_extension("JPG"), Some(Format::Jpeg));
        assert!("FFMPEG".parse::<Format>().is_err());
        assert!("mp4".parse::<Format>().unwrap_err().hint().unwrap().contains("ffmpeg"));
    }
}
