//! `tilectl nodes list` and `nodes check`: what they say of nodes as they are found in the world.

mod support;

use support::blender::Blender;
use support::program::World;
use support::scene;
use support::sshd::{Home, Sshd, user};

/// What `nodes check --json` says of every node.
fn health(stdout: &str) -> Vec<serde_json::Value> {
    serde_json::from_str(stdout).unwrap_or_else(|e| panic!("not JSON ({e}): {stdout}"))
}

/// The reason and the remedy of a node that cannot be used.
fn trouble(health: &serde_json::Value) -> (String, String) {
    let text = |key: &str| health["trouble"][key].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("remedy"))
}

#[test]
fn the_list_has_all_nodes_and_no_secrets() {
    let world = World::new();
    let off = "(name: \"attic\", enabled: false, env: {\"TOKEN\": \"sesame\"})";
    std::fs::write(world.at("tilectl.ron"), format!("(nodes: [{off}, (name: \"local\")])")).unwrap();
    let listed = world.run(["nodes", "list"]).expect(0).stdout;
    assert!(listed.contains("attic  ssh attic, sets TOKEN, disabled\n"), "{listed}");
    assert!(listed.contains("local  this machine\n"), "{listed}");
    // That all are disabled is a matter for those who render.
    std::fs::write(world.at("tilectl.ron"), format!("(nodes: [{off}])")).unwrap();
    let listed = world.run(["nodes", "list"]).expect(0).stdout;
    assert!(listed.contains("disabled") && !listed.contains("local"), "{listed}");
    let json = world.run(["nodes", "list", "--json"]).expect(0).stdout;
    assert!(!json.contains("sesame"), "{json}");
    assert_eq!(health(&json)[0]["env"], serde_json::json!(["TOKEN"]));
    world.run(["nodes", "check"]).expect(2);
}

#[test]
fn a_fault_in_the_ssh_configuration_is_the_trouble_of_one_node() {
    let home = Home::new();
    let config = home.write("config", "Host bad\n  Port many\nHost odd\n  IdentityAgent %Z\n");
    let world = World::with_home(home.path());
    let ended = world.run(["nodes", "check", "--json", "bad", "odd", "local"]).expect(1);
    let all = health(&ended.stdout);
    let named: Vec<_> = all.iter().map(|h| (h["node"].as_str().unwrap(), &h["usable"])).collect();
    assert_eq!(named, [("bad", &false.into()), ("odd", &false.into()), ("local", &true.into())]);
    assert!(trouble(&all[0]).0.starts_with(&format!("{}:2: ", config.display())), "{all:?}");
    assert!(trouble(&all[1]).0.contains("`%Z`") && trouble(&all[1]).0.contains("`odd`"), "{all:?}");

    let plain = scene("plain").display().to_string();
    let words = ["render", &plain, "--frame", "1", "--samples", "1", "--percentage", "25", "--node", "bad"];
    let ended = world.run(words).expect(2);
    assert!(ended.stderr.contains(&format!("{}:2: ", config.display())), "{}", ended.stderr);
    let ended = world.run(words.iter().chain(&["--node", "local"])).expect(0);
    assert!(ended.stderr.contains("bad takes no further part"), "{}", ended.stderr);
}

#[test]
fn known_hosts_that_cannot_be_read_are_warned_of_once() {
    let server = Sshd::start();
    let home = Home::for_server(&server);
    let known = home.ssh("known_hosts");
    std::fs::rename(&known, home.ssh("known_hosts2")).unwrap();
    std::fs::create_dir(&known).unwrap();
    let world = World::with_home(home.path());
    let place = format!("{}@127.0.0.1:{}", user(), server.port);
    let ended = world.run(["nodes", "check", &place, &format!("{place},name=b")]).expect(0);
    let warning = format!("tilectl: the known host keys in {} cannot be read: ", known.display());
    assert_eq!(ended.stderr.matches(&warning).count(), 1, "{}", ended.stderr);
    let plain = scene("plain").display().to_string();
    let words = ["render", &plain, "--frame", "1", "--samples", "1", "--percentage", "10", "--node", &place];
    let ended = world.run(words.iter().chain(&["--quiet"])).expect(0);
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
}

#[test]
fn a_key_with_a_passphrase_and_nobody_to_ask() {
    let server = Sshd::start();
    let home = Home::new();
    let (private, public) = home.key("id_ed25519", "ed25519", "open sesame");
    server.allow(&public);
    home.write("known_hosts", &server.known_as("127.0.0.1"));
    let world = World::with_home(home.path());
    let ended = world.run(["nodes", "check", "--json", &format!("{}@127.0.0.1:{}", user(), server.port)]);
    let (reason, remedy) = trouble(&health(&ended.expect(1).stdout)[0]);
    assert!(reason.contains(&format!("{} needs a passphrase", private.display())), "{reason}");
    assert!(remedy.contains("ssh-add"), "{remedy}");
}

#[test]
fn without_any_key_one_is_to_be_made_first() {
    let server = Sshd::start();
    let home = Home::new();
    home.write("known_hosts", &server.known_as("127.0.0.1"));
    let world = World::with_home(home.path());
    let place = format!("{}@127.0.0.1:{}", user(), server.port);
    let (reason, remedy) =
        trouble(&health(&world.run(["nodes", "check", "--json", &place]).expect(1).stdout)[0]);
    assert!(reason.contains("there is no key"), "{reason}");
    let (made, copied) = (remedy.find("ssh-keygen"), remedy.find("ssh-copy-id"));
    assert!(made.is_some() && made < copied, "{remedy}");
    let (_, public) = home.key("id_ed25519", "ed25519", "");
    assert!(public.is_file());
    let (_, remedy) = trouble(&health(&world.run(["nodes", "check", "--json", &place]).expect(1).stdout)[0]);
    assert!(!remedy.contains("ssh-keygen") && remedy.contains("ssh-copy-id"), "{remedy}");
}

/// The nodes and what they render on: where the scene asks for the GPU, what is there is used, and said.
#[test]
fn a_scene_that_asks_for_the_gpu() {
    let blender = Blender::of_the_tests();
    let world = World::new();
    let lines = "import bpy; s = bpy.context.scene; s.render.engine = 'CYCLES'; s.cycles.use_denoising = False; s.cycles.device = 'GPU'";
    blender.written(lines, &world.at("gpu.blend"));
    let node = |more: &str| format!("local,blender={}{more}", blender.program.display());
    let run = |scene: &str, more: &str| {
        let words = [
            "render",
            scene,
            "-f",
            "1",
            "--samples",
            "1",
            "--percentage",
            "20",
            "--fresh",
            "--json",
            "--node",
        ];
        world.run(words.iter().map(|w| (*w).to_owned()).chain([node(more)]))
    };
    let devices = |ended: &support::program::Ended| {
        let used = ended.json().into_iter().filter(|e| e["event"] == "device");
        used.map(|e| e["device"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let asked = run("gpu.blend", "").expect(0);
    let used = devices(&asked);
    assert_eq!(used.len(), 1, "{}", asked.stdout);
    // A machine with a graphics card renders on it; one without says so once.
    let said =
        asked.stdout.matches("The scene asks for the GPU; local has no graphics card that works").count();
    assert_eq!(said, usize::from(used[0] == "CPU"), "{}", asked.stdout);
    let plain = scene("plain").display().to_string();
    assert!(devices(&run(&plain, "").expect(0)).is_empty(), "nobody asks for it");
    assert!(devices(&run("gpu.blend", ",device=CPU").expect(0)).is_empty(), "the user says what it is");
    assert_eq!(devices(&run(&plain, ",device=auto").expect(0)), used);
    if used[0] == "CPU" {
        let ended = run(&plain, ",device=GPU").expect(1);
        assert!(ended.stderr.contains("no graphics card that its Blender can use"), "{}", ended.stderr);
    }
}

#[test]
fn a_device_that_is_not_there() {
    let world = World::new();
    // Whatever graphics card the machine has, it is not of that kind.
    let kind = if cfg!(target_os = "macos") { "CUDA" } else { "METAL" };
    let node = format!("local,device={kind}");
    let ended = world.run(["nodes", "check", "--json", &node]).expect(1);
    let (reason, remedy) = trouble(&health(&ended.stdout)[0]);
    assert!(reason.contains(&format!("{kind} does not render there")), "{reason}");
    assert!(remedy.contains("CPU"), "{remedy}");
    let plain = scene("plain").display().to_string();
    let ended = world.run(["render", &plain, "--frame", "1", "--node", &node]);
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.stderr.contains(kind), "{}", ended.stderr);
}

#[test]
fn login_shells_that_are_no_posix_shells() {
    for shell in ["fish", "csh"] {
        let server = Sshd::with().login_shell(shell).start();
        let home = Home::for_server(&server);
        let world = World::with_home(home.path());
        let place = format!("{}@127.0.0.1:{}", user(), server.port);
        let ended = world.run(["nodes", "check", "--json", &place]).expect(0);
        assert_eq!(health(&ended.stdout)[0]["usable"], true, "{shell}: {}", ended.stdout);
    }
}

#[test]
fn a_home_that_nobody_may_write_to() {
    let server = Sshd::start();
    // Not even root may make a folder there, and root is who runs some of these tests.
    let closed = if cfg!(target_os = "linux") { "/sys/kernel" } else { "/dev" };
    std::os::unix::fs::symlink(closed, server.home.join(".cache")).unwrap();
    let home = Home::for_server(&server);
    let world = World::with_home(home.path());
    let place = format!("{}@127.0.0.1:{}", user(), server.port);
    let ended = world.run(["nodes", "check", "--json", &place]).expect(1);
    let (reason, remedy) = trouble(&health(&ended.stdout)[0]);
    assert!(reason.contains(".cache/tilectl"), "{reason}");
    assert!(remedy.contains("cache="), "{remedy}");
    // With another place for its cache it can be used.
    let elsewhere = server.home.join("elsewhere");
    let ended = world.run(["nodes", "check", &format!("{place},cache={}", elsewhere.display())]);
    assert!(ended.expect(0).stdout.contains("ok"));
}
