//! Jobs that wait for the nodes: a durable list, in the order in which they will be rendered.
//!
//! The list is one RON file that is replaced as a whole, under a lock that is held for no longer than that. Whoever
//! renders holds another lock, so that there is one at a time. A job's tiles and state are in its own work directory:
//! what is interrupted for another job, or killed, goes on there.

mod drop;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use drop::{Drops, dropped};

use crate::error::{Error, IoContext, Result};
use crate::state::{now, sync_dir};

/// A job that is done stays in the list for so many seconds: a week.
const SHOWN_S: f64 = 7.0 * 86400.0;

/// Version of the file; another one is never written over.
pub const VERSION: u32 = 1;

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It waits, or is rendered now.
    #[default]
    Waiting,
    /// Its pictures are there.
    Done,
    /// It could not be rendered, and why.
    Failed(String),
}

/// One job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number; never given twice.
    #[serde(default)]
    pub id: u64,
    /// What follows `tilectl render`.
    pub words: Vec<String>,
    /// The directory that its paths start from.
    pub dir: PathBuf,
    /// Higher ones are rendered first.
    #[serde(default)]
    pub priority: i32,
    /// Not to be rendered for now.
    #[serde(default)]
    pub suspended: bool,
    /// The same, because a file beside the dropped one says so.
    #[serde(default)]
    pub held: bool,
    /// How far it is.
    #[serde(default)]
    pub stage: Stage,
    /// The file it came from, where it was dropped into a directory.
    #[serde(default)]
    pub dropped: Option<PathBuf>,
    /// When it was added, seconds since 1970.
    #[serde(default)]
    pub added: f64,
    /// When it ended, seconds since 1970.
    #[serde(default)]
    pub ended: f64,
}

impl Job {
    /// Whether it may be rendered now.
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Waiting && !self.suspended && !self.held
    }

    fn put_file_away(&self, ending: &str) {
        if let Some(path) = &self.dropped {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            let _ = std::fs::rename(path, name);
        }
    }
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Book {
    version: u32,
    next: u64,
    /// The job that is rendered, if somebody renders.
    running: Option<u64>,
    jobs: Vec<Job>,
}

impl Default for Book {
    fn default() -> Self {
        Self { version: VERSION, next: 1, running: None, jobs: Vec::new() }
    }
}

/// A queue in a directory.
#[derive(Clone, Debug)]
pub struct Queue {
    dir: PathBuf,
}

/// The right to render; goes back with this, or with the process.
#[derive(Debug)]
pub struct Runner {
    _lock: File,
}

impl Queue {
    /// The queue in a directory, which is created if need be.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).at("create", dir)?;
        Ok(Self { dir: std::path::absolute(dir).at("read", dir)? })
    }

    /// `~/.local/state/tilectl/queue`, or below `XDG_STATE_HOME`.
    pub fn default_dir() -> Option<PathBuf> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|h| h.join(".local/state")))?;
        Some(state.join("tilectl/queue"))
    }

    fn file(&self) -> PathBuf {
        self.dir.join("queue.ron")
    }

    fn lock(&self, name: &str) -> Result<File> {
        let path = self.dir.join(name);
        OpenOptions::new().create(true).truncate(false).write(true).open(&path).at("write", &path)
    }

    fn read(&self) -> Result<Book> {
        let path = self.file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Book::default()),
            Err(e) => return Err(e).at("read", &path),
        };
        let book: Book = ron::from_str(&text).map_err(|e| {
            let before = self.dir.join("queue.ron.before");
            Error::input(format!("the queue {} cannot be read ({e}); it was cut short or changed", path.display())).remedy(
                format!("Nothing was written over: put back what it was, as it stands in {} for the time before the last change.", before.display()),
            )
        })?;
        if book.version != VERSION {
            return Err(Error::input(format!("the queue {} was written by another tilectl", path.display()))
                .remedy("Use that version, or another queue with --queue DIR."));
        }
        Ok(book)
    }

    /// Reads, changes and replaces the file.
    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T>) -> Result<T> {
        let lock = self.lock("lock")?;
        lock.lock().at("lock", &self.dir.join("lock"))?;
        let mut book = self.read()?;
        let before = book.clone();
        let result = change(&mut book)?;
        if book != before {
            self.write(&book)?;
        }
        Ok(result)
    }

    fn write(&self, book: &Book) -> Result<()> {
        let path = self.file();
        let text = ron::ser::to_string_pretty(book, ron::ser::PrettyConfig::default())
            .map_err(|e| Error::render(format!("cannot write the queue: {e}")))?;
        let mut draft =
            tempfile::Builder::new().prefix(".queue-").tempfile_in(&self.dir).at("write", &self.dir)?;
        draft.write_all(text.as_bytes()).and_then(|()| draft.as_file().sync_all()).at("write", &path)?;
        let kept = self.dir.join("queue.ron.before");
        let _ = std::fs::remove_file(&kept);
        let _ = std::fs::hard_link(&path, &kept);
        draft.persist(&path).map_err(|e| e.error).at("write", &path)?;
        sync_dir(&self.dir)
    }

    /// Adds a job and gives it its number.
    ///
    /// # Errors
    /// When the file cannot be read or written, as everywhere here.
    pub fn add(&self, job: Job) -> Result<u64> {
        self.change(|book| {
            let id = book.next.max(1);
            book.next = id + 1;
            let old = now() - SHOWN_S;
            book.jobs.retain(|j| j.stage != Stage::Done || j.ended <= 0.0 || j.ended > old);
            book.jobs.push(Job { id, added: now(), ..job });
            Ok(id)
        })
    }

    /// All jobs in the order in which they will be rendered, finished ones last, and the one that is rendered now.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn jobs(&self) -> Result<(Vec<Job>, Option<u64>)> {
        let book = self.read()?;
        let lock = self.lock("runner")?;
        let somebody = lock.try_lock().is_err();
        let mut jobs = book.jobs;
        jobs.sort_by_key(|j| (j.stage != Stage::Waiting, std::cmp::Reverse(j.priority), j.id));
        Ok((jobs, book.running.filter(|_| somebody)))
    }

    /// What is to be rendered first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&self) -> Result<Option<Job>> {
        let ready = self.read()?.jobs.into_iter().filter(Job::is_ready);
        Ok(ready.min_by_key(|j| (std::cmp::Reverse(j.priority), j.id)))
    }

    /// A job as it stands now; nothing when it was removed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn job(&self, id: u64) -> Result<Option<Job>> {
        Ok(self.read()?.jobs.into_iter().find(|j| j.id == id))
    }

    /// Changes a job.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn set(&self, id: u64, change: impl FnOnce(&mut Job)) -> Result<()> {
        self.change(|book| {
            let job = book.jobs.iter_mut().find(|j| j.id == id).ok_or_else(|| nobody(id))?;
            change(job);
            Ok(())
        })
    }

    /// Notes how a job ended. A file that it came from is renamed, so that another one can be dropped under its name.
    ///
    /// # Errors
    /// When the file cannot be written. A job that was removed meanwhile is none.
    pub fn end(&self, id: u64, stage: Stage) -> Result<()> {
        let Some(job) = self.job(id)? else { return Ok(()) };
        job.put_file_away(if stage == Stage::Done { ".done" } else { ".failed" });
        self.set(id, |j| {
            j.stage = stage;
            j.dropped = None;
            j.ended = now();
        })
    }

    /// Takes a job out; what is rendered of it stays where it is.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn remove(&self, id: u64) -> Result<Job> {
        self.change(|book| {
            let at = book.jobs.iter().position(|j| j.id == id).ok_or_else(|| nobody(id))?;
            let job = book.jobs.remove(at);
            job.put_file_away(".removed");
            Ok(job)
        })
    }

    /// Takes out all jobs that are done; says how many those were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove_done(&self) -> Result<usize> {
        self.change(|book| {
            let before = book.jobs.len();
            book.jobs.retain(|j| j.stage != Stage::Done);
            Ok(before - book.jobs.len())
        })
    }

    /// The right to render.
    ///
    /// # Errors
    /// When somebody else has it.
    pub fn runner(&self) -> Result<Runner> {
        let lock = self.lock("runner")?;
        match lock.try_lock() {
            Ok(()) => Ok(Runner { _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(Error::input(format!("somebody renders the queue {} already", self.dir.display()))
                    .remedy("Add jobs with `tilectl queue add`: they are taken up by that one."))
            }
            Err(std::fs::TryLockError::Error(e)) => Err(e).at("lock", &self.dir.join("runner")),
        }
    }

    /// Notes which job is rendered now.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn running(&self, _: &Runner, id: Option<u64>) -> Result<()> {
        self.change(|book| {
            book.running = id;
            Ok(())
        })
    }
}

fn nobody(id: u64) -> Error {
    Error::input(format!("the queue has no job {id}")).remedy("`tilectl queue list` shows their numbers.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(word: &str, priority: i32) -> Job {
        Job { words: vec![word.into()], priority, ..Job::default() }
    }

    #[test]
    fn jobs_come_by_priority_then_by_age_and_survive() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path()).unwrap();
        let [a, b, c] = [("a", 0), ("b", 5), ("c", 5)].map(|(w, p)| queue.add(job(w, p)).unwrap());
        let again = Queue::open(dir.path()).unwrap();
        assert_eq!(again.next().unwrap().unwrap().id, b);
        again.set(b, |j| j.suspended = true).unwrap();
        assert_eq!(again.next().unwrap().unwrap().id, c);
        again.set(a, |j| j.priority = 9).unwrap();
        again.remove(c).unwrap();
        assert_eq!(again.jobs().unwrap().0.iter().map(|j| j.id).collect::<Vec<_>>(), [a, b]);
        assert_eq!(again.add(job("d", 0)).unwrap(), 4, "numbers are not given twice");
        assert!(again.remove(77).unwrap_err().to_string().contains("no job 77"));
    }

    #[test]
    fn jobs_that_are_done_go_after_a_week_or_when_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path()).unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|word| queue.add(job(word, 0)).unwrap());
        for id in [a, b] {
            queue.end(id, Stage::Done).unwrap();
        }
        queue.set(a, |j| j.ended -= SHOWN_S + 1.0).unwrap();
        let d = queue.add(job("d", 0)).unwrap();
        let ids = || queue.jobs().unwrap().0.iter().map(|j| j.id).collect::<Vec<_>>();
        assert_eq!(ids(), [c, d, b], "the one that ended long ago is gone");
        assert_eq!(queue.remove_done().unwrap(), 1);
        assert_eq!(ids(), [c, d]);
    }

    #[test]
    fn one_renders_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path()).unwrap();
        let id = queue.add(job("a", 0)).unwrap();
        let runner = queue.runner().unwrap();
        queue.running(&runner, Some(id)).unwrap();
        assert!(queue.runner().is_err());
        assert_eq!(queue.jobs().unwrap().1, Some(id));
        drop(runner);
        assert_eq!(queue.jobs().unwrap().1, None, "nobody renders any more");
        queue.runner().unwrap();
    }

    #[test]
    fn a_file_that_was_cut_short_is_told_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path()).unwrap();
        queue.add(job("a", 0)).unwrap();
        queue.add(job("b", 0)).unwrap();
        let path = dir.path().join("queue.ron");
        let whole = std::fs::read_to_string(&path).unwrap();
        for cut in [0, 1, whole.len() / 2, whole.len() - 3] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = queue.add(job("c", 0)).unwrap_err();
            assert!(error.hint().unwrap().contains("queue.ron.before"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole[..cut]);
        }
        std::fs::write(&path, whole.replacen("version: 1", "version: 9", 1)).unwrap();
        assert!(queue.next().unwrap_err().to_string().contains("another tilectl"));
        let before = std::fs::read_to_string(dir.path().join("queue.ron.before")).unwrap();
        std::fs::write(&path, before).unwrap();
        assert_eq!(queue.jobs().unwrap().0.len(), 1);
    }
}
