//! From tiles to file: decode, assemble, filter, deflate, write.

use std::path::Path;

use rayon::prelude::*;

use super::ancillary::Ancillary;
use super::header::Header;
use super::layout::Layout;
use super::output::Output;
use super::tile::Rows;
use super::{Holes, Part, PngOptions, Summary, segment};
use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect};

/// Stitches `parts`, already checked, into `out`.
pub(super) fn run(
    parts: &[Part],
    frame: Frame,
    out: &Path,
    options: &PngOptions,
    missing: Vec<Rect>,
) -> Result<Summary> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().map_err(|e| {
        Error::render(format!("cannot start threads: {e}")).remedy("Close other programs and try again.")
    })?;
    pool.install(|| stitch(parts, frame, out, options, missing))
}

fn stitch(
    parts: &[Part],
    frame: Frame,
    out: &Path,
    options: &PngOptions,
    missing: Vec<Rect>,
) -> Result<Summary> {
    let headers: Vec<Header> =
        parts.par_iter().map(|p| Header::read(&p.path, p.rendered.size())).collect::<Result<_>>()?;
    let mut layout = headers.iter().fold(Layout::default(), |all, h| all.union(h.layout));
    layout.alpha |= options.holes == Holes::Transparent && !missing.is_empty();
    let mut disagreements = Vec::new();
    let mut headers_left = headers.iter();
    let mut ancillary = headers_left.next().map_or_else(Ancillary::default, |h| h.ancillary.clone());
    for header in headers_left {
        ancillary.agree(&header.ancillary, &mut disagreements);
    }

    let mut sources: Vec<Source> = parts
        .iter()
        .zip(&headers)
        .map(|(part, header)| Source { part, header, rows: None, strip: Vec::new() })
        .collect();
    sources.sort_by_key(|s| s.part.region);
    let mut output = Output::create(out, frame, layout, &ancillary)?;

    let pixel = layout.bytes_per_pixel();
    let row_bytes = frame.width() as usize * pixel;
    let rows = segment::rows_per_segment(row_bytes) as u32;
    let batch = rows.saturating_mul(rayon::current_num_threads() as u32);
    let mut above = vec![0; row_bytes];
    let mut y = 0;
    while y < frame.height() {
        let end = y.saturating_add(batch).min(frame.height());
        let mut picture = vec![0; (end - y) as usize * row_bytes];
        if options.holes == Holes::Hatched {
            for hole in &missing {
                hatch(*hole, y, &mut picture, row_bytes, layout);
            }
        }
        sources.par_iter_mut().try_for_each(|s| s.decode(y, end, layout))?;
        for source in &mut sources {
            source.place(y, &mut picture, row_bytes, pixel);
        }
        let chunk = rows as usize * row_bytes;
        let segments: Vec<_> = picture
            .par_chunks(chunk)
            .enumerate()
            .map(|(i, data)| {
                let before = match i {
                    0 => &above,
                    _ => picture.get(i * chunk - row_bytes..i * chunk).unwrap_or(&above),
                };
                let last = end == frame.height() && (i + 1) * chunk >= picture.len();
                segment::deflate(data, before, pixel, options.compression, last)
            })
            .collect::<Result<_>>()?;
        for segment in &segments {
            output.segment(segment)?;
        }
        above = picture.split_off(picture.len() - row_bytes);
        y = end;
    }
    Ok(Summary { bytes: output.finish()?, missing, disagreements, nans: Vec::new() })
}

/// A part, open while the picture is within its rows.
struct Source<'a> {
    part: &'a Part,
    header: &'a Header,
    rows: Option<Rows<'a>>,
    /// The rows decoded for the current batch.
    strip: Vec<u8>,
}

impl Source<'_> {
    fn decode(&mut self, y: u32, end: u32, target: Layout) -> Result<()> {
        let region = self.part.region;
        let (from, to) = (y.max(region.y()), end.min(region.bottom()));
        self.strip.clear();
        if from >= to {
            return Ok(());
        }
        let rows = match &mut self.rows {
            Some(rows) => rows,
            none => none.insert(Rows::open(self.part, self.header, target)?),
        };
        rows.read(to - from, &mut self.strip)?;
        if to == region.bottom() {
            self.rows = None;
        }
        Ok(())
    }

    fn place(&mut self, y: u32, picture: &mut [u8], row_bytes: usize, pixel: usize) {
        let region = self.part.region;
        let (width, x) = (region.width() as usize * pixel, region.x() as usize * pixel);
        let first = region.y().max(y) - y;
        for (i, row) in self.strip.chunks_exact(width).enumerate() {
            let start = (first as usize + i) * row_bytes + x;
            if let Some(place) = picture.get_mut(start..start + width) {
                place.copy_from_slice(row);
            }
        }
        self.strip = Vec::new();
    }
}

/// Draws stripes where `hole` crosses the rows of `picture`, whose first is `y`.
fn hatch(hole: Rect, y: u32, picture: &mut [u8], row_bytes: usize, layout: Layout) {
    let mut colours = [Vec::new(), Vec::new()];
    for (colour, value) in colours.iter_mut().zip([0x40, 0xc0]) {
        Layout::default().widen(&[value], layout, colour);
    }
    let pixel = layout.bytes_per_pixel();
    for (i, row) in picture.chunks_exact_mut(row_bytes).enumerate() {
        let at = y + i as u32;
        if at < hole.y() || at >= hole.bottom() {
            continue;
        }
        for (x, place) in row.chunks_exact_mut(pixel).enumerate() {
            let x = x as u32;
            if x >= hole.x() && x < hole.right() {
                let stripe = usize::from(((x + at) / 8).is_multiple_of(2));
                place.copy_from_slice(colours.get(stripe).map_or(&[][..], Vec::as_slice));
            }
        }
    }
}
