//! A render is watched: in a real browser by its live page, and from another terminal by `tilectl status --watch`.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::blender::Blender;
use support::program::World;
use support::{root, scene};

/// The words of a render on two nodes, of some seconds.
fn words(samples: &str, more: &[&str]) -> Vec<String> {
    let blender = Blender::of_the_tests().program.display().to_string();
    let mut words = vec!["render".to_owned(), scene("plain").display().to_string()];
    words.extend(["--frame", "1", "--tiles", "16", "-o", "out.png", "--samples", samples].map(str::to_owned));
    for name in ["a", "b"] {
        words.extend(["--node".to_owned(), format!("local,name={name},threads=1,blender={blender}")]);
    }
    words.extend(more.iter().map(|w| (*w).to_owned()));
    words
}

/// Waits for what `look` finds.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        match look() {
            Some(found) => return found,
            None if Instant::now() > end => panic!("{what} did not come about"),
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Ends with its test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status of an answer to a request with this first line and this Host.
fn status(address: &str, line: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the page is served");
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_render_is_seen_in_a_browser_while_it_goes_on() {
    let world = World::new();
    let log = world.at("events.json");
    let mut command = world.command(words("480", &["--serve", "--json"]));
    command.stdout(File::create(&log).unwrap()).stderr(Stdio::null());
    let mut render = Ending(command.spawn().expect("tilectl can be started"));
    let url = until("the page's address", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let first = serde_json::from_str::<serde_json::Value>(text.lines().next()?).ok()?;
        Some(first["url"].as_str()?.to_owned())
    });
    let (address, path) = url.strip_prefix("http://").and_then(|u| u.split_once('/')).expect("an address");
    assert!(address.starts_with("127.0.0.1:") && path.len() == 33, "{url}");

    assert_eq!(status(address, &format!("GET /{path}"), address), "200");
    assert_eq!(status(address, &format!("GET /{}/", "0".repeat(32)), address), "404");
    assert_eq!(status(address, "GET /", address), "404");
    assert_eq!(status(address, &format!("GET /{path}"), "rebound.example"), "403");
    assert_eq!(status(address, &format!("POST /{path}"), address), "405");
    // Whoever connects and says nothing is soon let go, and takes no place from others for long.
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).expect("it listens")).collect();
    until("a place among the silent", || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.write_all(format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        (stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK")).then_some(())
    });
    drop(silent);

    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live");
    let mut check = Command::new("python3");
    check.arg(root().join("fixtures/check_report.py")).args(["--live", &url]).arg("--screenshots").arg(shots);
    let out = check.output().expect("python3 is missing: run fixtures/setup.sh --tests");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    let events = std::fs::read_to_string(&log).unwrap();
    assert!(out.status.success(), "{said}\n{events}");
    assert!(render.0.wait().expect("it ends").success(), "{events}");
    assert!(TcpStream::connect(address).is_err(), "the page goes with the render");

    let done = events.lines().last().expect("events");
    let done: serde_json::Value = serde_json::from_str(done).expect("JSON");
    assert_eq!(done["event"], "done");
    let speedup = done["speedup"].as_f64().expect("two nodes took part");
    assert!((0.5..=4.0).contains(&speedup), "two nodes were {speedup} times as fast as one");
}

#[test]
fn a_page_that_cannot_be_served_is_said_before_anything_starts() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = world.run(words("1", &["--serve", &address])).expect(2);
    assert!(ended.stderr.contains(&format!("cannot serve the page at {address}")), "{}", ended.stderr);
    assert!(!world.at("out.png.tiles").exists());
}

#[test]
fn status_follows_a_render_to_its_end() {
    let world = World::new();
    let status = ["status", "out.png.tiles", "--watch", "--json"];
    let mut render = world.spawn(words("48", &[]));
    let state = world.at("out.png.tiles/state.ron");
    until("a finished tile", || std::fs::read_to_string(&state).ok()?.contains("\nTile(").then_some(()));
    let watching = world.spawn(status);
    std::thread::sleep(Duration::from_millis(900));
    assert!(render.goes_on(), "the check needs a longer render");
    render.signal("KILL");
    drop(render);
    let killed = watching.wait().expect(1);
    assert_eq!(killed.json().last().expect("a line")["stage"], "abandoned");

    // The same command goes on; the directory is gone when it ends, and what was watched is told all the same.
    let mut render = world.spawn(words("48", &[]));
    until("the second run", || {
        Some(std::fs::read_to_string(&state).ok()?.matches("\nBegan(").count() > 1).filter(|began| *began)
    });
    let watching = world.spawn(status);
    let plain = world.run(["status", "out.png.tiles"]).expect(0);
    assert!(
        plain.stdout.contains("frame 1, 320x180: ") && plain.stdout.contains(", running for "),
        "{plain:?}"
    );
    assert!(render.goes_on());
    render.wait().expect(0);
    let lines = watching.wait().expect(0).json();
    let done: Vec<f64> = lines.iter().map(|l| l["done"].as_f64().expect("a part")).collect();
    assert!(done.len() > 2 && done.is_sorted() && done.last() == Some(&1.0), "{done:?}");
    let last = lines.last().expect("a line");
    assert_eq!(last["stage"], "done");
    assert!(last["finished"].as_str().expect("a picture").ends_with("out.png"));
    assert_eq!(lines[0]["stage"], "running");
    assert!(!state.exists());
}
