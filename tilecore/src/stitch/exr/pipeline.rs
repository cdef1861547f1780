//! From tiles to file: read, unpack, assemble, pack, write, a band of lines at a time.

use std::path::Path;

use ::exr::block::chunk::{Chunk, CompressedBlock, CompressedScanLineBlock};
use ::exr::block::writer::ChunksWriter as _;
use ::exr::meta::MetaData;
use rayon::prelude::*;

use super::super::output::Draft;
use super::super::{Holes, Part, Summary};
use super::band::{Band, Canvas};
use super::tile::{Lines, Tile, unpack};
use super::{ExrOptions, Packing, counts, deflate, header};
use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect};

/// Bytes of pixels a band may have; at least one block per thread is worked on in any case.
const BAND: usize = 64 << 20;

/// Stitches `parts`, already checked, into `out`.
pub(super) fn run(
    parts: &[Part],
    frame: Frame,
    out: &Path,
    options: &ExrOptions,
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
    options: &ExrOptions,
    missing: Vec<Rect>,
) -> Result<Summary> {
    let metas: Vec<MetaData> = parts
        .par_iter()
        .map(|p| Ok(header::open(&p.path, p.rendered.size())?.into_meta_data()))
        .collect::<Result<_>>()?;
    let headers: Vec<_> = metas.iter().filter_map(|m| m.headers.first()).collect();
    for (part, other) in parts.iter().zip(&headers).skip(1) {
        if let (Some(first), Some(reference)) = (parts.first(), headers.first()) {
            header::same_channels((&first.path, reference), (&part.path, other))?;
        }
    }
    let mut disagreements = Vec::new();
    let counts: Vec<Vec<counts::Count>> =
        parts.iter().zip(&headers).map(|(p, h)| counts::read(h, &p.path)).collect::<Result<_>>()?;
    let Some(mut merged) = header::merged(&headers, frame, options.packing, &mut disagreements) else {
        return Err(Error::input("there are no tiles to stitch").remedy("Name at least one tile."));
    };
    counts::merge(&mut merged, &counts);
    let holes = if options.holes == Holes::Hatched { missing.as_slice() } else { &[] };
    let canvas = Canvas::new(frame, &merged.channels, holes);
    let mut sources: Vec<Source> =
        parts.iter().zip(&metas).zip(&counts).map(|((p, m), c)| Source::new(p, m, c)).collect();
    sources.sort_by_key(|s| s.part.region);

    let mut draft = Draft::create(out)?;
    let mut failure = None;
    let written = ::exr::block::write(draft.file(), [merged].into_iter().collect(), false, |_, writer| {
        let mut chunks = Chunks { y: 0, index: 0, canvas: &canvas, packing: options.packing };
        while chunks.y < frame.height() {
            match chunks.next_band(&mut sources) {
                Ok(ready) => {
                    for (index, chunk) in ready {
                        writer.write_chunk(index, chunk)?;
                    }
                }
                Err(e) => {
                    failure = Some(e);
                    return Err(::exr::error::Error::Aborted);
                }
            }
        }
        Ok(())
    });
    if let Some(e) = failure {
        return Err(e);
    }
    written.map_err(|e| super::tile::decoding(out, e).within("writing"))?;
    let mut nans: Vec<_> =
        sources.iter().filter(|s| s.nans > 0).map(|s| (s.part.path.clone(), s.nans)).collect();
    nans.sort();
    Ok(Summary { bytes: draft.finish()?, missing, converted: 0, disagreements, nans })
}

/// A part, open while the frame is within its lines.
pub(super) struct Source<'a> {
    pub(super) part: &'a Part,
    meta: &'a MetaData,
    counts: &'a [counts::Count],
    tile: Option<Tile<'a>>,
    /// Unpacked lines that the frame has not passed yet.
    pub(super) lines: Vec<Lines>,
    nans: u64,
}

impl<'a> Source<'a> {
    fn new(part: &'a Part, meta: &'a MetaData, counts: &'a [counts::Count]) -> Self {
        Self { part, meta, counts, tile: None, lines: Vec::new(), nans: 0 }
    }

    /// The chunks that the lines `y..end` of the frame need beyond those already there.
    fn read(&mut self, y: u32, end: u32) -> Result<Vec<super::tile::Packed>> {
        self.lines.retain(|lines| lines.rows.end > y);
        let region = self.part.region;
        if y.max(region.y()) >= end.min(region.bottom()) {
            self.lines.clear();
            return Ok(Vec::new());
        }
        let mut tile = match self.tile.take() {
            Some(tile) => tile,
            None => Tile::open(self.part, self.meta)?,
        };
        let packed = tile.take(end.min(region.bottom()))?;
        if end >= region.bottom() {
            tile.finish()?;
        } else {
            self.tile = Some(tile);
        }
        Ok(packed)
    }
}

/// The frame as packed chunks, in the order they are written.
struct Chunks<'a> {
    y: u32,
    index: usize,
    canvas: &'a Canvas,
    packing: Packing,
}

impl Chunks<'_> {
    /// The chunks of the next band of lines and their indices.
    fn next_band(&mut self, sources: &mut [Source]) -> Result<Vec<(usize, Chunk)>> {
        let frame = self.canvas.frame;
        let block = self.packing.compression().scan_lines_per_block() as u32;
        let by_memory = BAND / (self.canvas.row_bytes() * block as usize).max(1);
        let blocks = by_memory.max(rayon::current_num_threads()) as u32;
        let end = self.y.saturating_add(block.saturating_mul(blocks)).min(frame.height());

        let packed: Vec<(usize, super::tile::Packed)> = sources
            .par_iter_mut()
            .enumerate()
            .map(|(at, source)| {
                Ok(source.read(self.y, end)?.into_iter().map(|p| (at, p)).collect::<Vec<_>>())
            })
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect();
        let pixel = self.canvas.pixel();
        let unpacked: Vec<(usize, Lines)> = packed
            .into_par_iter()
            .map(|(at, packed)| {
                let source = sources.get(at).ok_or_else(lost)?;
                Ok((at, unpack(packed, source.part, source.meta, source.counts, pixel)?))
            })
            .collect::<Result<_>>()?;
        for (at, lines) in unpacked {
            sources.get_mut(at).ok_or_else(lost)?.lines.push(lines);
        }

        let (first, starts): (usize, Vec<u32>) =
            (self.index, (self.y..end).step_by(block as usize).collect());
        let ready: Vec<(Chunk, Vec<u64>)> = starts
            .par_iter()
            .map(|&y| {
                let mut band = Band::new(self.canvas, y..(y + block).min(end));
                let nans = sources.iter().map(|source| band.place(source)).collect();
                let pixels = match self.packing {
                    Packing::Zip => deflate::pack(band.pixels)?,
                    Packing::None => band.pixels,
                };
                let block =
                    CompressedScanLineBlock { y_coordinate: y.cast_signed(), compressed_pixels_le: pixels };
                Ok((Chunk { layer_index: 0, compressed_block: CompressedBlock::ScanLine(block) }, nans))
            })
            .collect::<Result<_>>()?;
        self.index += ready.len();
        self.y = end;
        for (_, nans) in &ready {
            for (source, nans) in sources.iter_mut().zip(nans) {
                source.nans += nans;
            }
        }
        Ok(ready.into_iter().enumerate().map(|(i, (chunk, _))| (first + i, chunk)).collect())
    }
}

fn lost() -> Error {
    Error::render("a tile went missing while stitching").remedy("Report this as a defect of tilectl.")
}
