//! A slot's conversation with one warm Blender, from its hello to the end of the link.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, TryRecvError};
use serde_json::{Value, json};

use super::messages::{AdoptOrder, FilesOrder, FinishOrder, FinishedFile, Order, Report, Tile};
use super::port::Port;
use super::{validate, work};
use crate::blender::{Fetch, Message, Opened, Picture, Spooled, TileDone, Worker};
use crate::error::{Error, IoContext, Kind, Result};
use crate::geometry::{Border, Frame, Rect};
use crate::sync::{self, Hashes, Inputs, Survey};
use crate::text::printable;

/// How long the worker, which is asked every 5 s, may be silent before the link counts as dead. Its reading thread
/// answers even while Cycles renders; it can be held up while Blender builds a scene.
const SILENCE: Duration = Duration::from_secs(90);

/// Most files that a finish may make: pictures, views, and what File Output nodes write.
const RESULTS: usize = 4096;

/// Patience with what may build the scene: opening, setting up, probing, finishing.
const LONG: Duration = Duration::from_secs(3600);

/// What the worker's process has used of the processor, from answer to answer.
#[derive(Default)]
struct Pulse(Option<(Instant, f64)>);

impl Pulse {
    /// The share of one core since the answer before.
    fn beat(&mut self, cpu_s: f64) -> Option<f64> {
        let now = Instant::now();
        let (then, before) = self.0.replace((now, cpu_s))?;
        let share = (cpu_s - before) / now.duration_since(then).as_secs_f64().max(0.1);
        share.is_finite().then(|| share.max(0.0))
    }
}

/// A tile that renders.
struct Under {
    request: u64,
    tile: Tile,
}

/// A tile's file on its way.
struct Fetching {
    fetch: Fetch,
    tile: Tile,
    done: TileDone,
    part: PathBuf,
    /// When it was asked for.
    begun: Instant,
}

/// How a session ends in order.
pub(super) enum End {
    /// Told to stop.
    Stopped,
    /// Told to connect anew after a pause.
    Reboot(Duration),
}

pub(super) struct Session<'a> {
    end: Option<End>,
    /// Nothing has been rendered yet.
    cold: bool,
    port: &'a Port,
    worker: &'a mut Worker,
    running: Option<Under>,
    fetching: Option<Fetching>,
    /// An order for when nothing is rendered or fetched.
    postponed: Option<Order>,
    heard: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(port: &'a Port, worker: &'a mut Worker) -> Self {
        let (index, reports, mut pulse) = (port.index, port.reports.clone(), Pulse::default());
        worker.overhear(Box::new(move |head| {
            let report = if head["event"] == "stage" {
                head["words"].as_str().map(|words| Report::Stage(printable(words, 120)))
            } else {
                head["ok"]["cpu"].as_f64().and_then(|cpu| pulse.beat(cpu)).map(Report::Alive)
            };
            if let Some(report) = report {
                // Nobody listens any more only when the job is over.
                let _ = reports.send((index, report));
            }
        }));
        Self {
            end: None,
            cold: true,
            port,
            worker,
            running: None,
            fetching: None,
            postponed: None,
            heard: Instant::now(),
        }
    }

    /// Serves until told to stop or to start over (`Ok`), or until the link is gone.
    pub(super) fn serve(&mut self) -> Result<End> {
        loop {
            if self.port.aborted() {
                return Ok(End::Stopped);
            }
            let busy = self.running.is_some() || self.fetching.is_some();
            let order = if busy {
                match self.port.orders.try_recv() {
                    Ok(order @ Order::Finish(_)) => {
                        self.postponed = Some(order);
                        None
                    }
                    Ok(order) => Some(order),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => return Ok(End::Stopped),
                }
            } else if let Some(order) = self.postponed.take() {
                Some(order)
            } else {
                match self.port.orders.recv_timeout(Duration::from_millis(250)) {
                    Ok(order) => Some(order),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return Ok(End::Stopped),
                }
            };
            if let Some(order) = order {
                self.obey(order)?;
                if let Some(end) = self.end.take() {
                    return Ok(end);
                }
                continue;
            }
            self.listen(if busy { Duration::from_millis(25) } else { Duration::ZERO })?;
        }
    }

    /// Takes one message if there is one, and keeps an eye on the link.
    fn listen(&mut self, wait: Duration) -> Result<()> {
        if let Some(message) = self.worker.poll(wait)? {
            self.heard = Instant::now();
            self.hear(&message)?;
        }
        if let Some(fetching) = &self.fetching {
            fetching.fetch.must_move(self.worker)?;
        }
        let silent = self.heard.elapsed();
        if silent > SILENCE {
            return Err(Error::node(format!(
                "node {} has not answered for {} s",
                self.port.node.name(),
                silent.as_secs()
            ))
            .remedy("It is tried again; `tilectl nodes check` shows whether the node is well."));
        }
        Ok(())
    }

    fn hear(&mut self, message: &Message) -> Result<()> {
        if let Some(fetching) = self.fetching.as_mut() {
            match fetching.fetch.take(self.worker, message) {
                Ok(true) => return self.fetched(),
                Ok(false) => {}
                Err(e) => {
                    if let Some(f) = self.fetching.take() {
                        let _ = std::fs::remove_file(&f.part);
                        if e.kind() == Kind::Node {
                            // A node that sends what was not asked for cannot be asked for anything else either.
                            return Err(e);
                        }
                        self.port.report(Report::Failed(f.tile.piece.id, e));
                    }
                }
            }
        }
        let Some(under) = &self.running else { return Ok(()) };
        let id = under.tile.piece.id;
        if message.head["event"] == "progress" && message.head["id"] == json!(under.request) {
            let of = message.head["of"].as_u64().unwrap_or(0).min(1 << 30) as u32;
            let done = message.head["done"].as_u64().unwrap_or(0).min(u64::from(of)) as u32;
            self.port.report(Report::Sample(id, done, of));
            return Ok(());
        }
        let Some(answer) = self.worker.answer::<TileDone>(under.request, message) else { return Ok(()) };
        let Some(under) = self.running.take() else { return Ok(()) };
        match answer.and_then(|done| validate::expected(&under.tile, done)) {
            Ok(done) => {
                // The first tile builds the scene: that is no measure of the tiles to come.
                let sync = if std::mem::take(&mut self.cold) { done.sync } else { 0.0 };
                self.port.report(Report::Rendered(id, done.seconds - sync, done.sync));
                self.next_while_fetching(under.tile, done)
            }
            Err(e) if e.kind() == Kind::Interrupted => {
                self.port.report(Report::Cancelled(id));
                Ok(())
            }
            Err(e) => {
                self.port.report(Report::Failed(id, e));
                Ok(())
            }
        }
    }

    /// The loop answers `Rendered` with the next tile if there is one: that goes first, so that Blender does not wait
    /// for the transfer of the tile before.
    fn next_while_fetching(&mut self, tile: Tile, done: TileDone) -> Result<()> {
        while self.fetching.is_some() {
            self.listen(Duration::from_millis(25))?;
            if self.port.aborted() {
                return Ok(());
            }
        }
        match self.port.orders.recv_timeout(Duration::from_millis(20)) {
            // That can take long, and the tile shall not wait for it.
            Ok(order @ Order::Finish(_)) => self.postponed = Some(order),
            Ok(order) => self.obey(order)?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        let part = tile.into.with_extension(format!("{}.part", self.port.index));
        let file = Spooled { name: done.name.clone(), bytes: done.bytes, sha256: done.sha256.clone() };
        let job = self.job();
        let fetch = Fetch::begin(self.worker, &job, &file, &part)?;
        self.fetching = Some(Fetching { fetch, tile, done, part, begun: Instant::now() });
        Ok(())
    }

    fn fetched(&mut self) -> Result<()> {
        let Some(Fetching { tile, done, part, begun, .. }) = self.fetching.take() else { return Ok(()) };
        let took = begun.elapsed().as_secs_f64();
        let stored = validate::check(&part, tile.picture.format, tile.rendered).and_then(|()| {
            std::fs::rename(&part, &tile.into).at("write", &tile.into)?;
            tile.into.parent().map_or(Ok(()), crate::state::sync_dir)
        });
        match stored {
            Ok(()) => {
                let name = done.name.clone();
                self.port.report(Report::Stored(Box::new(tile), done, took));
                let job = self.job();
                self.worker.send("drop", json!({"job": job, "names": [name]}), &[])?;
            }
            Err(e) => {
                let _ = std::fs::remove_file(&part);
                self.port.report(Report::Failed(tile.piece.id, e));
            }
        }
        Ok(())
    }

    /// The job's name in the node's spool; known before anything renders.
    fn job(&self) -> String {
        self.port.job.get().cloned().unwrap_or_else(|| "none".to_owned())
    }

    fn obey(&mut self, order: Order) -> Result<()> {
        let port = self.port;
        let mut go_on = || !port.aborted();
        let outcome = match order {
            Order::Render(tile) => return self.render(*tile),
            Order::Cancel(piece) => return self.cancel(piece),
            Order::Boot(pause) => {
                self.end = Some(End::Reboot(pause));
                return Ok(());
            }
            Order::Stop => {
                self.end = Some(End::Stopped);
                return Ok(());
            }
            Order::Open(inputs, scripts) => {
                self.open(&inputs, scripts).map(|(seconds, opened)| Report::Opened(seconds, opened))
            }
            Order::Files(order) => self.survey(&order).map(|survey| Report::Surveyed(Box::new(survey))),
            Order::Look(picture) => self
                .worker
                .call("look", json!({"picture": picture}), None, &mut go_on)
                .map(|facts| Report::Looked(Box::new(facts))),
            // Kernels may have to be compiled for it.
            Order::Device => {
                self.worker.call("device", json!({}), Some(LONG), &mut go_on).map(Report::Device)
            }
            Order::SetUp(picture) => self
                .worker
                .call("setup", json!({"picture": picture}), Some(LONG), &mut go_on)
                .map(|effective| Report::SetUp(Box::new(effective))),
            Order::Probe(picture, frame, patches, seconds) => self.probe(&picture, frame, &patches, seconds),
            Order::Adopt(wanted) => self.adopt(&wanted).map(Report::Adopted),
            Order::Prove(tiles) => self.prove(tiles),
            Order::Finish(order) => self.finish(&order).map(Report::Finished),
            Order::Forget => {
                let job = self.job();
                self.worker
                    .call::<Value>("drop", json!({"job": job, "all": true}), None, &mut go_on)
                    .map(|_| Report::Forgotten)
            }
        };
        self.heard = Instant::now();
        match outcome {
            Ok(report) => self.port.report(report),
            Err(e) if e.kind() == Kind::Node && e.is_retryable() => return Err(e),
            Err(e) => self.port.report(Report::Refused(e)),
        }
        Ok(())
    }

    fn open(&mut self, inputs: &Inputs, scripts: bool) -> Result<(f64, Opened)> {
        let port = self.port;
        let began = Instant::now();
        let mut meter = Meter::default();
        inputs.send(self.worker, &mut |progress| {
            if let Some((sent, of)) = progress
                && meter.is_due(sent, of)
            {
                port.report(Report::Sending(sent, of, meter.per_second(sent)));
            }
            !port.aborted()
        })?;
        let mut opened: Opened =
            self.worker.call("open", inputs.open_request(scripts), Some(LONG), &mut || !port.aborted())?;
        opened.environment = opened.environment.tamed();
        Ok((began.elapsed().as_secs_f64(), opened))
    }

    /// Asks Blender what the scene refers to, and finds and hashes that here.
    fn survey(&mut self, order: &FilesOrder) -> Result<Survey> {
        let port = self.port;
        let request = json!({"scenes": order.scenes, "frames": order.frames});
        let listing = self.worker.call("files", request, Some(LONG), &mut || !port.aborted())?;
        let mut hashes = Hashes::open();
        let mut meter = Meter::default();
        let (worker, mut lost) = (&mut *self.worker, None);
        let survey = sync::survey(&order.inputs, listing, &order.roots, &mut hashes, &mut |read, of| {
            if meter.is_due(read, of) {
                port.report(Report::Reading(read, of));
            }
            // Gigabytes take a while: the other side may want a sign of life.
            lost = worker.poll(Duration::ZERO).err();
            lost.is_none() && !port.aborted()
        });
        hashes.save();
        lost.map_or(survey, Err)
    }

    fn probe(
        &mut self,
        picture: &Picture,
        frame: Frame,
        patches: &[(Rect, u32)],
        seconds: f64,
    ) -> Result<Report> {
        #[derive(serde::Deserialize)]
        struct Times {
            seconds: Vec<f64>,
        }
        let port = self.port;
        let patches = patches
            .iter()
            .map(|(rect, samples)| Ok(json!({"border": border(*rect, frame)?, "samples": samples})))
            .collect::<Result<Vec<_>>>()?;
        let request = json!({"picture": picture, "job": self.job(), "patches": patches, "seconds": seconds});
        self.cold = false;
        let times: Times = self.worker.call("probe", request, Some(LONG), &mut || !port.aborted())?;
        Ok(Report::Probed(times.seconds))
    }

    fn render(&mut self, tile: Tile) -> Result<()> {
        let request = json!({
            "picture": tile.picture,
            "job": self.job(),
            "name": tile.name,
            "border": border(tile.rendered, tile.frame)?,
        });
        let request = self.worker.send("render", request, &[])?;
        self.heard = Instant::now();
        self.running = Some(Under { request, tile });
        Ok(())
    }

    fn cancel(&mut self, piece: u64) -> Result<()> {
        if let Some(under) = self.running.as_ref().filter(|u| u.tile.piece.id == piece) {
            self.worker.send("cancel", json!({"target": under.request}), &[])?;
        }
        Ok(())
    }

    /// Fetches those tiles that an earlier connection finished and that are not here.
    fn adopt(&mut self, order: &AdoptOrder) -> Result<Vec<(Tile, Spooled)>> {
        #[derive(serde::Deserialize)]
        struct Spool {
            tiles: Vec<Spooled>,
        }
        let port = self.port;
        let job = self.job();
        let mut go_on = || !port.aborted();
        let spool: Spool = self.worker.call("spool", json!({"job": job}), None, &mut go_on)?;
        let mut adopted = Vec::new();
        for file in spool.tiles {
            let tile = work::piece_of(&file.name)
                .and_then(|piece| work::tile(&order.canvases, order.overlap, &order.tiles, piece, port.index))
                .filter(|tile| tile.name == file.name && !order.closed.contains(&tile.piece.picture));
            let Some(tile) = tile else { continue };
            if order.have.contains(&tile.name)
                || file.bytes > validate::most(tile.picture.format, tile.rendered.area())
            {
                continue;
            }
            let part = tile.into.with_extension(format!("{}.part", port.index));
            match self.worker.fetch(&job, &file, &part, &mut go_on) {
                Ok(()) => {}
                // Another slot with the same cache directory was quicker: the tile is here already.
                Err(e) if e.kind() == Kind::Render => {
                    let _ = std::fs::remove_file(&part);
                    continue;
                }
                Err(e) => return Err(e),
            }
            if validate::check(&part, tile.picture.format, tile.rendered).is_ok() {
                std::fs::rename(&part, &tile.into).at("write", &tile.into)?;
                tile.into.parent().map_or(Ok(()), crate::state::sync_dir)?;
                adopted.push((tile, file));
            } else {
                let _ = std::fs::remove_file(&part);
            }
        }
        Ok(adopted)
    }

    /// Renders and fetches the tiles of a proof.
    fn prove(&mut self, tiles: Vec<Tile>) -> Result<Report> {
        let port = self.port;
        let job = self.job();
        let mut go_on = || !port.aborted();
        self.cold = false;
        for tile in tiles {
            let request = json!({
                "picture": tile.picture,
                "job": job,
                "name": tile.name,
                "border": border(tile.rendered, tile.frame)?,
            });
            let done: TileDone = self.worker.call("render", request, Some(LONG), &mut go_on)?;
            let done = validate::expected(&tile, done)?;
            let file = Spooled { name: done.name, bytes: done.bytes, sha256: done.sha256 };
            self.worker.fetch(&job, &file, &tile.into, &mut go_on)?;
            validate::check(&tile.into, tile.picture.format, tile.rendered)?;
            self.worker.send("drop", json!({"job": job, "names": [file.name]}), &[])?;
        }
        Ok(Report::Proved)
    }

    /// Sends the stitched frames where the node lacks them, has Blender finish, and fetches what it made.
    fn finish(&mut self, order: &FinishOrder) -> Result<Vec<FinishedFile>> {
        #[derive(serde::Deserialize)]
        struct Made {
            files: Vec<MadeFile>,
        }
        #[derive(serde::Deserialize)]
        struct MadeFile {
            name: String,
            bytes: u64,
            sha256: String,
            target: Option<String>,
            suffix: Option<String>,
        }
        let port = self.port;
        let mut go_on = || !port.aborted();
        let files = order
            .stitched
            .iter()
            .map(|(_, path)| crate::sync::InputPath::of(path))
            .collect::<Result<Vec<_>>>()?;
        let stitched: Vec<Value> =
            order.stitched.iter().zip(&files).map(|((scene, _), file)| json!([scene, file.sha256])).collect();
        Inputs { files, ..Inputs::default() }.send(self.worker, &mut |_| !port.aborted())?;
        let job = self.job();
        let request = json!({
            "picture": order.picture,
            "sources": order.sources,
            "stitched": stitched,
            "format": order.format,
            "job": job,
            "scenes": order.native,
            "repeatable": order.repeatable,
        });
        let command = if order.native.is_some() { "native" } else { "finish" };
        let made: Made = self.worker.call(command, request, Some(LONG), &mut go_on)?;
        if made.files.len() > RESULTS || made.files.iter().any(|f| f.bytes > order.most) {
            return Err(Error::render(format!(
                "node {} says that the finish made more than it can",
                port.node.name()
            ))
            .remedy("It is done again on another node.")
            .retryable());
        }
        let mut finished = Vec::new();
        for (index, file) in made.files.into_iter().enumerate() {
            let mut path = order.into.clone().into_os_string();
            path.push(format!("-{index}"));
            let path = PathBuf::from(path);
            let spooled = Spooled { name: file.name, bytes: file.bytes, sha256: file.sha256 };
            self.worker.fetch(&job, &spooled, &path, &mut go_on)?;
            let suffix = file.suffix.unwrap_or_default();
            finished.push(FinishedFile { path, target: file.target, suffix });
        }
        Ok(finished)
    }
}

/// When to tell about a transfer, and how fast it is.
struct Meter {
    told: Option<(Instant, u64)>,
    /// Moments of the last seconds and the bytes until then.
    past: std::collections::VecDeque<(Instant, u64)>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { told: None, past: [(Instant::now(), 0)].into() }
    }
}

impl Meter {
    /// At the beginning, at the end, and five times a second between.
    fn is_due(&mut self, done: u64, of: u64) -> bool {
        let due = self.told.is_none_or(|(at, before)| {
            done > before && (done >= of || at.elapsed() > Duration::from_millis(200))
        });
        if due {
            self.told = Some((Instant::now(), done));
        }
        due
    }

    /// Bytes per second over the last three seconds.
    fn per_second(&mut self, done: u64) -> Option<f64> {
        let now = Instant::now();
        while self.past.len() > 1 && now.duration_since(self.past[0].0) > Duration::from_secs(3) {
            self.past.pop_front();
        }
        self.past.push_back((now, done));
        let (then, before) = *self.past.front()?;
        let seconds = now.duration_since(then).as_secs_f64();
        (done > before && seconds > 0.0).then(|| (done - before) as f64 / seconds)
    }
}

/// The border in the order the worker takes it: left, right, bottom, top.
fn border(rect: Rect, frame: Frame) -> Result<[f32; 4]> {
    let border = Border::new(rect, frame)?;
    Ok([border.min_x, border.max_x, border.min_y, border.max_y])
}
