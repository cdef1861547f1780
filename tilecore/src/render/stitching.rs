//! What stitching a shot takes, and doing it; on a thread of its own.

use std::path::PathBuf;

use crate::error::Result;
use crate::formats::TileFormat;
use crate::geometry::{Frame, Rect};
use crate::stitch::{self, Compression, ExrOptions, Packing, Part, PngOptions};

/// Everything that stitching a shot takes.
pub(super) struct Sheets {
    pub(super) format: TileFormat,
    /// Tiles, size and target of every picture.
    pub(super) pictures: Vec<(Vec<Part>, Frame, PathBuf)>,
    pub(super) compression: Compression,
}

impl Sheets {
    /// Stitches; returns how many tiles hold pixels that are not a number.
    pub(super) fn stitch(&self) -> Result<usize> {
        let mut nans = 0;
        for (parts, size, target) in &self.pictures {
            match self.format {
                TileFormat::Png => {
                    let options = PngOptions::default().compression(self.compression);
                    stitch::png(parts, *size, target, &options)?;
                }
                TileFormat::Exr => {
                    // Read once and soon: time spent on packing it would not come back.
                    let options = ExrOptions::default().packing(Packing::None);
                    nans += stitch::exr(parts, *size, target, &options)?.nans.len();
                }
            }
        }
        Ok(nans)
    }
}

/// Parts with their places counted from the top left of `region`.
pub(super) fn moved(parts: Vec<Part>, region: Rect) -> Vec<Part> {
    parts
        .into_iter()
        .filter_map(|part| {
            Some(Part {
                region: part.region.relative_to(region)?,
                rendered: part.rendered.relative_to(region)?,
                path: part.path,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_the_region() {
        let region = Rect::new(10, 20, 30, 30).unwrap();
        let part = Part::whole("a", Rect::new(15, 25, 5, 5).unwrap());
        let moved = moved(vec![part], region);
        assert_eq!(moved[0].region, Rect::new(5, 5, 5, 5).unwrap());
        assert!(Frame::new(30, 30).unwrap().rect().contains(moved[0].rendered));
    }
}
