//! Nodes whose shell is a child process here: this machine itself, or a command line that leads elsewhere.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::{Link, Node, NodeSpec, Received};
use crate::error::{Error, Result, reason};

/// How much standard error is kept for messages, bytes.
const KEPT: usize = 4096;

/// This machine.
#[derive(Debug)]
pub struct Local {
    spec: NodeSpec,
}

impl Local {
    /// A node that runs Blender on this machine.
    pub fn new(spec: NodeSpec) -> Self {
        Self { spec }
    }
}

impl Node for Local {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    fn link(&self) -> Result<Box<dyn Link>> {
        Ok(Box::new(Process::start(&["/bin/sh".to_owned()])?))
    }
}

/// A place behind a command line that carries standard input and output to it: `srun`, a container, another login.
#[derive(Debug)]
pub struct Command {
    spec: NodeSpec,
    argv: Vec<String>,
}

impl Command {
    /// A node behind `argv`, to which `/bin/sh` is appended. `argv` must not be empty.
    pub fn new(spec: NodeSpec, argv: Vec<String>) -> Result<Self> {
        if argv.first().is_none_or(String::is_empty) {
            return Err(Error::input(format!("the command of node `{}` is empty", spec.name))
                .remedy("Write the command line as a list, for example [\"srun\", \"-n1\"]."));
        }
        Ok(Self { spec, argv })
    }
}

impl Node for Command {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    fn link(&self) -> Result<Box<dyn Link>> {
        let mut argv = self.argv.clone();
        argv.push("/bin/sh".to_owned());
        Ok(Box::new(Process::start(&argv)?))
    }
}

/// A child process's standard input and output.
struct Process {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    arrivals: Receiver<std::io::Result<Vec<u8>>>,
    pending: Vec<u8>,
    read: usize,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Process {
    fn start(argv: &[String]) -> Result<Self> {
        let mut child = std::process::Command::new(&argv[0])
            .args(&argv[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C in the terminal is for the controller, which drains; not for Blender.
            .process_group(0)
            .spawn()
            .map_err(|e| {
                Error::node(format!("cannot start `{}`: {}", argv[0], reason(&e)))
                    .remedy("Check that the program is installed and in the PATH.")
                    .fatal()
            })?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
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
        if let Some(mut stderr) = stderr {
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
            });
        }
        Ok(Self { child: Some(child), stdin, arrivals, pending: Vec::new(), read: 0, stderr: kept })
    }
}

impl Link for Process {
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let gone =
            || Error::node("the shell on the node ended").remedy("See the node's log; it is tried again.");
        let stdin = self.stdin.as_mut().ok_or_else(gone)?;
        stdin.write_all(bytes).and_then(|()| stdin.flush()).map_err(|_| gone())
    }

    fn recv(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Received> {
        if self.read == self.pending.len() {
            match self.arrivals.recv_timeout(wait) {
                Ok(Ok(bytes)) => {
                    self.pending = bytes;
                    self.read = 0;
                }
                Ok(Err(e)) => {
                    return Err(Error::node(format!("reading from the node failed: {}", reason(&e))));
                }
                Err(RecvTimeoutError::Timeout) => return Ok(Received::Nothing),
                Err(RecvTimeoutError::Disconnected) => return Ok(Received::Closed),
            }
        }
        let n = buffer.len().min(self.pending.len() - self.read);
        buffer[..n].copy_from_slice(&self.pending[self.read..self.read + n]);
        self.read += n;
        Ok(Received::Bytes(n))
    }

    fn diagnosis(&mut self) -> String {
        self.stderr.lock().map(|kept| String::from_utf8_lossy(&kept).into_owned()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None; // The shell's supervisor sees the end of its input and ends Blender.
        let Some(mut child) = self.child.take() else { return };
        // Reaped in the background, so that no zombie stays and nobody waits.
        std::thread::spawn(move || child.wait());
    }
}
