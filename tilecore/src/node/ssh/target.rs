//! Where a node's SSH server is and how to log in there, everything resolved.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::options::SshOptions;
use crate::error::{Error, Result};

/// `[user@]host[:port]` as the user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Address {
    /// Reads `[user@]host[:port]`; an IPv6 address with a port stands in brackets.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::input(format!("`{}` is not the address of a machine", text.escape_debug()))
                .remedy("Write [user@]host[:port], for example me@render1 or me@[fe80::1]:2222.")
        };
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, text),
        };
        let (host, port) = if let Some(rest) = place.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or_else(wrong)?) };
            (host, port)
        } else {
            match place.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (place, None), // A bare IPv6 address has several colons and cannot have a port.
            }
        };
        let port = port.map(|p| p.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)).transpose()?;
        let odd = |c: char| c.is_whitespace() || c.is_control();
        let fine = |s: &str| !s.is_empty() && !s.starts_with('-') && !s.contains(odd);
        if !fine(host) || !user.is_none_or(fine) {
            return Err(wrong());
        }
        Ok(Self { user: user.map(str::to_owned), host: host.to_owned(), port })
    }
}

/// One SSH server: where it is, who it must be, and how to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// What the user calls it: an alias of the configuration or the host itself.
    pub(super) alias: String,
    /// The name or address to connect to.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// The name its key is known by, if not the host's.
    pub(super) key_alias: Option<String>,
    /// The files with known host keys: the user's own (the first one is where new keys go), then the system's.
    pub(super) known_hosts: Vec<PathBuf>,
    /// The private keys to log in with, in order.
    pub(super) identities: Vec<PathBuf>,
    /// Only those, nothing else that the agent holds.
    pub(super) identities_only: bool,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
    /// How long connecting and the handshake may take, each.
    pub(super) timeout: Duration,
    /// The jump hosts on the way, outermost first.
    pub(super) jumps: Vec<Target>,
}

impl Target {
    /// The server at `address` when no configuration says anything about it.
    pub(super) fn plain(address: &Address, options: &SshOptions) -> Self {
        let ssh = options.home.join(".ssh");
        Self {
            alias: address.host.clone(),
            host: address.host.clone(),
            port: address.port.unwrap_or(22),
            user: address.user.clone().unwrap_or_else(|| options.user.clone()),
            key_alias: None,
            known_hosts: default_known_hosts(&options.home, &options.system),
            identities: DEFAULT_IDENTITIES.iter().map(|name| ssh.join(name)).collect(),
            identities_only: false,
            agent: options.agent.clone(),
            timeout: options.connect_timeout,
            jumps: Vec::new(),
        }
    }

    /// The name to look up in `known_hosts`.
    pub(super) fn known_as(&self) -> String {
        match &self.key_alias {
            Some(alias) => alias.clone(),
            None if self.port == 22 => self.host.to_lowercase(),
            None => format!("[{}]:{}", self.host.to_lowercase(), self.port),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracket = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}@{}{}{}", self.user, bracket.0, self.host, bracket.1)?;
        if self.port != 22 {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// The keys that are tried when none is configured; the strong and quick ones first.
pub(super) const DEFAULT_IDENTITIES: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Where host keys are known when nothing else is configured.
pub(super) fn default_known_hosts(home: &Path, system: &Path) -> Vec<PathBuf> {
    let user = ["known_hosts", "known_hosts2"].map(|name| home.join(".ssh").join(name));
    user.into_iter().chain(["ssh_known_hosts", "ssh_known_hosts2"].map(|name| system.join(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses() {
        let parse = |text| Address::parse(text).map(|a| (a.user, a.host, a.port)).ok();
        let some =
            |user: Option<&str>, host: &str, port| Some((user.map(str::to_owned), host.to_owned(), port));
        assert_eq!(parse("n1"), some(None, "n1", None));
        assert_eq!(parse("me@n1:2222"), some(Some("me"), "n1", Some(2222)));
        assert_eq!(parse("me@corp@n1"), some(Some("me@corp"), "n1", None));
        assert_eq!(parse("fe80::1"), some(None, "fe80::1", None));
        assert_eq!(parse("me@[fe80::1]:22"), some(Some("me"), "fe80::1", Some(22)));
        for wrong in ["", "@n1", "n1:", "n1:0", "n1:70000", "[::1", "[::1]x", "me@", "-oX", "a b", "me@n1:x"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_name_a_key_is_known_by() {
        let options = SshOptions::new("/home/me", "me");
        let mut target = Target::plain(&Address::parse("N1.lan").unwrap(), &options);
        assert_eq!((target.known_as(), target.to_string()), ("n1.lan".into(), "me@N1.lan".into()));
        target.port = 2222;
        assert_eq!(target.known_as(), "[n1.lan]:2222");
        target.key_alias = Some("node".into());
        assert_eq!(target.known_as(), "node");
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in ".{0,60}") {
            let _ = Address::parse(&text);
        }
    }
}
