//! Finding the server: aliases, addresses, jump hosts, and what is not an SSH server at all.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use tilecore::error::Kind;
use tilecore::node::{NodeSpec, Place, Received, from_spec};

use crate::links::{noise, there_and_back};
use crate::sshd::{Home, Sshd, user, which};
use crate::{assert_shell, eventually, link, options, receive_to, refusal};

#[test]
fn an_alias_with_everything_configured() {
    let server = Sshd::start();
    let home = Home::new();
    let (_, public) = home.key("render_key", "ed25519", "");
    server.allow(&public);
    let key = server.known_as("x").split_once(' ').unwrap().1.to_owned();
    home.write("farm_hosts", &format!("the-farm {key}"));
    home.write("farm.conf", &format!("Host farm-*\n  Port {}\n  User {}\n", server.port, user()));
    let config = "Include farm.conf\n\
                  Host farm-1\n  HostName 127.0.0.1\n\
                  Host farm-* !farm-9\n  IdentityFile ~/.ssh/render_key\n  IdentitiesOnly yes\n  \
                  UserKnownHostsFile %d/.ssh/farm_hosts\n  HostKeyAlias the-farm\n  ConnectTimeout 20\n";
    home.write("config", config);
    let mut options = options(&home);
    options.user = "nobody-of-that-name".to_owned();
    assert_shell(&mut *link("farm-1", &options).unwrap());
}

#[test]
fn a_configuration_that_makes_no_sense_is_named() {
    let home = Home::new();
    let file = home.write("config", "Host a\n  Port many\n");
    let error = refusal("a", &options(&home));
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().starts_with(&format!("{}:2: ", file.display())), "{error}");
    // It is the trouble of one node, found when that one is reached.
    assert!(from_spec(&NodeSpec::new("n", Place::Ssh("a".into())), &options(&home)).is_ok());
}

#[test]
fn names_and_addresses() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let options = options(&home);
    assert_shell(&mut *link(&format!("localhost:{}", server.port), &options).unwrap());
    assert_shell(&mut *link(&format!("{}@127.0.0.1:{}", user(), server.port), &options).unwrap());
    let ipv6 = format!("[::1]:{}", server.port);
    match TcpListener::bind("[::1]:0") {
        Ok(_) => assert_shell(&mut *link(&ipv6, &options).unwrap()),
        // A machine without IPv6 can at least say so.
        Err(_) => assert!(refusal(&ipv6, &options).to_string().contains("cannot connect")),
    }
}

#[test]
fn through_a_jump_host_and_another() {
    let (first, second, node) = (Sshd::start(), Sshd::start(), Sshd::start());
    let home = Home::for_server(&first);
    for server in [&second, &node] {
        server.allow(&home.ssh("id_ed25519.pub"));
    }
    let known: String = [&first, &second, &node].map(|server| server.known_as("127.0.0.1")).concat();
    home.write("known_hosts", &known);
    let host =
        |name: &str, server: &Sshd| format!("Host {name}\n HostName 127.0.0.1\n Port {}\n", server.port);
    let hosts = [host("first", &first), host("second", &second), host("node", &node)].concat();
    for (jumps, through) in [("first", vec![&first]), ("first,second", vec![&first, &second])] {
        home.write("config", &format!("{hosts} ProxyJump {jumps}\n"));
        let mut link = link("node", &options(&home)).unwrap();
        there_and_back(&mut *link, &noise(16 << 20));
        for server in &through {
            assert!(server.log().contains("Accepted publickey"));
        }
        // Dropping the link ends everything on the way.
        link.send(b"echo up; cat > /dev/null; touch ended\n").unwrap();
        receive_to(&mut *link, "up\n");
        let ended = node.home.join("ended");
        drop(link);
        eventually("the node saw the end", || ended.exists());
        std::fs::remove_file(ended).unwrap();
        eventually("the jump hosts saw the end", || {
            let count = |server: &Sshd, what| server.log().matches(what).count();
            through.iter().all(|s| count(s, "Closing connection to") == count(s, "Accepted publickey"))
        });
    }
}

#[test]
fn a_jump_host_that_dies_takes_the_link_with_it() {
    let (jump, node) = (Sshd::start(), Sshd::start());
    let home = Home::for_server(&jump);
    node.allow(&home.ssh("id_ed25519.pub"));
    home.write("known_hosts", &[jump.known_as("127.0.0.1"), node.known_as("127.0.0.1")].concat());
    home.write("config", &format!("Host node\n HostName 127.0.0.1\n ProxyJump 127.0.0.1:{}\n", jump.port));
    let mut link = link(&format!("node:{}", node.port), &options(&home)).unwrap();
    assert_shell(&mut *link);
    jump.cut_connections();
    let mut buffer = [0; 64];
    let mut result = Ok(Received::Nothing);
    eventually("the connection broke", || {
        result = link.recv(&mut buffer, Duration::from_secs(1));
        result.as_ref().ok() != Some(&Received::Nothing)
    });
    let error = result.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("broke"), "{error}");
}

#[test]
fn a_jump_host_that_cannot_go_on_says_so() {
    let (jump, node) = (Sshd::with().line("AllowTcpForwarding no").start(), Sshd::start());
    let home = Home::for_server(&jump);
    node.allow(&home.ssh("id_ed25519.pub"));
    home.write("known_hosts", &[jump.known_as("127.0.0.1"), node.known_as("127.0.0.1")].concat());
    home.write("config", &format!("Host node\n HostName 127.0.0.1\n ProxyJump 127.0.0.1:{}\n", jump.port));
    let error = refusal(&format!("node:{}", node.port), &options(&home));
    assert!(error.to_string().contains("cannot connect to 127.0.0.1"), "{error}");
    // The key of a jump host is checked as strictly as any.
    home.write("known_hosts", &node.known_as("127.0.0.1"));
    let error = refusal(&format!("node:{}", node.port), &options(&home));
    assert!(error.to_string().contains("is not known"), "{error}");
}

#[test]
fn through_a_command() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    // An sshd that serves one connection on its standard input and output.
    let sshd = which("sshd").expect("sshd is there, the other one runs");
    let config = server.host_key.with_file_name("sshd_config");
    home.write(
        "config",
        &format!(
            "Host node\n  ProxyCommand {} -i -f {} # %n\n  HostKeyAlias [127.0.0.1]:{}\n",
            sshd.display(),
            config.display(),
            server.port
        ),
    );
    let mut link = link("node", &options(&home)).unwrap();
    there_and_back(&mut *link, &noise(4 << 20));
    drop(link);
    home.write("config", "Host node\n  ProxyCommand sh -c 'echo no way to %h >&2; exit 1'\n");
    let error = refusal("node:2200", &options(&home));
    assert!(error.is_retryable(), "{error}");
    assert_eq!(error.process_log(), Some("no way to node"));
    let hint = error.hint().unwrap();
    assert!(hint.contains("the ProxyCommand `sh -c 'echo no way to node"), "{hint}");
    assert!(hint.contains(&format!("`ssh -p 2200 {}@node` must work", user())), "{hint}");
}

#[test]
fn machines_are_tried_before_they_are_written_down() {
    let server = Sshd::start();
    let mute = Sshd::with().plain().line("ForceCommand echo no shell here >&2").start();
    let home = Home::for_server(&server);
    mute.allow(&home.ssh("id_ed25519.pub"));
    home.write("known_hosts", &[server.known_as("127.0.0.1"), mute.known_as("127.0.0.1")].concat());
    let host =
        |name: &str, server: &Sshd| format!("Host {name}\n HostName 127.0.0.1\n Port {}\n", server.port);
    home.write("config", &[&host("good", &server), &host("mute", &mute), "Host *\n User x\n"].concat());
    let mut options = options(&home);
    let hosts = tilecore::node::ssh::hosts(&options).unwrap();
    assert_eq!(hosts, ["good", "mute"]);
    let asked: Vec<String> = hosts.iter().map(|host| format!("{}@{host}", user())).collect();
    options.user = "nobody-of-that-name".to_owned();
    let probes = tilecore::config::probe(&asked, &options);
    assert_eq!(probes[0].host, asked[0]);
    assert!(probes[0].outcome.is_ok(), "{:?}", probes[0].outcome);
    let error = probes[1].outcome.as_ref().unwrap_err();
    assert!(error.to_string().contains("no shell answers") && error.process_log() == Some("no shell here"));
}

#[test]
fn what_is_not_an_ssh_server() {
    let home = Home::new();
    let mut options = options(&home);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = refusal(&format!("127.0.0.1:{port}"), &options);
    assert!(refused.is_retryable() && refused.to_string().contains("connection refused"), "{refused}");

    let error = refusal("no-such-host.invalid", &options);
    assert!(error.to_string().contains("cannot connect to"), "{error}");

    // One that hangs up, one that talks something else, one that says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        drop(listener.accept().unwrap());
        let mut talker = listener.accept().unwrap().0;
        talker.write_all(&b"HTTP/1.0 400 Bad Request\r\n\r\n".repeat(2000)).unwrap();
        let silent = listener.accept().unwrap();
        (talker, silent)
    });
    let error = refusal(&place, &options);
    assert!(error.to_string().contains("cannot be talked to"), "{error}");
    options.connect_timeout = Duration::from_secs(1);
    let error = refusal(&place, &options);
    assert!(error.hint().is_some(), "{error}");
    let error = refusal(&place, &options);
    assert!(error.to_string().contains("did not answer within 1 s"), "{error}");
    server.join().unwrap();
}
