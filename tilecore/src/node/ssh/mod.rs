//! Nodes behind SSH, over `ssh2`: one session per link, never shared between threads.
//!
//! libssh2 does the transport and the signatures. What it does not do as OpenSSH does is done here: which host key is
//! trusted (`known_hosts`), what is tried to log in (`login`), and when to wait (`shell`).

mod key;
mod known_hosts;
mod login;
mod options;
mod pattern;
mod session;
mod shell;
mod target;
mod wire;

use std::io::ErrorKind;
use std::sync::Arc;

pub use options::{Prompt, SshOptions};

use self::shell::Shell;
use self::target::{Address, Target};
use self::wire::{Wire, dial};
use super::{Link, Node, NodeSpec, Place};
use crate::error::{Error, Result, reason};

/// A machine behind SSH.
#[derive(Debug)]
pub struct Ssh {
    spec: NodeSpec,
    target: Target,
    options: SshOptions,
}

impl Ssh {
    /// The node that `spec` describes, reached as this user's SSH would. Nothing is connected yet.
    ///
    /// # Errors
    /// When the place of `spec` is not an SSH address.
    pub fn new(spec: NodeSpec, options: &SshOptions) -> Result<Self> {
        let Place::Ssh(place) = &spec.place else {
            return Err(Error::input(format!("the node `{}` is not behind SSH", spec.name))
                .remedy("Give it a place such as user@host."));
        };
        let target = Target::plain(&Address::parse(place)?, options);
        Ok(Self { spec, target, options: options.clone() })
    }
}

impl Node for Ssh {
    fn name(&self) -> &str {
        &self.spec.name
    }

    fn spec(&self) -> &NodeSpec {
        &self.spec
    }

    fn link(&self) -> Result<Box<dyn Link>> {
        let target = &self.target;
        let stream = dial(&target.host, target.port, target.timeout).map_err(|e| {
            let error = Error::node(format!("cannot connect to {target}: {}", reason(&e)));
            match e.kind() {
                ErrorKind::ConnectionRefused => {
                    error.remedy("Start the SSH server there, or check the port.")
                }
                ErrorKind::TimedOut => error.remedy("Check that the machine is on and reachable."),
                _ => error.remedy("Check the name, and that the machine is on and reachable."),
            }
        })?;
        let wire = Arc::new(Wire::Tcp(stream));
        let (session, key) = session::open(&wire, target, &self.options)?;
        tracing::debug!("logged in to {target} with {key}");
        Ok(Box::new(Shell::start(session, wire, target)?))
    }
}
