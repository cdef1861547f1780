//! What `%h`, `${VARIABLES}` and `~` stand for in the user's SSH configuration.

use std::path::PathBuf;

use sha1::{Digest, Sha1};

use super::options::SshOptions;
use crate::error::{Error, Result};

/// What is known of a connection when a text of the configuration is expanded.
pub(super) struct Tokens<'a> {
    /// What the user typed.
    pub(super) alias: &'a str,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) user: &'a str,
    pub(super) key_alias: Option<&'a str>,
    /// The jump host, empty without one.
    pub(super) jump: &'a str,
    pub(super) options: &'a SshOptions,
}

impl Tokens<'_> {
    /// Replaces every token by what it stands for.
    pub(super) fn expand(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some('h') => out.push_str(self.host),
                Some('n') => out.push_str(self.alias),
                Some('k') => out.push_str(self.key_alias.unwrap_or(self.alias)),
                Some('p') => out.push_str(&self.port.to_string()),
                Some('r') => out.push_str(self.user),
                Some('j') => out.push_str(self.jump),
                Some('u') => out.push_str(&self.options.user),
                Some('d') => out.push_str(&self.options.home.to_string_lossy()),
                Some('i') => out.push_str(&rustix::process::getuid().as_raw().to_string()),
                Some('l') => out.push_str(&machine()),
                Some('L') => out.push_str(machine().split('.').next().unwrap_or_default()),
                Some('C') => out.push_str(&self.hash()),
                other => {
                    let token: String = std::iter::once('%').chain(other).collect();
                    return Err(Error::input(format!(
                        "`{token}` in `{text}`, which ~/.ssh/config sets for `{}`, is not supported",
                        self.alias
                    ))
                    .remedy(
                        "Use %h, %n, %p, %r, %u, %d, %i, %j, %k, %l, %L or %C in ~/.ssh/config, or write it out.",
                    ));
                }
            }
        }
        Ok(out)
    }

    /// `%C`: the hash of `%l%h%p%r%j`.
    fn hash(&self) -> String {
        let Self { host, port, user, jump, .. } = self;
        format!("{:x}", Sha1::digest(format!("{}{host}{port}{user}{jump}", machine())))
    }

    /// A path with its tokens, `${VARIABLES}` and `~` expanded; `none` names no file.
    pub(super) fn path(&self, file: &str) -> Result<Option<PathBuf>> {
        if file.eq_ignore_ascii_case("none") {
            return Ok(None);
        }
        let file = self.expand(&variables(file)?)?;
        Ok(Some(match file.strip_prefix("~/") {
            Some(rest) => self.options.home.join(rest),
            None => PathBuf::from(file),
        }))
    }

    /// All paths in `files`.
    pub(super) fn paths(&self, files: &[impl AsRef<str>]) -> Result<Vec<PathBuf>> {
        files.iter().filter_map(|file| self.path(file.as_ref()).transpose()).collect()
    }
}

/// The name of this machine, as its system calls it.
fn machine() -> String {
    let out = std::process::Command::new("uname").arg("-n").output();
    out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default()
}

/// Replaces `${NAME}` by the environment variable.
fn variables(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let value = after.split_once('}').and_then(|(name, tail)| Some((std::env::var(name).ok()?, tail)));
        let (value, tail) = value.ok_or_else(|| {
            Error::input(format!("`{text}` in the SSH configuration names a variable that is not set"))
                .remedy("Set it, or write the path out in ~/.ssh/config.")
        })?;
        out.push_str(before);
        out.push_str(&value);
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expanded(text: &str, jump: &str) -> Result<String> {
        let options = SshOptions::new("/home/me", "me");
        let tokens = Tokens {
            alias: "n",
            host: "n.lan",
            port: 24,
            user: "u",
            key_alias: None,
            jump,
            options: &options,
        };
        tokens.expand(text)
    }

    #[test]
    fn every_token_of_openssh_that_is_known_before_connecting() {
        let all = expanded("%%|%h|%n|%k|%p|%r|%u|%d|%j", "gate").unwrap();
        assert_eq!(all, "%|n.lan|n|n|24|u|me|/home/me|gate");
        let machine = machine();
        assert!(!machine.is_empty());
        assert_eq!(expanded("%l", "").unwrap(), machine);
        assert_eq!(expanded("%L.x", "").unwrap().split('.').next(), machine.split('.').next());
        assert!(expanded("%H", "").is_err() && expanded("%", "").is_err());
    }

    #[test]
    fn the_hash_of_a_connection_is_that_of_openssh() {
        let hash = |text: String| format!("{:x}", Sha1::digest(text));
        assert_eq!(expanded("%C", "").unwrap(), hash(format!("{}n.lan24u", machine())));
        assert_eq!(expanded("%C", "gate").unwrap(), hash(format!("{}n.lan24ugate", machine())));
        // `printf vmn122root | sha1sum`, and what `ssh -G` made of it.
        assert_eq!(hash("vmn122root".into()), "a8d00daf3c181f1d52fa5ca0146da19eb3af3f03");
    }

    proptest! {
        #[test]
        fn any_text_expands_or_is_an_error(text in "[^lLC]{0,40}") {
            let _ = expanded(&text, "j");
            let _ = variables(&text);
        }
    }
}
