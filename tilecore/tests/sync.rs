//! A scene's files and the store on a node, with real Blender workers: transfers cut off and taken up again, damage,
//! several controllers at once, and names that lead elsewhere.

#[path = "../../tilectl/tests/support/processes.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the end-to-end tests, which use all of it")]
mod processes;

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tilecore::Error;
use tilecore::blender::Worker;
use tilecore::error::Kind;
use tilecore::node::{NodeSpec, Place, SshOptions, from_spec};
use tilecore::sync::{InputPath, Inputs};

/// A node's cache, and files here to send to it.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.at("files")).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn cache(&self, name: &str) -> PathBuf {
        self.at("cache").join(name)
    }

    /// A worker on this machine that keeps its files here. `run` names it. It picks nothing at random to read again.
    fn worker(&self, run: &str) -> Worker {
        let mut spec = NodeSpec::new("n", Place::Local);
        spec.cache_dir = Some(self.at("cache").display().to_string());
        spec.env.insert("TILECTL_REREAD".into(), "0".into());
        spec.blender = std::env::var("TILECTL_TEST_BLENDER").ok();
        let node = from_spec(&spec, &SshOptions::new(self.dir.path(), "nobody")).unwrap();
        Worker::start(node.as_ref(), run, None, &mut || true).unwrap().worker
    }

    /// Ends a worker as a controller does that is killed, and waits until nothing of it is left.
    fn kill(&self, worker: Worker) {
        drop(worker);
        processes::gone(&self.at("cache"), Duration::from_secs(30));
    }

    /// Files of these sizes with contents of their own.
    fn files(&self, sizes: &[usize]) -> Inputs {
        let files = sizes.iter().enumerate().map(|(n, size)| {
            let path = self.at(&format!("files/{n}.bin"));
            fs::write(&path, noise(*size, n as u64 + 1)).unwrap();
            InputPath::of(&path).unwrap()
        });
        Inputs { files: files.collect(), ..Inputs::default() }
    }

    /// Where the store keeps a file.
    fn stored(&self, file: &InputPath) -> PathBuf {
        self.cache("store").join(&file.sha256[..2]).join(&file.sha256)
    }

    /// Waits until all are sealed: until then every worker reads a file once more before it uses it.
    fn sealed(&self, inputs: &Inputs) {
        // A file's last line in `stamps` tells the time its inode last changed.
        let sealed = |file: &InputPath| {
            let changed = fs::metadata(self.stored(file)).unwrap();
            let changed = format!(" {}{:09}", changed.ctime(), changed.ctime_nsec());
            let stamps = self.cache("stamps").join(&file.sha256[..2]);
            let lines = fs::read_to_string(stamps).unwrap_or_default();
            lines.lines().rfind(|l| l.starts_with(&file.sha256)).is_some_and(|l| l.ends_with(&changed))
        };
        for _ in 0..3000 {
            if inputs.files.iter().all(sealed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the files are not sealed");
    }

    fn parts(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.cache("store")).unwrap().flatten();
        let files = folders.flat_map(|f| fs::read_dir(f.path()).unwrap().flatten().map(|f| f.path()));
        files.filter(|f| f.extension().is_some_and(|e| e == "part")).collect()
    }
}

fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// Sends all, and says how many bytes were to be sent and were.
fn send(inputs: &Inputs, worker: &mut Worker) -> (u64, u64) {
    let mut total = None;
    let sent = inputs.send(worker, &mut |progress| {
        total = progress.map(|(_, of)| of).or(total);
        true
    });
    (total.expect("the transfer says how much it is"), sent.unwrap())
}

fn call(worker: &mut Worker, command: &str, request: Value) -> Result<Value, Error> {
    worker.call(command, request, None, &mut || true)
}

#[test]
fn a_transfer_that_was_cut_off_goes_on_in_mid_file() {
    let place = Bench::new();
    let inputs = place.files(&[24 << 20, 300]);
    let mut worker = place.worker("first");
    let stopped = inputs.send(&mut worker, &mut |progress| progress.is_none_or(|(sent, _)| sent < 8 << 20));
    assert_eq!(stopped.unwrap_err().kind(), Kind::Interrupted);
    place.kill(worker);
    assert_eq!(place.parts().len(), 1);

    let mut worker = place.worker("second");
    let (total, sent) = send(&inputs, &mut worker);
    assert_eq!(total, sent);
    assert!(sent <= inputs.bytes() - (8 << 20), "{sent} bytes were sent the second time");
    for file in &inputs.files {
        assert_eq!(fs::read(place.stored(file)).unwrap(), fs::read(&file.path).unwrap());
    }
    assert_eq!(place.parts(), [] as [PathBuf; 0]);
    assert_eq!(send(&inputs, &mut worker), (0, 0));
}

#[test]
fn a_damaged_beginning_costs_another_transfer_and_nothing_else() {
    let place = Bench::new();
    let inputs = place.files(&[6 << 20]);
    let folder = place.stored(&inputs.files[0]).parent().unwrap().to_owned();
    fs::create_dir_all(&folder).unwrap();
    let part = folder.join(format!("{}.elsewhere-1.part", inputs.files[0].sha256));
    fs::write(&part, vec![7; 2 << 20]).unwrap();
    let mut worker = place.worker("w");
    let error = inputs.send(&mut worker, &mut |_| true).unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("damaged"), "{error}");
    assert!(!place.stored(&inputs.files[0]).exists());
    assert_eq!(send(&inputs, &mut worker).1, 6 << 20);
}

#[test]
fn a_file_that_changes_on_its_way_is_named() {
    let place = Bench::new();
    let inputs = place.files(&[3 << 20]);
    fs::write(&inputs.files[0].path, noise(3 << 20, 99)).unwrap();
    let mut worker = place.worker("w");
    let error = inputs.send(&mut worker, &mut |_| true).unwrap_err();
    assert_eq!(error.kind(), Kind::Input);
    assert!(error.to_string().contains("0.bin changed while it was being sent"), "{error}");
}

#[test]
fn thousands_of_small_files_arrive() {
    let place = Bench::new();
    let sizes: Vec<usize> = (0..3000).map(|n| n % 700).collect();
    let inputs = place.files(&sizes);
    let mut worker = place.worker("w");
    let distinct: std::collections::BTreeMap<_, _> =
        inputs.files.iter().map(|f| (&f.sha256, f.size)).collect();
    let bytes: u64 = distinct.values().sum();
    assert_eq!(send(&inputs, &mut worker), (bytes, bytes));
    for file in &inputs.files {
        assert_eq!(fs::metadata(place.stored(file)).unwrap().len(), file.size);
    }
    place.kill(worker);
    assert_eq!(send(&inputs, &mut place.worker("again")), (0, 0));
}

#[test]
fn a_byte_that_changed_in_the_store_never_reaches_a_picture() {
    let place = Bench::new();
    let inputs = place.files(&[1 << 20, 5000, 5001]);
    let mut worker = place.worker("first");
    send(&inputs, &mut worker);
    place.sealed(&inputs);
    place.kill(worker);
    for (file, hide) in inputs.files.iter().zip([false, true, false]) {
        let path = place.stored(file);
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut content = fs::read(&path).unwrap();
        content[4000] ^= 0x10;
        fs::write(&path, content).unwrap();
        if hide {
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }
    }
    let mut worker = place.worker("second");
    assert_eq!(send(&inputs, &mut worker).1, inputs.bytes());
    for file in &inputs.files {
        assert_eq!(fs::read(place.stored(file)).unwrap(), fs::read(&file.path).unwrap());
    }
}

/// Bytes that a worker's process and those it started have read so far.
fn read_by(root: &Path) -> u64 {
    let of = |pid: &str| -> Option<u64> {
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let ours = root.as_os_str().as_encoded_bytes();
        environ.windows(ours.len()).find(|w| *w == ours)?;
        let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
        io.lines().find_map(|l| l.strip_prefix("rchar: ")?.parse().ok())
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|p| of(p.file_name().to_str()?)).sum()
}

#[test]
fn a_byte_that_changed_in_the_middle_of_a_large_file_is_found_and_nothing_else_is_read() {
    let place = Bench::new();
    let mut inputs = place.files(&[200 << 20, 200 << 20]);
    inputs.files.extend(scene(&place).files);
    // The scene comes first.
    inputs.files.rotate_right(1);
    let mut worker = place.worker("first");
    send(&inputs, &mut worker);
    // Links change the inodes as well.
    call(&mut worker, "open", inputs.open_request(false)).unwrap();
    place.sealed(&inputs);
    place.kill(worker);

    let mut worker = place.worker("second");
    let before = read_by(&place.at("cache"));
    assert_eq!(send(&inputs, &mut worker), (0, 0));
    call(&mut worker, "open", inputs.open_request(false)).unwrap();
    let read = read_by(&place.at("cache")) - before;
    assert!(read < 100 << 20, "{read} bytes were read though nothing had changed");
    place.kill(worker);

    let large = place.stored(&inputs.files[1]);
    let time = fs::metadata(&large).unwrap().modified().unwrap();
    fs::set_permissions(&large, fs::Permissions::from_mode(0o600)).unwrap();
    let file = fs::File::options().read(true).write(true).open(&large).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100 << 20).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 100 << 20).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    assert_eq!(fs::metadata(&large).unwrap().modified().unwrap(), time);
    let mut worker = place.worker("third");
    assert_eq!(send(&inputs, &mut worker).1, inputs.files[1].size);
    assert_eq!(fs::read(&large).unwrap(), fs::read(&inputs.files[1].path).unwrap());
    call(&mut worker, "open", inputs.open_request(false)).unwrap();
}

#[test]
fn two_controllers_send_the_same_files_at_once() {
    let place = Bench::new();
    let inputs = place.files(&[9 << 20, 9 << 20, 100, 200, 3 << 20]);
    std::thread::scope(|scope| {
        for run in ["a", "b", "c"] {
            let (place, inputs) = (&place, &inputs);
            scope.spawn(move || send(inputs, &mut place.worker(run)));
        }
    });
    processes::gone(&place.at("cache"), Duration::from_secs(30));
    for file in &inputs.files {
        assert_eq!(fs::read(place.stored(file)).unwrap(), fs::read(&file.path).unwrap());
    }
    assert_eq!(place.parts(), [] as [PathBuf; 0]);
}

/// The scene that is opened here, in a directory of its own.
fn scene(place: &Bench) -> Inputs {
    let blend = place.at("files/plain.blend");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/scenes/plain.blend");
    fs::copy(from, &blend).unwrap();
    Inputs { files: vec![InputPath::of(&blend).unwrap()], ..Inputs::default() }
}

#[test]
fn links_in_a_tree_are_not_followed() {
    let place = Bench::new();
    let inputs = scene(&place);
    let mut worker = place.worker("first");
    send(&inputs, &mut worker);
    call(&mut worker, "open", inputs.open_request(false)).unwrap();
    place.kill(worker);

    let tree = place.cache("trees").join(inputs.layout());
    let elsewhere = place.at("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("plain.blend"), b"untouched").unwrap();
    let folder = tree.join(place.at("files").strip_prefix("/").unwrap());
    fs::remove_dir_all(&folder).unwrap();
    symlink(&elsewhere, &folder).unwrap();
    symlink("/etc/passwd", tree.join("stray")).unwrap();

    let mut worker = place.worker("second");
    send(&inputs, &mut worker);
    call(&mut worker, "open", inputs.open_request(false)).unwrap();
    assert!(!fs::symlink_metadata(&folder).unwrap().is_symlink());
    assert_eq!(fs::read(elsewhere.join("plain.blend")).unwrap(), b"untouched");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    assert!(fs::symlink_metadata(tree.join("stray")).is_err(), "what does not belong there is gone");
    assert_eq!(fs::metadata(folder.join("plain.blend")).unwrap().len(), inputs.bytes());
}

#[test]
fn names_that_lead_out_of_the_tree_are_refused() {
    let place = Bench::new();
    let inputs = scene(&place);
    let mut worker = place.worker("w");
    send(&inputs, &mut worker);
    let sha256 = &inputs.files[0].sha256;
    for parts in [
        json!([".."]),
        json!(["..", "..", "x"]),
        json!(["a", "..", "..", "..", "x"]),
        json!(["a/../../../x"]),
        json!(["/etc/x"]),
        json!([""]),
        json!(["."]),
        json!(["a\u{0}b"]),
        json!(["\u{2026}"]),
        json!([]),
        json!([7]),
    ] {
        let mut request = inputs.open_request(false);
        request["files"] = json!([[parts, sha256]]);
        let error = call(&mut worker, "open", request).expect_err(&parts.to_string());
        assert_eq!(error.kind(), Kind::Render, "{error}");
    }
    for digest in ["", "..", "../../x", &format!("{sha256}/x"), &sha256.to_uppercase(), &sha256[1..]] {
        let mut request = inputs.open_request(false);
        request["files"] = json!([[["x"], digest]]);
        assert!(call(&mut worker, "open", request).is_err(), "{digest:?}");
        let put = json!({"sha256": digest, "size": 0, "offset": 0});
        assert!(call(&mut worker, "put", put).is_err(), "{digest:?}");
    }
    assert!(!place.at("x").exists() && !place.at("cache/x").exists() && !place.cache("trees/x").exists());
    assert!(call(&mut worker, "open", inputs.open_request(false)).is_ok(), "the worker lives on");
}

#[test]
fn cleaning_leaves_what_is_in_use() {
    let place = Bench::new();
    let inputs = scene(&place);
    let others = place.files(&[2 << 20, 400]);
    let mut user = place.worker("user");
    send(&inputs, &mut user);
    send(&others, &mut user);
    call(&mut user, "open", inputs.open_request(false)).unwrap();
    let tree = place.cache("trees").join(inputs.layout());

    let mut cleaner = place.worker("cleaner");
    let kept = call(&mut cleaner, "tidy", json!({"days": 1, "keep": null})).unwrap();
    assert_eq!(kept["removed"], 0, "all of it was used today");
    let cleaned = call(&mut cleaner, "tidy", json!({"days": 0, "keep": 0})).unwrap();
    assert_eq!(cleaned["removed"], others.bytes());
    assert!(tree.is_dir() && place.stored(&inputs.files[0]).is_file());
    assert!(!place.stored(&others.files[0]).exists());
    let still = call(&mut user, "open", inputs.open_request(false));
    assert!(still.is_ok(), "{still:?}");

    drop(user);
    // Its lock goes with its process.
    let mut left = json!(null);
    for _ in 0..300 {
        left = call(&mut cleaner, "tidy", json!({"days": 0, "keep": 0})).unwrap()["left"].clone();
        if left == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left, 0);
    assert!(!tree.exists());
    // What another controller removed is sent again.
    assert_eq!(send(&inputs, &mut cleaner).1, inputs.bytes());
}

/// Between exclusive and shared a lock is let go for a moment; here the worst happens in it.
const TIDIED_IN_BETWEEN: &str = r#"
import fcntl, hashlib, os, sys
import room, store

root, content = sys.argv[1], b"content"
digest, layout = hashlib.sha256(content).hexdigest(), "0" * 64
files = store.Store(root, "w", None)
files.put_many([[digest, len(content)]], content)
flock, tidied = fcntl.flock, []

def in_between(fd, kind):
    if kind & fcntl.LOCK_SH and not tidied:
        flock(fd, fcntl.LOCK_UN)
        tidied.append(room.tidy(root, 30, 1 << 30))
    return flock(fd, kind)

fcntl.flock = in_between
tree = files.trees.lay_out(layout, [[["a", "b"], digest]])
assert tidied and os.path.isfile(tree + "/a/b"), "the tree is gone"
room.tidy(root, 30, 1 << 30)
assert os.path.isfile(tree + "/a/b"), "a tree in use was tidied away"
tidied.clear()
spool = files.spool_dir("job")
room.tidy(root, 0, 0)
assert tidied and os.path.isdir(spool), "a spool in use was tidied away"
"#;

#[test]
fn a_tree_tidied_away_while_its_lock_changes_is_laid_out_again() {
    let place = Bench::new();
    let out = std::process::Command::new("python3")
        .args(["-c", TIDIED_IN_BETWEEN])
        .arg(place.at("cache"))
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("src/blender/worker"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python3 is missing: run fixtures/setup.sh --tests");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn content_removed_behind_a_workers_back_is_asked_for_again() {
    let place = Bench::new();
    let inputs = scene(&place);
    let mut worker = place.worker("w");
    send(&inputs, &mut worker);
    fs::remove_file(place.stored(&inputs.files[0])).unwrap();
    let error = call(&mut worker, "open", inputs.open_request(false)).unwrap_err();
    assert!(error.kind() == Kind::Node && error.is_retryable(), "{error}");
    assert_eq!(send(&inputs, &mut worker).1, inputs.bytes());
    call(&mut worker, "open", inputs.open_request(false)).unwrap();
}
