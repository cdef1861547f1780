//! A small picture of what is rendered so far.
//!
//! Every pixel of it is the mean of the frame's pixels that it stands for and that are there; where none is, it is
//! transparent. It costs the decoding of each tile once and memory for the small picture alone.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Part;
use super::ancillary::Ancillary;
use super::exr::look;
use super::header::Header;
use super::layout::Layout;
use super::output::Output;
use super::segment::{BYTES, Compression, Maker, Shape};
use super::tile::Rows;
use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect};

/// Longest side of a preview, pixels.
pub const LONGEST: u32 = 1024;
/// Rows of a tile that are decoded at a time.
const ROWS: u32 = 16;
/// What previews are made of.
const RGBA: Layout = Layout { colour: true, alpha: true, sixteen: false };

/// A reduced picture of a frame that tiles are added to in any order.
#[derive(Clone, Debug)]
pub struct Preview {
    frame: Frame,
    /// Pixels of the frame that a pixel of the preview stands for, along each side.
    scale: u32,
    size: Frame,
    /// Red, green, blue (each times alpha) and alpha of what is there, summed up, and how many pixels that is.
    sums: Vec<[u32; 5]>,
}

impl Preview {
    /// An empty preview of `frame`, reduced by a whole number so that no side is longer than [`LONGEST`].
    pub fn new(frame: Frame) -> Result<Self> {
        let scale = frame.width().max(frame.height()).div_ceil(LONGEST);
        let size = Frame::new(frame.width().div_ceil(scale), frame.height().div_ceil(scale))?;
        Ok(Self { frame, scale, size, sums: vec![[0; 5]; size.area() as usize] })
    }

    /// Size of the preview, pixels.
    pub fn size(&self) -> Frame {
        self.size
    }

    /// Adds what a tile contributes: a PNG, or the Combined pass of an EXR as the Standard view transform shows it.
    pub fn add(&mut self, part: &Part) -> Result<()> {
        if part.path.extension().is_some_and(|e| e == "exr") {
            return look(part, &mut |place, rgba| self.add_pixels(place, rgba));
        }
        let header = Header::read(&part.path, part.rendered.size())?;
        let mut rows = Rows::open(part, &header, RGBA, true)?;
        let mut strip = Vec::new();
        let region = part.region;
        let mut y = region.y();
        while y < region.bottom() {
            let count = ROWS.min(region.bottom() - y);
            strip.clear();
            rows.read(count, &mut strip)?;
            self.add_pixels(Rect::new(region.x(), y, region.width(), count)?, &strip);
            y += count;
        }
        Ok(())
    }

    /// Adds the pixels of `region`, row by row, four bytes each: red, green, blue and alpha as PNG stores them (alpha
    /// not multiplied in). What lies outside of the frame or is missing is passed over.
    pub fn add_pixels(&mut self, region: Rect, rgba: &[u8]) {
        let Some(inside) = region.intersection(self.frame.rect()) else { return };
        let width = region.width() as usize;
        for y in inside.y()..inside.bottom() {
            let row = (y - region.y()) as usize * width;
            for x in inside.x()..inside.right() {
                let at = row + (x - region.x()) as usize;
                let place =
                    (y / self.scale) as usize * self.size.width() as usize + (x / self.scale) as usize;
                if let (Some(&[red, green, blue, alpha]), Some(sums)) =
                    (rgba.as_chunks::<4>().0.get(at), self.sums.get_mut(place))
                {
                    // 64 x 64 pixels of 255 x 255 fit; a tile that comes again and again must not overflow them.
                    let alpha = u32::from(alpha);
                    let parts = [red, green, blue].map(|v| u32::from(v) * alpha);
                    for (sum, part) in sums.iter_mut().zip(parts.into_iter().chain([alpha, 1])) {
                        *sum = sum.saturating_add(part);
                    }
                }
            }
        }
    }

    /// Its pixels, row by row, four bytes each: red, green, blue, alpha.
    pub fn rgba(&self) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(self.sums.len() * 4);
        let mean = |sum: u32, n: u32| sum.saturating_add(n / 2).checked_div(n).unwrap_or(0).min(255) as u8;
        for &[red, green, blue, alpha, count] in &self.sums {
            pixels.extend([mean(red, alpha), mean(green, alpha), mean(blue, alpha), mean(alpha, count)]);
        }
        pixels
    }

    /// Writes it as a PNG file that replaces the last one at once.
    pub fn save(&self, path: &Path) -> Result<()> {
        let pixels = self.rgba();
        let row_bytes = self.size.width() as usize * 4;
        let shape = Shape { row_bytes, pixel: 4, compression: Compression::Fast, segment_bytes: BYTES };
        let mut output = Output::create(path, self.size, RGBA, &Ancillary::default())?;
        let mut maker = Maker::default();
        let zero = vec![0; row_bytes];
        let (mut above, mut before) = (zero.as_slice(), Vec::new());
        for rows in pixels.chunks(shape.rows() * row_bytes) {
            let (mut filtered, end) = maker.filter(rows, above, shape, Vec::new());
            output.segment(&maker.deflate(&mut filtered, &before, shape, Vec::new()))?;
            above = rows.rchunks(row_bytes).next().unwrap_or(&zero);
            before = end;
        }
        output.finish_fast()
    }
}

/// A preview that a thread of its own keeps up to date on disk. Handing it a tile takes no time; a preview that cannot
/// be made is given up, since no render should fail for it.
#[derive(Debug)]
pub struct Live {
    parts: Option<Sender<Part>>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Live {
    /// Starts with nothing. The file at `path` is renewed when tiles have come, at most once in `every`.
    pub fn start(frame: Frame, path: PathBuf, every: Duration) -> Result<Self> {
        let preview = Preview::new(frame)?;
        let (parts, arriving) = channel();
        let thread = std::thread::Builder::new()
            .name("preview".into())
            .spawn(move || keep(preview, &arriving, &path, every))
            .map_err(|e| {
                Error::render(format!("cannot start a thread: {e}"))
                    .remedy("Close other programs and try again.")
            })?;
        Ok(Self { parts: Some(parts), thread: Some(thread) })
    }

    /// A tile is there. Where its file is gone before its turn, it is passed over.
    pub fn add(&self, part: Part) {
        if let Some(parts) = &self.parts {
            // Where the thread gave up, nobody waits for its picture.
            let _ = parts.send(part);
        }
    }

    /// Shows the last tiles and ends. The error is why there is no preview, or why a tile is not in it.
    pub fn finish(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        drop(self.parts.take());
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            Some(Ok(result)) => result,
            None => Ok(()),
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = self.end();
        }
    }
}

/// Adds tiles as they arrive and saves the preview when it is time.
fn keep(mut preview: Preview, arriving: &Receiver<Part>, path: &Path, every: Duration) -> Result<()> {
    let mut saved: Option<Instant> = None;
    let mut changed = false;
    let mut gone = None;
    loop {
        let wait = match saved {
            _ if !changed => Duration::MAX,
            None => Duration::ZERO,
            Some(at) => every.saturating_sub(at.elapsed()),
        };
        match arriving.recv_timeout(wait.min(Duration::from_secs(3600))) {
            Ok(part) => {
                match preview.add(&part) {
                    Ok(()) => changed = true,
                    // Another tile took its place meanwhile.
                    Err(e) if !part.path.exists() => gone = gone.or(Some(e)),
                    Err(e) => return Err(e),
                }
            }
            Err(RecvTimeoutError::Timeout) if changed => {
                preview.save(path)?;
                (saved, changed) = (Some(Instant::now()), false);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if changed {
                    preview.save(path)?;
                }
                return gone.map_or(Ok(()), Err);
            }
        }
    }
}
