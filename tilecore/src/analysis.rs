//! What a state file tells about a job afterwards: the cost of every block, and the account of every node.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::geometry::Rect;
use crate::heatmap::{Block, HeatMap};
use crate::report::{Account, NodeReport, Outcome, ReportData, Span, SpanKind};
use crate::state::{History, NodeRecord, Record, TileRecord};

/// Neighbouring tiles of two nodes that it takes to compare the nodes by them.
const PAIRS: usize = 6;
/// About how many pairs of tiles are looked at for that.
const COMPARED: usize = 4_000_000;

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
/// before the render; those of which nothing is known are left out.
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
        // Where there are very many, some of them tell as well as all.
        let some = (work[reference] * work[name] / COMPARED).max(1);
        for a in tiles.iter().filter(|t| t.node == reference).step_by(some) {
            for b in tiles.iter().filter(|t| t.node == *name && touch(t.region, a.region)) {
                ratios.push(slowness(a) / slowness(b));
            }
        }
        ratios.sort_by(f64::total_cmp);
        let rate = if ratios.len() >= PAIRS {
            ratios[ratios.len() / 2]
        } else {
            let (Some(own), Some(other)) = (measured.get(name), measured.get(reference)) else { continue };
            own / other
        };
        rates.insert(name, rate);
    }
    rates
}

/// Seconds that the fastest node would have needed by itself, from what the tiles took: its start, the whole frame without
/// any overlap, and the same end. `None` when fewer than two nodes rendered or one's rate is not known.
fn alone(history: &History, data: &ReportData) -> Option<f64> {
    let tiles: Vec<&TileRecord> = history.tiles().into_iter().filter(|t| t.seconds > 0.0).collect();
    let rates = rates(history, &tiles);
    let mut machines: BTreeMap<&str, BTreeMap<&str, f64>> = BTreeMap::new();
    let mut work = 0.0;
    for tile in &tiles {
        let rate = *rates.get(tile.node.as_str())?;
        machines.entry(machine(&tile.node)).or_default().insert(&tile.node, rate);
        work += tile.seconds * rate * tile.region.area() as f64 / tile.rendered.area().max(1) as f64;
    }
    if machines.len() < 2 {
        return None;
    }
    let together = |slots: &BTreeMap<&str, f64>| slots.values().sum::<f64>();
    let (name, slots) = machines.iter().max_by(|a, b| together(a.1).total_cmp(&together(b.1)))?;
    let ready = history.records.iter().find_map(|r| match r {
        Record::Node(node) if machine(&node.name) == *name => Some(node.start_s + node.sync_s),
        _ => None,
    });
    let built = tiles.iter().filter(|t| machine(&t.node) == *name).map(|t| t.sync_s).fold(0.0, f64::max);
    let closing = data.closing.map_or(0.0, |(from, to)| to - from);
    Some(ready? + built + work / together(slots) + closing)
}

/// How many times faster the finished job was than the fastest node alone would have been; `None` when only one node
/// took part, or where that cannot be said.
pub fn speedup(history: &History) -> Option<f64> {
    let data = report(history, None, Vec::new());
    alone(history, &data)?;
    Account::of(&data).speedup
}

/// The node that a slot belongs to: a node with several has their number behind a `#`.
fn machine(slot: &str) -> &str {
    match slot.rsplit_once('#') {
        Some((name, number)) if !name.is_empty() && number.parse::<u32>().is_ok() => name,
        _ => slot,
    }
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
            ("Blender".into(), build(&job.blender, &job.hash)),
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
            Record::Proof { verdict, .. } => {
                data.settings.retain(|s| s.0 != "Proof");
                data.settings.push(("Proof".into(), verdict.sentence()));
            }
            Record::Stopped { reason, interrupted, at } => {
                stopped = Some(*at);
                data.outcome =
                    if *interrupted { Outcome::Interrupted } else { Outcome::Failed(reason.clone()) };
            }
            Record::Done { at, .. } => {
                data.outcome = Outcome::Done;
                data.closing = stitched.map(|from| (from, at - began_at));
            }
            _ => {}
        }
    }
    data.nodes = nodes(history, began_at);
    if data.outcome == Outcome::Done {
        // What it took is known better than what was planned.
        data.alone_s = alone(history, &data).or(data.alone_s);
    }
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
                node.blender = build(&seen.blender, &seen.hash);
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
                span(SpanKind::Failed, (to_s - 0.1).max(before), to_s, *region, Some(reason.clone()));
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

/// A Blender's version, and its build where that is told: distributions build it without.
fn build(version: &str, hash: &str) -> String {
    if hash.is_empty() || hash.eq_ignore_ascii_case("unknown") {
        version.to_owned()
    } else {
        format!("{version} ({hash})")
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

    /// A job of which nothing is rendered yet.
    fn begun() -> History {
        let text = "Header(version:1,job:(files:[],scene:\"S\",camera:None,frame:1,seed:0,samples:1,resolution:(60,60),\
                    percentage:100,size:(60,60),region:(0,0,60,60),format:png,overlap:0,pictures:[\"S\"],blender:\"b\",\
                    hash:\"h\",scripts:false))\n";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.ron");
        std::fs::write(&path, text).unwrap();
        History::read(&path).unwrap()
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
        let history = begun();
        let rates = rates(&history, &refs);
        let ratio = rates["a"] / rates["b"];
        assert!((ratio / 3.0 - 1.0).abs() < 0.1, "{ratio}");
    }

    /// A finished job on one fast node (two slots) and one slow: 30 s of work at the fast one's rate.
    fn farm(slow: &str) -> History {
        let mut history = begun();
        let node = |name: &str, rate| {
            let (blender, hash, device) = (String::new(), String::new(), String::new());
            let (name, rate) = (name.to_owned(), Some(rate));
            Record::Node(NodeRecord {
                name,
                blender,
                hash,
                device,
                cores: 1,
                start_s: 1.0,
                sync_s: 1.0,
                rate,
                fixed_s: None,
                bytes_per_s: None,
                at: 2.0,
            })
        };
        history.records.push(Record::Began { by: "t".into(), at: 0.0, nodes: Vec::new() });
        history.records.extend([node("fast#1", 2.0), node("fast#2", 2.0), node(slow, 1.0)]);
        // Far from each other, so that the rates measured before count: 10 s on each slot.
        let tiles = [tile(0, 0, "fast#1", 10.0), tile(2, 2, "fast#2", 10.0), tile(4, 4, slow, 10.0)];
        history.records.extend(tiles.map(|t| Record::Tile(TileRecord { at: 12.0, ..t })));
        history.records.push(Record::Done {
            output: "o.png".into(),
            sha256: String::new(),
            seconds: 13.0,
            at: 13.0,
        });
        history
    }

    #[test]
    fn how_much_faster_than_the_fastest_alone() {
        // 2 x 10 x 2 + 10 x 1 = 50 units at 4 a second, 2 s to be ready, 1 s at the end: 15.5 s instead of 13.
        let speedup = speedup(&farm("slow")).unwrap();
        assert!((speedup - 15.5 / 13.0).abs() < 1e-9, "{speedup}");
        // A third slot of the same node is no other node.
        assert_eq!(super::speedup(&farm("fast#3")), None);
    }

    #[test]
    fn corners_do_not_touch() {
        let at = |x, y| Rect::new(x, y, 10, 10).unwrap();
        assert!(touch(at(0, 0), at(10, 5)) && touch(at(0, 0), at(5, 10)));
        assert!(!touch(at(0, 0), at(10, 10)) && !touch(at(0, 0), at(30, 0)));
    }
}
