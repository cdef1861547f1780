//! The Blender project (from 5.3 on) that a .blend lies in: its settings and its colour configuration.

use std::path::{Path, PathBuf};

use super::colour;
use super::names::shown;
use crate::error::{Error, Result};

/// Where a project's settings are, from its folder.
pub(super) const PROJECT: &str = ".blender_project/project.toml";
/// Settings are no longer than this, bytes.
const LONGEST: u64 = 1 << 20;

/// The files of the project that the .blend at this absolute path lies in; none where it lies in none.
///
/// # Errors
/// When its colour configuration is not where a node could have it, too.
pub(super) fn files(blend: &Path) -> Result<Vec<PathBuf>> {
    let Some(top) = blend.ancestors().skip(1).find(|dir| dir.join(".blender_project").is_dir()) else {
        return Ok(Vec::new());
    };
    let settings = top.join(PROJECT);
    if !settings.is_file() {
        return Ok(Vec::new());
    }
    let mut found = vec![settings.clone()];
    let long = std::fs::metadata(&settings).is_ok_and(|meta| meta.len() > LONGEST);
    // What cannot be read is told by who hashes it.
    let text = if long { String::new() } else { std::fs::read_to_string(&settings).unwrap_or_default() };
    let Some(named) = ocio_config(&text) else { return Ok(found) };
    // Where the variable is set, Blender does not ask the project.
    if named.starts_with("ocio://") || std::env::var_os("OCIO").is_some_and(|value| !value.is_empty()) {
        return Ok(found);
    }
    let inside = named.strip_prefix("{project_root}").filter(|rest| !rest.contains('{'));
    let Some(inside) = inside.map(|rest| rest.trim_start_matches('/')) else {
        return Err(Error::input(format!(
            "the project {} has its colour configuration at {named:?}, which leads elsewhere on another machine",
            shown(top)
        ))
        .remedy("Put it into the project's folder and name it {project_root}/… in the project's settings."));
    };
    let config = top.join(inside);
    if config.is_file() {
        found.extend(colour::files_of(&config)?);
    }
    Ok(found)
}

/// The colour configuration that the settings name: a line of the outermost table.
fn ocio_config(text: &str) -> Option<String> {
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with('['));
    for line in lines {
        let value =
            line.strip_prefix("ocio_config").map(str::trim_start).and_then(|rest| rest.strip_prefix('='));
        let Some(value) = value.map(str::trim) else { continue };
        if let Some(literal) = value.strip_prefix('\'') {
            return Some(literal.split('\'').next().unwrap_or_default().to_owned());
        }
        let mut said = String::new();
        let mut chars = value.strip_prefix('"')?.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => said.extend(chars.next()),
                c => said.push(c),
            }
        }
        return Some(said).filter(|said| !said.is_empty());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_nearest_project_above_the_scene_counts() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for folder in ["p/.blender_project", "p/ocio/luts", "p/shot/deep", "p/asset/.blender_project"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let blend = at("p/shot/deep/s.blend");
        assert!(files(&blend).unwrap().is_empty(), "a folder without settings is no project");
        let settings = "schema_version = 1\nname = \"P [1]\"\nocio_config = \"{project_root}/ocio/config.ocio\"\n[[variables]]\nocio_config = \"no\"\n";
        fs::write(at("p/.blender_project/project.toml"), settings).unwrap();
        fs::write(at("p/ocio/config.ocio"), "ocio_profile_version: 2\nsearch_path: luts\nx: {src: a.cube}\n")
            .unwrap();
        fs::write(at("p/ocio/luts/a.cube"), "").unwrap();
        let found = files(&blend).unwrap();
        assert_eq!(
            found,
            ["p/.blender_project/project.toml", "p/ocio/config.ocio", "p/ocio/luts/a.cube"].map(at)
        );
        fs::write(at("p/asset/.blender_project/project.toml"), "name = \"Q\"\n").unwrap();
        let nested = files(&at("p/asset/s.blend")).unwrap();
        assert_eq!(nested, [at("p/asset/.blender_project/project.toml")]);
        fs::write(at("p/.blender_project/project.toml"), "ocio_config = '/studio/config.ocio'\n").unwrap();
        let error = files(&blend).unwrap_err().to_string();
        assert!(error.contains("/studio/config.ocio"), "{error}");
    }
}
