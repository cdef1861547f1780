//! Which of the files here may go to a node: a .blend, and the node that reads it, can name any file there is.

use std::path::{Path, PathBuf};

use super::names::shown;
use crate::error::{Error, Result, reason};

/// The directories that a project's files lie in.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Without symbolic links; `None` admits everything.
    dirs: Option<Vec<PathBuf>>,
}

impl Roots {
    /// The folder of the .blend, and those that the user names.
    ///
    /// # Errors
    /// When one of them is not a directory.
    pub fn of(blend: &Path, named: &[PathBuf]) -> Result<Self> {
        let folder = blend.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = |dir: &Path| {
            dir.canonicalize().and_then(|real| real.read_dir().map(|_| real)).map_err(|e| {
                Error::input(format!("cannot use {} as a project folder: {}", shown(dir), reason(&e)))
                    .remedy("Name a folder that is there and that you may read.")
            })
        };
        let dirs = std::iter::once(folder).chain(named.iter().map(PathBuf::as_path)).map(real);
        Ok(Self { dirs: Some(dirs.collect::<Result<_>>()?) })
    }

    /// No bounds: for nodes that can read every file anyhow, because they are this machine.
    pub fn anywhere() -> Self {
        Self { dirs: None }
    }

    /// Whether the file at `real` (without symbolic links) may be sent. Hidden files and what lies in hidden folders
    /// may not, unless such a folder is a root itself: that is where keys and passwords are.
    pub fn admit(&self, real: &Path) -> bool {
        let Some(dirs) = &self.dirs else { return true };
        dirs.iter().any(|dir| {
            real.strip_prefix(dir).is_ok_and(|below| {
                !below.components().any(|c| c.as_os_str().as_encoded_bytes().starts_with(b"."))
            })
        })
    }
}

/// The smallest set of folders that holds all `files`, for the advice to name them with `--root`; at most three.
pub(super) fn folders_of<'a>(files: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in files.filter_map(Path::parent) {
        if folders.iter().any(|f| folder.starts_with(f)) {
            continue;
        }
        folders.retain(|f| !f.starts_with(folder));
        folders.push(folder.to_owned());
    }
    while folders.len() > 3 {
        // The two that have most in common become one, unless all they share is the top of the file system.
        let mut best: Option<(usize, usize, PathBuf)> = None;
        for a in 0..folders.len().min(64) {
            for b in a + 1..folders.len().min(64) {
                let shared: PathBuf = folders[a]
                    .components()
                    .zip(folders[b].components())
                    .take_while(|(x, y)| x == y)
                    .map(|(x, _)| x)
                    .collect();
                let depth = |p: &Path| p.components().count();
                if depth(&shared) > 2 && best.as_ref().is_none_or(|(.., s)| depth(&shared) > depth(s)) {
                    best = Some((a, b, shared));
                }
            }
        }
        let Some((a, b, shared)) = best else {
            folders.truncate(3);
            break;
        };
        folders.remove(b);
        folders.remove(a);
        folders.retain(|f| !f.starts_with(&shared));
        folders.push(shared);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_lies_below_a_root_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for folder in ["shot/tex", "lib", "shot/.secret"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let roots = Roots::of(&at("shot/a.blend"), &[]).unwrap();
        assert!(roots.admit(&at("shot/tex/a.png")));
        assert!(!roots.admit(&at("lib/a.blend")) && !roots.admit(Path::new("/etc/passwd")));
        assert!(!roots.admit(&at("shot2/a.png")), "a longer name is another folder");
        assert!(!roots.admit(&at("shot/.secret/key")) && !roots.admit(&at("shot/.env")));
        let named = Roots::of(&at("shot/a.blend"), &[at("lib"), at("shot/.secret")]).unwrap();
        assert!(named.admit(&at("lib/a.blend")) && named.admit(&at("shot/.secret/key")));
        assert!(Roots::of(&at("shot/a.blend"), &[at("none")]).is_err());
        assert!(Roots::anywhere().admit(Path::new("/etc/passwd")));
    }

    #[test]
    fn advice_names_few_folders() {
        let files: Vec<PathBuf> =
            (0..9).map(|n| PathBuf::from(format!("/home/u/project/tex{n}/a.png"))).collect();
        assert_eq!(folders_of(files.iter().map(PathBuf::as_path)), [Path::new("/home/u/project")]);
        let two = [Path::new("/a/x/1.png"), Path::new("/b/y/2.png"), Path::new("/a/x/z/3.png")];
        assert_eq!(folders_of(two.into_iter()), [Path::new("/a/x"), Path::new("/b/y")]);
    }
}
