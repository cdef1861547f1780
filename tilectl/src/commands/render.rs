//! `tilectl render`: one frame on all nodes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tilecore::blender::TileFormat;
use tilecore::job::Request;
use tilecore::node::{self, Node, NodeSpec, SshOptions};
use tilecore::plan::Tiling;
use tilecore::render::{self, Cancel, Options};
use tilecore::{Error, Result};

use crate::cli;
use crate::show;

pub(crate) fn run(args: &cli::Render) -> Result<ExitCode> {
    let request = request(args);
    request.check()?;
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
        keep: args.keep || args.work_dir.is_some(),
        compression: super::compression(&args.compression),
        format: args.format.as_deref().map(str::parse).transpose()?,
    };
    let nodes = nodes(&args.nodes.nodes, args.threads)?;
    let cancel = Cancel::new();
    on_interrupt(&cancel)?;
    let mut show = show::new(&args.output_style);
    let outcome = render::run(&request, &nodes, &options, &cancel, &mut |event| show.event(&event));
    show.end();
    let outcome = outcome?;
    if !args.output_style.json {
        println!("{}", outcome.output.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// From what was typed to what the library takes.
fn request(args: &cli::Render) -> Request {
    let tiling = match (args.tiling.tiles, args.tiling.tile_size) {
        (Some(n), _) => Tiling::Count(n),
        (None, Some((w, h))) => Tiling::Size(w, h),
        (None, None) => Tiling::Auto,
    };
    let tile_format = match args.tiling.tile_format.as_str() {
        "png" => Some(TileFormat::Png),
        "exr" => Some(TileFormat::Exr),
        _ => None,
    };
    Request {
        scene: args.scene.scene.clone(),
        camera: args.scene.camera.clone(),
        seed: args.scene.seed,
        samples: args.scene.samples,
        resolution: args.scene.resolution,
        percentage: args.scene.percentage,
        tile_format,
        overlap: args.tiling.overlap,
        tiling,
        persistent: !args.no_persistent_data,
        scripts: args.scene.allow_scripts,
        allow_missing: args.scene.allow_missing,
        mixed_versions: args.mixed_versions,
        force_tiles: args.tiling.force_tiles,
        ..Request::new(&args.scene.file, args.scene.frame)
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

/// The nodes named on the command line; this machine when none is.
fn nodes(specs: &[String], threads: Option<u32>) -> Result<Vec<Arc<dyn Node>>> {
    let specs = if specs.is_empty() { vec!["local".to_owned()] } else { specs.to_vec() };
    let ssh = SshOptions::from_env()?;
    specs
        .iter()
        .map(|text| {
            let mut spec: NodeSpec = text.parse()?;
            spec.threads = spec.threads.or(threads);
            node::from_spec(&spec, &ssh)
        })
        .collect()
}

/// Ctrl-C and SIGTERM: once drains, twice stops at once.
fn on_interrupt(cancel: &Cancel) -> Result<()> {
    let cancel = cancel.clone();
    ctrlc::set_handler(move || cancel.stop())
        .map_err(|e| Error::render(format!("cannot watch for Ctrl-C: {e}")))
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
