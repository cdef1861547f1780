//! What a state file tells about a job afterwards: the cost of every block, and the account of every node.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::geometry::Rect;
use crate::heatmap::{Block, HeatMap};
use crate::report::{NodeReport, Outcome, ReportData, Span, SpanKind};
use crate::state::{History, NodeRecord, Record, TileRecord};

/// Neighbouring tiles of two nodes that it takes to compare the nodes by them.
const PAIRS: usize = 6;

/// The blocks of the first picture, as the heat map takes them.
pub fn blocks(history: &History) -> Vec<Block> {
    let tiles: Vec<&TileRecord> =
        history.tiles().into_iter().filter(|t| t.picture == 0 && t.seconds > 0.0).collect();
    let rates = rates(history, &tiles);
    tiles
        .iter()
        .map(|t| Block {
            rect: t.region,
            seconds: t.seconds,
            node: t.node.clone(),
            rate: rates.get(t.node.as_str()).copied().unwrap_or(1.0),
            rendered_area: t.rendered.area(),
            samples: history.job.samples,
        })
        .collect()
}

/// The heat map of a job, as far as it is.
pub fn heat_map(history: &History) -> Result<HeatMap> {
    HeatMap::new(history.job.size, &blocks(history))
}

/// How fast the nodes are in relation to each other.
///
/// Tiles that touch cost about the same per pixel, so where two nodes rendered many neighbours, the middle ratio of
/// their times is the ratio of their rates. Nodes that have too few neighbours for that count by what was measured
/// before the render.
fn rates<'a>(history: &'a History, tiles: &[&'a TileRecord]) -> BTreeMap<&'a str, f64> {
    let mut measured: BTreeMap<&str, f64> = BTreeMap::new();
    for record in &history.records {
        if let Record::Node(NodeRecord { name, rate: Some(rate), .. }) = record
            && rate.is_finite()
            && *rate > 0.0
        {
            measured.insert(name, *rate);
        }
    }
    let mut work: BTreeMap<&str, usize> = BTreeMap::new();
    for tile in tiles {
        *work.entry(&tile.node).or_default() += 1;
    }
    // The busiest node is what the others are measured against.
    let Some((reference, _)) = work.iter().max_by_key(|(_, n)| **n) else { return BTreeMap::new() };
    let reference = *reference;
    let slowness = |t: &TileRecord| t.seconds / t.rendered.area() as f64;
    let mut rates = BTreeMap::from([(reference, 1.0)]);
    for name in work.keys().filter(|n| **n != reference) {
        let mut ratios: Vec<f64> = Vec::new();
        for a in tiles.iter().filter(|t| t.node == reference) {
            for b in tiles.iter().filter(|t| t.node == *name && touch(t.region, a.region)) {
                ratios.push(slowness(a) / slowness(b));
            }
        }
        ratios.sort_by(f64::total_cmp);
        let rate = if ratios.len() >= PAIRS {
            ratios[ratios.len() / 2]
        } else {
            match (measured.get(name), measured.get(reference)) {
                (Some(own), Some(other)) => own / other,
                _ => 1.0,
            }
        };
        rates.insert(name, rate);
    }
    rates
}

/// Whether two rectangles share an edge.
fn touch(a: Rect, b: Rect) -> bool {
    let across = a.right() == b.x() || b.right() == a.x();
    let beside = a.y() < b.bottom() && b.y() < a.bottom();
    let below = a.bottom() == b.y() || b.bottom() == a.y();
    let over = a.x() < b.right() && b.x() < a.right();
    (across && beside) || (below && over)
}

/// Everything the report shows, from the state file.
pub fn report(history: &History, picture: Option<std::path::PathBuf>, warnings: Vec<String>) -> ReportData {
    let job = &history.job;
    let began_at = history.records.iter().find_map(|r| match r {
        Record::Began { at, .. } => Some(*at),
        _ => None,
    });
    let began_at = began_at.unwrap_or(0.0);
    let last = history.records.iter().filter_map(at).fold(began_at, f64::max);
    let mut data = ReportData {
        scene_file: job.files.first().map(|f| name_of(&f.path)).unwrap_or_default(),
        frame_number: job.frame,
        size: Some(job.region.size()),
        samples: job.samples,
        began_at,
        elapsed_s: last - began_at,
        blocks: blocks(history),
        picture,
        warnings,
        settings: vec![
            ("Scene".into(), job.scene.clone()),
            ("Camera".into(), job.camera.clone().unwrap_or_default()),
            ("Seed".into(), job.seed.to_string()),
            ("Tile format".into(), job.format.extension().to_uppercase()),
            ("Overlap".into(), format!("{} px", job.overlap)),
        ],
        versions: vec![
            ("Blender".into(), format!("{} ({})", job.blender, job.hash)),
            ("tilectl".into(), env!("CARGO_PKG_VERSION").into()),
        ],
        ..ReportData::default()
    };
    // Regions are shown from the corner of the picture.
    for block in &mut data.blocks {
        block.rect = block.rect.relative_to(job.region).unwrap_or(block.rect);
    }
    let mut stopped: Option<f64> = None;
    let mut stitched = None;
    for record in &history.records {
        match record {
            Record::Began { at, .. } => {
                if let Some(from) = stopped.take() {
                    data.pauses.push((from - began_at, at - began_at));
                }
                data.outcome = Outcome::Running;
            }
            Record::Planned { seconds, alone, .. } => {
                data.predicted_s = *seconds;
                data.alone_s = *alone;
            }
            Record::Tile(tile) => stitched = Some(tile.at - began_at),
            Record::Stopped { reason, at } => {
                stopped = Some(*at);
                let asked = reason.starts_with("stopped");
                data.outcome = if asked { Outcome::Interrupted } else { Outcome::Failed(reason.clone()) };
            }
            Record::Done { at, .. } => {
                data.outcome = Outcome::Done;
                data.closing = stitched.map(|from| (from, at - began_at));
            }
            _ => {}
        }
    }
    data.nodes = nodes(history, began_at);
    data
}

/// What every slot did when.
fn nodes(history: &History, began_at: f64) -> Vec<NodeReport> {
    let mut nodes: Vec<NodeReport> = Vec::new();
    let mut lost: BTreeMap<String, f64> = BTreeMap::new();
    for record in &history.records {
        let (name, at) = match record {
            Record::Node(node) => (&node.name, node.at),
            Record::Tile(tile) => (&tile.node, tile.at),
            Record::Failed { node, at, .. } | Record::Lost { node, at, .. } => (node, *at),
            _ => continue,
        };
        let index = nodes.iter().position(|n| n.name == *name).unwrap_or_else(|| {
            nodes.push(NodeReport { name: name.clone(), ..NodeReport::default() });
            nodes.len() - 1
        });
        let node = &mut nodes[index];
        let to_s = at - began_at;
        let before = node.spans.last().map_or(0.0, |s| s.to_s);
        let mut span = |kind, from_s: f64, to_s: f64, region, note| {
            if to_s > from_s {
                node.spans.push(Span { kind, from_s: from_s.max(before), to_s, region, note });
            }
        };
        match record {
            Record::Node(seen) => {
                if let Some(from) = lost.remove(name) {
                    span(SpanKind::Away, from, to_s - seen.start_s - seen.sync_s, None, None);
                }
                let synced = to_s - seen.sync_s;
                span(SpanKind::Start, synced - seen.start_s, synced, None, None);
                span(SpanKind::Sync, synced, to_s, None, None);
                node.blender = format!("{} ({})", seen.blender, seen.hash);
                node.device.clone_from(&seen.device);
                node.cores = seen.cores;
                node.rate = seen.rate.or(node.rate);
            }
            Record::Tile(tile) if tile.seconds > 0.0 => {
                let from = to_s - tile.seconds;
                span(SpanKind::Sync, from - tile.sync_s, from, None, None);
                span(SpanKind::Tile, from, to_s, Some(tile.region), None);
            }
            Record::Failed { reason, region, .. } => {
                span(SpanKind::Failed, (to_s - 0.1).max(before), to_s, Some(*region), Some(reason.clone()));
            }
            Record::Lost { reason, .. } => {
                lost.insert(name.clone(), to_s);
                node.trouble = Some(reason.clone());
            }
            _ => {}
        }
    }
    for node in &mut nodes {
        node.spans.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
    }
    nodes
}

fn at(record: &Record) -> Option<f64> {
    match record {
        Record::Began { at, .. }
        | Record::Planned { at, .. }
        | Record::Failed { at, .. }
        | Record::Lost { at, .. }
        | Record::Done { at, .. }
        | Record::Stopped { at, .. } => Some(*at),
        Record::Node(node) => Some(node.at),
        Record::Tile(tile) => Some(tile.at),
        _ => None,
    }
}

fn name_of(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(x: u32, y: u32, node: &str, seconds: f64) -> TileRecord {
        let region = Rect::new(x * 10, y * 10, 10, 10).unwrap();
        TileRecord {
            picture: 0,
            region,
            rendered: region,
            file: format!("{x}-{y}"),
            bytes: 1,
            sha256: String::new(),
            node: node.into(),
            seconds,
            sync_s: 0.0,
            at: 0.0,
        }
    }

    #[test]
    fn neighbours_tell_how_fast_nodes_are() {
        // A checkerboard on a slope: b takes three times as long as a.
        let mut tiles = Vec::new();
        for y in 0..6 {
            for x in 0..6 {
                let cost = 1.0 + f64::from(x) * 0.1;
                let (node, slow) = if (x + y) % 2 == 0 { ("a", 1.0) } else { ("b", 3.0) };
                tiles.push(tile(x, y, node, cost * slow));
            }
        }
        let refs: Vec<&TileRecord> = tiles.iter().collect();
        let text = "Header(version:1,job:(files:[],scene:\"S\",camera:None,frame:1,seed:0,samples:1,resolution:(60,60),\
                    percentage:100,size:(60,60),region:(0,0,60,60),format:png,overlap:0,pictures:[\"S\"],blender:\"b\",\
                    hash:\"h\",scripts:false))\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.ron");
        std::fs::write(&path, text).unwrap();
        let history = History::read(&path).unwrap();
        let rates = rates(&history, &refs);
        let ratio = rates["a"] / rates["b"];
        assert!((ratio / 3.0 - 1.0).abs() < 0.1, "{ratio}");
    }

    #[test]
    fn corners_do_not_touch() {
        let at = |x, y| Rect::new(x, y, 10, 10).unwrap();
        assert!(touch(at(0, 0), at(10, 5)) && touch(at(0, 0), at(5, 10)));
        assert!(!touch(at(0, 0), at(10, 10)) && !touch(at(0, 0), at(30, 0)));
    }
}
