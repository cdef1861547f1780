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
    let text = "Host n1\n HostName real.lan\nMatch host real.lan user me\n Port 1\nMatch all\n User all\n";
    let n1 = of(text, "n1");
    assert_eq!((n1.port, n1.user.as_deref()), (Some(1), Some("all")));
    assert_eq!(of(text, "n2").port, None);
    assert_eq!(of("Match originalhost n*,!n2\n Port 3\n", "n2").port, None);
    assert_eq!(of("Match !user root\n Port 3\n", "n2").port, Some(3));
    assert_eq!(of("Match exec \"true\"\n Port 3\n", "n2").port, Some(3));
    assert_eq!(of("Match !exec \"true\"\n Port 3\n", "n2").port, None);
    assert_eq!(of("Match exec \"test %h:%p = r.lan:4\"\n User x\nPort 4\nHostName r.lan\n", "n").user, None);
    let text = "Port 4\nHostName r.lan\nMatch exec \"test %h:%p:%n = r.lan:4:n\"\n User x\n";
    assert_eq!(of(text, "n").user.as_deref(), Some("x"));
    assert_eq!(of("Match localnetwork 127.0.0.0/8\n Port 3\n", "n").port, Some(3));
    assert_eq!(of("Tag fast\nMatch tagged fast sessiontype exec\n Port 3\n", "n").port, Some(3));
    assert_eq!(of("Match final host x.lan\n Port 3\nHost n\n HostName x.lan\n", "n").port, Some(3));
}

#[test]
fn a_condition_that_nobody_can_decide_is_an_error_where_it_matters() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\nMatch weather sunny\n Port 3\n";
    let error = about(dir.path(), text, "n1").unwrap_err();
    assert!(error.to_string().contains("config:2: the condition weather"), "{error}");
    assert!(error.hint().unwrap().contains("!originalhost n1"), "{error:?}");
    let text = "Match !originalhost n1 weather sunny\n Port 3\n";
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
    for text in
        ["\nPort x\n", "\nPort 0\n", "\nUser\n", "\nHost \"a\n", "\nIdentitiesOnly maybe\n", "\nMatch user\n"]
    {
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
