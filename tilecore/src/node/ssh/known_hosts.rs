//! The `known_hosts` files: which key a host showed when the user first trusted it.
//!
//! Read here rather than by libssh2, which gives a whole file up at the first line it cannot read, and knows neither
//! wildcards nor `@revoked` nor `@cert-authority`. What cannot be understood is never taken as permission.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::Mac;

use super::pattern::{Case, matches_list};
use crate::error::{Error, Result, reason};

/// No sane file is longer, bytes.
const LONGEST_FILE: u64 = 32 << 20;

/// What the files say about a host and the key it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is the known one.
    Known,
    /// Nothing is known about the host.
    Unknown {
        /// A certificate authority is set for it, which does not help: certificates are not checked here.
        authority: bool,
    },
    /// The host is known by a key of another type, first found at this place.
    OtherType(PathBuf, usize, String),
    /// The host is known by another key of the same type, first found at this place.
    Changed(PathBuf, usize),
    /// The key is marked as revoked at this place.
    Revoked(PathBuf, usize),
}

/// Every readable line of some `known_hosts` files, in order.
#[derive(Debug, Default)]
pub(super) struct KnownHosts {
    lines: Vec<Line>,
    /// Files that are there and cannot be read, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
}

#[derive(Debug)]
struct Line {
    file: PathBuf,
    number: usize,
    marker: Marker,
    hosts: Hosts,
    algorithm: String,
    key: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    None,
    Revoked,
    Authority,
}

#[derive(Debug)]
enum Hosts {
    Patterns(String),
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        let Some(hashed) = text.strip_prefix("|1|") else { return Some(Hosts::Patterns(text.to_owned())) };
        let (salt, hash) = hashed.split_once('|')?;
        let (salt, hash) = (BASE64_STANDARD.decode(salt).ok()?, BASE64_STANDARD.decode(hash).ok()?);
        (hash.len() == 20).then_some(Hosts::Hashed { salt, hash })
    }

    fn contain(&self, name: &str) -> bool {
        match self {
            Hosts::Patterns(patterns) => matches_list(patterns.split(','), name, Case::Ignored),
            Hosts::Hashed { salt, hash } => hmac::Hmac::<sha1::Sha1>::new_from_slice(salt)
                .is_ok_and(|mac| mac.chain_update(name.as_bytes()).verify_slice(hash).is_ok()),
        }
    }
}

impl Line {
    /// Reads one line; `None` for comments, empty lines and whatever cannot be understood.
    fn parse(file: &Path, number: usize, text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut first = words.next().filter(|word| !word.starts_with('#'))?;
        let mut marker = Marker::None;
        if first.starts_with('@') {
            marker = match first {
                "@revoked" => Marker::Revoked,
                "@cert-authority" => Marker::Authority,
                _ => return None,
            };
            first = words.next()?;
        }
        let hosts = Hosts::parse(first)?;
        let algorithm = words.next()?;
        let key = BASE64_STANDARD.decode(words.next()?).ok()?;
        (algorithm_of(&key)? == algorithm).then(|| Line {
            file: file.to_owned(),
            number,
            marker,
            hosts,
            algorithm: algorithm.to_owned(),
            key,
        })
    }
}

impl KnownHosts {
    /// Reads `files` one after the other; those that are missing or cannot be read make nothing known.
    pub(super) fn read(files: &[PathBuf]) -> Self {
        let mut known = Self::default();
        for file in files {
            let mut bytes = Vec::new();
            let read = std::fs::File::open(file).and_then(|f| f.take(LONGEST_FILE).read_to_end(&mut bytes));
            match read {
                Ok(_) => known.add(file, &bytes),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    let reason = reason(&e);
                    tracing::warn!("the known host keys in {} cannot be read: {reason}", file.display());
                    known.unreadable.push((file.clone(), reason));
                }
            }
        }
        known
    }

    /// Adds the lines of a file that was read already.
    pub(super) fn add(&mut self, file: &Path, bytes: &[u8]) {
        let lines = bytes.split(|b| *b == b'\n').enumerate();
        self.lines
            .extend(lines.filter_map(|(i, line)| Line::parse(file, i + 1, std::str::from_utf8(line).ok()?)));
    }

    /// The key types known for `name`, in the files' order, each once.
    pub(super) fn algorithms(&self, name: &str) -> Vec<&str> {
        let mut found = Vec::new();
        for line in self.lines.iter().filter(|l| l.marker == Marker::None && l.hosts.contain(name)) {
            if !found.contains(&line.algorithm.as_str()) {
                found.push(line.algorithm.as_str());
            }
        }
        found
    }

    /// What is known about the host `name` (written `[host]:port` when the port is not 22) that shows `key`.
    pub(super) fn verdict(&self, name: &str, key: &[u8]) -> Verdict {
        let lines: Vec<&Line> = self.lines.iter().filter(|line| line.hosts.contain(name)).collect();
        // A revoked key stays revoked, whatever other lines say about it.
        if let Some(line) = lines.iter().find(|l| l.marker == Marker::Revoked && l.key == key) {
            return Verdict::Revoked(line.file.clone(), line.number);
        }
        let trusted = || lines.iter().filter(|line| line.marker == Marker::None);
        if trusted().any(|line| line.key == key) {
            return Verdict::Known;
        }
        let algorithm = algorithm_of(key);
        if let Some(line) = trusted().find(|line| Some(line.algorithm.as_str()) == algorithm) {
            return Verdict::Changed(line.file.clone(), line.number);
        }
        if let Some(line) = trusted().next() {
            return Verdict::OtherType(line.file.clone(), line.number, line.algorithm.clone());
        }
        Verdict::Unknown { authority: lines.iter().any(|line| line.marker == Marker::Authority) }
    }
}

/// Whether `key` is in a `RevokedHostKeys` file: public keys, one a line.
///
/// # Errors
/// When the file cannot be read or is in OpenSSH's binary format, because then nobody knows.
pub(super) fn is_revoked(file: &Path, key: &[u8]) -> Result<bool> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|f| f.take(LONGEST_FILE).read_to_end(&mut bytes));
    let why = match read {
        Err(e) => reason(&e),
        Ok(_) if bytes.starts_with(b"SSHKRL\n\0") => "it is a binary revocation list".to_owned(),
        Ok(_) => {
            let keys = bytes.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
            let words = keys.flat_map(str::split_ascii_whitespace);
            return Ok(words.filter_map(|word| BASE64_STANDARD.decode(word).ok()).any(|known| known == key));
        }
    };
    Err(Error::node(format!("the revoked host keys in {} cannot be checked: {why}", file.display()))
        .remedy("Name a readable file with one public key a line as RevokedHostKeys in ~/.ssh/config.")
        .fatal())
}

/// The type that a public key names itself: the first string in it.
pub(super) fn algorithm_of(key: &[u8]) -> Option<&str> {
    let length = u32::from_be_bytes(*key.first_chunk()?) as usize;
    let name = key.get(4..4_usize.checked_add(length)?)?;
    std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()))
}

/// A key's fingerprint, as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(key: &[u8]) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(key);
    format!("SHA256:{}", base64::prelude::BASE64_STANDARD_NO_PAD.encode(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(algorithm: &str, body: &str) -> Vec<u8> {
        let mut key = (algorithm.len() as u32).to_be_bytes().to_vec();
        key.extend(algorithm.as_bytes());
        key.extend(body.as_bytes());
        key
    }

    fn line(hosts: &str, key: &[u8]) -> String {
        format!("{hosts} {} {} comment\n", algorithm_of(key).unwrap(), BASE64_STANDARD.encode(key))
    }

    fn known(text: &str) -> KnownHosts {
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), text.as_bytes());
        known
    }

    #[test]
    fn the_same_key_is_known_and_another_is_a_change() {
        let (a, b, rsa) = (key("ssh-ed25519", "a"), key("ssh-ed25519", "b"), key("ssh-rsa", "c"));
        let known = known(&format!("# mine\n\n{}", line("n1,10.0.0.1", &a)));
        assert_eq!(known.verdict("n1", &a), Verdict::Known);
        assert_eq!(known.verdict("10.0.0.1", &a), Verdict::Known);
        assert_eq!(known.verdict("n1", &b), Verdict::Changed("kh".into(), 3));
        assert_eq!(known.verdict("n1", &rsa), Verdict::OtherType("kh".into(), 3, "ssh-ed25519".into()));
        assert_eq!(known.verdict("n2", &a), Verdict::Unknown { authority: false });
        assert_eq!(known.algorithms("n1"), ["ssh-ed25519"]);
    }

    #[test]
    fn ports_wildcards_and_negation() {
        let a = key("ssh-ed25519", "a");
        let known = known(&format!("{}{}", line("[n1]:2222", &a), line("*.lan,!bad.lan", &a)));
        assert_eq!(known.verdict("[n1]:2222", &a), Verdict::Known);
        assert_eq!(known.verdict("n1", &a), Verdict::Unknown { authority: false });
        assert_eq!(known.verdict("x.lan", &a), Verdict::Known);
        assert_eq!(known.verdict("bad.lan", &a), Verdict::Unknown { authority: false });
    }

    #[test]
    fn markers_never_permit() {
        let (a, b) = (key("ssh-ed25519", "a"), key("ssh-ed25519", "b"));
        let revoked = known(&format!("{}@revoked {}", line("n1", &a), line("*", &a)));
        assert_eq!(revoked.verdict("n1", &a), Verdict::Revoked("kh".into(), 2));
        let authority = known(&format!("@cert-authority {}", line("*", &a)));
        assert_eq!(authority.verdict("n1", &a), Verdict::Unknown { authority: true });
        assert!(authority.algorithms("n1").is_empty());
        let odd = known(&format!("@trusted {}", line("*", &b)));
        assert_eq!(odd.verdict("n1", &b), Verdict::Unknown { authority: false });
    }

    #[test]
    fn a_bad_line_disables_only_itself() {
        let a = key("ssh-ed25519", "a");
        let text = format!("n1 ssh-ed25519 ???\nn1 ssh-rsa\n|1|x|y ssh-rsa AAAA\n\u{0}\n{}", line("n1", &a));
        assert_eq!(known(&text).verdict("n1", &a), Verdict::Known);
        let mut known = KnownHosts::default();
        known.add(Path::new("kh"), &[b"\xff\xfe bad\n", line("n1", &a).as_bytes()].concat());
        assert_eq!(known.verdict("n1", &a), Verdict::Known);
        // The type in the line must be the key's own.
        let lying = format!("n2 ssh-rsa {}\n", BASE64_STANDARD.encode(&a));
        known.add(Path::new("kh"), lying.as_bytes());
        assert_eq!(known.verdict("n2", &a), Verdict::Unknown { authority: false });
    }

    /// A line that `ssh-keygen -H` wrote for the host name `node.example`.
    #[test]
    fn hashed_names() {
        let body = "AAAAC3NzaC1lZDI1NTE5AAAAIIBov1Nud4eOfGEg/+kqJuUWh+3jXFZlhpYrhJv+sKoq";
        let key = BASE64_STANDARD.decode(body).unwrap();
        let hosts = "|1|8r44bCJNQLetBhPzBv0JLiI2zW4=|8UzpIvMC4jvB+iJsfG311CnCuY8=";
        let known = known(&format!("{hosts} ssh-ed25519 {body}\n"));
        assert_eq!(known.verdict("node.example", &key), Verdict::Known);
        assert_eq!(known.verdict("node.exampl", &key), Verdict::Unknown { authority: false });
    }

    #[test]
    fn lists_of_revoked_keys() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (key("ssh-ed25519", "a"), key("ssh-ed25519", "b"));
        let file = dir.path().join("revoked");
        assert!(is_revoked(&file, &a).is_err());
        std::fs::write(&file, format!("# lost\nssh-ed25519 {} me@lost\n", BASE64_STANDARD.encode(&a)))
            .unwrap();
        assert!(is_revoked(&file, &a).unwrap() && !is_revoked(&file, &b).unwrap());
        std::fs::write(&file, b"SSHKRL\n\0\0\0").unwrap();
        assert!(is_revoked(&file, &a).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400), name in ".{0,20}") {
            let mut known = KnownHosts::default();
            known.add(Path::new("kh"), &bytes);
            let verdict = known.verdict(&name, &bytes);
            prop_assert!(verdict != Verdict::Known || !known.lines.is_empty());
            algorithm_of(&bytes);
        }
    }
}
