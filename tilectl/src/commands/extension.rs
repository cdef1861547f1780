//! `tilectl extension`: the part of it that lives inside Blender.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use tilecore::error::IoContext;
use tilecore::text::printable;
use tilecore::{Error, Result};

use crate::cli::{ExtensionBuild, ExtensionCommand, ExtensionInto};
use crate::zip::Zip;

/// The extension's files, by name. They have a licence of their own, GPL-3.0-or-later.
const FILES: [(&str, &str); 17] = [
    ("LICENSE", include_str!("../../extension/LICENSE")),
    ("__init__.py", include_str!("../../extension/__init__.py")),
    ("blender_manifest.toml", include_str!("../../extension/blender_manifest.toml")),
    ("blendfile.py", include_str!("../../extension/blendfile.py")),
    ("display.py", include_str!("../../extension/display.py")),
    ("engine.py", include_str!("../../extension/engine.py")),
    ("exr.py", include_str!("../../extension/exr.py")),
    ("job.py", include_str!("../../extension/job.py")),
    ("nodes.py", include_str!("../../extension/nodes.py")),
    ("operators.py", include_str!("../../extension/operators.py")),
    ("outside.py", include_str!("../../extension/outside.py")),
    ("panel.py", include_str!("../../extension/panel.py")),
    ("places.py", include_str!("../../extension/places.py")),
    ("program.py", include_str!("../../extension/program.py")),
    ("properties.py", include_str!("../../extension/properties.py")),
    ("scene_copy.py", include_str!("../../extension/scene_copy.py")),
    ("session.py", include_str!("../../extension/session.py")),
];
/// What installs and removes it, in the user's Blender.
const INSTALL: &str = include_str!("../../extension/install.py");
/// What its last line begins with.
const MARK: &str = "tilectl-extension: ";

pub(crate) fn run(command: &ExtensionCommand) -> Result<ExitCode> {
    match command {
        ExtensionCommand::Build(args) => build(args),
        ExtensionCommand::Install(args) => {
            let dir = tempfile::tempdir().at("create", Path::new("a temporary directory"))?;
            let zip = dir.path().join("tilectl.zip");
            write(&zip)?;
            let words = ["install".into(), zip.into_os_string()];
            let module = in_blender(args, dir.path(), &words)?;
            println!("{module}");
            Ok(ExitCode::SUCCESS)
        }
        ExtensionCommand::Remove(args) => {
            let dir = tempfile::tempdir().at("create", Path::new("a temporary directory"))?;
            in_blender(args, dir.path(), &["remove".into()])?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn build(args: &ExtensionBuild) -> Result<ExitCode> {
    write(&args.output)?;
    println!("{}", args.output.display());
    Ok(ExitCode::SUCCESS)
}

/// Writes the extension with this program in it: one folder, which Blender takes as an extension and as an add-on.
fn write(path: &Path) -> Result<()> {
    let program = std::env::current_exe().at("find", Path::new("this program"))?;
    let program = std::fs::read(&program).at("read", &program)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft = tempfile::Builder::new().prefix(".tilectl-").tempfile_in(folder).at("write", path)?;
    let mut zip = Zip::new(std::io::BufWriter::new(draft.as_file_mut()));
    for (name, text) in FILES {
        zip.add(&format!("tilectl/{name}"), text.as_bytes(), 0o644).at("write", path)?;
    }
    zip.add("tilectl/bin/tilectl", &program, 0o755).at("write", path)?;
    zip.finish().and_then(|mut out| out.flush()).at("write", path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = draft.as_file().set_permissions(std::fs::Permissions::from_mode(0o644));
    }
    draft.persist(path).map_err(|e| e.error).at("write", path)?;
    Ok(())
}

/// Runs the script in Blender; returns what it has done.
fn in_blender(args: &ExtensionInto, dir: &Path, words: &[std::ffi::OsString]) -> Result<String> {
    let blender = args.blender.clone().unwrap_or_else(|| PathBuf::from("blender"));
    let script = dir.join("install.py");
    super::write(&script, INSTALL.as_bytes())?;
    let shown = blender.display();
    let output = Command::new(&blender)
        .arg("-b")
        .arg("-P")
        .arg(&script)
        .arg("--")
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| {
            Error::input(format!("cannot run {shown}: {}", tilecore::error::reason(&e)))
                .remedy("Name your Blender with --blender.")
        })?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().rev().find_map(|line| line.strip_prefix(MARK)).unwrap_or_default();
    if let Some(module) = last.strip_prefix("done ") {
        return Ok(printable(module, 200));
    }
    let log = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
    let why = last.strip_prefix("failed ").unwrap_or("it ended without a word about it");
    Err(Error::render(format!("{shown} did not take the extension: {}", printable(why, 300)))
        .remedy("Close Blender and try again, or install the file that `tilectl extension build` writes in its preferences.")
        .log(printable(&log, 4000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_extension_is_packed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("extension");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "install.py" && name != "__pycache__")
            .collect();
        there.sort_by_key(|name| name.to_lowercase().replace('_', ""));
        let mut packed = FILES.map(|(name, _)| name.to_owned());
        packed.sort_by_key(|name| name.to_lowercase().replace('_', ""));
        assert_eq!(there, packed);
    }

    #[test]
    fn all_versions_are_one() {
        let version = env!("CARGO_PKG_VERSION");
        let numbers = version.replace('.', ", ");
        for (name, text) in [
            ("blender_manifest.toml", format!("\nversion = \"{version}\"\n")),
            ("program.py", format!("\nVERSION = \"{version}\"\n")),
            ("__init__.py", format!("\"version\": ({numbers}),")),
        ] {
            let file = FILES.iter().find(|f| f.0 == name).unwrap();
            assert!(file.1.contains(&text), "{name} has another version than {version}");
        }
    }

    #[test]
    fn every_file_names_its_licence() {
        for (name, text) in FILES.into_iter().chain([("install.py", INSTALL)]) {
            assert!(
                name == "LICENSE" || text.starts_with("# SPDX-License-Identifier: GPL-3.0-or-later\n"),
                "{name}"
            );
        }
    }
}
