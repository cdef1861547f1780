//! Which processes a test has left behind.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its command line, words joined by blanks.
    pub command: String,
}

/// The processes that have `mark` in their command line or environment: everything that a node whose home or cache
/// lies under that path has started, workers and what watches them.
///
/// Processes that have ended and not been waited for do not count.
pub fn marked(mark: &Path) -> Vec<Process> {
    let mark = mark.as_os_str().as_bytes();
    let entries = fs::read_dir("/proc").expect("this test needs a /proc");
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() {
            continue;
        }
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let command = read("cmdline");
        if holds(&command, mark) || holds(&read("environ"), mark) {
            let words: Vec<_> =
                command.split(|b| *b == 0).map(|word| OsStr::from_bytes(word).to_string_lossy()).collect();
            found.push(Process { pid, command: words.join(" ").trim().to_owned() });
        }
    }
    found
}

/// The marked processes that are Blender or run its worker.
pub fn blenders(mark: &Path) -> Vec<Process> {
    marked(mark).into_iter().filter(|p| p.command.contains("worker.py")).collect()
}

/// Waits until no marked process is left; panics with those that are after `patience`.
pub fn gone(mark: &Path, patience: Duration) {
    let start = Instant::now();
    loop {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < patience, "still running after {} s: {left:#?}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Waits until a marked process is there: the kernel shows a new process's environment a moment after its start.
pub fn there(mark: &Path, patience: Duration) -> Vec<Process> {
    let start = Instant::now();
    loop {
        let found = marked(mark);
        if !found.is_empty() {
            return found;
        }
        assert!(start.elapsed() < patience, "nothing has started in {} s", patience.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends `signal` (`INT`, `KILL`, ...) to a process.
pub fn signal(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.is_ok_and(|s| s.success()), "kill -{signal} {pid} failed");
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window == part)
}
