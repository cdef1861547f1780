//! `tilectl bench`: how fast the nodes are, measured or remembered.

use std::path::PathBuf;
use std::process::ExitCode;

use tilecore::bench::Cache;
use tilecore::job::Request;
use tilecore::{Error, Result};

use crate::cli;
use crate::farm::Farm;
use crate::say;

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
            println!("{}", say::json(&entries));
            return Ok(ExitCode::SUCCESS);
        }
        for m in cache.entries() {
            let (node, blender, scene) = (say::name(&m.node), say::name(&m.blender), say::name(&m.scene));
            println!("{node}  Blender {blender}  {scene}  {:.0} pixels/s", m.rate);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let file = match &args.file {
        Some(file) => file.clone(),
        None => builtin()?,
    };
    let farm = Farm::new(&args.nodes, args.file.as_deref(), args.threads)?;
    let request = Request { allow_missing: true, ..Request::new(file, args.frame) };
    let plan = super::plan::measured(&request, &farm, &args.output_style, true)?;
    let fastest = plan.nodes.iter().map(|n| n.model.rate).fold(0.0, f64::max);
    if args.output_style.json {
        let models: Vec<_> = plan.nodes.iter().map(|n| &n.model).collect();
        println!("{}", say::json(&models));
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

/// The built-in scene as a file. It keeps its place, by which what was measured with it is known again.
fn builtin() -> Result<PathBuf> {
    let folder = Cache::default_path().and_then(|path| Some(path.parent()?.to_owned()));
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let path = folder.join("built-in.blend");
    let written = std::fs::create_dir_all(&folder).and_then(|()| {
        let draft = tempfile::NamedTempFile::new_in(&folder)?;
        std::fs::write(draft.path(), SCENE)?;
        draft.persist(&path).map_err(|e| e.error)
    });
    written.map_err(|e| {
        Error::render(format!("cannot write {}: {}", path.display(), tilecore::error::reason(&e)))
            .remedy("Point XDG_CACHE_HOME at a place with room.")
    })?;
    Ok(path)
}
