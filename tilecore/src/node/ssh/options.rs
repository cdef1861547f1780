//! How this user's SSH is set up: where home is, which agent, who can be asked for a passphrase.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// Somebody who can be asked for the passphrase of an encrypted key.
pub trait Prompt: Send + Sync {
    /// Asks for the passphrase of the private key at `key`; `attempt` counts from 1 (before that one it was wrong).
    /// `None` when nobody can be asked or the answer is withheld. Called for one key at a time.
    fn passphrase(&self, key: &Path, attempt: u32) -> Option<String>;
}

/// Whether a passphrase opened a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unlocked {
    Yes,
    No,
    /// The connection ended before it showed; the passphrase is not remembered.
    Unknown,
}

/// The SSH set-up of one user, shared by every node of a run.
#[derive(Clone)]
pub struct SshOptions {
    /// The user's home directory: `~` in every path, and where `.ssh` is.
    pub home: PathBuf,
    /// The user's name here, which is also the one to log in with when nothing says otherwise.
    pub user: String,
    /// The configuration file to read instead of `~/.ssh/config` and the system's.
    pub config: Option<PathBuf>,
    /// The system's configuration directory.
    pub system: PathBuf,
    /// The agent's socket.
    pub agent: Option<PathBuf>,
    /// How long connecting may take when the configuration does not say.
    pub connect_timeout: Duration,
    /// Who is asked for passphrases; nobody when absent.
    pub prompt: Option<Arc<dyn Prompt>>,
    answers: Arc<Mutex<HashMap<PathBuf, Option<String>>>>,
}

impl std::fmt::Debug for SshOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { home, user, config, system, agent, connect_timeout, prompt, answers: _ } = self;
        f.debug_struct("SshOptions")
            .field("home", home)
            .field("user", user)
            .field("config", config)
            .field("system", system)
            .field("agent", agent)
            .field("connect_timeout", connect_timeout)
            .field("prompt", &prompt.is_some())
            .finish()
    }
}

impl SshOptions {
    /// The set-up of a user with this home directory, without an agent and with nobody to ask.
    pub fn new(home: impl Into<PathBuf>, user: impl Into<String>) -> Self {
        Self {
            home: home.into(),
            user: user.into(),
            config: None,
            system: PathBuf::from("/etc/ssh"),
            agent: None,
            connect_timeout: Duration::from_secs(10),
            prompt: None,
            answers: Arc::default(),
        }
    }

    /// The set-up of the user who runs this process: `$HOME`, `$SSH_AUTH_SOCK`, the name from the password file.
    pub fn from_env() -> Result<Self> {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).ok_or_else(|| {
            Error::input("the environment variable HOME is not set").remedy("Set it to your home directory.")
        })?;
        let uid = rustix::process::getuid().as_raw().to_string();
        let user = std::fs::read_to_string("/etc/passwd")
            .ok()
            .and_then(|text| user_of(&text, &uid))
            .or_else(|| std::env::var("USER").ok())
            .or_else(|| std::env::var("LOGNAME").ok())
            .filter(|user| !user.is_empty())
            .ok_or_else(|| {
                Error::input("the name of the current user is not known")
                    .remedy("Set the environment variable USER, or write nodes as user@host.")
            })?;
        let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self { agent, ..Self::new(home, user) })
    }

    /// Calls `unlock` with passphrases for `key` until one is not wrong, asking at most three times, and not at all
    /// where that was done before in this run. `None` when there is none to try (any more).
    pub(super) fn with_passphrase(
        &self,
        key: &Path,
        mut unlock: impl FnMut(&str) -> Unlocked,
    ) -> Option<Unlocked> {
        const ATTEMPTS: u32 = 3;
        // Held while asking: all slots of all nodes want the same key at the same moment.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(key) {
            let answer = answer.clone()?;
            drop(answers);
            return Some(unlock(&answer));
        }
        let prompt = self.prompt.as_ref()?;
        for attempt in 1..=ATTEMPTS {
            let Some(answer) = prompt.passphrase(key, attempt) else {
                answers.insert(key.to_owned(), None);
                return None;
            };
            match unlock(&answer) {
                Unlocked::Yes => {
                    answers.insert(key.to_owned(), Some(answer));
                    return Some(Unlocked::Yes);
                }
                Unlocked::Unknown => return Some(Unlocked::Unknown),
                Unlocked::No => {}
            }
        }
        answers.insert(key.to_owned(), None);
        Some(Unlocked::No)
    }
}

/// The user's name in the text of a password file.
fn user_of(passwd: &str, uid: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scripted(Mutex<Vec<Option<&'static str>>>);

    impl Prompt for Scripted {
        fn passphrase(&self, _: &Path, _: u32) -> Option<String> {
            self.0.lock().unwrap().remove(0).map(str::to_owned)
        }
    }

    fn asking(answers: &[Option<&'static str>]) -> SshOptions {
        let prompt = Arc::new(Scripted(Mutex::new(answers.to_vec())));
        SshOptions { prompt: Some(prompt), ..SshOptions::new("/home/me", "me") }
    }

    /// What a key with the passphrase `right` does.
    fn lock(passphrase: &str) -> Unlocked {
        if passphrase == "right" { Unlocked::Yes } else { Unlocked::No }
    }

    #[test]
    fn a_passphrase_is_asked_for_once() {
        let options = asking(&[Some("wrong"), Some("right")]);
        let key = Path::new("/home/me/.ssh/id");
        assert_eq!(options.with_passphrase(key, lock), Some(Unlocked::Yes));
        assert_eq!(options.clone().with_passphrase(key, lock), Some(Unlocked::Yes));
    }

    #[test]
    fn who_declines_or_fails_is_not_asked_again() {
        let key = Path::new("/home/me/.ssh/id");
        let declined = asking(&[None]);
        assert_eq!(declined.with_passphrase(key, lock), None);
        assert_eq!(declined.with_passphrase(key, lock), None);
        let wrong = asking(&[Some("a"), Some("b"), Some("c")]);
        assert_eq!(wrong.with_passphrase(key, lock), Some(Unlocked::No));
        assert_eq!(wrong.with_passphrase(key, lock), None);
        assert_eq!(SshOptions::new("/", "me").with_passphrase(key, lock), None);
    }

    #[test]
    fn what_nobody_could_try_is_not_remembered() {
        let options = asking(&[Some("typo"), Some("right")]);
        let key = Path::new("/home/me/.ssh/id");
        assert_eq!(options.with_passphrase(key, |_| Unlocked::Unknown), Some(Unlocked::Unknown));
        assert_eq!(options.with_passphrase(key, lock), Some(Unlocked::Yes));
    }

    #[test]
    fn the_name_in_the_password_file() {
        let text = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/sh\n";
        assert_eq!(user_of(text, "1000").as_deref(), Some("me"));
        assert_eq!(user_of(text, "100"), None);
        assert_eq!(user_of("broken\n:\n", "0"), None);
    }
}
