//! The tilectl program in a world of its own: a temporary home, nothing of this user's set-up.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::processes;

/// A temporary home and working directory to run tilectl in.
pub struct World {
    dir: TempDir,
    home: PathBuf,
}

/// How a run of tilectl ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A run of tilectl that goes on.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl World {
    /// An empty one.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("a temporary directory can be written");
        fs::create_dir(dir.path().join("work")).expect("a temporary directory can be written");
        Self { dir, home }
    }

    /// One whose home is given, such as one that can log in to an sshd.
    pub fn with_home(home: &Path) -> Self {
        Self { home: home.to_owned(), ..Self::new() }
    }

    /// Where tilectl runs.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// A path in the working directory.
    pub fn at(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    /// The home directory.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What all processes that this world starts on this machine carry in their environment.
    pub fn mark(&self) -> &Path {
        self.dir.path()
    }

    /// A tilectl command to be completed: in the working directory, with the temporary home.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tilectl"));
        command
            .args(arguments)
            .current_dir(self.work())
            .env("HOME", &self.home)
            .env("TMPDIR", self.dir.path())
            .stdin(Stdio::null());
        for name in ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "SSH_AUTH_SOCK"]
        {
            command.env_remove(name);
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TILECTL_") && name != "TILECTL_BPY_PYTHON" {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs tilectl to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Ended {
        self.spawn(arguments).wait()
    }

    /// Starts tilectl.
    pub fn spawn<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Running {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|e| panic!("{command:?} cannot be started: {e}"));
        let stdout = child.stdout.take().map(reading);
        let stderr = child.stderr.take().map(reading);
        Running { child, stdout, stderr }
    }
}

impl Ended {
    /// Asserts the exit code, and shows what was said when it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The lines of standard output as JSON objects, for `--json`.
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")))
            .collect()
    }
}

impl Running {
    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, signal: &str) {
        processes::signal(self.pid(), signal);
    }

    /// Whether it is still at it.
    pub fn goes_on(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        let status = self.child.wait().expect("a child can be waited for");
        let text = |thread: Option<JoinHandle<String>>| {
            thread.map(|t| t.join().expect("reading does not panic")).unwrap_or_default()
        };
        Ended { code: status.code(), stdout: text(self.stdout.take()), stderr: text(self.stderr.take()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end on a thread of its own, so that a full pipe never stalls the program.
fn reading(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
