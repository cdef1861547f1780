//! Passphrases that are asked for on a terminal while bars are drawn on it.
#![cfg(target_os = "linux")] // Elsewhere `script` takes other words.

mod support;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::program::World;
use support::scene;
use support::sshd::{Home, Sshd, user};

const QUESTION: &str = "Passphrase for ";

/// A program with a terminal of its own, as `script` makes one.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(world: &World, words: &[&str]) -> Self {
        let plain = world.command(words);
        let quoted = |word: &OsStr| format!("'{}'", word.to_string_lossy());
        let line: Vec<String> =
            std::iter::once(plain.get_program()).chain(plain.get_args()).map(quoted).collect();
        let mut script = Command::new("script");
        script.args(["-qefc", &line.join(" "), "/dev/null"]).current_dir(world.work());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let child = script.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("`script` is part of every Linux");
        let shown = Arc::new(Mutex::new(String::new()));
        let mut stdout = child.stdout.take().unwrap();
        let seen = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = stdout.read(&mut buffer) {
                seen.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        let keys = child.stdin.take().unwrap();
        Self { child, keys, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until the question was asked so many times, and for what else comes until it is answered.
    fn asked(&self, times: usize, then: Duration) -> String {
        let start = Instant::now();
        while self.shown().matches(QUESTION).count() < times {
            assert!(start.elapsed() < Duration::from_secs(60), "nothing is asked:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(then);
        let shown = self.shown();
        shown[shown.rfind(QUESTION).unwrap()..].to_owned()
    }

    fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        (status.code(), self.shown())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where it has not ended: what runs in the terminal goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that takes one key, whose passphrase is `open sesame`.
fn locked() -> (Sshd, Home, String) {
    let server = Sshd::start();
    let home = Home::new();
    let (_, public) = home.key("id_ed25519", "ed25519", "open sesame");
    server.allow(&public);
    home.write("known_hosts", &server.known_as("127.0.0.1"));
    let place = format!("{}@127.0.0.1:{},name=far", user(), server.port);
    (server, home, place)
}

#[test]
fn the_question_stays_until_it_is_answered() {
    let (_server, home, place) = locked();
    let world = World::with_home(home.path());
    let plain = scene("plain").display().to_string();
    let mut terminal = Terminal::start(
        &world,
        &["render", &plain, "--frame", "1", "--percentage", "50", "--node", "local", "--node", &place],
    );
    // Meanwhile the other node starts Blender and renders, about which the bars have a lot to say.
    let question = terminal.asked(1, Duration::from_secs(5));
    assert!(question.ends_with("id_ed25519: ") && !question.contains('\u{1b}'), "{question:?}");
    terminal.type_in("open sesame\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("done in "), "what came meanwhile is told: {shown}");
    assert!(!shown.contains("open sesame"));
}

#[test]
fn a_wrong_passphrase_has_a_remedy_of_its_own() {
    let (_server, home, place) = locked();
    let world = World::with_home(home.path());
    let mut terminal = Terminal::start(&world, &["nodes", "check", &place]);
    for attempt in 1..=3 {
        terminal.asked(attempt, Duration::ZERO);
        terminal.type_in("guess\n");
    }
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("is wrong") && shown.contains("type the passphrase of that key"), "{shown}");
    assert!(!shown.contains("ssh-copy-id"), "{shown}");
}
