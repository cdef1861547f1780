//! Where a node's SSH server is and how to log in there, everything resolved.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
        let text = text.strip_prefix("ssh://").unwrap_or(text);
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
        // Nothing that a shell would take for more than a name: a ProxyCommand may be given it. A user may belong to a
        // Windows domain, `CORP\me`; at the end a backslash would join the name with what follows it.
        let odd = |c: char| c.is_whitespace() || c.is_control() || "'\"`$;&<>|(){}*?!#".contains(c);
        let fine = |s: &str| !s.is_empty() && !s.starts_with('-') && !s.contains(odd) && !s.ends_with('\\');
        if !fine(host) || host.contains('\\') || !user.is_none_or(fine) {
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
    /// Whether the configuration names them.
    pub(super) identities_named: bool,
    /// Only those, nothing else that the agent holds.
    pub(super) identities_only: bool,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
    /// How long connecting and the handshake may take, each.
    pub(super) timeout: Duration,
    /// Files with public keys that no host may show.
    pub(super) revoked: Vec<PathBuf>,
}

impl Target {
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
        assert_eq!(parse("ssh://me@n1:22"), some(Some("me"), "n1", Some(22)));
        assert_eq!(parse("me@corp@n1"), some(Some("me@corp"), "n1", None));
        assert_eq!(parse("fe80::1"), some(None, "fe80::1", None));
        assert_eq!(parse("me@[fe80::1]:22"), some(Some("me"), "fe80::1", Some(22)));
        assert_eq!(parse("CORP\\me@n1:22"), some(Some("CORP\\me"), "n1", Some(22)));
        for wrong in ["me@n\\1", "me\\@n1", "n\\1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        for wrong in ["", "@n1", "n1:", "n1:0", "n1:70000", "[::1", "[::1]x", "me@", "-oX", "a b", "me@n1:x"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_name_a_key_is_known_by() {
        let mut target = Target {
            alias: "n".into(),
            host: "N1.lan".into(),
            port: 22,
            user: "me".into(),
            key_alias: None,
            known_hosts: Vec::new(),
            revoked: Vec::new(),
            identities: Vec::new(),
            identities_named: false,
            identities_only: false,
            agent: None,
            timeout: Duration::from_secs(10),
        };
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
