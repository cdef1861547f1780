//! `tilectl stitch`: tiles to one picture, without rendering.

use std::process::ExitCode;

use tilecore::blender::TileFormat;
use tilecore::state::History;
use tilecore::stitch::{self, Holes, Part, PngOptions};
use tilecore::{Error, Result};

use crate::cli;

pub(crate) fn run(args: &cli::Stitch) -> Result<ExitCode> {
    let path = args.dir.join("state.ron");
    if !path.is_file() {
        return Err(Error::input(format!("{} is not a work directory of tilectl", args.dir.display()))
            .remedy("Name the directory that a render keeps its tiles in, usually <output>.tiles."));
    }
    let history = History::read(&path)?;
    if history.job.format != TileFormat::Png {
        return Err(Error::input("the tiles are EXR and need the finish in Blender")
            .remedy("Run the render command again: it goes on from these tiles."));
    }
    let origin = history.job.region;
    let parts: Vec<Part> = history
        .tiles()
        .into_iter()
        .filter_map(|t| {
            Some(Part {
                path: args.dir.join("tiles").join(&t.file),
                region: t.region.relative_to(origin)?,
                rendered: t.rendered.relative_to(origin)?,
            })
        })
        .collect();
    let holes = if args.partial { Holes::Transparent } else { Holes::Refused };
    let options = PngOptions::default().compression(super::compression(&args.compression)).holes(holes);
    let summary = stitch::png(&parts, origin.size(), &args.output, &options)?;
    println!("{}", args.output.display());
    Ok(if summary.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
