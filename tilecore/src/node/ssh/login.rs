//! Logging in: the agent's keys, then key files.

use std::path::{Path, PathBuf};

use libssh2_sys as raw;
use ssh2::{ErrorCode, Session};

use super::advice;
use super::key::Identity;
use super::known_hosts::fingerprint;
use super::options::{SshOptions, Unlocked};
use super::target::Target;
use crate::error::{Error, Result};

/// How one attempt ended.
enum Outcome {
    In,
    /// The server does not take this key.
    Refused,
    /// The server would take the key, but it could not be used.
    Unusable,
    /// The server ended the connection.
    Ended(String),
}

impl Outcome {
    fn of(result: Result<(), ssh2::Error>) -> Self {
        let Err(e) = result else { return Outcome::In };
        let ErrorCode::Session(code) = e.code() else { return Outcome::Unusable };
        match code {
            raw::LIBSSH2_ERROR_AUTHENTICATION_FAILED => Outcome::Refused,
            raw::LIBSSH2_ERROR_SOCKET_SEND
            | raw::LIBSSH2_ERROR_SOCKET_RECV
            | raw::LIBSSH2_ERROR_SOCKET_DISCONNECT
            | raw::LIBSSH2_ERROR_SOCKET_TIMEOUT
            | raw::LIBSSH2_ERROR_TIMEOUT => Outcome::Ended(e.message().to_owned()),
            // libssh2 reports a connection that ended during the exchange with the code of a bad signature.
            raw::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED if e.message().starts_with("Waiting for") => {
                Outcome::Ended(e.message().to_owned())
            }
            _ => Outcome::Unusable,
        }
    }
}

/// What was tried, for the message when nothing worked.
#[derive(Default)]
struct Trail {
    tried: Vec<String>,
    /// Key files whose passphrase nobody could be asked for, or was wrong.
    locked: bool,
    wrong: Option<PathBuf>,
    /// Public keys that the server does not take; not worth a second attempt.
    refused: Vec<Vec<u8>>,
    attempts: usize,
    /// Whether neither an agent nor a file has any key.
    keyless: bool,
}

impl Trail {
    /// Notes an attempt; `Some` ends the search.
    fn note(
        &mut self,
        target: &Target,
        what: &str,
        key: Option<&[u8]>,
        outcome: Outcome,
    ) -> Option<Result<()>> {
        self.attempts += 1;
        match outcome {
            Outcome::In => return Some(Ok(())),
            Outcome::Refused => {
                self.tried.push(format!("{what} is not accepted there"));
                self.refused.extend(key.map(<[u8]>::to_vec));
            }
            Outcome::Unusable => self.tried.push(format!("{what} could not be used")),
            Outcome::Ended(reason) => {
                let error = Error::node(format!(
                    "{target} ended the connection during the login, at key {} ({what}): {}",
                    self.attempts,
                    reason.to_lowercase()
                ));
                return Some(Err(error.remedy(format!(
                    "If your agent holds many keys, set IdentityFile and IdentitiesOnly for `{}` in ~/.ssh/config.",
                    target.alias
                ))));
            }
        }
        None
    }
}

/// Logs in over a session whose host key was checked. Says which key did it.
pub(super) fn log_in(session: &Session, target: &Target, options: &SshOptions) -> Result<String> {
    let mut trail = Trail::default();
    let mut identities = Vec::new();
    for path in &target.identities {
        match Identity::read(path) {
            Some(identity) => identities.push(identity),
            // The usual names are only tried; one that somebody wrote down should be there.
            None if target.identities_named => trail.tried.push(format!("{} is no key", path.display())),
            None => {}
        }
    }
    if let Some(socket) = &target.agent
        && let Some(key) = with_agent(session, target, socket, &identities, &mut trail)?
    {
        return Ok(key);
    }
    for identity in &identities {
        let (Some(private), public) = (&identity.private, identity.public.as_ref()) else { continue };
        if public.is_some_and(|public| trail.refused.contains(public)) {
            continue;
        }
        let what = identity.path.display().to_string();
        let line = identity.public_line();
        let attempt = |passphrase: Option<&str>| {
            session.userauth_pubkey_memory(&target.user, line.as_deref(), private, passphrase)
        };
        let mut outcome = if identity.encrypted && line.is_none() {
            Outcome::Unusable // Without the public key nothing can be asked of the server before the passphrase.
        } else {
            // For an encrypted key this asks the server whether it would do, before the user is asked for anything.
            Outcome::of(attempt(None))
        };
        if identity.encrypted && matches!(outcome, Outcome::Unusable) {
            let unlocked = options.with_passphrase(&identity.path, |passphrase| {
                outcome = Outcome::of(attempt(Some(passphrase)));
                match outcome {
                    Outcome::In | Outcome::Refused => Unlocked::Yes,
                    Outcome::Unusable => Unlocked::No,
                    Outcome::Ended(_) => Unlocked::Unknown,
                }
            });
            match unlocked {
                None => {
                    trail.locked = true;
                    trail.tried.push(format!("{what} needs a passphrase"));
                    continue;
                }
                Some(Unlocked::No) => {
                    trail.wrong = Some(identity.path.clone());
                    trail.tried.push(format!("the passphrase of {what} is wrong"));
                    continue;
                }
                Some(Unlocked::Yes | Unlocked::Unknown) => {}
            }
        }
        if let Some(end) = trail.note(target, &what, public.map(Vec::as_slice), outcome) {
            return end.map(|()| format!("key {what}"));
        }
    }
    trail.keyless = trail.attempts == 0 && identities.is_empty();
    Err(refused(target, &trail, options))
}

/// Tries the keys that the agent holds: those that are configured first, in their order.
fn with_agent(
    session: &Session,
    target: &Target,
    socket: &Path,
    identities: &[Identity],
    trail: &mut Trail,
) -> Result<Option<String>> {
    let held = session.agent().and_then(|mut agent| {
        agent.set_identity_path(socket)?;
        agent.connect()?;
        agent.list_identities()?;
        let held = agent.identities()?;
        Ok((agent, held))
    });
    let (agent, mut held) = match held {
        Ok(held) => held,
        Err(e) => {
            trail.tried.push(format!("the agent does not answer ({})", e.message()));
            return Ok(None);
        }
    };
    let rank = |blob: &[u8]| identities.iter().position(|i| i.public.as_deref() == Some(blob));
    if target.identities_only {
        held.retain(|key| rank(key.blob()).is_some());
    }
    held.sort_by_key(|key| rank(key.blob()).unwrap_or(usize::MAX));
    if held.is_empty() {
        trail.tried.push("the agent holds no key for it".to_owned());
    }
    for key in &held {
        let comment: String = key.comment().chars().filter(|c| !c.is_control()).take(60).collect();
        let what = format!("the agent's key {comment} {}", fingerprint(key.blob()));
        let outcome = Outcome::of(agent.userauth(&target.user, key));
        if let Some(end) = trail.note(target, &what, Some(key.blob()), outcome) {
            return end.map(|()| Some(what));
        }
    }
    Ok(None)
}

fn refused(target: &Target, trail: &Trail, options: &SshOptions) -> Error {
    let tried = if trail.tried.is_empty() {
        "there is no key to log in with".to_owned()
    } else {
        trail.tried.join("; ")
    };
    let remedy = if let Some(key) = &trail.wrong {
        format!(
            "Run it again and type the passphrase of that key, or load the key into your agent with `ssh-add {}`.",
            advice::quoted(&key.display().to_string())
        )
    } else if trail.locked {
        "Load the key into your agent with `ssh-add`, or run this in a terminal, where it can ask.".to_owned()
    } else if trail.keyless {
        format!(
            "`ssh-keygen -t ed25519` makes a key, then `{}` copies it there.",
            advice::command("ssh-copy-id", target, options)
        )
    } else {
        format!(
            "`{}` must work without a password: `{}` copies your key there.",
            advice::command("ssh", target, options),
            advice::command("ssh-copy-id", target, options)
        )
    };
    Error::node(format!("cannot log in to {target}: {tried}")).remedy(remedy).fatal()
}
