//! `tilectl bench`: how fast the nodes are, measured or remembered.

use std::process::ExitCode;

use tilecore::bench::Cache;
use tilecore::job::Request;
use tilecore::{Error, Result};

use crate::cli;
use crate::farm::Farm;

/// The scene that nodes are measured with when none is named.
const SCENE: &[u8] = include_bytes!("../../../fixtures/scenes/uneven.blend");

pub(crate) fn run(args: &cli::Bench) -> Result<ExitCode> {
    if args.show || args.clear {
        let path = Cache::default_path().ok_or_else(|| {
            Error::input("there is no cache directory").remedy("Set HOME or XDG_CACHE_HOME.")
        })?;
        let cache = Cache::load(path);
        if args.clear {
            cache.clear()?;
            return Ok(ExitCode::SUCCESS);
        }
        if args.output_style.json {
            let entries: Vec<_> = cache.entries().collect();
            println!("{}", serde_json::to_string(&entries).unwrap_or_default());
            return Ok(ExitCode::SUCCESS);
        }
        for m in cache.entries() {
            println!("{}  Blender {}  {}  {:.0} pixels/s", m.node, m.blender, m.scene, m.rate);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let builtin = tempfile::Builder::new().suffix(".blend").tempfile().and_then(|f| {
        std::fs::write(f.path(), SCENE)?;
        Ok(f)
    });
    let builtin = builtin.map_err(|e| {
        Error::render(format!("cannot write a temporary file: {}", tilecore::error::reason(&e)))
            .remedy("Point TMPDIR at a place with room.")
    })?;
    let file = args.file.clone().unwrap_or_else(|| builtin.path().to_owned());
    let farm = Farm::new(&args.nodes, args.file.as_deref(), args.threads)?;
    let request = Request { allow_missing: true, ..Request::new(file, args.frame) };
    let plan = super::plan::measured(&request, &farm, &args.output_style, true)?;
    let fastest = plan.nodes.iter().map(|n| n.model.rate).fold(0.0, f64::max);
    if args.output_style.json {
        let models: Vec<_> = plan.nodes.iter().map(|n| &n.model).collect();
        println!("{}", serde_json::to_string(&models).unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    for node in &plan.nodes {
        let m = &node.model;
        println!(
            "{}: {:.0} pixels/s ({:.0} % of the fastest), {:.2} s a tile besides",
            m.name,
            m.rate,
            100.0 * m.rate / fastest.max(1e-9),
            m.fixed_s
        );
    }
    Ok(ExitCode::SUCCESS)
}
