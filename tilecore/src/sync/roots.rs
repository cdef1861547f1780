//! Which of the files here may go to a node: a .blend, and the node that reads it, can name any file there is.

use std::path::{Path, PathBuf};

use super::names::shown;
use super::project::PROJECT;
use crate::error::{Error, Result, reason};

/// The directories that a project's files lie in, and files of it that lie elsewhere or are hidden.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Directories and files without symbolic links; `None` admits everything.
    places: Option<Vec<PathBuf>>,
}

impl Roots {
    /// The folder of the .blend, and what the user names: folders, and single files.
    ///
    /// # Errors
    /// When one of them is not there or cannot be read.
    pub fn of(blend: &Path, named: &[PathBuf]) -> Result<Self> {
        let folder = blend.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let real = |dir: &Path| {
            let opened = |real: PathBuf| {
                let readable = if real.is_dir() {
                    real.read_dir().map(drop)
                } else if real.is_file() {
                    std::fs::File::open(&real).map(drop)
                } else {
                    Err(std::io::Error::other("it is neither a folder nor a file"))
                };
                readable.map(|()| real)
            };
            dir.canonicalize().and_then(opened).map_err(|e| {
                Error::input(format!("cannot let {} be sent to nodes: {}", shown(dir), reason(&e)))
                    .remedy("Name a folder or a file that is there and that you may read.")
            })
        };
        let places = std::iter::once(folder).chain(named.iter().map(PathBuf::as_path)).map(real);
        Ok(Self { places: Some(places.collect::<Result<_>>()?) })
    }

    /// No bounds: for nodes that can read every file anyhow, because they are this machine.
    pub fn anywhere() -> Self {
        Self { places: None }
    }

    /// Whether the file at `real` (without symbolic links) may be sent. Hidden files and what lies in hidden folders
    /// may not, unless such a file or folder is a root itself: that is where keys and passwords are.
    pub fn admit(&self, real: &Path) -> bool {
        let Some(places) = &self.places else { return true };
        places.iter().any(|place| shows(place, real))
    }
}

/// Whether `real` is `place` or lies below it without being hidden there. What a Blender project is lies in a hidden
/// folder and holds no secrets.
fn shows(place: &Path, real: &Path) -> bool {
    if real != place && real.ends_with(PROJECT) {
        let top = real.parent().and_then(Path::parent);
        return top.is_some_and(|top| top == place || shows(place, top)) || below(place, real);
    }
    below(place, real)
}

fn below(place: &Path, real: &Path) -> bool {
    real.strip_prefix(place)
        .is_ok_and(|below| !below.components().any(|c| c.as_os_str().as_encoded_bytes().starts_with(b".")))
}

/// Whether the file is hidden below `folder`, which admits all that is not.
pub(super) fn is_hidden(folder: &Path, real: &Path) -> bool {
    real.starts_with(folder) && !shows(folder, real)
}

/// What to name with `--root` so that all `files` are admitted: few folders, and those files that are hidden in them.
pub(super) fn advised<'a>(files: impl Iterator<Item = &'a Path> + Clone) -> Vec<PathBuf> {
    let is_plain = |file: &&Path| !file.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let mut places = folders_of(files.clone().filter(is_plain));
    for file in files {
        if !places.iter().any(|place| shows(place, file)) {
            places.push(file.to_owned());
        }
    }
    places
}

/// The smallest set of folders that holds all `files`; at most three.
fn folders_of<'a>(files: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
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
        assert!(Roots::of(&at("shot/a.blend"), &["/dev/null".into()]).is_err());
        fs::write(at("shot/.env"), "").unwrap();
        let file = Roots::of(&at("shot/a.blend"), &[at("shot/.env")]).unwrap();
        assert!(file.admit(&at("shot/.env")) && !file.admit(&at("shot/.secret/key")));
        assert!(!file.admit(&at("shot/.env2")));
        assert!(Roots::anywhere().admit(Path::new("/etc/passwd")));
    }

    #[test]
    fn advice_names_few_folders() {
        let files: Vec<PathBuf> =
            (0..9).map(|n| PathBuf::from(format!("/home/u/project/tex{n}/a.png"))).collect();
        assert_eq!(folders_of(files.iter().map(PathBuf::as_path)), [Path::new("/home/u/project")]);
        let hidden = ["/p/.a.png", "/p/.x/b.png", "/q/tex/c.png", "/q/tex/.d.png"].map(Path::new);
        let places = advised(hidden.into_iter());
        assert_eq!(places, ["/p/.x", "/q/tex", "/p/.a.png", "/q/tex/.d.png"].map(Path::new));
        let admitted = Roots { places: Some(places) };
        assert!(hidden.into_iter().all(|file| admitted.admit(file)));
        let deep: Vec<PathBuf> = (0..9).map(|n| PathBuf::from(format!("/h/u/p/.t{n}/a.png"))).collect();
        let admitted = Roots { places: Some(advised(deep.iter().map(PathBuf::as_path))) };
        assert!(deep.iter().all(|file| admitted.admit(file)), "{admitted:?}");
        let two = [Path::new("/a/x/1.png"), Path::new("/b/y/2.png"), Path::new("/a/x/z/3.png")];
        assert_eq!(folders_of(two.into_iter()), [Path::new("/a/x"), Path::new("/b/y")]);
    }
}
