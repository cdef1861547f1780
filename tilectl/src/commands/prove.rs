//! `tilectl prove`: whether tiles are exact on a scene, in these Blenders, on these nodes.

use std::process::ExitCode;

use tilecore::frames::Frames;
use tilecore::job::{Cameras, Request};
use tilecore::proof::Verdict;
use tilecore::render::{self, Cancel, Options};
use tilecore::{Error, Result};

use crate::farm::Farm;
use crate::{cli, show};

pub(crate) fn run(args: &cli::Prove) -> Result<ExitCode> {
    let farm = Farm::new(&args.nodes, Some(&args.file), args.threads)?;
    let request = Request {
        frames: args.frame.map_or(Frames::Current, Frames::one),
        scenes: args.scene.iter().cloned().collect(),
        cameras: args.camera.clone().map_or(Cameras::Own, |c| Cameras::Named(vec![c])),
        scripts: args.allow_scripts,
        allow_missing: args.allow_missing || farm.config.defaults.allow_missing == Some(true),
        roots: args.roots.clone(),
        ..Request::new(&args.file, 1)
    };
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let verdict = prove(&request, &farm, &cancel, &args.output_style)?;
    if args.output_style.json {
        println!("{}", crate::say::json(&verdict));
    } else {
        println!("{}", crate::say::shown(&verdict.sentence()));
        if !verdict.holds() {
            println!("{}", verdict.remedy());
        }
        println!("Blender {}, {}", verdict.blender, verdict.nodes.join(", "));
    }
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Proves a request in a place of its own.
pub(super) fn prove(
    request: &Request,
    farm: &Farm,
    cancel: &Cancel,
    style: &cli::OutputStyle,
) -> Result<Verdict> {
    let scratch = tempfile::tempdir().map_err(|e| {
        Error::render(format!("cannot make a temporary directory: {}", tilecore::error::reason(&e)))
            .remedy("Point TMPDIR at a place with room.")
    })?;
    let options = Options {
        named_by_format: true,
        proofs: tilecore::proof::Cache::default_path(),
        ..Options::new(scratch.path().join("picture.png"))
    };
    let mut show = show::alone(&cli::OutputStyle { json: false, quiet: style.quiet || style.json, ..*style });
    let verdict = render::prove(request, &farm.nodes()?, &options, cancel, &mut |event| show.event(&event));
    show.end();
    verdict
}
