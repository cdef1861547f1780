//! Puts on record what was rendered and what failed; the report and the map at the end.

use super::Coordinator;
use crate::analysis;
use crate::blender::TileDone;
use crate::error::{IoContext, Result};
use crate::events::Event;
use crate::geometry::Rect;
use crate::heatmap::Style;
use crate::render::messages::Tile;
use crate::render::options::Outcome;
use crate::render::setup::Progress;
use crate::render::slots::Output;
use crate::render::work::Work;
use crate::report;
use crate::schedule::Input;
use crate::state::{History, Record, TileRecord, now};

impl Coordinator<'_, '_> {
    /// Puts a finished tile on record; only then does it count.
    pub(super) fn stored(&mut self, slot: usize, tile: &Tile, done: TileDone) -> Result<()> {
        let node = self.slots[slot].name.clone();
        self.slots[slot].losses = 0;
        self.slots[slot].output = Output::Stored;
        let record = self.record(tile, node, &done)?;
        self.rendered += 1;
        self.setup.progress = Progress::Rendering;
        self.handed.remove(&tile.piece.id);
        self.files.insert(tile.piece.id, record.file);
        self.emit(Event::Stored {
            slot,
            tile: tile.piece.id,
            region: tile.piece.region,
            bytes: done.bytes,
            seconds: done.seconds,
        });
        self.feed(Input::Stored(slot, tile.piece.id))?;
        self.close_with(tile.piece.picture)
    }

    pub(super) fn record(&mut self, tile: &Tile, node: String, done: &TileDone) -> Result<TileRecord> {
        let record = TileRecord {
            picture: tile.piece.picture,
            region: tile.piece.region,
            rendered: tile.rendered,
            file: tile.into.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            bytes: done.bytes,
            sha256: done.sha256.clone(),
            node,
            seconds: done.seconds - done.sync,
            sync_s: done.sync,
            at: now(),
        };
        if let Some(work) = self.work.as_mut() {
            work.dir.append(&Record::Tile(record.clone()))?;
            work.tiles.retain(|t| t.file != record.file);
            work.tiles.push(record.clone());
            work.show(&record);
        }
        Ok(record)
    }

    /// Puts on record that a tile failed, or, without a region, the finish.
    pub(super) fn failed(&mut self, slot: usize, region: Option<Rect>, reason: String) -> Result<()> {
        let node = self.slots[slot].name.clone();
        match self.work.as_mut() {
            Some(work) => work.dir.append(&Record::Failed { node, region, reason, at: now() }),
            None => Ok(()),
        }
    }

    /// Writes the report and the map of a finished render.
    pub(super) fn account(&self, outcome: &Outcome) -> Result<()> {
        let single = |w: &&Work| w.only.is_none() && w.shots.len() == 1;
        let Some(work) = self.work.as_ref().filter(single) else { return Ok(()) };
        let history = History::read(&work.dir.layout().state())?;
        let png = outcome.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
        let picture = png.then(|| outcome.output.clone());
        let data = analysis::report(&history, picture, self.warnings.clone());
        let html = report::html(&data);
        let own = work.dir.layout().report();
        for path in
            [Some(&own).filter(|_| self.options.keep), self.options.report.as_ref()].into_iter().flatten()
        {
            std::fs::write(path, &html).at("write", path)?;
        }
        if let Some(path) = &self.options.map {
            let canvas = analysis::heat_map(&history)?.draw(Style::default());
            std::fs::write(path, canvas.png()?).at("write", path)?;
        }
        Ok(())
    }
}
