//! Private key files: what can be known about one without its passphrase.

use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::known_hosts::algorithm_of;

/// No sane key file is longer, bytes.
const LONGEST_FILE: u64 = 256 << 10;

/// One `IdentityFile`, read.
#[derive(Debug)]
pub(super) struct Identity {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The private key's text; absent when the file holds a public key, or is not there (its `.pub` may be).
    pub(super) private: Option<String>,
    /// Whether the private key needs a passphrase.
    pub(super) encrypted: bool,
    /// The public key as it goes over the wire, if it can be known.
    pub(super) public: Option<Vec<u8>>,
}

impl Identity {
    /// Reads the file; `None` if there is neither a private nor a public key.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = read(path);
        let beside = || {
            let mut name = path.as_os_str().to_owned();
            name.push(".pub");
            public_line(&read(Path::new(&name))?)
        };
        let mut identity = Self { path: path.to_owned(), private: None, encrypted: false, public: None };
        match text {
            Some(text) if text.contains("PRIVATE KEY-----") => {
                let header = Header::parse(&text);
                identity.encrypted =
                    header.as_ref().map_or_else(|| text.contains("ENCRYPTED"), |h| h.encrypted);
                identity.public = header.map(|h| h.public).or_else(beside);
                identity.private = Some(text);
            }
            Some(text) => identity.public = public_line(&text).or_else(beside),
            None => identity.public = beside(),
        }
        (identity.private.is_some() || identity.public.is_some()).then_some(identity)
    }

    /// The public key as one line of text, as libssh2 wants it.
    pub(super) fn public_line(&self) -> Option<String> {
        let public = self.public.as_deref()?;
        Some(format!("{} {}", algorithm_of(public)?, BASE64_STANDARD.encode(public)))
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LONGEST_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The key in a line such as `ssh-ed25519 AAAA... comment`.
fn public_line(text: &str) -> Option<Vec<u8>> {
    let mut words = text.lines().find(|l| !l.trim().is_empty())?.split_ascii_whitespace();
    let algorithm = words.next()?;
    let key = BASE64_STANDARD.decode(words.next()?).ok()?;
    (algorithm_of(&key)? == algorithm).then_some(key)
}

/// The part of OpenSSH's key format that is not encrypted.
struct Header {
    encrypted: bool,
    public: Vec<u8>,
}

impl Header {
    fn parse(text: &str) -> Option<Self> {
        let (_, body) = text.split_once("-----BEGIN OPENSSH PRIVATE KEY-----")?;
        let (body, _) = body.split_once("-----END")?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let bytes = BASE64_STANDARD.decode(body).ok()?;
        let mut rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
        let cipher = string(&mut rest)?;
        let _kdf = string(&mut rest)?;
        let _kdf_options = string(&mut rest)?;
        let (count, mut rest) = rest.split_at_checked(4)?;
        if count != [0, 0, 0, 1] {
            return None;
        }
        let public = string(&mut rest)?;
        algorithm_of(public)?;
        Some(Self { encrypted: cipher != b"none", public: public.to_owned() })
    }
}

/// Takes a length and as many bytes from the front.
fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn armoured(cipher: &str, public: &[u8]) -> String {
        let mut bytes = b"openssh-key-v1\0".to_vec();
        let mut put = |value: &[u8]| {
            bytes.extend((value.len() as u32).to_be_bytes());
            bytes.extend(value);
        };
        put(cipher.as_bytes());
        put(b"bcrypt");
        put(b"");
        bytes.extend([0, 0, 0, 1]);
        bytes.extend((public.len() as u32).to_be_bytes());
        bytes.extend(public);
        format!(
            "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(bytes)
        )
    }

    #[test]
    fn the_public_half_and_whether_it_is_encrypted() {
        let public = b"\0\0\0\x0bssh-ed25519\0\0\0\x01x";
        let plain = Header::parse(&armoured("none", public)).unwrap();
        assert!(!plain.encrypted && plain.public == public);
        assert!(Header::parse(&armoured("aes256-ctr", public)).unwrap().encrypted);
    }

    #[test]
    fn files_as_they_lie_about() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        assert!(Identity::read(&path).is_none());
        let public = b"\0\0\0\x0bssh-ed25519\0\0\0\x01x";
        let line = format!("ssh-ed25519 {} me@here\n", BASE64_STANDARD.encode(public));
        std::fs::write(dir.path().join("id.pub"), &line).unwrap();
        let only_public = Identity::read(&path).unwrap();
        assert!(only_public.private.is_none() && only_public.public.as_deref() == Some(&public[..]));
        std::fs::write(&path, "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n").unwrap();
        let old = Identity::read(&path).unwrap();
        assert!(old.encrypted && old.private.is_some() && old.public.is_some());
        assert!(line.starts_with(&old.public_line().unwrap()));
    }

    proptest! {
        #[test]
        fn any_text_can_be_read(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            public_line(&text);
            Header::parse(&text);
            let mut body = b"openssh-key-v1\0".to_vec();
            body.extend(&bytes);
            let body = BASE64_STANDARD.encode(body);
            Header::parse(&format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END"));
        }
    }
}
