//! `tilectl status`: how far a job is.

use std::process::ExitCode;

use tilecore::geometry::uncovered;
use tilecore::state::{History, Record};
use tilecore::{Error, Result};

use crate::cli;

#[derive(serde::Serialize)]
struct Report {
    frame: i32,
    scene: String,
    size: String,
    tiles: usize,
    pixels_done: u64,
    pixels: u64,
    done: f64,
    failures: usize,
    losses: usize,
    finished: Option<String>,
}

pub(crate) fn run(args: &cli::Status) -> Result<ExitCode> {
    let path = args.dir.join("state.ron");
    if !path.is_file() {
        return Err(Error::input(format!("{} is not a work directory of tilectl", args.dir.display()))
            .remedy("Name the directory that a render keeps its tiles in, usually <output>.tiles."));
    }
    let history = History::read(&path)?;
    let tiles = history.tiles();
    let job = &history.job;
    let pictures = job.pictures.len().max(1) as u64;
    let pixels = job.region.area() * pictures;
    let missing: u64 = (0..pictures as u32)
        .map(|p| {
            let done = tiles.iter().filter(|t| t.picture == p).map(|t| t.region);
            uncovered(job.region, done).iter().map(|r| r.area()).sum::<u64>()
        })
        .sum();
    let count = |what: fn(&Record) -> bool| history.records.iter().filter(|r| what(r)).count();
    let report = Report {
        frame: job.frame,
        scene: job.scene.clone(),
        size: job.size.to_string(),
        tiles: tiles.len(),
        pixels_done: pixels - missing,
        pixels,
        done: (pixels - missing) as f64 / pixels as f64,
        failures: count(|r| matches!(r, Record::Failed { .. })),
        losses: count(|r| matches!(r, Record::Lost { .. })),
        finished: history.records.iter().rev().find_map(|r| match r {
            Record::Done { output, .. } => Some(output.display().to_string()),
            _ => None,
        }),
    };
    if args.json {
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        println!(
            "{} frame {}, {}: {:.1} % in {} tiles{}",
            report.scene,
            report.frame,
            report.size,
            100.0 * report.done,
            report.tiles,
            report.finished.map_or_else(String::new, |f| format!(", written to {f}"))
        );
    }
    Ok(ExitCode::SUCCESS)
}
