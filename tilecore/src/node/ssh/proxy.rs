//! The process of a `ProxyCommand`, whose standard input and output lead to a server.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::advice;
use super::options::SshOptions;
use super::target::Target;
use super::wire::Wire;
use crate::error::{Error, Result, reason};
use crate::text::printable;

/// How much standard error is kept for messages, bytes.
const KEPT: usize = 4096;
/// Why it ended may still be on its way when its output has ended already.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The process. It ends with the connection.
#[derive(Debug)]
pub(super) struct Proxy {
    command: String,
    child: Option<Child>,
    stderr: Arc<Mutex<Vec<u8>>>,
    /// Reads standard error until its end.
    drain: Option<JoinHandle<()>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            // Reaped in the background: the one who drops a link does not wait.
            std::thread::spawn(move || child.wait());
        }
    }
}

impl Proxy {
    /// Starts `command`, which leads to `target`.
    pub(super) fn start(command: &str, target: &Target, options: &SshOptions) -> Result<Wire> {
        let start = || {
            let (near, far) = UnixStream::pair()?;
            let input = OwnedFd::from(far.try_clone()?);
            let mut child = Command::new("/bin/sh")
                .arg("-c")
                .arg(format!("exec {command}"))
                .stdin(Stdio::from(input))
                .stdout(Stdio::from(OwnedFd::from(far)))
                .stderr(Stdio::piped())
                .process_group(0)
                .spawn()?;
            let stderr = Arc::new(Mutex::new(Vec::new()));
            let drain = child.stderr.take().map(|from| {
                let kept = Arc::clone(&stderr);
                std::thread::spawn(move || keep_end(from, &kept))
            });
            let proxy = Self { command: command.to_owned(), child: Some(child), stderr, drain };
            Ok(Wire::Tunnel(near, Some(proxy)))
        };
        start().map_err(|e: std::io::Error| {
            Error::node(format!("cannot start the ProxyCommand of {target}: {}", reason(&e)))
                .remedy(format!("`{}` must work.", advice::command("ssh", target, options)))
        })
    }

    /// Adds to an error of the connection what the command said about it.
    pub(super) fn explain(&self, error: Error, target: &Target, options: &SshOptions) -> Error {
        let until = Instant::now() + LAST_WORDS;
        while self.drain.as_ref().is_some_and(|drain| !drain.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        let said = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        error
            .remedy(format!(
                "The way there is the ProxyCommand `{}`: see what it says; `{}` must work.",
                printable(&self.command, 300),
                advice::command("ssh", target, options)
            ))
            .log(printable(&String::from_utf8_lossy(&said), KEPT))
    }
}

/// Reads to the end and keeps the last of it.
fn keep_end(mut from: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&buffer[..n]);
        let excess = kept.len().saturating_sub(KEPT);
        kept.drain(..excess);
    }
}
