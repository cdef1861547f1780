//! Stitching: parts of a frame, each in its own file, become one picture.
//!
//! Nothing here assumes a grid: any set of rectangles that covers the frame will do. Rows are streamed from the top;
//! a part is opened when the picture reaches it and closed behind it, so that memory grows with the width of the
//! frame and not with its height.

mod ancillary;
mod blocks;
mod chunk;
mod deflate;
mod exr;
mod filter;
mod header;
mod holes;
mod inspect;
mod layout;
pub mod loose;
mod output;
mod pipeline;
mod pixels;
pub mod preview;
mod samples;
mod segment;
mod segment_scheduler;
#[doc(hidden)]
pub mod stages;
#[cfg(test)]
mod tests;
mod tile;
mod unfilter;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect, uncovered};

pub use exr::{ExrOptions, Packing, exr};
pub use holes::Holes;
pub(crate) use inspect::inspect;
pub use segment::Compression;

/// One file and what it contributes to the frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub path: PathBuf,
    /// What is taken from it, in pixels of the frame.
    pub region: Rect,
    /// What the file shows, in pixels of the frame: `region` and any overlap around it.
    pub rendered: Rect,
}

impl Part {
    /// A file that shows exactly what it contributes.
    pub fn whole(path: impl Into<PathBuf>, region: Rect) -> Self {
        Self { path: path.into(), region, rendered: region }
    }
}

/// How [`png()`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PngOptions {
    /// How much time goes into a smaller file.
    pub compression: Compression,
    /// What to do where no part reaches.
    pub holes: Holes,
    /// Threads to work with; 0 means one per core. The bytes written do not depend on it.
    pub threads: usize,
    segment_bytes: usize,
}

impl Default for PngOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            holes: Holes::default(),
            threads: 0,
            segment_bytes: segment::BYTES,
        }
    }
}

impl PngOptions {
    /// With this compression.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// With holes treated so.
    #[must_use]
    pub fn holes(mut self, holes: Holes) -> Self {
        self.holes = holes;
        self
    }

    /// With this many threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Parts of the frame that no file reaches: empty unless holes were allowed.
    pub missing: Vec<Rect>,
    /// Number of parts that had to be converted: their colour type or depth is not the picture's.
    pub converted: usize,
    /// Kinds of metadata (`iCCP`, `tEXt`, ...) that were left out because the tiles do not agree on them.
    pub disagreements: Vec<String>,
    /// EXR files with samples that are not a number, and how many; such samples are kept as they are.
    pub nans: Vec<(PathBuf, u64)>,
}

/// Stitches PNG files into one PNG file, which appears under its name whole or not at all.
///
/// The colour type is the smallest that holds every part without loss: grey only if all are grey, 8 bits only if none
/// has 16, alpha if any has alpha. Palettes become RGB. Where parts overlap they must show the same; which of them is
/// taken is not defined.
pub fn png(parts: &[Part], frame: Frame, out: &Path, options: &PngOptions) -> Result<Summary> {
    png_with(parts, frame, out, options, &mut |_| true)
}

/// As [`png()`]. `progress` is told now and then how many rows of the frame are written, and says whether to go on; if
/// not, nothing is left behind and the error is one of [`Kind::Interrupted`](crate::error::Kind::Interrupted).
pub fn png_with(
    parts: &[Part],
    frame: Frame,
    out: &Path,
    options: &PngOptions,
    progress: &mut dyn FnMut(u32) -> bool,
) -> Result<Summary> {
    let missing = check(parts, frame, out)?;
    refuse_holes(options.holes, &missing, frame)?;
    pipeline::run(parts, frame, out, options, missing, progress)
}

/// Width and height in pixels that the PNG file at `path` says it has.
pub fn png_size(path: &Path) -> Result<(u32, u32)> {
    header::Header::size_of(path)
}

/// Everything about the parts that can be told without opening a file; returns what they leave uncovered.
fn check(parts: &[Part], frame: Frame, out: &Path) -> Result<Vec<Rect>> {
    if parts.is_empty() {
        return Err(Error::input("there are no tiles to stitch").remedy("Name at least one tile."));
    }
    let target = out.canonicalize().ok();
    for part in parts {
        let path = part.path.display();
        if !frame.rect().contains(part.region) {
            return Err(Error::input(format!("{path} lies at {}, outside the frame {frame}", part.region))
                .remedy("Check the size of the frame and the places of the tiles."));
        }
        if !part.rendered.contains(part.region) {
            return Err(Error::input(format!(
                "{path} shows {} and cannot contribute {}",
                part.rendered, part.region
            ))
            .remedy("Check the places of the tiles."));
        }
        if target.is_some() && part.path.canonicalize().ok() == target {
            return Err(Error::input(format!("the output {path} is one of the tiles"))
                .remedy("Choose another name for the output."));
        }
    }
    Ok(uncovered(frame.rect(), parts.iter().map(|p| p.region)))
}

/// An error that names the first hole, unless holes are allowed or there are none.
fn refuse_holes(holes: Holes, missing: &[Rect], frame: Frame) -> Result<()> {
    if let (Holes::Refused, Some(first)) = (holes, missing.iter().min()) {
        let others = match missing.len() {
            1 => String::new(),
            n => format!(" and {} more places", n - 1),
        };
        return Err(Error::render(format!("no tile covers {first}{others} of the frame {frame}"))
            .remedy("Render what is missing, or allow holes with --partial."));
    }
    Ok(())
}
