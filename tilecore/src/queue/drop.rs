//! Jobs that are dropped into a directory as files.
//!
//! `NAME.ron` is `(blend: "film.blend", flags: ["--frames", "1-250"], priority: 0)`; `NAME.job` has three lines, the
//! .blend, the first frame and the last one. While `NAME.job.suspend` lies beside it, the job waits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::{Job, Queue, Stage};
use crate::error::{Error, IoContext, Result};

/// A file younger than this may still be being written.
const SETTLED: Duration = Duration::from_millis(1500);
/// Longer files are no jobs, bytes.
const LONGEST: u64 = 1 << 16;

/// What a dropped RON file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dropped {
    blend: PathBuf,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    priority: i32,
}

/// Reads a dropped file.
///
/// # Errors
/// When it is no job.
pub fn dropped(path: &Path) -> Result<Job> {
    let wrong = |why: String| {
        Error::input(format!("{} is no job: {why}", path.display())).remedy(
            "Write (blend: \"film.blend\", flags: [\"--frames\", \"1-250\"]) into a .ron file, or the .blend, the first and the last frame on three lines of a .job file.",
        )
    };
    if std::fs::metadata(path).at("read", path)?.len() > LONGEST {
        return Err(wrong("it is too long".into()));
    }
    let text = std::fs::read_to_string(path).at("read", path)?;
    let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
    let (blend, flags, priority) = if path.extension().is_some_and(|e| e == "ron") {
        let dropped: Dropped = ron::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        (dropped.blend, dropped.flags, dropped.priority)
    } else {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let [blend, first, last] = lines[..] else {
            return Err(wrong(format!("it has {} lines instead of three", lines.len())));
        };
        let frames = match (first.parse::<i32>(), last.parse::<i32>()) {
            (Ok(first), Ok(last)) if first <= last => format!("--frames={first}-{last}"),
            _ => return Err(wrong(format!("`{first}` to `{last}` are no frames"))),
        };
        (PathBuf::from(blend), vec![frames], 0)
    };
    // Relative to where it was dropped.
    let mut words = vec![dir.join(blend).display().to_string()];
    words.extend(flags);
    Ok(Job { words, dir, priority, dropped: Some(path.to_owned()), ..Job::default() })
}

/// A directory that is looked through for jobs.
#[derive(Debug)]
pub struct Drops {
    dir: PathBuf,
    gone: bool,
    /// Files that were refused, as they were then.
    refused: BTreeMap<PathBuf, SystemTime>,
}

impl Drops {
    /// Watches a directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::input(format!("there is no directory {}", dir.display()))
                .remedy("Create it, or name another one with --watch."));
        }
        Ok(Self { dir: std::path::absolute(dir).at("read", dir)?, gone: false, refused: BTreeMap::new() })
    }

    /// Takes up what was dropped since, and heeds what is suspended. `check` says whether the words make a job. Returns
    /// what is to be told.
    ///
    /// # Errors
    /// When the queue cannot be read or written; a directory that vanished is told, once, and looked for again.
    pub fn look(&mut self, queue: &Queue, check: &dyn Fn(&Job) -> Result<()>) -> Result<Vec<String>> {
        let mut told = Vec::new();
        let known = queue.jobs()?.0;
        for job in known.iter().filter(|j| j.stage == Stage::Waiting) {
            let Some(path) = &job.dropped else { continue };
            let held = beside(path, ".suspend").exists();
            if held != job.held {
                queue.set(job.id, |j| j.held = held)?;
                told.push(format!("job {} {}", job.id, if held { "is suspended" } else { "goes on" }));
            }
        }
        let Ok(entries) = std::fs::read_dir(&self.dir) else {
            if !std::mem::replace(&mut self.gone, true) {
                told.push(format!(
                    "{} is gone; what is in the queue is rendered, and the directory is looked for again",
                    self.dir.display()
                ));
            }
            return Ok(told);
        };
        if std::mem::take(&mut self.gone) {
            told.push(format!("{} is back", self.dir.display()));
        }
        let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        paths.sort();
        for path in paths {
            let wanted = path.extension().is_some_and(|e| e == "ron" || e == "job");
            // A tilectl.ron is the configuration.
            if !wanted || path.file_name().is_some_and(|n| n == "tilectl.ron") {
                continue;
            }
            if known.iter().any(|j| j.dropped.as_ref() == Some(&path)) {
                continue;
            }
            let Ok(modified) = path.metadata().and_then(|m| m.modified()) else { continue };
            if self.refused.get(&path) == Some(&modified) || modified.elapsed().is_ok_and(|age| age < SETTLED)
            {
                continue;
            }
            match dropped(&path).and_then(|job| check(&job).map(|()| job)) {
                Ok(job) => {
                    let held = beside(&path, ".suspend").exists();
                    let id = queue.add(Job { held, ..job })?;
                    told.push(format!("job {id} comes from {}", path.display()));
                }
                Err(error) => {
                    let hint = error.hint().map(|h| format!(" {h}")).unwrap_or_default();
                    told.push(format!("{}: {error}.{hint}", path.display()));
                    self.refused.insert(path, modified);
                }
            }
        }
        Ok(told)
    }
}

/// The path with something added to its name.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_in(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        let then = SystemTime::now() - Duration::from_secs(60);
        std::fs::File::open(&path).unwrap().set_modified(then).unwrap();
        path
    }

    #[test]
    fn both_kinds_of_file_are_jobs() {
        let dir = tempfile::tempdir().unwrap();
        let d = dir.path().display();
        let three = dropped(&drop_in(dir.path(), "a.job", "film.blend\n 1\n\n24 \n")).unwrap();
        assert_eq!(three.words, [format!("{d}/film.blend"), "--frames=1-24".into()]);
        let text = "(blend: \"/x/y.blend\", flags: [\"--frame\", \"3\"], priority: 4)";
        let ron = dropped(&drop_in(dir.path(), "a.ron", text)).unwrap();
        assert_eq!((ron.words.join(" ").as_str(), ron.priority), ("/x/y.blend --frame 3", 4));
        for (name, text) in [
            ("b.job", "film.blend\n1"),
            ("c.job", "film.blend\n9\n1"),
            ("d.job", "film.blend\none\n2"),
            ("e.ron", "(blend: \"x"),
            ("f.ron", "(flags: [])"),
            ("g.ron", "(blend: \"x\", comand: \"rm\")"),
        ] {
            assert!(dropped(&drop_in(dir.path(), name, text)).unwrap_err().hint().is_some(), "{name}");
        }
    }

    #[test]
    fn dropped_files_are_taken_once_and_suspended_by_a_file() {
        let (dir, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let queue = Queue::open(at.path()).unwrap();
        let mut drops = Drops::new(dir.path()).unwrap();
        let fine = |_: &Job| Ok(());
        let path = drop_in(dir.path(), "a.job", "film.blend\n1\n2\n");
        drop_in(dir.path(), "bad.job", "?");
        std::fs::write(dir.path().join("new.job"), "film.blend\n1").unwrap();
        assert_eq!(drops.look(&queue, &fine).unwrap().len(), 2, "one job, one refusal");
        assert!(drops.look(&queue, &fine).unwrap().is_empty());
        std::fs::write(beside(&path, ".suspend"), "").unwrap();
        drops.look(&queue, &fine).unwrap();
        assert!(queue.next().unwrap().is_none());
        std::fs::remove_file(beside(&path, ".suspend")).unwrap();
        drops.look(&queue, &fine).unwrap();
        assert!(queue.next().unwrap().is_some());
        drop(dir);
        assert!(drops.look(&queue, &fine).unwrap()[0].contains("is gone"));
        assert!(drops.look(&queue, &fine).unwrap().is_empty(), "said once");
        assert!(Drops::new(Path::new("/no/such/directory")).is_err());
    }
}
