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
    pictures: usize,
    pictures_done: usize,
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
    let regions = job.regions();
    let pixels: u64 = regions.iter().map(|r| r.area()).sum::<u64>().max(1);
    let written: Vec<u32> = history
        .records
        .iter()
        .filter_map(|r| if let Record::Shot { shot, .. } = r { Some(*shot) } else { None })
        .collect();
    let mut first = 0;
    let closed: Vec<u32> = (0u32..)
        .zip(&job.shots)
        .flat_map(|(at, shot)| {
            let range = first..first + shot.count();
            first = range.end;
            if written.contains(&at) { range } else { 0..0 }
        })
        .collect();
    let missing: u64 = (0u32..)
        .zip(&regions)
        .filter(|(picture, _)| !closed.contains(picture))
        .map(|(picture, region)| {
            let done = tiles.iter().filter(|t| t.picture == picture).map(|t| t.region);
            uncovered(*region, done).iter().map(|r| r.area()).sum::<u64>()
        })
        .sum();
    let (pictures, pictures_done) =
        (job.shots.len().max(1), job.shots.iter().zip(0u32..).filter(|(_, at)| written.contains(at)).count());
    let count = |what: fn(&Record) -> bool| history.records.iter().filter(|r| what(r)).count();
    let report = Report {
        frame: job.frame,
        scene: job.scene.clone(),
        size: job.size.to_string(),
        tiles: tiles.len(),
        pixels_done: pixels - missing,
        pixels,
        pictures,
        pictures_done,
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
            "{} frame {}{}, {}: {:.1} % in {} tiles{}",
            report.scene,
            report.frame,
            if pictures > 1 {
                format!(" and others, {pictures_done} of {pictures} pictures written")
            } else {
                String::new()
            },
            report.size,
            100.0 * report.done,
            report.tiles,
            report.finished.map_or_else(String::new, |f| format!(", written to {f}"))
        );
    }
    Ok(ExitCode::SUCCESS)
}
