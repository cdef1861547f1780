//! `tilectl selftest`: the built-in scenes on the user's own nodes and Blenders, as a table.

use std::process::ExitCode;

use serde::Serialize;
use tilecore::error::{IoContext, Kind};
use tilecore::frames::Frames;
use tilecore::job::Request;
use tilecore::proof::{Finding, Verdict};
use tilecore::render::Cancel;
use tilecore::{Error, Result};

use super::prove::prove;
use crate::cli;
use crate::farm::Farm;

/// Small scenes, saved by Blender 3.4 so that every newer one opens them. `fixtures/features` makes them (compositor is
/// `glare`), `denoise` is that of `fixtures/scenes`.
const SCENES: [(&str, &[u8]); 6] = [
    ("adaptive", include_bytes!("../selftest/adaptive.blend")),
    ("denoise", include_bytes!("../selftest/denoise.blend")),
    ("compositor", include_bytes!("../selftest/compositor.blend")),
    ("stereo", include_bytes!("../selftest/stereo.blend")),
    ("volume", include_bytes!("../selftest/volume.blend")),
    ("hair", include_bytes!("../selftest/hair.blend")),
];

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    scene: &'static str,
    /// Whether nothing speaks against this scene.
    well: bool,
    /// What came of it, for people.
    text: String,
    verdict: Option<Verdict>,
}

pub(crate) fn run(args: &cli::Selftest) -> Result<ExitCode> {
    let unknown = args.scenes.iter().find(|name| SCENES.iter().all(|s| s.0 != **name));
    if let Some(name) = unknown {
        let names: Vec<&str> = SCENES.iter().map(|s| s.0).collect();
        return Err(Error::input(format!("there is no built-in scene `{name}`"))
            .remedy(format!("Name some of {}, or none for all.", names.join(", "))));
    }
    let farm = Farm::new(&args.nodes, None, args.threads)?;
    let scratch = tempfile::tempdir().map_err(|e| {
        Error::render(format!("cannot make a temporary directory: {}", tilecore::error::reason(&e)))
            .remedy("Point TMPDIR at a place with room.")
    })?;
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let mut rows = Vec::new();
    for (name, bytes) in SCENES {
        if !args.scenes.is_empty() && !args.scenes.iter().any(|s| s == name) {
            continue;
        }
        let blend = scratch.path().join(format!("{name}.blend"));
        std::fs::write(&blend, bytes).at("write", &blend)?;
        let request = Request { frames: Frames::Current, ..Request::new(&blend, 1) };
        let row = row(name, prove(&request, &farm, &cancel, &args.output_style))?;
        if !args.output_style.json {
            println!("{name:12} {}", crate::say::shown(&row.text));
        }
        rows.push(row);
    }
    let well = rows.iter().all(|r| r.well);
    if args.output_style.json {
        println!("{}", crate::say::json(&rows));
    } else {
        let bad = rows.iter().filter(|r| !r.well).count();
        let blender = rows.iter().find_map(|r| Some(r.verdict.as_ref()?.blender.clone()));
        let with = blender.map_or_else(String::new, |b| format!(" with Blender {b}"));
        println!(
            "{}{with}",
            if well {
                "All are exact or refused".to_owned()
            } else {
                format!("{bad} of {} are not exact", rows.len())
            }
        );
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A stop ends the table; whatever else goes wrong with a scene is its row.
fn row(scene: &'static str, outcome: Result<Verdict>) -> Result<Row> {
    Ok(match outcome {
        Ok(verdict) => {
            let text = match &verdict.finding {
                Finding::Exact => format!("exact: {} tiles, {} channels", verdict.tiles, verdict.channels),
                _ => verdict.sentence(),
            };
            Row { scene, well: verdict.holds(), text, verdict: Some(verdict) }
        }
        Err(e) if e.kind() == Kind::Interrupted => return Err(e),
        Err(e) if e.kind() == Kind::Input => {
            Row { scene, well: true, text: format!("refused: {e}"), verdict: None }
        }
        Err(e) => {
            let hint = e.hint().map(|h| format!(". {h}")).unwrap_or_default();
            Row { scene, well: false, text: format!("FAILED: {e}{hint}"), verdict: None }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_no_failure_and_everything_else_is() {
        assert!(row("hair", Err(Error::input("no"))).unwrap().well);
        assert!(!row("hair", Err(Error::node("gone"))).unwrap().well);
        assert!(row("hair", Err(Error::interrupted("stopped"))).is_err());
    }

    #[test]
    fn the_built_in_scenes_are_blender_files() {
        // Zstandard, as Blender compresses since 3.0.
        assert!(SCENES.iter().all(|s| s.1.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])));
    }
}
