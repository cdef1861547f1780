//! What a link carries, and how it ends.

use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tilecore::node::{Link, Received};

use crate::sshd::{Home, Sshd, run};
use crate::{assert_shell, eventually, link, options, receive, receive_to};

/// Bytes that do not compress and differ everywhere.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Sends `data` into a file there, compares the hash, and fetches it back.
pub(crate) fn there_and_back(link: &mut dyn Link, data: &[u8]) {
    // dash reads ahead in its script, so nothing may follow the line before the command has taken over.
    let command = format!("echo go; head -c {} > data; sha256sum < data\n", data.len());
    link.send(command.as_bytes()).unwrap();
    assert_eq!(receive_to(link, "go\n"), "go\n");
    link.send(data).unwrap();
    let hash = receive_to(link, "-\n");
    let expected = Sha256::digest(data);
    assert_eq!(hash.split_whitespace().next(), Some(format!("{expected:x}").as_str()));
    link.send(b"cat data\n").unwrap();
    let back = receive(link, |all| all.len() >= data.len());
    assert!(back == data, "{} bytes came back, or others", back.len());
    assert_shell(link);
}

fn connect(server: &Sshd) -> Box<dyn Link> {
    link(&format!("127.0.0.1:{}", server.port), &options(&Home::for_server(server))).unwrap()
}

#[test]
fn a_shell_answers() {
    let server = Sshd::start();
    let mut link = connect(&server);
    assert_shell(&mut *link);
    link.send(b"echo oops >&2; exit 3\n").unwrap();
    assert!(receive(&mut *link, |_| false).is_empty());
    assert_eq!(link.diagnosis(), "oops\n");
    // A stream that ended stays ended.
    assert_eq!(link.recv(&mut [0; 8], Duration::ZERO).unwrap(), Received::Closed);
}

#[test]
fn waiting_for_nothing_returns() {
    let server = Sshd::start();
    let mut link = connect(&server);
    for wait in [0, 20] {
        assert_eq!(link.recv(&mut [0; 8], Duration::from_millis(wait)).unwrap(), Received::Nothing);
    }
    assert_shell(&mut *link);
}

#[test]
fn sixty_four_mebibytes_both_ways() {
    let server = Sshd::start();
    there_and_back(&mut *connect(&server), &noise(64 << 20));
}

#[test]
fn new_session_keys_in_the_middle_of_it() {
    let server = Sshd::with().line("RekeyLimit 3M").start();
    there_and_back(&mut *connect(&server), &noise(24 << 20));
}

#[test]
fn sending_waits_for_a_slow_reader() {
    let server = Sshd::start();
    let mut link = connect(&server);
    link.send(b"echo go; sleep 2; head -c 16777216 | wc -c\n").unwrap();
    assert_eq!(receive_to(&mut *link, "go\n"), "go\n");
    link.send(&noise(16 << 20)).unwrap();
    assert_eq!(receive_to(&mut *link, "\n"), "16777216\n");
}

#[test]
fn standard_error_never_stalls_the_stream() {
    let server = Sshd::start();
    let mut link = connect(&server);
    link.send(b"head -c 33554432 /dev/zero | tr '\\0' x >&2; echo last words >&2; echo done\n").unwrap();
    assert_eq!(receive_to(&mut *link, "done\n"), "done\n");
    // The two streams have no order between them, so the last words may still be on their way.
    let mut buffer = [0; 64];
    eventually("the last words are here", || {
        link.recv(&mut buffer, Duration::from_millis(20)).unwrap();
        link.diagnosis().ends_with("last words\n")
    });
    assert!(link.diagnosis().len() <= 4096);
    // Also while this side is busy sending.
    link.send(b"echo go; (head -c 33554432 /dev/zero >&2; echo err) & head -c 33554432 | wc -c; wait\n")
        .unwrap();
    assert_eq!(receive_to(&mut *link, "go\n"), "go\n");
    link.send(&noise(32 << 20)).unwrap();
    let text = receive(&mut *link, |all| all.split(|b| *b == b'\n').nth(2).is_some());
    assert!(String::from_utf8(text).unwrap().contains("33554432\n"));
}

#[test]
fn dropping_a_link_does_not_wait_for_the_remote_side() {
    let server = Sshd::start();
    let ended = server.home.join("ended");
    let mut busy = connect(&server);
    // One process that ends by no polite means and keeps the streams open, and one that reads to the end of its input.
    busy.send(
        b"sh -c 'trap \"\" HUP TERM PIPE; exec sleep 100000' & echo $!; cat > /dev/null; touch ended\n",
    )
    .unwrap();
    let stubborn = receive_to(&mut *busy, "\n");
    drop(busy);
    eventually("the remote side saw the end of its input", || ended.exists());
    run(Command::new("kill").args(["-9", stubborn.trim()]));
    // With output that nobody takes, and with input that nobody takes.
    let mut full = connect(&server);
    full.send(b"echo up; yes\n").unwrap();
    receive(&mut *full, |all| all.len() > 100_000);
    drop(full);
    let mut deaf = connect(&server);
    deaf.send(b"echo $$; exec sleep 100000\n").unwrap();
    let shell = receive_to(&mut *deaf, "\n");
    deaf.send(&noise(1 << 20)).unwrap();
    drop(deaf);
    run(Command::new("kill").args(["-9", shell.trim()]));
}

#[test]
fn a_shell_that_is_killed_closes_the_stream() {
    let server = Sshd::with().plain().start();
    let mut link = connect(&server);
    link.send(b"echo before; echo why >&2; kill -9 $$\n").unwrap();
    assert_eq!(receive(&mut *link, |_| false), b"before\n");
    assert_eq!(link.diagnosis(), "why\nthe shell was ended by signal KILL");
}

#[test]
fn sending_to_a_shell_that_ended_is_an_error() {
    let server = Sshd::start();
    let mut link = connect(&server);
    link.send(b"echo bye; exit\n").unwrap();
    let error = link.send(&noise(32 << 20)).unwrap_err();
    assert!(error.to_string().contains("ended"), "{error}");
    // What it said before is not lost.
    assert_eq!(receive(&mut *link, |_| false), b"bye\n");
}

#[test]
fn a_connection_that_dies_is_an_error() {
    let server = Sshd::with().plain().start();
    let mut link = connect(&server);
    assert_shell(&mut *link);
    // The shell's parent is the process of sshd that carries this connection.
    link.send(b"kill -9 $PPID; sleep 100\n").unwrap();
    let mut buffer = [0; 64];
    let mut result = Ok(Received::Nothing);
    eventually("the connection broke", || {
        result = link.recv(&mut buffer, Duration::from_secs(1));
        result.as_ref().ok() != Some(&Received::Nothing)
    });
    let error = result.unwrap_err();
    assert!(error.is_retryable() && error.hint().is_some(), "{error}");
    assert!(error.to_string().contains("the connection to"), "{error}");
    assert!(link.send(&noise(1 << 20)).is_err());
}

#[test]
fn many_links_at_once() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let options = options(&home);
    let place = format!("127.0.0.1:{}", server.port);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut link = link(&place, &options).unwrap();
                for _ in 0..20 {
                    assert_shell(&mut *link);
                }
            });
        }
    });
}

#[test]
fn other_login_shells_and_what_they_print() {
    for shell in ["fish", "csh"] {
        let server = Sshd::with().login_shell(shell).start();
        // What such a shell prints at its start comes before the first answer.
        let (fish, csh) = (server.home.join(".config/fish"), server.home.join(".cshrc"));
        std::fs::create_dir_all(&fish).unwrap();
        std::fs::write(fish.join("config.fish"), "echo Welcome, friend").unwrap();
        std::fs::write(csh, "echo Welcome, friend\n").unwrap();
        let mut link = connect(&server);
        link.send(b"echo answer-$((6*7))\n").unwrap();
        assert_eq!(receive_to(&mut *link, "answer-42\n"), "Welcome, friend\nanswer-42\n", "{shell}");
        there_and_back(&mut *link, &noise(1 << 20));
    }
}
