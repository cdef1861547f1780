//! Which nodes take part: those named with `--node`, or those of the configuration, or this machine.

use std::io::IsTerminal;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tilecore::config::Config;
use tilecore::node::ssh::Prompt;
use tilecore::node::{self, Node, NodeSpec, SshOptions};
use tilecore::text::slip;
use tilecore::{Error, Result};

use crate::cli;
use crate::show::screen;

/// The configuration that counts for a scene (or for none), and the nodes that take part.
pub(crate) struct Farm {
    pub(crate) config: Config,
    pub(crate) specs: Vec<NodeSpec>,
    pub(crate) ssh: SshOptions,
    /// The scene: a configuration may lie beside it.
    pub(crate) blend: Option<PathBuf>,
}

impl Farm {
    /// Finds the configuration and the nodes. `threads` is the default for nodes that name no number themselves.
    pub(crate) fn new(args: &cli::Nodes, blend: Option<&Path>, threads: Option<u32>) -> Result<Self> {
        let config = Config::load(args.config.as_deref(), blend)?;
        let mut specs = config.specs(&args.nodes)?;
        let ssh = ssh()?;
        for asked in &args.nodes {
            known_or_reachable(asked, &config, &ssh)?;
        }
        for spec in &mut specs {
            spec.threads = chosen(threads, spec.threads);
        }
        Ok(Self { config, specs, ssh, blend: blend.map(Path::to_owned) })
    }

    /// The nodes; nothing is connected yet.
    pub(crate) fn nodes(&self) -> Result<Vec<Arc<dyn Node>>> {
        self.specs.iter().map(|spec| node::from_spec(spec, &self.ssh)).collect()
    }
}

/// Render threads: those of the command line, of which 0 is Blender's own choice as it is there, or the node's.
pub(crate) fn chosen(asked: Option<u32>, own: Option<u32>) -> Option<u32> {
    asked.map_or(own, |n| (n > 0).then_some(n))
}

/// Refuses a name that is nothing but a slip for a configured node's: no alias, and no machine of the network.
fn known_or_reachable(asked: &str, config: &Config, ssh: &SshOptions) -> Result<()> {
    let name = asked.split(',').next().unwrap_or_default().trim();
    let nodes: Vec<&str> = config.nodes.iter().map(|n| n.name.as_str()).chain(["local"]).collect();
    if nodes.contains(&name) || name.contains(['@', ':', '.', '/']) {
        return Ok(());
    }
    let Some(meant) = slip(name, &nodes) else { return Ok(()) };
    // What is wrong with the SSH configuration is said by the node that needs it.
    let is_alias = node::ssh::hosts(ssh).is_ok_and(|hosts| hosts.iter().any(|host| host == name));
    if is_alias || (name, 22).to_socket_addrs().is_ok_and(|mut found| found.next().is_some()) {
        return Ok(());
    }
    Err(Error::input(format!("no node and no machine is called `{name}`"))
        .remedy(format!("Did you mean `{meant}`? `tilectl nodes list` has those of the configuration.")))
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
        let question = format!("{again}Passphrase for {}: ", key.display());
        screen::ask(|| rpassword::prompt_password(question).ok())
    }
}
