//! `tilectl stitch`: tiles to one picture, without rendering.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tilecore::formats::TileFormat;
use tilecore::geometry::Frame;
use tilecore::state::{History, WorkDirLayout};
use tilecore::stitch::{self, ExrOptions, Holes, Part, PngOptions, Summary, loose};
use tilecore::{Error, Result};

use crate::{cli, target};

pub(crate) fn run(args: &cli::Stitch) -> Result<ExitCode> {
    let exr = args.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("exr"));
    // Whether EXR fits is known once the tiles are.
    let output = if exr { target::writable(&args.output) } else { target::png(&args.output) }?;
    let args = &cli::Stitch { output, ..args.clone() };
    let summary = if let Some(grid) = &args.grid {
        let found = loose::grid(&args.tiles, grid.parse()?, &stitch::png_size)?;
        png(args, &found.parts, found.frame)?
    } else if let Some(pattern) = &args.pattern {
        let found = loose::pattern(Path::new(pattern), &stitch::png_size)?;
        png(args, &found.parts, found.frame)?
    } else {
        match args.tiles.as_slice() {
            [dir] => work_dir(args, dir)?,
            _ => {
                return Err(Error::input("where these tiles belong is not said")
                    .remedy("Add --grid COLUMNSxROWS, or name them by --pattern 'tile_{x}_{y}.png'."));
            }
        }
    };
    println!("{}", args.output.display());
    if let Some(first) = summary.missing.first() {
        eprintln!("tilectl: {} places are missing, the first is {first}.", summary.missing.len());
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

fn png(args: &cli::Stitch, parts: &[Part], frame: Frame) -> Result<Summary> {
    target::png(&args.output)?;
    let options = PngOptions::default().compression(super::compression(&args.compression)).holes(holes(args));
    stitch::png(parts, frame, &args.output, &options)
}

fn holes(args: &cli::Stitch) -> Holes {
    if args.partial { Holes::Transparent } else { Holes::Refused }
}

/// What a render left in its work directory.
fn work_dir(args: &cli::Stitch, dir: &Path) -> Result<Summary> {
    let path = WorkDirLayout::new(dir).state();
    if !path.is_file() {
        return Err(Error::input(format!("{} is not a work directory of tilectl", dir.display())).remedy(
            "Name the directory that a render keeps its tiles in, usually <output>.tiles; or loose tiles with --grid or --pattern.",
        ));
    }
    let history = History::read(&path)?;
    if history.job.shots.len() > 1 {
        return Err(Error::input(
            "these are tiles of several pictures, and each is stitched as soon as it is complete",
        )
        .remedy("Run the render command again: it goes on from these tiles."));
    }
    let origin = history.job.region;
    let parts: Vec<Part> = history
        .tiles()
        .into_iter()
        .filter(|t| t.picture == 0 && is_plain(&t.file))
        .filter_map(|t| {
            Some(Part {
                path: WorkDirLayout::new(dir).tile(&t.file),
                region: t.region.relative_to(origin)?,
                rendered: t.rendered.relative_to(origin)?,
            })
        })
        .collect();
    if history.job.format == TileFormat::Png {
        return png(args, &parts, origin.size());
    }
    if args.output.extension().is_some_and(|e| e.eq_ignore_ascii_case("exr")) {
        return stitch::exr(&parts, origin.size(), &args.output, &ExrOptions::default().holes(holes(args)));
    }
    Err(Error::input("these tiles are EXR, and the picture is made of them by the finish in Blender").remedy(
        "Run the render command again, it goes on from these tiles; or stitch the bare passes with -o FILE.exr.",
    ))
}

/// Whether a recorded name is a name and not a way to another place.
fn is_plain(name: &str) -> bool {
    PathBuf::from(name).file_name().is_some_and(|n| n == name)
}
