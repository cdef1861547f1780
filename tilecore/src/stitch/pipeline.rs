//! From tiles to file: threads that decode, assemble, filter and deflate as the scheduler says, and one that writes.

use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::ancillary::Ancillary;
use super::header::Header;
use super::layout::Layout;
use super::output::Output;
use super::segment::{Deflated, Maker, Shape};
use super::segment_scheduler::{Job, SegmentScheduler, Segments};
use super::tile::Rows;
use super::{Holes, Part, PngOptions, Summary};
use crate::error::{Error, Result};
use crate::geometry::{Frame, Rect};

/// Bytes of pixels in open segments, for each thread and at least. With many threads the window reaches into the next
/// row of tiles, so that there are enough tiles to decode at a time.
const WINDOW_PER_THREAD: usize = 4 << 20;
const WINDOW_LEAST: usize = 16 << 20;
/// Most files open at a time; a process may usually have 1024, and others in it need some.
const MAX_OPEN: usize = 200;

/// Stitches `parts`, already checked, into `out`. `progress` is told the number of rows written and says whether to
/// go on.
pub(super) fn run(
    parts: &[Part],
    frame: Frame,
    out: &Path,
    options: &PngOptions,
    missing: Vec<Rect>,
    progress: &mut dyn FnMut(u32) -> bool,
) -> Result<Summary> {
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, std::num::NonZero::get),
        n => n,
    };
    let headers = headers(parts, threads)?;
    let mut layout = headers.iter().fold(Layout::default(), |all, h| all.union(h.layout));
    layout.alpha |= options.holes == Holes::Transparent && !missing.is_empty();
    let converted = headers.iter().filter(|h| h.layout != layout).count();
    let (ancillary, disagreements) = Ancillary::common(headers.iter().map(|h| &h.ancillary));

    let pixel = layout.bytes_per_pixel();
    let row_bytes = frame.width() as usize * pixel;
    let shape =
        Shape { row_bytes, pixel, compression: options.compression, segment_bytes: options.segment_bytes };
    let segments = Segments { frame, rows: u32::try_from(shape.rows()).unwrap_or(u32::MAX) };
    let window = (WINDOW_PER_THREAD * threads).max(WINDOW_LEAST) / (shape.rows() * row_bytes);
    let regions: Vec<Rect> = parts.iter().map(|p| p.region).collect();
    let scheduler = SegmentScheduler::new(segments, &regions, window.max(threads + 2), vec![0; row_bytes]);

    let mut output = Output::create(out, frame, layout, &ancillary)?;
    let keep_open = scheduler.crowd() <= MAX_OPEN;
    let floor = Floor {
        state: Mutex::new(State { scheduler, failure: None, stopped: false, spare: Vec::new() }),
        changed: Condvar::new(),
        tiles: parts.iter().map(|_| Mutex::new(None)).collect(),
        parts,
        headers: &headers,
        keep_open,
        layout,
        shape,
        segments,
        holes: options.holes,
        missing: &missing,
    };
    thread::scope(|scope| {
        for i in 0..threads {
            thread::Builder::new()
                .name(format!("stitch-{i}"))
                .spawn_scoped(scope, || floor.work())
                .map(drop)
                .or_else(|e| {
                    if i > 0 {
                        return Ok(());
                    }
                    floor.stop(None);
                    Err(Error::render(format!("cannot start a thread: {e}"))
                        .remedy("Close other programs and try again."))
                })?;
        }
        let written = floor.write(&mut output, progress);
        floor.stop(None);
        written
    })?;
    if let Some(failure) = floor.lock().failure.take() {
        return Err(failure);
    }
    Ok(Summary { bytes: output.finish()?, missing, converted, disagreements, nans: Vec::new() })
}

/// Reads every part's header.
fn headers(parts: &[Part], threads: usize) -> Result<Vec<Header>> {
    let share = parts.len().div_ceil(threads.max(1)).max(16);
    thread::scope(|scope| {
        let readers: Vec<_> = parts
            .chunks(share)
            .map(|parts| {
                scope.spawn(|| {
                    parts.iter().map(|p| Header::read(&p.path, p.rendered.size())).collect::<Result<Vec<_>>>()
                })
            })
            .collect();
        let mut all = Vec::with_capacity(parts.len());
        for reader in readers {
            all.extend(reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

/// What the threads share.
struct Floor<'a> {
    state: Mutex<State>,
    /// Told whenever a job ends.
    changed: Condvar,
    /// Open tiles; each is taken by one thread at a time.
    tiles: Vec<Mutex<Option<Rows<'a>>>>,
    parts: &'a [Part],
    headers: &'a [Header],
    /// Whether the files of open tiles stay open.
    keep_open: bool,
    layout: Layout,
    shape: Shape,
    segments: Segments,
    holes: Holes,
    missing: &'a [Rect],
}

struct State {
    scheduler: SegmentScheduler<Deflated>,
    failure: Option<Error>,
    stopped: bool,
    /// Memory of which the content is of no more use.
    spare: Vec<Vec<u8>>,
}

/// A lock whose holder cannot have left it half changed: every change below is a single call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Floor<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Ends all threads; the first failure is kept.
    fn stop(&self, failure: Option<Error>) {
        let mut state = self.lock();
        state.stopped = true;
        if state.failure.is_none() {
            state.failure = failure;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Does jobs until there are none left.
    fn work(&self) {
        // Should a thread panic, the others must not wait for it.
        struct Alarm<'f, 'a>(&'f Floor<'a>);
        impl Drop for Alarm<'_, '_> {
            fn drop(&mut self) {
                if thread::panicking() {
                    self.0.stop(None);
                }
            }
        }
        let _alarm = Alarm(self);
        let mut maker = Maker::default();
        let mut strip = Vec::new();
        loop {
            let mut state = self.lock();
            let job = loop {
                if state.stopped || state.scheduler.is_over() {
                    return;
                }
                if let Some(job) = state.scheduler.take() {
                    break job;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            if let Err(error) = self.perform(job, &mut maker, &mut strip) {
                self.stop(Some(error));
                return;
            }
            self.changed.notify_all();
        }
    }

    fn perform(&self, job: Job, maker: &mut Maker, strip: &mut Vec<u8>) -> Result<()> {
        match job {
            Job::Decode { part, segment, picture } => {
                self.decode(part, segment, strip)?;
                self.place(part, segment, strip, &mut lock(&picture));
                self.lock().scheduler.delivered(part, segment);
            }
            Job::Close { segment, picture } => {
                let last_row = self.close(segment, &mut lock(&picture));
                self.lock().scheduler.closed(segment, last_row);
            }
            Job::Filter { segment, picture, above } => {
                let rows = std::mem::take(&mut *lock(&picture));
                let memory = self.lock().spare.pop().unwrap_or_default();
                let (filtered, end) = maker.filter(&rows, &above, self.shape, memory);
                let mut state = self.lock();
                state.spare.push(rows);
                state.scheduler.filtered(segment, filtered, end);
            }
            Job::Deflate { segment, mut filtered, before } => {
                let memory = self.lock().spare.pop().unwrap_or_default();
                let made = maker.deflate(&mut filtered, &before, self.shape, memory);
                let mut state = self.lock();
                state.spare.push(filtered);
                state.scheduler.deflated(segment, made);
            }
        }
        Ok(())
    }

    /// Reads the rows `part` has in `segment` into `strip`.
    fn decode(&self, part: usize, segment: u32, strip: &mut Vec<u8>) -> Result<()> {
        strip.clear();
        let (Some(source), Some(header), Some(tile)) =
            (self.parts.get(part), self.headers.get(part), self.tiles.get(part))
        else {
            return Ok(());
        };
        let (top, bottom) = (self.segments.top(segment), self.segments.bottom(segment));
        let (from, to) = (top.max(source.region.y()), bottom.min(source.region.bottom()));
        let mut tile = lock(tile);
        let rows = match &mut *tile {
            Some(rows) => rows,
            none => none.insert(Rows::open(source, header, self.layout, self.keep_open)?),
        };
        rows.read(to.saturating_sub(from), strip)?;
        if to == source.region.bottom() {
            *tile = None;
        }
        Ok(())
    }

    /// Gives the segment's picture its size. What is in it then is of no interest: parts and holes cover all of it.
    fn prepare(&self, segment: u32, picture: &mut Vec<u8>) {
        let rows = self.segments.bottom(segment) - self.segments.top(segment);
        let bytes = rows as usize * self.shape.row_bytes;
        if picture.len() != bytes {
            if picture.capacity() == 0 {
                *picture = self.lock().spare.pop().unwrap_or_default();
            }
            picture.resize(bytes, 0);
        }
    }

    /// Copies a strip to its place in the segment's picture.
    fn place(&self, part: usize, segment: u32, strip: &[u8], picture: &mut Vec<u8>) {
        let Some(region) = self.parts.get(part).map(|p| p.region) else { return };
        let Shape { row_bytes, pixel, .. } = self.shape;
        let top = self.segments.top(segment);
        self.prepare(segment, picture);
        let (width, x) = (region.width() as usize * pixel, region.x() as usize * pixel);
        let first = region.y().saturating_sub(top) as usize;
        let rows = picture.chunks_exact_mut(row_bytes).skip(first);
        for (row, pixels) in rows.zip(strip.chunks_exact(width)) {
            if let Some(place) = row.get_mut(x..x + width) {
                place.copy_from_slice(pixels);
            }
        }
    }

    /// Fills the holes of a segment and returns its last row.
    fn close(&self, segment: u32, picture: &mut Vec<u8>) -> Vec<u8> {
        let top = self.segments.top(segment);
        self.prepare(segment, picture);
        for hole in self.missing {
            self.holes.fill(*hole, picture, top, self.shape.row_bytes, self.layout);
        }
        let from = picture.len().saturating_sub(self.shape.row_bytes);
        picture.get(from..).unwrap_or_default().to_vec()
    }

    /// Writes segments in order as they are done.
    fn write(&self, output: &mut Output<'_>, progress: &mut dyn FnMut(u32) -> bool) -> Result<()> {
        for segment in 0..self.segments.count() {
            let mut state = self.lock();
            let mut made = loop {
                if state.stopped {
                    return Ok(());
                }
                if let Some(made) = state.scheduler.next() {
                    break made;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            drop(state);
            self.changed.notify_all();
            output.segment(&made)?;
            self.lock().spare.push(std::mem::take(&mut made.chunk));
            if !progress(self.segments.bottom(segment)) {
                return Err(Error::interrupted("the stitching was stopped")
                    .remedy("Run the same command again; no tile was lost."));
            }
        }
        Ok(())
    }
}
