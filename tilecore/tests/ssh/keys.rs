//! Logging in.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tilecore::node::ssh::Prompt;
use tilecore::node::{NodeSpec, Place, SshOptions, from_spec};

use crate::sshd::{Agent, Home, Sshd, run, user};
use crate::{assert_shell, link, options, refusal};

/// A server that nobody may log in to yet, and a home that knows it.
fn server_and_home() -> (Sshd, Home, String) {
    let server = Sshd::start();
    let home = Home::new();
    home.write("known_hosts", &server.known_as("127.0.0.1"));
    let place = format!("127.0.0.1:{}", server.port);
    (server, home, place)
}

/// Answers with one passphrase and counts how often it was asked.
struct Answer(&'static str, AtomicU32);

impl Prompt for Answer {
    fn passphrase(&self, key: &Path, _attempt: u32) -> Option<String> {
        assert!(key.is_absolute());
        self.1.fetch_add(1, Ordering::Relaxed);
        Some(self.0.to_owned())
    }
}

/// Options with somebody who answers.
fn asking(home: &Home, answer: &'static str) -> (SshOptions, Arc<Answer>) {
    let answer = Arc::new(Answer(answer, AtomicU32::new(0)));
    let mut options = options(home);
    options.prompt = Some(Arc::clone(&answer) as Arc<dyn Prompt>);
    (options, answer)
}

#[test]
fn every_type_of_key() {
    let (server, _, place) = server_and_home();
    for key_type in ["ed25519", "ecdsa", "rsa"] {
        let home = Home::new();
        home.write("known_hosts", &server.known_as("127.0.0.1"));
        let (_, public) = home.key(&format!("id_{key_type}"), key_type, "");
        server.allow(&public);
        assert_shell(&mut *link(&place, &options(&home)).unwrap());
        // Neither is the public half needed beside it.
        std::fs::remove_file(public).unwrap();
        assert_shell(&mut *link(&place, &options(&home)).unwrap());
    }
}

#[test]
fn the_link_says_how_it_logged_in() {
    let (server, home, place) = server_and_home();
    let (private, public) = home.key("id_ed25519", "ed25519", "");
    server.allow(&public);
    let node = from_spec(&NodeSpec::new("n", Place::Ssh(place)), &options(&home)).unwrap();
    let mut link = node.link().unwrap();
    assert_shell(&mut *link);
    assert_eq!(link.login(), format!("key {}", private.display()));
}

#[test]
fn rsa_keys_sign_with_sha2() {
    for algorithm in ["rsa-sha2-512,rsa-sha2-256", "rsa-sha2-512"] {
        let server = Sshd::with().line(&format!("PubkeyAcceptedAlgorithms {algorithm}")).start();
        let home = Home::new();
        home.write("known_hosts", &server.known_as("127.0.0.1"));
        let (private, public) = home.key("id_rsa", "rsa", "");
        server.allow(&public);
        let place = format!("127.0.0.1:{}", server.port);
        assert_shell(&mut *link(&place, &options(&home)).unwrap());
        let agent = Agent::start(&[&private]);
        std::fs::remove_file(private).unwrap();
        let mut options = options(&home);
        options.agent = Some(agent.socket.clone());
        assert_shell(&mut *link(&place, &options).unwrap());
    }
}

#[test]
fn a_key_that_is_not_accepted() {
    let (_server, home, place) = server_and_home();
    let error = refusal(&place, &options(&home));
    assert!(error.to_string().contains("there is no key to log in with"), "{error}");
    home.key("id_ed25519", "ed25519", "");
    let error = refusal(&place, &options(&home));
    assert!(!error.is_retryable());
    assert!(error.to_string().contains("id_ed25519 is not accepted there"), "{error}");
    let port = place.rsplit_once(':').unwrap().1;
    let hint = error.hint().unwrap();
    for command in ["ssh", "ssh-copy-id"] {
        assert!(hint.contains(&format!("`{command} -p {port} {}@127.0.0.1`", user())), "{hint}");
    }
}

#[test]
fn the_agent_comes_first() {
    let (server, home, place) = server_and_home();
    let (held, held_public) = home.key("held", "ed25519", "");
    let (other, _) = home.key("other", "ecdsa", "");
    server.allow(&held_public);
    let agent = Agent::start(&[&other, &held]);
    let mut options = options(&home);
    options.agent = Some(agent.socket.clone());
    assert_shell(&mut *link(&place, &options).unwrap());
    // With IdentitiesOnly, only what is named; the public half is enough to name it.
    home.write("config", "IdentitiesOnly yes\nIdentityFile ~/.ssh/other\n");
    let error = refusal(&place, &options);
    assert!(error.to_string().contains("is not accepted there"), "{error}");
    std::fs::remove_file(&held).unwrap();
    home.write("config", "IdentitiesOnly yes\nIdentityFile ~/.ssh/held\n");
    assert_shell(&mut *link(&place, &options).unwrap());
    // An agent that is gone is not the end.
    drop(agent);
    let (_, public) = home.key("id_ed25519", "ed25519", "");
    home.write("config", "");
    server.allow(&public);
    assert_shell(&mut *link(&place, &options).unwrap());
}

#[test]
fn an_agent_with_too_many_keys() {
    let (server, home, place) = server_and_home();
    let keys: Vec<_> = (0..8).map(|i| home.key(&format!("k{i}"), "ed25519", "")).collect();
    server.allow(&keys[7].1);
    let agent = Agent::start(&keys.iter().map(|k| k.0.as_path()).collect::<Vec<_>>());
    let mut options = options(&home);
    options.agent = Some(agent.socket.clone());
    // sshd gives up after six; the key that would do is the eighth.
    let error = refusal(&place, &options);
    assert!(error.to_string().contains("ended the connection during the login"), "{error}");
    assert!(error.hint().unwrap().contains("IdentitiesOnly"), "{error:?}");
    // The one that is configured is tried first.
    home.write("config", "IdentityFile ~/.ssh/k7\n");
    assert_shell(&mut *link(&place, &options).unwrap());
    home.write("config", "IdentitiesOnly yes\nIdentityFile ~/.ssh/nothing-there\n");
    assert!(refusal(&place, &options).to_string().contains("nothing-there is no key"));
}

#[test]
fn an_encrypted_key_is_asked_for_once() {
    for key_type in ["ed25519", "ecdsa", "rsa"] {
        let (server, home, place) = server_and_home();
        let (private, public) = home.key(&format!("id_{key_type}"), key_type, "open sesame");
        // Nobody is asked for a key that would not be accepted anyway.
        let (options_before, answer) = asking(&home, "open sesame");
        assert!(refusal(&place, &options_before).to_string().contains("is not accepted there"));
        assert_eq!(answer.1.load(Ordering::Relaxed), 0);

        server.allow(&public);
        let (asked, answer) = asking(&home, "open sesame");
        for _ in 0..2 {
            assert_shell(&mut *link(&place, &asked).unwrap());
        }
        assert_eq!(answer.1.load(Ordering::Relaxed), 1, "{key_type}");
        // And where nobody can be asked, the message says so.
        let error = refusal(&place, &options(&home));
        assert!(error.to_string().contains(&format!("{} needs a passphrase", private.display())), "{error}");
        assert!(error.hint().unwrap().contains("ssh-add"));
    }
}

#[test]
fn a_wrong_passphrase() {
    let (server, home, place) = server_and_home();
    let (_, public) = home.key("id_ed25519", "ed25519", "right");
    server.allow(&public);
    let (options, answer) = asking(&home, "wrong");
    let error = refusal(&place, &options);
    assert!(
        error.to_string().contains("the passphrase of") && error.to_string().contains("is wrong"),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("type the passphrase") && !hint.contains("ssh-copy-id"), "{hint}");
    assert_eq!(answer.1.load(Ordering::Relaxed), 3);
    refusal(&place, &options);
    assert_eq!(answer.1.load(Ordering::Relaxed), 3);
}

#[test]
fn keys_in_the_old_format() {
    let (server, home, place) = server_and_home();
    for (name, passphrase) in [("plain", ""), ("locked", "open sesame")] {
        let (private, public) = home.key(name, "rsa", "");
        server.allow(&public);
        run(Command::new("ssh-keygen")
            .args(["-q", "-p", "-m", "PEM", "-P", "", "-N", passphrase, "-f"])
            .arg(&private));
        assert!(std::fs::read_to_string(&private).unwrap().contains("BEGIN RSA PRIVATE KEY"));
        home.write("config", &format!("IdentityFile ~/.ssh/{name}\n"));
        let (options, _) = asking(&home, "open sesame");
        assert_shell(&mut *link(&place, &options).unwrap());
        std::fs::remove_file(public).unwrap();
        let (options, _) = asking(&home, "open sesame");
        assert_shell(&mut *link(&place, &options).unwrap());
    }
}
