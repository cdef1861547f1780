//! `tilectl map`: where the time of a frame goes, as a picture or a table.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tilecore::analysis;
use tilecore::cost::Tiling;
use tilecore::frames::Frames;
use tilecore::geometry::{MAX_SIDE, Rect};
use tilecore::heatmap::{HeatMap, Palette, Scale, Style};
use tilecore::job::{Cameras, Request};
use tilecore::render::{self, Cancel, Options};
use tilecore::state::{History, WorkDirLayout};
use tilecore::{Error, Result};

use crate::farm::Farm;
use crate::{cli, show, target};

/// Samples of a quick map.
const QUICK: u32 = 4;

pub(crate) fn run(args: &cli::Map) -> Result<ExitCode> {
    if args.output.is_none() && args.csv.is_none() && !args.output_style.json {
        return Err(Error::input("there is nothing to write")
            .remedy("Name a picture with -o, a table with --csv, or use --json."));
    }
    let job = [args.file.clone(), PathBuf::from(format!("{}.tiles", args.file.display()))]
        .into_iter()
        .find(|d| WorkDirLayout::new(d).state().is_file());
    let output = args.output.as_deref().map(target::png).transpose()?;
    args.csv.as_deref().map(target::writable).transpose()?;
    if job.is_none() && args.overlay {
        return Err(Error::input("there is no finished picture to lay the map over: this one would be rendered for its times alone")
            .remedy("Render with --keep and name its picture or work directory, or leave --overlay out."));
    }
    let (map, picture) = match job {
        Some(dir) => {
            let history = History::read(&WorkDirLayout::new(dir).state())?;
            let picture = history.records.iter().rev().find_map(|r| match r {
                tilecore::state::Record::Done { output, .. } => Some(output.clone()),
                _ => None,
            });
            (analysis::heat_map(&history)?, picture)
        }
        None => (render_map(args)?, None),
    };
    if let Some(path) = &args.csv {
        super::write(path, map.csv().as_bytes())?;
    }
    if args.output_style.json {
        println!("{}", map.json()?);
    }
    if let Some(out) = &output {
        let overlay = args.overlay.then(|| {
            picture.ok_or_else(|| {
                Error::input("there is no finished picture to lay the map over")
                    .remedy("Name the work directory of a finished render, or leave --overlay out.")
            })
        });
        draw(&map, out, &args.style, args.log, overlay.transpose()?.as_deref())?;
        if !args.output_style.json {
            println!("{}", out.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the map as a picture.
pub(crate) fn draw(map: &HeatMap, out: &Path, style: &str, log: bool, over: Option<&Path>) -> Result<()> {
    let palette = Palette::named(style).unwrap_or_default();
    let scale = if log { Scale::Log } else { Scale::Linear };
    let style = Style { scale, ..Style::of(palette) };
    let canvas = match over {
        Some(picture) => map.overlay(picture, style, 0.6)?,
        None => map.draw(style),
    };
    super::write(out, &canvas.png()?)
}

/// Renders the blocks of a frame for their times alone.
fn render_map(args: &cli::Map) -> Result<HeatMap> {
    let farm = Farm::new(&args.nodes, Some(&args.file), args.threads)?;
    let defaults = &farm.config.defaults;
    let samples = if args.quick { Some(QUICK) } else { args.samples.or(defaults.samples) };
    let tiling = args.detail.map_or(Tiling::Count(96), |(w, h)| Tiling::Size(w, h));
    let request = Request {
        scenes: args.scene.iter().cloned().collect(),
        cameras: args.camera.clone().map_or(Cameras::Own, |c| Cameras::Named(vec![c])),
        samples,
        percentage: args.percentage,
        tiling,
        allow_missing: true,
        frames: args.frame.map_or(Frames::Current, Frames::one),
        ..Request::new(&args.file, 1)
    };
    let scratch = tempfile::tempdir().map_err(|e| {
        Error::render(format!("cannot make a temporary directory: {}", tilecore::error::reason(&e)))
            .remedy("Point TMPDIR at a place with room.")
    })?;
    let everything = Rect::new(0, 0, MAX_SIDE, MAX_SIDE)?;
    let options = Options {
        keep: true,
        only: Some(vec![everything]),
        bench: tilecore::bench::Cache::default_path(),
        ..Options::new(scratch.path().join("picture.png"))
    };
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let mut show = show::alone(&cli::OutputStyle { json: false, ..args.output_style });
    let outcome = render::run(&request, &farm.nodes()?, &options, &cancel, &mut |event| show.event(&event));
    show.end();
    outcome?;
    analysis::heat_map(&History::read(&WorkDirLayout::new(&options.work_dir).state())?)
}
