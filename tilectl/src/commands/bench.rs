//! `tilectl bench`: how fast the nodes are, measured or remembered.

use std::path::PathBuf;
use std::process::ExitCode;

use tilecore::bench::{Cache, Measured};
use tilecore::frames::Frames;
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
        let mut entries: Vec<&Measured> = cache.entries().collect();
        entries.sort_by(|a, b| (&a.scene, &a.about, &a.node).cmp(&(&b.scene, &b.about, &b.node)));
        if entries.is_empty() {
            eprintln!("tilectl: nothing was measured yet.");
        }
        let width = entries.iter().map(|m| m.node.chars().count()).max().unwrap_or(0);
        for m in entries {
            println!("{}", remembered(m, width, tilecore::state::now()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let file = match &args.file {
        Some(file) => file.clone(),
        None => builtin()?,
    };
    let farm = Farm::new(&args.nodes, args.file.as_deref(), args.threads)?;
    let frames = args.frame.map_or(Frames::Current, Frames::one);
    let request = Request { allow_missing: true, frames, ..Request::new(file, 1) };
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

/// One measurement on a line, with all that tells it apart from the others.
fn remembered(m: &Measured, width: usize, now: f64) -> String {
    let (node, blender, scene) = (say::name(&m.node), say::name(&m.blender), say::name(&m.scene));
    let about = if m.about.is_empty() { String::new() } else { format!(" ({})", say::name(&m.about)) };
    let scene = if scene == "built-in.blend" { "built-in scene".to_owned() } else { scene };
    let days = ((now - m.at) / 86400.0).max(0.0) as u64;
    let when = match days {
        0 => "today".to_owned(),
        1 => "a day ago".to_owned(),
        _ => format!("{days} days ago"),
    };
    format!("{node:width$}  {:7.0} pixels/s  {scene}{about}, Blender {blender}, {when}", m.rate)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_can_be_told_apart() {
        // As it was kept before it said what it is about.
        let old = serde_json::from_value::<Measured>(serde_json::json!({
            "node": "a", "blender": "3.4.1", "scene": "s.blend", "start_s": 1.0, "sync_s": 1.0, "fixed_s": 0.1,
            "rate": 1200.0, "map": null, "at": 100.0
        }));
        let old = old.unwrap();
        assert_eq!(remembered(&old, 2, 100.0), "a      1200 pixels/s  s.blend, Blender 3.4.1, today");
        let new = Measured { about: "CPU, frame 7, 8x8, 4 samples".into(), ..old };
        let line = remembered(&new, 2, 100.0 + 3.0 * 86400.0);
        assert!(line.contains("(CPU, frame 7, 8x8, 4 samples), Blender 3.4.1, 3 days ago"), "{line}");
    }
}
