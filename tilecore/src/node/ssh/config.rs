//! `~/.ssh/config` and the system's `ssh_config`: what they say about one host.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::criterion;
use super::options::SshOptions;
use super::pattern::{Case, matches_list};
use super::tokens::Tokens;
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

    /// Whether all criteria of a `Match` line hold.
    ///
    /// # Errors
    /// When that depends on one that is not known here: whether its settings count must not be guessed.
    fn matches(&mut self, words: &[String], place: &Place<'_>) -> Result<bool> {
        let mut words = words.iter();
        let mut all = true;
        while let Some(word) = words.next() {
            let (negated, criterion) = match word.strip_prefix('!') {
                Some(criterion) => (true, criterion),
                None => (false, word.as_str()),
            };
            let (criterion, inline) = match criterion.split_once('=') {
                Some((criterion, value)) => (criterion.to_ascii_lowercase(), Some(value.to_owned())),
                None => (criterion.to_ascii_lowercase(), None),
            };
            let holds = match criterion.as_str() {
                "all" => true,
                "final" => {
                    self.wants_final = true;
                    self.last
                }
                "canonical" => self.last,
                _ => {
                    let value = inline.or_else(|| words.next().cloned()).ok_or_else(|| {
                        place.wrong(&format!("the condition {criterion} of Match has no value"))
                    })?;
                    let is = |text: &str, case| matches_list(value.split(','), text, case);
                    match criterion.as_str() {
                        "host" => is(&self.host_name(), Case::Ignored),
                        "originalhost" => is(self.alias, Case::Ignored),
                        "user" => is(self.user(), Case::Counts),
                        "localuser" => is(&self.options.user, Case::Counts),
                        "tagged" => is(self.settings.tag.as_deref().unwrap_or_default(), Case::Counts),
                        // What is run there, and how.
                        "command" => is("/bin/sh", Case::Counts),
                        "sessiontype" => is("exec", Case::Counts),
                        // As in OpenSSH, no command is run for what the others have decided already.
                        _ if !all => false,
                        "exec" => self.runs(&value, place)?,
                        _ => {
                            let what = format!("the condition {criterion} of Match is not supported");
                            return Err(Error::input(format!("{place}: {what}")).remedy(format!(
                                "Write `!originalhost {}` before the condition if the line is not meant for it, or \
                                 say it with `exec` and a command.",
                                self.alias
                            )));
                        }
                    }
                }
            };
            all = all && holds != negated;
        }
        Ok(all)
    }

    /// Whether the command of a `Match exec` ends with 0.
    fn runs(&self, command: &str, place: &Place<'_>) -> Result<bool> {
        let tokens = Tokens {
            alias: self.alias,
            host: &self.host_name(),
            port: self.settings.port.unwrap_or(22),
            user: self.user(),
            key_alias: self.settings.host_key_alias.as_deref(),
            jump: self.settings.jump(),
            options: self.options,
        };
        criterion::holds(&tokens.expand(command)?)
            .map_err(|why| place.wrong(&format!("the command of Match exec {why}")))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `text` as `~/.ssh/config` says about `alias`; other files may be put into the home before.
    fn about(home: &Path, text: &str, alias: &str) -> Result<Settings> {
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        std::fs::write(home.join(".ssh/config"), text).unwrap();
        let mut options = SshOptions::new(home, "me");
        options.system = home.join("etc");
        settings(alias, None, None, &options)
    }

    fn of(text: &str, alias: &str) -> Settings {
        about(tempfile::tempdir().unwrap().path(), text, alias).unwrap()
    }

    #[test]
    fn the_first_value_wins_and_key_files_add_up() {
        let text = "User early\nHost n1 n2\n  HostName %h.lan\n  Port 2222\n  IdentityFile ~/a\nHost *\n  \
                    Port 22\n  User late\n  IdentityFile ~/b\n  IdentityFile ~/a\n";
        let n1 = of(text, "n1");
        assert_eq!(
            (n1.host_name.as_deref(), n1.port, n1.user.as_deref()),
            (Some("%h.lan"), Some(2222), Some("early"))
        );
        assert_eq!(n1.identity_files, ["~/a", "~/b"]);
        let other = of(text, "n3");
        assert_eq!((other.host_name, other.port), (None, Some(22)));
    }

    #[test]
    fn host_patterns_and_negation() {
        let text = "Host *.lan !bad.lan\n Port 1\nHost ?1\n Port 2\n";
        assert_eq!(of(text, "a.lan").port, Some(1));
        assert_eq!(of(text, "bad.lan").port, None);
        assert_eq!(of(text, "n1").port, Some(2));
    }

    #[test]
    fn match_lines() {
        let text =
            "Host n1\n HostName real.lan\nMatch host real.lan user me\n Port 1\nMatch all\n User all\n";
        let n1 = of(text, "n1");
        assert_eq!((n1.port, n1.user.as_deref()), (Some(1), Some("all")));
        assert_eq!(of(text, "n2").port, None);
        assert_eq!(of("Match originalhost n*,!n2\n Port 3\n", "n2").port, None);
        assert_eq!(of("Match !user root\n Port 3\n", "n2").port, Some(3));
        assert_eq!(of("Match exec \"true\"\n Port 3\n", "n2").port, Some(3));
        assert_eq!(of("Match !exec \"true\"\n Port 3\n", "n2").port, None);
        assert_eq!(
            of("Match exec \"test %h:%p = r.lan:4\"\n User x\nPort 4\nHostName r.lan\n", "n").user,
            None
        );
        let text = "Port 4\nHostName r.lan\nMatch exec \"test %h:%p:%n = r.lan:4:n\"\n User x\n";
        assert_eq!(of(text, "n").user.as_deref(), Some("x"));
        assert_eq!(of("Tag fast\nMatch tagged fast sessiontype exec\n Port 3\n", "n").port, Some(3));
        assert_eq!(of("Match final host x.lan\n Port 3\nHost n\n HostName x.lan\n", "n").port, Some(3));
    }

    #[test]
    fn a_condition_that_nobody_can_decide_is_an_error_where_it_matters() {
        let dir = tempfile::tempdir().unwrap();
        let text = "\nMatch localnetwork 10.0.0.0/8\n Port 3\n";
        let error = about(dir.path(), text, "n1").unwrap_err();
        assert!(error.to_string().contains("config:2: the condition localnetwork"), "{error}");
        assert!(error.hint().unwrap().contains("!originalhost n1"), "{error:?}");
        let text = "Match !originalhost n1 localnetwork 10.0.0.0/8\n Port 3\n";
        assert_eq!(about(dir.path(), text, "n1").unwrap().port, None);
        // A list of hosts runs nothing.
        let ran = dir.path().join("ran");
        let text = format!("Match exec \"touch {}\"\n Port 3\nHost n2\n", ran.display());
        about(dir.path(), &text, "n1").unwrap();
        assert!(std::fs::remove_file(&ran).is_ok());
        assert_eq!(hosts(&SshOptions::new(dir.path(), "me")).unwrap(), ["n2"]);
        assert!(!ran.exists());
    }

    /// As `ssh -G` has it.
    #[test]
    fn case_counts_where_openssh_counts_it() {
        assert_eq!(of("Host N1\n Port 3\n", "n1").port, None);
        assert_eq!(of("Host N1\n Port 3\n", "N1").port, Some(3));
        assert_eq!(of("Match host N1\n Port 3\n", "n1").port, Some(3));
        assert_eq!(of("Match originalhost n1\n Port 3\n", "N1").port, Some(3));
        assert_eq!(of("User ME\nMatch user me\n Port 3\n", "n1").port, None);
    }

    #[test]
    fn includes_are_found_and_stay_inside_their_block() {
        let dir = tempfile::tempdir().unwrap();
        let parts = dir.path().join(".ssh/parts");
        std::fs::create_dir_all(&parts).unwrap();
        std::fs::write(parts.join("a.conf"), "Host n1\n Port 1\n").unwrap();
        std::fs::write(parts.join("b.conf"), "Host n2\n Port 2\n").unwrap();
        let text = "Include parts/*.conf missing\nUser u\nHost n3\n Include ~/.ssh/parts/c\n Port 9\n";
        std::fs::write(parts.join(".a.conf"), "Port 7\n").unwrap(); // As editors leave them.
        std::fs::write(parts.join("c"), "User c\nHost n1\n IdentitiesOnly yes\n").unwrap();
        let n1 = about(dir.path(), text, "n1").unwrap();
        assert_eq!((n1.port, n1.user.as_deref(), n1.identities_only), (Some(1), Some("u"), None));
        assert_eq!(about(dir.path(), text, "n2").unwrap().port, Some(2));
        assert_eq!(about(dir.path(), text, "n3").unwrap().port, Some(9));
        let options = SshOptions::new(dir.path(), "me");
        assert_eq!(hosts(&options).unwrap(), ["n1", "n2", "n3"]);
    }

    #[test]
    fn a_file_that_includes_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = about(dir.path(), "Include config\n", "n1").unwrap_err();
        assert!(error.to_string().contains("too often"), "{error}");
    }

    #[test]
    fn wrong_lines_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "\nPort x\n",
            "\nPort 0\n",
            "\nUser\n",
            "\nHost \"a\n",
            "\nIdentitiesOnly maybe\n",
            "\nMatch user\n",
        ] {
            let error = about(dir.path(), text, "n1").unwrap_err();
            assert!(error.to_string().contains("config:2: "), "{error}");
        }
    }

    #[test]
    fn proxies_and_lists() {
        let n = of("ProxyJump a,me@b:22\nProxyCommand x %h\n", "n");
        assert_eq!(n.proxy, Some(Proxy::Jump(vec!["a".into(), "me@b:22".into()])));
        assert_eq!(
            of("ProxyCommand nc '%h' %p\nProxyJump a\n", "n").proxy,
            Some(Proxy::Command("nc '%h' %p".into()))
        );
        for none in ["ProxyJump none", "ProxyCommand none", "ProxyCommand None", "ProxyJump NONE"] {
            assert_eq!(of(&format!("{none}\nProxyJump a\n"), "n").proxy, Some(Proxy::None), "{none}");
        }
        for (jump, host) in [("a,me@b:22", "b"), ("[fe80::1]:22", "fe80::1"), ("me@c", "c"), ("none", "")] {
            assert_eq!(of(&format!("ProxyJump {jump}\n"), "n").jump(), host);
        }
        assert_eq!(
            of("UserKnownHostsFile a \"b c\"\n", "n").user_known_hosts,
            Some(vec!["a".into(), "b c".into()])
        );
    }

    #[test]
    fn times() {
        for (text, expected) in
            [("10", Some(10)), ("1m30s", Some(90)), ("none", Some(0)), ("", None), ("1x", None), ("m", None)]
        {
            assert_eq!(seconds(text), expected, "{text}");
        }
        assert_eq!(seconds("99999999999"), None);
        assert_eq!(seconds("4000000000w"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_file_can_be_read(
            lines in prop::collection::vec("(Host|Match|Port|User|IdentityFile|ProxyJump|Include|[a-z]{1,8})[ =]?.{0,30}", 0..8),
            alias in "[a-z.]{1,10}",
        ) {
            let dir = tempfile::tempdir().unwrap();
            let _ = about(dir.path(), &lines.join("\n"), &alias);
        }
    }
}
