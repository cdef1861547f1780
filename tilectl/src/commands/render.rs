//! `tilectl render`: frames on all nodes.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use tilecore::config::Defaults;
use tilecore::cost::Tiling;
use tilecore::events::Event;
use tilecore::formats::{Format, TileFormat};
use tilecore::frames::Frames;
use tilecore::job::{Cameras, Request};
use tilecore::render::{self, Cancel, Options, Outcome, Roster};
use tilecore::{Error, Result};

use crate::farm::Farm;
use crate::members::Members;
use crate::now::{self, Kept, Now};
use crate::serve::Server;
use crate::target::{self, Target};
use crate::{cli, show};

pub(crate) fn run(args: &cli::Render) -> Result<ExitCode> {
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    if args.attached {
        crate::signals::stop_with_input(&cancel)?;
    }
    let outcome = go(args, &args.output_style, &cancel, Asks::Person)?;
    if !args.output_style.json {
        for picture in &outcome.pictures {
            println!("{}", picture.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Who may have a render stop: what is said of it is meant for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks {
    /// Somebody at the terminal.
    Person,
    /// The queue, which says why by itself.
    Queue,
}

/// Renders until it is done or told to stop.
pub(crate) fn go(
    args: &cli::Render,
    style: &cli::OutputStyle,
    cancel: &Cancel,
    asks: Asks,
) -> Result<Outcome> {
    Request::new(&args.scene.file, 0).check()?;
    let farm = Farm::new(&args.nodes, Some(&args.scene.file), args.threads)?;
    let defaults = &farm.config.defaults;
    let request = Request {
        persistent: !args.no_persistent_data && defaults.persistent_data != Some(false),
        mixed_versions: args.mixed_versions || defaults.mixed_versions == Some(true),
        same_device: args.same_device,
        passes: args.passes,
        ..request(&args.scene, &args.tiling, defaults)?
    };
    let format = args.format.as_deref().map(str::parse::<Format>).transpose()?;
    let range = !matches!(&request.frames, Frames::Current) && !is_one_frame(&args.scene);
    let target = Target::new(&request, args.output.as_deref(), range)?;
    target::agree(args.output.as_deref(), format, "--format")?;
    target::agree(args.output.as_deref(), args.passes.then_some(Format::OpenExrMultilayer), "--passes")?;
    if !request.is_one() && (args.map.is_some() || args.report.is_some() || args.serve.is_some()) {
        return Err(Error::input("maps, reports and the live page are of one picture, and this job has several")
            .remedy("Leave --map, --report and --serve out (tilectl status --watch follows any job), or render one frame by itself with them."));
    }
    let options = Options {
        named_by_format: args.output.is_none(),
        output: target.output,
        names: target.names,
        skip_existing: args.skip_existing,
        work_dir: args.work_dir.clone().unwrap_or(target.work_dir),
        fresh: args.fresh,
        keep: args.keep || args.work_dir.is_some() || defaults.keep == Some(true),
        compression: match &args.compression {
            Some(level) => super::compression(level),
            None => defaults.compression.unwrap_or_default(),
        },
        map: args.map.as_deref().map(target::png).transpose()?,
        report: args.report.as_deref().map(target::writable).transpose()?,
        preview: args.serve.is_some(),
        measure: false,
        bench: tilecore::bench::Cache::default_path(),
        afresh: false,
        only: None,
        roster: Roster::new(),
        proof: args.proof.parse()?,
        proofs: tilecore::proof::Cache::default_path(),
        format,
        ..Options::new("")
    };
    let nodes = farm.nodes()?;
    let listed = args.nodes.nodes.is_empty();
    let work_dir = options.work_dir.clone();
    let members = Members::watch(&farm, listed, args.threads, work_dir, &options.roster)?;
    let server = match &args.serve {
        Some(address) => Some(Server::start(address, &request, &options.work_dir)?.announced(style.json)),
        None => None,
    };
    let now = server.as_ref().map_or_else(|| Arc::new(Mutex::new(Now::new())), |s| Arc::clone(s.now()));
    let kept = Kept::begin(&now, &options.work_dir);
    let mut show = show::new(style, &now);
    let outcome = render::run(&request, &nodes, &options, cancel, &mut |event| {
        let event = now::lock(&now).event(&event);
        let said = asks == Asks::Queue && !style.json && matches!(event, Event::Draining);
        if !said {
            show.event(&event);
        }
        if let Some(server) = &server {
            server.event(&event);
        }
    });
    show.end();
    drop(kept);
    drop(members);
    if let Some(server) = server {
        server.end(outcome.as_ref().err());
    }
    outcome
}

/// Whether one frame was named as one, not as a range that may have but one.
fn is_one_frame(scene: &cli::Scene) -> bool {
    scene.frames.is_none() && matches!(&scene.frame, Some(Frames::These(frames)) if frames.len() == 1)
}

/// From what was typed, and what is configured where nothing was typed, to what the library takes.
pub(crate) fn request(scene: &cli::Scene, tiles: &cli::Tiling, defaults: &Defaults) -> Result<Request> {
    let tiling = match (tiles.tiles, tiles.tile_size, defaults.tiles, defaults.tile_size) {
        (Some(n), ..) | (None, None, Some(n), _) => Tiling::Count(n),
        (None, Some((w, h)), ..) | (None, None, None, Some((w, h))) => Tiling::Size(w, h),
        (None, None, None, None) => Tiling::Auto,
    };
    let tile_format = match tiles.tile_format.as_deref() {
        Some("png") => Some(TileFormat::Png),
        Some("exr") => Some(TileFormat::Exr),
        Some(_) => None,
        None => defaults.tile_format,
    };
    let flag = |typed: bool, configured: Option<bool>| typed || configured == Some(true);
    let frames = match (&scene.frames, &scene.frame) {
        (Some(frames), _) => frames.parse()?,
        (None, Some(frame)) => frame.clone(),
        (None, None) if scene.start.is_some() || scene.end.is_some() || scene.jump.is_some() => {
            Frames::Part { first: scene.start, last: scene.end, step: scene.jump }
        }
        (None, None) if scene.animation => Frames::All,
        (None, None) => Frames::Current,
    };
    let mut scenes: Vec<String> = Vec::new();
    for name in &scene.scenes {
        if !scenes.contains(name) {
            scenes.push(name.clone());
        }
    }
    Ok(Request {
        frames,
        scenes,
        cameras: match (&scene.cameras, scene.camera.is_empty()) {
            (Some(_), _) => Cameras::All,
            (None, true) => Cameras::Own,
            (None, false) => Cameras::Named(scene.camera.clone()),
        },
        seed: scene.seed.or(defaults.seed),
        samples: scene.samples.or(defaults.samples),
        resolution: scene.resolution.or(defaults.resolution),
        percentage: scene.percentage.or(defaults.percentage),
        tile_format,
        overlap: tiles.overlap.or(defaults.overlap),
        tiling,
        scripts: scene.allow_scripts,
        allow_missing: flag(scene.allow_missing, defaults.allow_missing),
        roots: scene.roots.clone(),
        force_tiles: flag(tiles.force_tiles, defaults.force_tiles),
        engine: scene.engine.clone(),
        ..Request::new(&scene.file, 1)
    })
}
