//! Nodes behind SSH, over `ssh2`: one session per link, never shared between threads.
//!
//! libssh2 does the transport and the signatures. What it does not do as OpenSSH does is done here: which host key is
//! trusted (`known_hosts`), what `~/.ssh/config` says (`config`), the way through jump hosts (`tunnel`) and commands
//! (`proxy`), what is tried to log in (`login`), and when to wait (`shell`).

mod advice;
mod config;
mod criterion;
mod key;
mod known_hosts;
mod login;
mod network;
mod options;
mod pattern;
mod proxy;
mod route;
mod session;
mod shell;
mod target;
mod tokens;
mod tunnel;
mod wire;
mod words;

pub use config::hosts;
pub use options::{Prompt, SshOptions};

use self::route::Route;
use self::shell::Shell;
use self::target::Address;
use self::tunnel::reach;
use super::{Link, Node, NodeSpec, Place};
use crate::error::{Error, Result};

/// A machine behind SSH.
#[derive(Debug)]
pub struct Ssh {
    spec: NodeSpec,
    place: String,
    options: SshOptions,
}

impl Ssh {
    /// The node that `spec` describes, reached as this user's SSH would. Nothing is connected yet, and the user's SSH
    /// configuration is read with every link: what is wrong with it there is this node's trouble and nobody else's.
    ///
    /// # Errors
    /// When the place of `spec` is not an SSH address.
    pub fn new(spec: NodeSpec, options: &SshOptions) -> Result<Self> {
        let Place::Ssh(place) = &spec.place else {
            return Err(Error::input(format!("the node `{}` is not behind SSH", spec.name))
                .remedy("Give it a place such as user@host."));
        };
        Address::parse(place)?;
        let place = place.clone();
        Ok(Self { spec, place, options: options.clone() })
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
        let route = Route::resolve(&self.place, &self.options)?;
        let target = &route.target;
        let wire = reach(&route, &self.options)?;
        let (session, key) = session::open(&wire, target, &self.options)?;
        tracing::debug!("logged in to {target} with {key}");
        Ok(Box::new(Shell::start(session, wire, target, &self.options, key)?))
    }
}
