//! Stitching of multilayer EXR tiles: every channel of every layer, pass and view, bit for bit.
//!
//! The pixels are copied as bytes, so that NaN payloads and negative zeros survive. Attributes that all tiles agree
//! on (camera, Cryptomatte manifests, views) are kept; those that differ, as render times do, are not.

mod band;
mod counts;
mod deflate;
mod header;
mod look;
mod pipeline;
#[cfg(test)]
mod tests;
mod tile;

use std::path::Path;

use ::exr::prelude::Compression;

pub(super) use look::{inspect, look};

use super::{Holes, Part, Summary, check, refuse_holes};
use crate::error::Result;
use crate::geometry::Frame;

/// How [`exr()`] writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExrOptions {
    /// How the pixels are packed; all ways are lossless.
    pub packing: Packing,
    /// What to do where no part reaches. Stripes are drawn into colours and alpha, all other channels are zero there.
    pub holes: Holes,
    /// Threads to work with; 0 means one per core.
    pub threads: usize,
}

impl ExrOptions {
    /// With pixels packed so.
    #[must_use]
    pub fn packing(mut self, packing: Packing) -> Self {
        self.packing = packing;
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

/// How the pixels of a stitched EXR are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packing {
    /// Blocks of 16 lines, deflated: for a file that travels or stays.
    #[default]
    Zip,
    /// As they are: for a file that is read once on the same machine.
    None,
}

impl Packing {
    fn compression(self) -> Compression {
        match self {
            Self::Zip => Compression::ZIP16,
            Self::None => Compression::Uncompressed,
        }
    }
}

/// Stitches multilayer EXR files into one, which appears under its name whole or not at all.
///
/// Every part has the same channels: names, sample types (half, float or unsigned integer) and order are kept. Where
/// parts overlap they must show the same; which of them is taken is not defined. [`Summary::nans`] names the parts
/// with NaN in what they contribute: that can be a legitimate render, and one for which a filter may smear black
/// over the frame.
pub fn exr(parts: &[Part], frame: Frame, out: &Path, options: &ExrOptions) -> Result<Summary> {
    let missing = check(parts, frame, out)?;
    refuse_holes(options.holes, &missing, frame)?;
    pipeline::run(parts, frame, out, options, missing)
}
