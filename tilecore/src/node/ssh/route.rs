//! From what the user wrote to the servers on the way: the configuration applied, tokens and `~` expanded.

use std::path::PathBuf;
use std::time::Duration;

use super::config::{Proxy, Settings, settings};
use super::options::SshOptions;
use super::target::{Address, Target};
use super::tokens::Tokens;
use crate::error::{Error, Result};

/// The keys that are tried when none is configured; the strong and quick ones first.
const DEFAULT_IDENTITIES: [&str; 3] = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];
const USER_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const SYSTEM_KNOWN_HOSTS: [&str; 2] = ["ssh_known_hosts", "ssh_known_hosts2"];
/// More jump hosts in a row are a mistake.
const MOST_HOPS: usize = 16;

/// The servers on the way to a node, the node itself last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The command line whose standard input and output lead to the first server; a connection when absent.
    pub(super) command: Option<String>,
    /// The jump hosts in the order of the connections.
    pub(super) jumps: Vec<Target>,
    /// The node.
    pub(super) target: Target,
}

impl Route {
    /// Resolves `[user@]host[:port]`, where `host` may be an alias of the user's configuration.
    pub(super) fn resolve(place: &str, options: &SshOptions) -> Result<Self> {
        Self::through(place, options, &mut Vec::new())
    }

    /// `way` lists the places that led here, to notice when a jump host is reached through itself.
    fn through(place: &str, options: &SshOptions, way: &mut Vec<String>) -> Result<Self> {
        let address = Address::parse(place)?;
        if way.contains(&address.host) || way.len() > MOST_HOPS {
            return Err(Error::input(format!("the way to `{}` leads through itself", address.host)).remedy(
                format!(
                    "Give `{}` a `ProxyJump none` in ~/.ssh/config, or exclude it from the pattern that sets one.",
                    address.host
                ),
            ));
        }
        way.push(address.host.clone());
        let found = settings(&address.host, address.user.as_deref(), address.port, options)?;
        let target = resolve(&address, &found, options)?;
        let tokens = tokens(&address, &target, found.jump(), options);
        match &found.proxy {
            None | Some(Proxy::None) => Ok(Self { command: None, jumps: Vec::new(), target }),
            Some(Proxy::Command(command)) => {
                let command = tokens.expand(command)?;
                Ok(Self { command: Some(command), jumps: Vec::new(), target })
            }
            Some(Proxy::Jump(hops)) => {
                let hops = hops.iter().map(|hop| tokens.expand(hop)).collect::<Result<Vec<_>>>()?;
                let Some((first, rest)) = hops.split_first().filter(|_| hops.len() <= MOST_HOPS) else {
                    return Err(Error::input(format!("ProxyJump of `{}` names no host", address.host))
                        .remedy("Write ProxyJump host in ~/.ssh/config."));
                };
                // Only the first host's own way counts: the others are reached through the one before.
                let route = Self::through(first, options, way)?;
                let mut jumps = route.jumps;
                jumps.push(route.target);
                for hop in rest {
                    let address = Address::parse(hop)?;
                    let found = settings(&address.host, address.user.as_deref(), address.port, options)?;
                    jumps.push(resolve(&address, &found, options)?);
                }
                Ok(Self { command: route.command, jumps, target })
            }
        }
    }
}

/// The tokens of what leads to a resolved server.
fn tokens<'a>(
    address: &'a Address,
    target: &'a Target,
    jump: &'a str,
    options: &'a SshOptions,
) -> Tokens<'a> {
    Tokens {
        alias: &address.host,
        host: &target.host,
        port: target.port,
        user: &target.user,
        key_alias: target.key_alias.as_deref(),
        jump,
        options,
    }
}

/// Fills in what the configuration leaves open.
fn resolve(address: &Address, found: &Settings, options: &SshOptions) -> Result<Target> {
    let port = found.port.unwrap_or(22);
    let user = found.user.clone().unwrap_or_else(|| options.user.clone());
    let mut tokens = Tokens {
        alias: &address.host,
        host: &address.host,
        port,
        user: &user,
        key_alias: found.host_key_alias.as_deref(),
        jump: found.jump(),
        options,
    };
    let host = match &found.host_name {
        Some(name) => tokens.expand(name)?,
        None => address.host.clone(),
    };
    // The name comes from a file, so it gets the same look as one from the command line.
    Address::parse(&host)?;
    tokens.host = &host;

    let user_files = match &found.user_known_hosts {
        Some(files) => tokens.paths(files)?,
        None => tokens.paths(&USER_KNOWN_HOSTS)?,
    };
    let system_files = match &found.global_known_hosts {
        Some(files) => tokens.paths(files)?,
        None => SYSTEM_KNOWN_HOSTS.map(|name| options.system.join(name)).to_vec(),
    };
    let identities = if found.identity_files.is_empty() {
        tokens.paths(&DEFAULT_IDENTITIES)?
    } else {
        // One that cannot be expanded is one that is not there: the login says so if no other key will do.
        let files = found.identity_files.iter();
        files.filter_map(|file| tokens.path(file).unwrap_or_else(|_| Some(PathBuf::from(file)))).collect()
    };
    let agent = match found.identity_agent.as_deref() {
        None | Some("SSH_AUTH_SOCK") => options.agent.clone(),
        Some(value) => match value.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => std::env::var_os(name).map(PathBuf::from),
            None => tokens.paths(&[value])?.pop(),
        },
    };
    let timeout = match found.connect_timeout {
        None | Some(0) => options.connect_timeout,
        Some(seconds) => Duration::from_secs(seconds.into()),
    };
    Ok(Target {
        alias: address.host.clone(),
        port,
        user: user.clone(),
        key_alias: found.host_key_alias.clone(),
        known_hosts: user_files.into_iter().chain(system_files).collect(),
        revoked: tokens.paths(found.revoked_host_keys.as_slice())?,
        identities,
        identities_named: !found.identity_files.is_empty(),
        identities_only: found.identities_only.unwrap_or(false),
        agent,
        timeout,
        host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The route to `place` for a user with this configuration.
    fn route(config: &str, place: &str) -> Result<Route> {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        std::fs::write(&file, config).unwrap();
        let mut options = SshOptions::new("/home/me", "me");
        options.config = Some(file);
        Route::resolve(place, &options)
    }

    #[test]
    fn nothing_configured() {
        let route = route("", "n1").unwrap();
        let target = &route.target;
        assert!(route.command.is_none() && route.jumps.is_empty());
        assert_eq!(target.to_string(), "me@n1");
        assert_eq!(target.identities[0], PathBuf::from("/home/me/.ssh/id_ed25519"));
        assert_eq!(target.known_hosts[0], PathBuf::from("/home/me/.ssh/known_hosts"));
        assert_eq!(target.known_hosts[2], PathBuf::from("/etc/ssh/ssh_known_hosts"));
        assert_eq!(target.timeout, Duration::from_secs(10));
    }

    #[test]
    fn tokens_and_paths() {
        let config = "Host n1\nHostName %h.lan\nUser render\nIdentityFile ~/keys/%r@%h\nIdentityFile %d/%n-%p\n\
                      UserKnownHostsFile none\nGlobalKnownHostsFile /k/%%\nConnectTimeout 3\nIdentityAgent none\n";
        let target = route(config, "n1:24").unwrap().target;
        assert_eq!(target.to_string(), "render@n1.lan:24");
        let paths = ["/home/me/keys/render@n1.lan", "/home/me/n1-24"].map(PathBuf::from);
        assert_eq!(target.identities, paths);
        assert_eq!(target.known_hosts, [PathBuf::from("/k/%")]);
        assert_eq!((target.timeout, target.agent), (Duration::from_secs(3), None));
        // What is written on the command line counts more than the configuration.
        assert_eq!(route(config, "you@n1").unwrap().target.to_string(), "you@n1.lan");
        let error = route("IdentityAgent %Z\n", "n1").unwrap_err().to_string();
        assert!(error.contains("%Z") && error.contains("`n1`"), "{error}");
        assert!(route("UserKnownHostsFile ${NO_SUCH_VARIABLE_HERE}/x\n", "n1").is_err());
        assert!(route("HostName -oProxyCommand=x\n", "n1").is_err());
    }

    #[test]
    fn a_key_file_that_cannot_be_expanded_is_one_that_is_not_there() {
        let config = "IdentityFile %H/x\nIdentityFile ${NO_SUCH_VARIABLE_HERE}/x\nIdentityFile ~/here\n";
        let target = route(config, "n1").unwrap().target;
        let files = ["%H/x", "${NO_SUCH_VARIABLE_HERE}/x", "/home/me/here"].map(PathBuf::from);
        assert_eq!(target.identities, files);
    }

    #[test]
    fn chains_of_jump_hosts() {
        let config = "Host a\n HostName a.lan\n ProxyJump z\nHost b\n User bb\n ProxyJump q\n\
                      Host n\n ProxyJump a,b:26\n";
        let route = route(config, "n").unwrap();
        let names: Vec<String> = route.jumps.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["me@z", "me@a.lan", "bb@b:26"]);
        assert_eq!(route.target.to_string(), "me@n");
    }

    #[test]
    fn a_way_through_itself_is_refused() {
        let error = route("Host *\n ProxyJump gate\n", "n").unwrap_err();
        assert!(error.to_string().contains("`gate` leads through itself"), "{error}");
        assert!(route("Host gate\n ProxyJump none\nHost *\n ProxyJump gate\n", "n").is_ok());
        assert!(route("Host a\n ProxyJump b\nHost b\n ProxyJump a\n", "a").is_err());
    }

    #[test]
    fn proxy_commands() {
        let route = route("Host n\n HostName n.lan\n ProxyCommand nc '%h' %p\n", "n:23").unwrap();
        assert_eq!(route.command.as_deref(), Some("nc 'n.lan' 23"));
    }
}
