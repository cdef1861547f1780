//! SSH nodes against real sshd processes on loopback.

#[path = "support/sshd.rs"]
mod sshd;

use std::time::{Duration, Instant};

use sshd::{Home, Sshd, user};
use tilecore::Result;
use tilecore::node::{Link, NodeSpec, Place, Received, SshOptions, from_spec};

/// The options of a user who lives in `home`, with nothing of this machine's own set-up.
fn options(home: &Home) -> SshOptions {
    let mut options = SshOptions::new(home.path(), user());
    options.system = home.path().join("no-system-configuration");
    options
}

/// Connects to `place`.
fn link(place: &str, options: &SshOptions) -> Result<Box<dyn Link>> {
    from_spec(&NodeSpec::new("n", Place::Ssh(place.to_owned())), options)?.link()
}

/// Receives until `enough` says so or the stream ends.
fn receive(link: &mut dyn Link, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    let start = Instant::now();
    while !enough(&all) {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing more came after {}", all.len());
        match link.recv(&mut buffer, Duration::from_secs(10)).unwrap() {
            Received::Bytes(n) => all.extend_from_slice(&buffer[..n]),
            Received::Nothing => {}
            Received::Closed => break,
        }
    }
    all
}

/// Whether a shell answers at the other end.
fn answers(link: &mut dyn Link) -> bool {
    link.send(b"echo answer-$((6*7))\n").unwrap();
    let ends = |all: &[u8]| all.ends_with(b"answer-42\n");
    ends(&receive(link, ends))
}

#[test]
fn a_shell_answers() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let mut link = link(&format!("127.0.0.1:{}", server.port), &options(&home)).unwrap();
    assert!(answers(&mut *link));
    link.send(b"echo oops >&2; exit 3\n").unwrap();
    assert!(receive(&mut *link, |_| false).is_empty());
    assert_eq!(link.diagnosis(), "oops\n");
}
