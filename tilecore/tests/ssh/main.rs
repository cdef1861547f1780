//! SSH nodes against real sshd processes on loopback.

#[path = "../support/sshd.rs"]
mod sshd;

mod hosts;
mod keys;
mod links;
mod ways;

use std::time::{Duration, Instant};

use sshd::{Home, user};
use tilecore::node::{Link, NodeSpec, Place, Received, SshOptions, from_spec};
use tilecore::{Error, Result};

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

/// Why `place` cannot be connected to.
fn refusal(place: &str, options: &SshOptions) -> Error {
    match link(place, options) {
        Ok(_) => panic!("{place} let us in"),
        Err(e) => e,
    }
}

/// Receives until `enough` says so or the stream ends.
fn receive(link: &mut dyn Link, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    let start = Instant::now();
    while !enough(&all) {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing more came after {}", all.len());
        match link.recv(&mut buffer, Duration::from_secs(10)).expect("the link is up") {
            Received::Bytes(n) => all.extend_from_slice(&buffer[..n]),
            Received::Nothing => {}
            Received::Closed => break,
        }
    }
    all
}

/// Receives until the text ends like this.
fn receive_to(link: &mut dyn Link, end: &str) -> String {
    let all = receive(link, |all| all.ends_with(end.as_bytes()));
    String::from_utf8(all).expect("the shell writes text")
}

/// Asserts that a shell answers at the other end.
fn assert_shell(link: &mut dyn Link) {
    link.send(b"echo answer-$((6*7))\n").expect("the link is up");
    let text = receive_to(link, "answer-42\n");
    assert!(text.ends_with("answer-42\n"), "{text}");
}

/// Waits until `done` says so.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(60), "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
