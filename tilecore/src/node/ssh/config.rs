//! `~/.ssh/config` and the system's `ssh_config`: what they say about one host.

mod condition;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::options::SshOptions;
use super::pattern::{Case, matches_list};
use super::words::Line;
use crate::error::{Error, Result, reason};

/// No sane file is longer, bytes.
const LONGEST_FILE: u64 = 4 << 20;
/// Files may include files, so deep and so many.
const DEEPEST: usize = 16;
const MOST_FILES: usize = 512;

/// How to get to the server, when not directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Directly, said so explicitly.
    None,
    /// Through these hosts, `[user@]host[:port]` each, first the one to connect to from here.
    Jump(Vec<String>),
    /// Through the standard input and output of a command.
    Command(String),
}

/// What the files say about one host. The first value found wins; key files add up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) host_name: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) identity_files: Vec<String>,
    pub(super) identities_only: Option<bool>,
    pub(super) identity_agent: Option<String>,
    pub(super) user_known_hosts: Option<Vec<String>>,
    pub(super) global_known_hosts: Option<Vec<String>>,
    pub(super) revoked_host_keys: Option<String>,
    pub(super) host_key_alias: Option<String>,
    /// Seconds.
    pub(super) connect_timeout: Option<u32>,
    pub(super) proxy: Option<Proxy>,
    /// What `Match tagged` asks for.
    pub(super) tag: Option<String>,
}

impl Settings {
    /// The last jump host's name, without user and port; empty when there is none.
    pub(super) fn jump(&self) -> &str {
        let Some(Proxy::Jump(hops)) = &self.proxy else { return "" };
        let last = hops.last().map_or("", String::as_str);
        let place = last.rsplit_once('@').map_or(last, |(_, place)| place);
        match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None if place.matches(':').count() == 1 => place.split(':').next().unwrap_or_default(),
            None => place,
        }
    }
}

/// Reads the user's and then the system's configuration for `alias`, to which the user (`user@`) and the port may have
/// been given already.
pub(super) fn settings(
    alias: &str,
    user: Option<&str>,
    port: Option<u16>,
    options: &SshOptions,
) -> Result<Settings> {
    let start = Settings { user: user.map(str::to_owned), port, ..Settings::default() };
    let mut reader = Reader::new(alias, options, start);
    reader.read_all()?;
    if reader.wants_final {
        // `Match final` sees the file a second time, with the host name that the first time found.
        reader.host = reader.host_name();
        reader.last = true;
        reader.files = 0;
        reader.read_all()?;
    }
    Ok(reader.settings)
}

/// The host names that the user's configuration lists (patterns left out), in order.
///
/// # Errors
/// When a file cannot be read or a line of it makes no sense.
pub fn hosts(options: &SshOptions) -> Result<Vec<String>> {
    let mut reader = Reader::new("", options, Settings::default());
    reader.listing = true;
    reader.read_all()?;
    let mut seen = HashSet::new();
    reader.listed.retain(|host| seen.insert(host.clone()));
    Ok(reader.listed)
}

struct Reader<'a> {
    options: &'a SshOptions,
    /// What the user typed.
    alias: &'a str,
    /// What `Host` lines are compared with.
    host: String,
    last: bool,
    wants_final: bool,
    files: usize,
    settings: Settings,
    /// Instead of evaluating, collects the names on `Host` lines.
    listing: bool,
    listed: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(alias: &'a str, options: &'a SshOptions, settings: Settings) -> Self {
        Self {
            options,
            alias,
            host: alias.to_owned(),
            last: false,
            wants_final: false,
            files: 0,
            settings,
            listing: false,
            listed: Vec::new(),
        }
    }

    fn read_all(&mut self) -> Result<()> {
        let ssh = self.options.home.join(".ssh");
        if let Some(config) = self.options.config.clone() {
            return self.file(&config, &ssh, true, 0);
        }
        self.file(&ssh.join("config"), &ssh, false, 0)?;
        if self.listing {
            return Ok(()); // The system's file has defaults, not machines.
        }
        let system = self.options.system.clone();
        self.file(&system.join("ssh_config"), &system, false, 0)
    }

    /// Reads one file whose relative includes are meant from `base`.
    fn file(&mut self, path: &Path, base: &Path, needed: bool, depth: usize) -> Result<()> {
        let mut active = true;
        self.included(path, base, needed, depth, &mut active)
    }

    fn included(
        &mut self,
        path: &Path,
        base: &Path,
        needed: bool,
        depth: usize,
        active: &mut bool,
    ) -> Result<()> {
        self.files += 1;
        if depth > DEEPEST || self.files > MOST_FILES {
            return Err(Error::input(format!("{} is included too often", path.display()))
                .remedy("Remove the Include that leads back to the same file."));
        }
        let mut bytes = Vec::new();
        match std::fs::File::open(path).and_then(|f| f.take(LONGEST_FILE).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(e) if !needed && e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => {
                return Err(Error::input(format!("cannot read {}: {}", path.display(), reason(&e)))
                    .remedy("Check the file and its permissions."));
            }
        }
        for (i, text) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let Some(line) = Line::parse(text) else { continue };
            let place = Place { path, line: i + 1 };
            let words =
                line.words().ok_or_else(|| place.wrong(&format!("{} has an open quote", line.keyword)));
            match line.keyword.as_str() {
                "host" => {
                    let words = words?;
                    *active = matches_list(words.iter().map(String::as_str), &self.host, Case::Counts);
                    let exact = |w: &&String| !w.contains(['*', '?', '!']) && !w.is_empty();
                    self.listed.extend(words.iter().filter(exact).cloned());
                }
                // Nobody is meant yet, so there is nothing to decide.
                "match" if self.listing => *active = false,
                "match" => *active = self.matches(&words?, &place)?,
                "include" if *active || self.listing => {
                    for pattern in words? {
                        for file in self.expand(&pattern, base, &place)? {
                            // What is inside a `Match` or `Host` of that file ends with the file.
                            let mut inside = *active;
                            self.included(&file, base, false, depth + 1, &mut inside)?;
                        }
                    }
                }
                "proxycommand" if *active => {
                    let proxy = match line.rest {
                        none if none.eq_ignore_ascii_case("none") => Proxy::None,
                        "" => return Err(place.wrong("proxycommand has no value")),
                        command => Proxy::Command(command.to_owned()),
                    };
                    self.settings.proxy.get_or_insert(proxy);
                }
                keyword if *active && !self.listing => self.set(keyword, &words?, &place)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The files an `Include` names, sorted as the shell would.
    fn expand(&self, pattern: &str, base: &Path, place: &Place<'_>) -> Result<Vec<PathBuf>> {
        let path = match pattern.strip_prefix("~/") {
            Some(rest) => self.options.home.join(rest),
            None => base.join(pattern),
        };
        let Some(pattern) = path.to_str() else { return Ok(Vec::new()) };
        let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        // To the crate `**` means all directories below, to OpenSSH it is one more `*`.
        let found = glob::glob_with(&pattern.replace("**", "*"), options)
            .map_err(|e| place.wrong(&format!("include: {}", e.msg)))?;
        Ok(found.filter_map(std::result::Result::ok).filter(|file| file.is_file()).take(MOST_FILES).collect())
    }

    /// The host name as far as it is known now.
    fn host_name(&self) -> String {
        match &self.settings.host_name {
            Some(name) => name.replace("%h", self.alias).replace("%%", "%"),
            None => self.alias.to_owned(),
        }
    }

    fn user(&self) -> &str {
        self.settings.user.as_deref().unwrap_or(&self.options.user)
    }

    /// Takes over one setting, if it is one that matters here and has no value yet.
    fn set(&mut self, keyword: &str, words: &[String], place: &Place<'_>) -> Result<()> {
        let one = || {
            words
                .first()
                .filter(|word| !word.is_empty())
                .cloned()
                .ok_or_else(|| place.wrong(&format!("{keyword} has no value")))
        };
        let yes = || match one()?.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(true),
            "no" | "false" => Ok(false),
            other => Err(place.wrong(&format!("{keyword} is yes or no, not `{other}`"))),
        };
        let settings = &mut self.settings;
        match keyword {
            "hostname" => set(&mut settings.host_name, one)?,
            "user" => set(&mut settings.user, one)?,
            "port" => set(&mut settings.port, || {
                let word = one()?;
                let port = word.parse().ok().filter(|port| *port > 0);
                port.ok_or_else(|| place.wrong(&format!("`{word}` is not a port")))
            })?,
            "identityfile" => {
                let file = one()?;
                if !settings.identity_files.contains(&file) && settings.identity_files.len() < 100 {
                    settings.identity_files.push(file);
                }
            }
            "identitiesonly" => set(&mut settings.identities_only, yes)?,
            "identityagent" => set(&mut settings.identity_agent, one)?,
            "userknownhostsfile" => set(&mut settings.user_known_hosts, || one().map(|_| words.to_vec()))?,
            "globalknownhostsfile" => {
                set(&mut settings.global_known_hosts, || one().map(|_| words.to_vec()))?;
            }
            "revokedhostkeys" => set(&mut settings.revoked_host_keys, one)?,
            "hostkeyalias" => set(&mut settings.host_key_alias, one)?,
            "tag" => set(&mut settings.tag, one)?,
            "connecttimeout" => set(&mut settings.connect_timeout, || {
                let word = one()?;
                seconds(&word).ok_or_else(|| place.wrong(&format!("`{word}` is not a time")))
            })?,
            "proxyjump" => set(&mut settings.proxy, || {
                let word = one()?;
                if word.eq_ignore_ascii_case("none") {
                    return Ok(Proxy::None);
                }
                Ok(Proxy::Jump(word.split(',').map(|hop| hop.trim().to_owned()).collect()))
            })?,
            _ => {}
        }
        Ok(())
    }
}

/// Gives `slot` a value unless it has one.
fn set<T>(slot: &mut Option<T>, value: impl FnOnce() -> Result<T>) -> Result<()> {
    if slot.is_none() {
        *slot = Some(value()?);
    }
    Ok(())
}

/// A time as OpenSSH writes it: seconds, or numbers with units such as `1m30s`. `none` and 0 are no limit of their own.
fn seconds(text: &str) -> Option<u32> {
    if text.eq_ignore_ascii_case("none") {
        return Some(0);
    }
    let mut total: u32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u32 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let mut chars = rest.chars();
        let unit = match chars.next().map(|c| c.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        rest = chars.as_str();
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (!text.is_empty()).then_some(total)
}

/// A line of a file, for messages.
struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl Place<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::input(format!("{self}: {what}")).remedy("Correct the line; `man ssh_config` describes it.")
    }
}
