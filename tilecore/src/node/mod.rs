//! A place that can run Blender: this machine, one behind SSH, or one behind any command line.
//!
//! All a node has to offer is a POSIX shell with its standard input and output: a [`Link`]. Everything else (finding
//! Blender, sending files, rendering, fetching tiles) travels over that one stream, so it is the same on every kind of
//! node, and needs no SFTP, no shared directory and no open port.

mod local;
mod process;
mod spec;
pub mod ssh;

pub use local::{Command, Local};
pub(crate) use spec::is_variable;
pub use spec::{Device, NodeSpec, Place};
pub use ssh::SshOptions;

use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;

/// Somewhere that can run a POSIX shell.
///
/// Shared between threads; each slot's thread opens a [`Link`] of its own.
pub trait Node: Send + Sync {
    /// The name the user gave it, unique within a job.
    fn name(&self) -> &str;

    /// How Blender is to be run there.
    fn spec(&self) -> &NodeSpec;

    /// Connects, logs in and starts `/bin/sh` there, which reads its commands from what is sent.
    ///
    /// # Errors
    /// What is wrong with the connection or the login, and what to do; retryable where time can mend it.
    fn link(&self) -> Result<Box<dyn Link>>;
}

/// The node that `spec` describes. Nothing is connected yet.
///
/// # Errors
/// When the place in `spec` makes no sense.
pub fn from_spec(spec: &NodeSpec, ssh: &SshOptions) -> Result<Arc<dyn Node>> {
    Ok(match &spec.place {
        Place::Local => Arc::new(Local::new(spec.clone())),
        Place::Ssh(_) => Arc::new(ssh::Ssh::new(spec.clone(), ssh)?),
        Place::Command(argv) => Arc::new(Command::new(spec.clone(), argv.clone())?),
    })
}

/// What [`Link::recv`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// This many bytes were put into the buffer (at least one).
    Bytes(usize),
    /// Nothing arrived within the time given.
    Nothing,
    /// The other side will send nothing more.
    Closed,
}

/// Standard input and output of a shell on a node. It is created, used and dropped on one thread.
///
/// Whatever the remote side writes to its standard error is drained and dropped (or kept for [`Link::diagnosis`]), so
/// that it can never stall the stream. Dropping the link closes the stream and does not wait for the remote side.
pub trait Link {
    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// When the connection is gone, or when nothing could be sent for a minute.
    fn send(&mut self, bytes: &[u8]) -> Result<()>;

    /// Waits up to `wait` for bytes and puts what is there into `buffer`.
    ///
    /// # Errors
    /// When the connection broke.
    fn recv(&mut self, buffer: &mut [u8], wait: Duration) -> Result<Received>;

    /// How the login worked, where there was one: which key did it.
    fn login(&self) -> String {
        String::new()
    }

    /// The last words on standard error, if the place keeps them: for messages about a shell that ended early.
    fn diagnosis(&mut self) -> String {
        String::new()
    }
}
