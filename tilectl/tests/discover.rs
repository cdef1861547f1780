//! Machines that could be nodes are found, and nobody logs in unasked.

mod support;

use support::nodes::Farm;
use support::sshd::user;

#[test]
fn hosts_of_the_ssh_configuration_are_offered_and_checked_only_when_asked() {
    let farm = Farm::start();
    let host = |name: &str, port| {
        let user = user();
        format!("Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n")
    };
    let config = host("alpha", farm.servers[0].port) + &host("beta", farm.servers[1].port);
    farm.home.write("config", &config);
    let discover = |more: &[&str]| farm.world.run([&["nodes", "discover", "--no-dns"], more].concat());
    let plain = discover(&[]).expect(0).stdout;
    assert!(plain.contains("alpha  ~/.ssh/config\n") && plain.contains("(name: \"beta\"),"), "{plain}");
    for home in farm.homes() {
        assert!(!home.join(".cache").exists(), "nobody logged in");
    }
    let checked = discover(&["--check", "--json"]).expect(0).stdout;
    let found: serde_json::Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 2);
    assert!(found.as_array().unwrap().iter().all(|f| f["health"]["blender"].is_string()), "{checked}");
}
