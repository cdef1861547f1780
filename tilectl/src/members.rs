//! Who joins and leaves while a render runs: nodes that were added to the configuration, and errands that
//! `tilectl nodes add`, `remove`, `pause` and `resume` leave in the work directory.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tilecore::config::Config;
use tilecore::node::{self, NodeSpec, SshOptions};
use tilecore::render::Roster;
use tilecore::state::Errand;

use crate::farm::Farm;
use crate::fault::sentence;
use crate::show::screen;

/// How often errands are looked for.
const ERRANDS: Duration = Duration::from_millis(300);
/// How often the configuration is looked at.
const CONFIG: Duration = Duration::from_secs(20);

/// No `--node`.
const NOBODY: [&str; 0] = [];

/// Watches until it is dropped.
pub(crate) struct Members {
    ended: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Members {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is watched, and what was seen of it.
struct Watch {
    roster: Roster,
    work_dir: PathBuf,
    ssh: SshOptions,
    /// Threads for nodes that name no number themselves.
    threads: Option<u32>,
    /// The configuration, once there is one.
    config: Option<PathBuf>,
    /// The scene, beside which it may appear.
    blend: Option<PathBuf>,
    /// Whether the nodes are all that it has, so that new ones there join.
    followed: bool,
    seen: Option<SystemTime>,
    known: HashSet<String>,
    hangup: Arc<AtomicBool>,
}

impl Members {
    /// Begins to watch. `listed` says that the nodes are those of the configuration, not of `--node`.
    pub(crate) fn watch(
        farm: &Farm,
        listed: bool,
        threads: Option<u32>,
        work_dir: PathBuf,
        roster: &Roster,
    ) -> tilecore::Result<Self> {
        let config = farm.config.path.clone();
        let mut watch = Watch {
            roster: roster.clone(),
            work_dir,
            ssh: farm.ssh.clone(),
            threads,
            seen: config.as_deref().and_then(changed),
            config,
            blend: farm.blend.clone(),
            followed: listed,
            known: farm.specs.iter().map(|s| s.name.clone()).collect(),
            hangup: crate::signals::hangup()?,
        };
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let thread = std::thread::Builder::new().name("members".into()).spawn(move || {
            let mut looked = Instant::now();
            while !over.load(Ordering::Relaxed) {
                watch.run_errands();
                if watch.hangup.swap(false, Ordering::Relaxed) || looked.elapsed() >= CONFIG {
                    looked = Instant::now();
                    watch.read_config();
                }
                std::thread::sleep(ERRANDS);
            }
        });
        let thread = thread.map_err(|e| tilecore::Error::render(format!("cannot start a thread: {e}")))?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Watch {
    fn run_errands(&mut self) {
        for errand in Errand::collect(&self.work_dir) {
            match errand {
                Ok(Errand::Add(text)) => match self.named(&text) {
                    Ok(spec) => self.add(spec),
                    Err(e) => complain(&e),
                },
                Ok(Errand::Remove(name)) => {
                    self.known.remove(&name);
                    self.roster.remove(name);
                }
                Ok(Errand::Pause(name)) => self.roster.pause(name.as_deref()),
                Ok(Errand::Resume(name)) => self.roster.resume(name.as_deref()),
                Ok(_) => {}
                Err(e) => complain(&e),
            }
        }
    }

    /// What `--node` would mean by this text: a node of the configuration, or a place.
    fn named(&mut self, text: &str) -> tilecore::Result<NodeSpec> {
        let config = match self.config() {
            Some(path) => Config::read(&path)?,
            None => Config::default(),
        };
        let mut specs = config.specs(&[text])?;
        specs.pop().ok_or_else(|| tilecore::Error::input("no node was named"))
    }

    /// Where the configuration is: one may have been written since the render began.
    fn config(&mut self) -> Option<PathBuf> {
        if self.config.is_none() {
            self.config = Config::find(self.blend.as_deref());
        }
        self.config.clone()
    }

    /// Nodes that are in the configuration now and were not.
    fn read_config(&mut self) {
        let Some(path) = self.config().filter(|_| self.followed) else { return };
        let now = changed(&path);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match Config::read(&path).and_then(|config| config.specs(&NOBODY)) {
            Ok(specs) => {
                for spec in specs {
                    if !self.known.contains(&spec.name) {
                        self.add(spec);
                    }
                }
            }
            Err(e) => complain(&e),
        }
    }

    fn add(&mut self, mut spec: NodeSpec) {
        spec.threads = crate::farm::chosen(self.threads, spec.threads);
        match node::from_spec(&spec, &self.ssh) {
            Ok(node) => {
                self.known.insert(spec.name);
                self.roster.add(node);
            }
            Err(e) => complain(&e),
        }
    }
}

fn changed(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|m| m.modified()).ok()
}

/// The render goes on; the file or the errand is at fault.
fn complain(error: &tilecore::Error) {
    let hint = error.hint().map(sentence).unwrap_or_default();
    screen::lock().say(&format!("tilectl: {} {hint}", sentence(&error.to_string())));
}
