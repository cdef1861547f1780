//! `tilectl render`: one frame on all nodes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tilecore::Result;
use tilecore::blender::TileFormat;
use tilecore::config::Defaults;
use tilecore::job::Request;
use tilecore::plan::Tiling;
use tilecore::render::{self, Cancel, Options, Roster};

use crate::farm::Farm;
use crate::members::Members;
use crate::serve::Server;
use crate::{cli, show};

pub(crate) fn run(args: &cli::Render) -> Result<ExitCode> {
    Request::new(&args.scene.file, args.scene.frame).check()?;
    let farm = Farm::new(&args.nodes, Some(&args.scene.file), args.threads)?;
    let defaults = &farm.config.defaults;
    let request = Request {
        persistent: !args.no_persistent_data && defaults.persistent_data != Some(false),
        mixed_versions: args.mixed_versions || defaults.mixed_versions == Some(true),
        ..request(&args.scene, &args.tiling, defaults)
    };
    let output = match &args.output {
        Some(output) => output.clone(),
        None => default_output(&args.scene.file, args.scene.frame),
    };
    let work_dir = args.work_dir.clone().unwrap_or_else(|| beside(&output, ".tiles"));
    let options = Options {
        named_by_format: args.output.is_none(),
        output,
        work_dir,
        fresh: args.fresh,
        keep: args.keep || args.work_dir.is_some() || defaults.keep == Some(true),
        compression: match &args.compression {
            Some(level) => super::compression(level),
            None => defaults.compression.unwrap_or_default(),
        },
        map: args.map.clone(),
        report: args.report.clone(),
        preview: args.serve.is_some(),
        measure: false,
        bench: tilecore::bench::Cache::default_path(),
        only: None,
        roster: Roster::new(),
        format: args.format.as_deref().map(str::parse).transpose()?,
    };
    let nodes = farm.nodes()?;
    let cancel = Cancel::new();
    crate::signals::stop(&cancel)?;
    let listed = args.nodes.nodes.is_empty();
    let work_dir = options.work_dir.clone();
    let members = Members::watch(&farm, listed, args.threads, work_dir, &options.roster)?;
    let json = args.output_style.json;
    let server = match &args.serve {
        Some(address) => Some(Server::start(address, &request, &options.work_dir)?.announced(json)),
        None => None,
    };
    let mut show = show::new(&args.output_style);
    let outcome = render::run(&request, &nodes, &options, &cancel, &mut |event| {
        show.event(&event);
        if let Some(server) = &server {
            server.event(&event);
        }
    });
    show.end();
    drop(members);
    if let (Ok(outcome), false) = (&outcome, json) {
        println!("{}", outcome.output.display());
    }
    if let Some(server) = server {
        server.end(outcome.as_ref().err());
    }
    outcome.map(|_| ExitCode::SUCCESS)
}

/// From what was typed, and what is configured where nothing was typed, to what the library takes.
pub(crate) fn request(scene: &cli::Scene, tiles: &cli::Tiling, defaults: &Defaults) -> Request {
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
    Request {
        scene: scene.scene.clone(),
        camera: scene.camera.clone(),
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
        ..Request::new(&scene.file, scene.frame)
    }
}

/// `<stem>_<frame:04>.png` in the current directory.
fn default_output(blend: &Path, frame: i32) -> PathBuf {
    let stem = blend.file_stem().map_or_else(|| "frame".into(), |s| s.to_string_lossy().into_owned());
    let sign = if frame < 0 { "-" } else { "" };
    PathBuf::from(format!("{stem}_{sign}{:04}.png", frame.unsigned_abs()))
}

/// The path with something added to its last name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_after_file_and_frame() {
        assert_eq!(default_output(Path::new("/a/still.blend"), 1), PathBuf::from("still_0001.png"));
        assert_eq!(default_output(Path::new("a b.blend"), -3), PathBuf::from("a b_-0003.png"));
        assert_eq!(beside(Path::new("x/still_0001.png"), ".tiles"), PathBuf::from("x/still_0001.png.tiles"));
    }
}
