//! A child process's standard input and output as a link, and the end of a child that does not notice ours.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Link, Received};
use crate::error::{Error, Result, reason};

/// How much standard error is kept for messages, bytes.
const KEPT: usize = 4096;
/// How long what is sent may stay unread.
const SEND_LIMIT: Duration = Duration::from_secs(60);

/// A child process that leads to a shell.
pub(super) struct Process {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    arrivals: Receiver<std::io::Result<Vec<u8>>>,
    pending: Vec<u8>,
    read: usize,
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Reads standard error until its end.
    drain: Option<JoinHandle<()>>,
    closed: bool,
    watch: Option<Watch>,
    heard: bool,
}

impl Process {
    /// Starts a shell on this machine, which ends when its input does.
    pub(super) fn shell() -> Result<Self> {
        Self::start(&["/bin/sh".to_owned()])
    }

    /// Starts a command that leads elsewhere, and a watch that ends it when it does not end with its input.
    pub(super) fn command(argv: &[String]) -> Result<Self> {
        let mut process = Self::start(argv)?;
        if let Some(child) = process.child.as_mut() {
            // Its group bears its own number.
            match Watch::over(child.id()) {
                Ok(watch) => process.watch = Some(watch),
                Err(e) => {
                    let _ = child.kill();
                    return Err(e);
                }
            }
        }
        Ok(process)
    }

    fn start(argv: &[String]) -> Result<Self> {
        let program = argv.first().map_or("", String::as_str);
        let mut child = Command::new(program)
            .args(argv.iter().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in the terminal is for the controller, which drains; not for Blender, and not
            // for srun, which would end the job step.
            .process_group(0)
            .spawn()
            .map_err(|e| cannot_start(program, &e))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // What is not read shall not hold this side up for ever.
        if let Some(Err(e)) = stdin.as_ref().map(|stdin| rustix::io::ioctl_fionbio(stdin, true)) {
            return Err(cannot_start(program, &e.into()));
        }
        let (sender, arrivals) = bounded(8);
        if let Some(mut stdout) = stdout {
            std::thread::spawn(move || {
                let mut buffer = vec![0; 256 * 1024];
                loop {
                    let item = match stdout.read(&mut buffer) {
                        Ok(0) => return,
                        Ok(n) => Ok(buffer[..n].to_vec()),
                        Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                        Err(e) => Err(e),
                    };
                    let end = item.is_err();
                    if sender.send(item).is_err() || end {
                        return;
                    }
                }
            });
        }
        let kept = Arc::new(Mutex::new(Vec::new()));
        let drain = stderr.map(|mut stderr| {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stderr.read(&mut buffer) {
                    if let Ok(mut kept) = kept.lock() {
                        kept.extend_from_slice(&buffer[..n]);
                        let excess = kept.len().saturating_sub(KEPT);
                        kept.drain(..excess);
                    }
                }
            })
        });
        Ok(Self {
            child: Some(child),
            stdin,
            arrivals,
            pending: Vec::new(),
            read: 0,
            stderr: kept,
            drain,
            closed: false,
            watch: None,
            heard: false,
        })
    }
}

fn cannot_start(program: &str, e: &std::io::Error) -> Error {
    Error::node(format!("cannot start `{program}`: {}", reason(e)))
        .remedy("Check that the program is installed and in the PATH.")
        .fatal()
}

impl Link for Process {
    fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        let gone =
            || Error::node("the shell on the node ended").remedy("See the node's log; it is tried again.");
        let stdin = self.stdin.as_mut().ok_or_else(gone)?;
        let mut progress = Instant::now();
        while !bytes.is_empty() {
            match stdin.write(bytes) {
                Ok(n @ 1..) => {
                    bytes = &bytes[n..];
                    progress = Instant::now();
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let left = SEND_LIMIT.saturating_sub(progress.elapsed());
                    if left.is_zero() {
                        return Err(Error::node(format!(
                            "the node has read nothing for {} s",
                            SEND_LIMIT.as_secs()
                        ))
                        .remedy("It is tried again; `tilectl nodes check` shows whether the node is well."));
                    }
                    let left = Timespec { tv_sec: left.as_secs().cast_signed() + 1, tv_nsec: 0 };
                    // Whatever it says, writing shows how things are.
                    let _ = poll(&mut [PollFd::new(&*stdin, PollFlags::OUT)], Some(&left));
                }
                _ => return Err(gone()),
            }
        }
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Received> {
        if self.read == self.pending.len() {
            match self.arrivals.recv_timeout(wait) {
                Ok(Ok(bytes)) => {
                    self.pending = bytes;
                    self.read = 0;
                    self.heard = true;
                }
                Ok(Err(e)) => {
                    return Err(Error::node(format!("reading from the node failed: {}", reason(&e))));
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Received::Nothing),
                Err(RecvTimeoutError::Disconnected) => {
                    self.closed = true;
                    return Ok(Received::Closed);
                }
            }
        }
        let n = buffer.len().min(self.pending.len() - self.read);
        buffer[..n].copy_from_slice(&self.pending[self.read..self.read + n]);
        self.read += n;
        Ok(Received::Bytes(n))
    }

    fn diagnosis(&mut self) -> String {
        // Why it ended may still be on its way when its output has ended already.
        let until = Instant::now() + Duration::from_millis(500);
        let reading = || self.closed && self.drain.as_ref().is_some_and(|drain| !drain.is_finished());
        while reading() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.stderr.lock().map(|kept| String::from_utf8_lossy(&kept).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None; // The shell's supervisor sees the end of its input and ends Blender.
        let Some(mut child) = self.child.take() else { return };
        let watch = self.watch.take().map(|watch| watch.release(self.heard));
        // Reaped in the background, so that no zombie stays and nobody waits.
        std::thread::spawn(move || {
            let _ = child.wait();
            watch.map(|mut watch| watch.wait())
        });
    }
}

/// A process that ends a command's group once the controller is done with it, or is gone.
struct Watch {
    child: Child,
    line: Option<ChildStdin>,
}

impl Watch {
    fn over(group: u32) -> Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", include_str!("watch.sh"), "sh", &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|e| cannot_start("/bin/sh", &e))?;
        let line = child.stdin.take();
        Ok(Self { child, line })
    }

    /// Lets go of the command: at once when nobody was reached, else after it had time to end by itself.
    fn release(mut self, heard: bool) -> Child {
        if let Some(mut line) = self.line.take().filter(|_| !heard) {
            let _ = line.write_all(b"now\n");
        }
        self.child
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(String::from).to_vec()
    }

    /// Waits for the file that a command writes at its end.
    fn appears(path: &std::path::Path) {
        let start = Instant::now();
        while !path.exists() {
            assert!(start.elapsed() < Duration::from_secs(30), "{} did not appear", path.display());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn first_bytes(link: &mut Process) -> Vec<u8> {
        let mut buffer = [0; 64];
        match link.recv(&mut buffer, Duration::from_secs(30)).unwrap() {
            Received::Bytes(n) => buffer[..n].to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_waits_and_does_not_read_is_told_to_end() {
        let dir = tempfile::tempdir().unwrap();
        let (up, told) = (dir.path().join("up"), dir.path().join("told"));
        let script = format!(
            "trap ': >{}; exit 0' TERM; : >{}; while :; do sleep 0.1; done",
            told.display(),
            up.display()
        );
        let link = Process::command(&sh(&script)).unwrap();
        appears(&up);
        assert!(!told.exists());
        drop(link);
        appears(&told);
    }

    #[test]
    fn what_ends_with_its_input_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (told, ended) = (dir.path().join("told"), dir.path().join("ended"));
        let script = format!(
            "trap ': >{}' TERM; echo up; cat >/dev/null; sleep 1; : >{}",
            told.display(),
            ended.display()
        );
        let mut link = Process::command(&sh(&script)).unwrap();
        assert_eq!(first_bytes(&mut link), b"up\n");
        drop(link);
        appears(&ended);
        assert!(!told.exists());
    }

    #[test]
    fn what_ignores_everything_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        // Its end shows as the end of the pipe that it holds open.
        let link = Process::command(&sh(&format!(
            "exec 5>{}; trap '' TERM; while :; do sleep 1; done",
            fifo.display()
        )))
        .unwrap();
        let mut held = std::fs::File::open(&fifo).unwrap();
        drop(link);
        assert_eq!(held.read(&mut [0; 1]).unwrap(), 0);
    }

    #[test]
    fn the_last_words_are_there_when_the_output_ends() {
        let script = "exec >/dev/null; echo no such partition >&2; sleep 0.1; echo really >&2";
        let mut link = Process::command(&sh(script)).unwrap();
        assert_eq!(link.recv(&mut [0; 8], Duration::from_secs(30)).unwrap(), Received::Closed);
        assert_eq!(link.diagnosis(), "no such partition\nreally\n");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = Process::command(&["no-such-program".to_owned()]).err().unwrap();
        assert!(error.to_string().contains("no-such-program") && !error.is_retryable());
    }
}
