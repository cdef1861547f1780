//! Which nodes take part: those named with `--node`, or those of the configuration, or this machine.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use tilecore::Result;
use tilecore::config::Config;
use tilecore::node::ssh::Prompt;
use tilecore::node::{self, Node, NodeSpec, SshOptions};

use crate::cli;

/// The configuration that counts for a scene (or for none), and the nodes that take part.
pub(crate) struct Farm {
    pub(crate) config: Config,
    pub(crate) specs: Vec<NodeSpec>,
    pub(crate) ssh: SshOptions,
}

impl Farm {
    /// Finds the configuration and the nodes. `threads` is the default for nodes that name no number themselves.
    pub(crate) fn new(args: &cli::Nodes, blend: Option<&Path>, threads: Option<u32>) -> Result<Self> {
        let config = Config::load(args.config.as_deref(), blend)?;
        let mut specs = config.specs(&args.nodes)?;
        for spec in &mut specs {
            spec.threads = threads.or(spec.threads);
        }
        Ok(Self { config, specs, ssh: ssh()? })
    }

    /// The nodes; nothing is connected yet.
    pub(crate) fn nodes(&self) -> Result<Vec<Arc<dyn Node>>> {
        self.specs.iter().map(|spec| node::from_spec(spec, &self.ssh)).collect()
    }
}

/// The user's SSH set-up; keys with a passphrase are asked for on a terminal only.
pub(crate) fn ssh() -> Result<SshOptions> {
    let mut ssh = SshOptions::from_env()?;
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        ssh.prompt = Some(Arc::new(Terminal));
    }
    Ok(ssh)
}

/// Asks on the terminal, without echo.
struct Terminal;

impl Prompt for Terminal {
    fn passphrase(&self, key: &Path, attempt: u32) -> Option<String> {
        if attempt > 3 {
            return None;
        }
        let again = if attempt > 1 { "That was not it. " } else { "" };
        rpassword::prompt_password(format!("{again}Passphrase for {}: ", key.display())).ok()
    }
}
