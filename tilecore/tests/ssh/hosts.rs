//! Which servers are trusted.

use std::path::Path;
use std::process::Command;

use tilecore::error::Kind;

use crate::sshd::{Home, Sshd, keygen, run};
use crate::{assert_shell, link, options, refusal};

/// The fingerprint that `ssh-keygen` prints for a server's key.
fn fingerprint(server: &Sshd) -> String {
    let out = Command::new("ssh-keygen").arg("-lf").arg(&server.host_key).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap().to_owned()
}

fn place(server: &Sshd) -> String {
    format!("127.0.0.1:{}", server.port)
}

#[test]
fn an_unknown_host_is_refused_and_the_message_says_how_to_add_it() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    home.write("known_hosts", "# nothing\n");
    let error = refusal(&place(&server), &options(&home));
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Node, false));
    assert!(error.to_string().contains(&fingerprint(&server)), "{error}");
    let hint = error.hint().unwrap();
    let command = hint.split('`').find(|part| part.starts_with("ssh -p")).unwrap();
    // The command works as it stands, once the user says `yes`; OpenSSH looks for files in the real home.
    let script = command.replacen(
        "ssh ",
        &format!(
            "ssh -F none -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={} -i {} ",
            home.ssh("known_hosts").display(),
            home.ssh("id_ed25519").display()
        ),
        1,
    );
    run(Command::new("sh").arg("-c").arg(script));
    assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
}

#[test]
fn known_hosts_that_cannot_be_read_are_told() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    std::fs::remove_file(home.ssh("known_hosts")).unwrap();
    std::fs::create_dir(home.ssh("known_hosts")).unwrap();
    let error = refusal(&place(&server), &options(&home)).to_string();
    assert!(
        error.contains("is not known, and ") && error.contains("known_hosts cannot be read ("),
        "{error}"
    );
}

#[test]
fn a_changed_key_is_refused_with_file_and_line() {
    let (server, other) = (Sshd::start(), Sshd::start());
    let home = Home::for_server(&server);
    let old = other.known_as("127.0.0.1").replace(&other.port.to_string(), &server.port.to_string());
    let file = home.write("known_hosts", &format!("\n# a comment\n{old}"));
    let error = refusal(&place(&server), &options(&home));
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert!(text.contains("has changed") && text.contains(&fingerprint(&server)), "{text}");
    assert!(text.contains(&format!("{}:3", file.display())), "{text}");
    let hint = error.hint().unwrap();
    let removal = hint.split('`').find(|part| part.starts_with("ssh-keygen")).unwrap();
    run(Command::new("sh").arg("-c").arg(removal));
    assert!(refusal(&place(&server), &options(&home)).to_string().contains("is not known"));
}

#[test]
fn a_known_key_among_several_lines_is_enough() {
    let (server, other) = (Sshd::start(), Sshd::start());
    let home = Home::for_server(&server);
    let old = other.known_as("127.0.0.1").replace(&other.port.to_string(), &server.port.to_string());
    let known = server.known_as("127.0.0.1");
    home.write("known_hosts", &format!("{old}nonsense\n@odd * x y\n\u{0}\n{known}"));
    assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
}

#[test]
fn a_revoked_key_is_refused() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let known = server.known_as("127.0.0.1");
    let revoked = format!("@revoked {}", server.known_as("127.0.0.1").replacen(|_| true, "[", 1));
    home.write("known_hosts", &format!("{known}{revoked}"));
    let text = refusal(&place(&server), &options(&home)).to_string();
    assert!(text.contains("revoked") && text.contains("known_hosts:2"), "{text}");
    // The same through RevokedHostKeys, and a file that cannot be read permits nothing.
    home.write("known_hosts", &known);
    home.write("config", "RevokedHostKeys ~/.ssh/lost\n");
    assert!(refusal(&place(&server), &options(&home)).to_string().contains("cannot be checked"));
    home.write("lost", known.split_once(' ').unwrap().1);
    assert!(refusal(&place(&server), &options(&home)).to_string().contains("is revoked in"));
    home.write("lost", "# none\n");
    assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
}

#[test]
fn certificates_never_permit() {
    let home = Home::new();
    let (authority, authority_public) = home.key("authority", "ed25519", "");
    let dir = tempfile::tempdir().unwrap();
    let host_key = dir.path().join("certified");
    keygen(&host_key, "ed25519", "");
    let sign = |key: &Path| {
        let public = key.with_extension("pub");
        run(Command::new("ssh-keygen")
            .arg("-q")
            .arg("-s")
            .arg(&authority)
            .args(["-I", "x", "-h"])
            .arg(public));
    };
    sign(&host_key);
    let server = Sshd::with()
        .line(&format!("HostKey {}", host_key.display()))
        .line(&format!("HostCertificate {}", dir.path().join("certified-cert.pub").display()))
        .start();
    let (_, public) = home.key("id_ed25519", "ed25519", "");
    server.allow(&public);
    let authority_key = std::fs::read_to_string(authority_public).unwrap();
    home.write("known_hosts", &format!("@cert-authority * {authority_key}"));
    let text = refusal(&place(&server), &options(&home)).to_string();
    assert!(text.contains("certificates of an authority are not supported"), "{text}");
    // The plain key of the same server will do.
    let plain = std::fs::read_to_string(host_key.with_extension("pub")).unwrap();
    home.write("known_hosts", &format!("[127.0.0.1]:{} {plain}", server.port));
    assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
}

#[test]
fn hashed_names_are_found() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    run(Command::new("ssh-keygen").arg("-H").arg("-f").arg(home.ssh("known_hosts")));
    assert!(std::fs::read_to_string(home.ssh("known_hosts")).unwrap().starts_with("|1|"));
    assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
}

#[test]
fn the_server_is_asked_for_the_key_that_is_known() {
    for known_type in ["ecdsa", "rsa", "ed25519"] {
        let dir = tempfile::tempdir().unwrap();
        let mut setup = Sshd::with();
        for key_type in ["ecdsa", "rsa"] {
            let key = dir.path().join(key_type);
            keygen(&key, key_type, "");
            setup = setup.line(&format!("HostKey {}", key.display()));
        }
        let server = setup.start();
        let home = Home::for_server(&server);
        if known_type != "ed25519" {
            let key = std::fs::read_to_string(dir.path().join(known_type).with_extension("pub")).unwrap();
            home.write("known_hosts", &format!("[127.0.0.1]:{} {key}", server.port));
        }
        assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
    }
}

#[test]
fn a_host_known_by_another_type_of_key_is_refused() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let (_, rsa) = home.key("other", "rsa", "");
    let rsa = std::fs::read_to_string(rsa).unwrap();
    home.write("known_hosts", &format!("[127.0.0.1]:{} {rsa}", server.port));
    let text = refusal(&place(&server), &options(&home)).to_string();
    assert!(text.contains("known is one of type ssh-rsa at"), "{text}");
}

#[test]
fn a_key_known_without_its_port_will_do() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let key = server.known_as("127.0.0.1");
    home.write("known_hosts", &format!("127.0.0.1 {}", key.split_once(' ').unwrap().1));
    assert_shell(&mut *link(&place(&server), &options(&home)).unwrap());
}
