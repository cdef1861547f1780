//! `tilectl plan`: what a render would do, without rendering.

use std::process::ExitCode;

use tilecore::bench::Cache;
use tilecore::geometry::Grid;
use tilecore::heatmap::{Block, HeatMap, Palette, Style};
use tilecore::naming::Pattern;
use tilecore::plan::Plan;
use tilecore::render::{self, Cancel, Names, Options};
use tilecore::{Error, Result};

use crate::farm::Farm;
use crate::{cli, show, target};

pub(crate) fn run(args: &cli::Plan) -> Result<ExitCode> {
    let output = args.output.as_deref().map(target::png).transpose()?;
    let farm = Farm::new(&args.nodes, Some(&args.scene.file), args.threads)?;
    let request = super::render::request(&args.scene, &args.tiling, &farm.config.defaults)?;
    let plan = measured(&request, &farm, &args.output_style, false)?;
    if let Some(path) = &output {
        draw(&plan, path)?;
    }
    if args.output_style.json {
        println!("{}", crate::say::json(&plan));
    } else {
        print!("{plan}");
        if args.output_style.verbose {
            for node in &plan.nodes {
                let m = &node.model;
                let link = if m.transfer_bytes_per_s.is_finite() {
                    format!(", sends {}/s", show::bytes(m.transfer_bytes_per_s as u64))
                } else {
                    String::new()
                };
                println!(
                    "{}: start {:.1} s, sync {:.1} s, {:.0} pixels/s, {:.2} s a tile besides{link}",
                    m.name, m.start_s, m.sync_s, m.rate, m.fixed_s
                );
            }
        }
        println!("{}", plan.limit);
    }
    Ok(ExitCode::SUCCESS)
}

/// Reaches the nodes and measures them on the scene; `afresh` measures what is known already, too.
pub(crate) fn measured(
    request: &tilecore::job::Request,
    farm: &Farm,
    style: &cli::OutputStyle,
    afresh: bool,
) -> Result<Plan> {
    let scratch = tempfile::tempdir().map_err(|e| {
        Error::render(format!("cannot make a temporary directory: {}", tilecore::error::reason(&e)))
            .remedy("Point TMPDIR at a place with room.")
    })?;
    // Nothing is written, but names there must be.
    let names = format!("{}/{{scene}}_{{camera}}_{{frame}}", scratch.path().display());
    let names = if request.is_one() { None } else { Some(Names::Pattern(Pattern::typed(&names)?)) };
    let options = Options {
        names,
        measure: true,
        bench: Cache::default_path(),
        afresh,
        ..Options::new(scratch.path().join("picture.png"))
    };
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let mut show =
        show::alone(&cli::OutputStyle { json: false, quiet: style.quiet || style.json, verbose: false });
    let plan = render::plan(request, &farm.nodes()?, &options, &cancel, &mut |event| show.event(&event));
    show.end();
    plan
}

/// The cuts over what each place of the frame costs.
fn draw(plan: &Plan, path: &std::path::Path) -> Result<()> {
    let Some(picture) = plan.work.pictures.first() else { return Ok(()) };
    let cells = picture.cost.cells();
    // As fine as it was measured, but no cell is smaller than a pixel.
    let (columns, rows) = (cells.columns.min(picture.frame.width()), cells.rows.min(picture.frame.height()));
    let blocks: Vec<Block> = Grid::new(picture.frame, columns, rows)?
        .tiles()
        .into_iter()
        .map(|rect| Block {
            rect,
            seconds: picture.cost.cost_of(rect).max(1e-9),
            node: String::new(),
            rate: 1.0,
            rendered_area: 0,
            samples: 0,
        })
        .collect();
    let map = HeatMap::new(picture.frame, &blocks)?;
    let style = Style { legend: false, ..Style::of(Palette::Viridis) };
    let mut canvas = map.draw(style);
    map.outline(&mut canvas, style, plan.pieces.iter().filter(|p| p.picture == 0).map(|p| p.region));
    super::write(path, &canvas.png()?)
}
