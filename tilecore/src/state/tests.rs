use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::formats::TileFormat;
use crate::geometry::Frame;
use crate::job::InputFile;

fn job() -> Identity {
    let size = Frame::new(40, 20).unwrap();
    Identity {
        files: vec![InputFile { path: "a \"b\"\n.blend".into(), sha256: "00".repeat(32) }],
        scene: "Scene".into(),
        camera: None,
        frame: 1,
        seed: 0,
        samples: 4,
        resolution: (40, 20),
        percentage: 100,
        size,
        region: size.rect(),
        format: TileFormat::Png,
        overlap: 0,
        pictures: vec!["Scene".into()],
        blender: "3.4.1".into(),
        hash: "abc".into(),
        scripts: false,
        whole: false,
        environment: None,
        shots: Vec::new(),
    }
}

fn tile(number: u32) -> TileRecord {
    let region = Rect::new(number * 10, 0, 10, 20).unwrap();
    let content = format!("tile {number}");
    TileRecord {
        picture: 0,
        region,
        rendered: region,
        file: format!("t{number}.png"),
        bytes: content.len() as u64,
        sha256: crate::hash::hex(&<sha2::Sha256 as sha2::Digest>::digest(content.as_bytes())),
        node: "n1".into(),
        seconds: 1.5,
        sync_s: 0.0,
        at: 3.0,
    }
}

fn stopped() -> Record {
    Record::Stopped { reason: "a line\nbreak, (brackets) and \"quotes\"".into(), interrupted: true, at: 2.0 }
}

/// A work directory with a few records, and the content of its state file.
fn written() -> (TempDir, Vec<Record>, Vec<u8>) {
    let root = tempfile::tempdir().unwrap();
    let records = vec![
        Record::Began { by: "1".into(), at: 1.0, nodes: vec!["n1".into()] },
        Record::Tile(tile(0)),
        stopped(),
        Record::Tile(tile(1)),
    ];
    let (mut dir, history) = WorkDir::open(root.path(), &job(), false).unwrap();
    assert!(history.is_none());
    for record in &records {
        dir.append(record).unwrap();
    }
    drop(dir);
    let bytes = fs::read(root.path().join("state.ron")).unwrap();
    (root, records, bytes)
}

fn lines_in(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")).count()
}

#[test]
fn cut_at_every_byte_it_is_a_prefix_that_can_be_appended_to() {
    let (root, records, bytes) = written();
    let path = root.path().join("state.ron");
    for length in 0..=bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let (mut dir, history) = WorkDir::open(root.path(), &job(), false).unwrap();
        let lines = lines_in(&bytes[..length]);
        assert_eq!(history.is_some(), lines > 0, "cut at {length}");
        let kept = history.map(|h| (h.records, h.damaged)).unwrap_or_default();
        assert_eq!(kept, (records[..lines.saturating_sub(1)].to_vec(), 0), "cut at {length}");
        dir.append(&Record::Tile(tile(2))).unwrap();
        drop(dir);
        let history = History::read(&path).unwrap();
        assert_eq!(history.job, job());
        assert_eq!(history.damaged, 0);
        assert_eq!(history.records.len(), kept.0.len() + 1, "cut at {length}");
        assert_eq!(history.records.last(), Some(&Record::Tile(tile(2))));
    }
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let (root, _, bytes) = written();
    let path = root.path().join("state.ron");
    let rest = String::from_utf8(bytes).unwrap();
    let same_shape = rest.replacen("version:1", "version:2", 1);
    for text in ["Header(version:7,what:Unheard(of:1))\nNews(1)\n", &same_shape] {
        fs::write(&path, text).unwrap();
        let error = WorkDir::open(root.path(), &job(), false).unwrap_err();
        assert!(error.to_string().contains("newer"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    // Starting over is what the user asked for.
    assert!(WorkDir::open(root.path(), &job(), true).unwrap().1.is_none());
}

#[test]
fn what_is_no_state_file_is_refused_and_left_alone() {
    let (root, _, _) = written();
    let path = root.path().join("state.ron");
    for text in ["hello\n", "\n", "Tile()\n", "\0\0\0\n", "Header(version:0)\n"] {
        fs::write(&path, text).unwrap();
        let error = WorkDir::open(root.path(), &job(), false).unwrap_err();
        assert!(error.to_string().contains("not a state file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_damaged_line_in_the_middle_costs_only_itself() {
    let (root, records, bytes) = written();
    let path = root.path().join("state.ron");
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    lines[2][3] = 0xff;
    fs::write(&path, lines.concat()).unwrap();
    let (mut dir, history) = WorkDir::open(root.path(), &job(), false).unwrap();
    let history = history.unwrap();
    assert_eq!(history.damaged, 1);
    assert_eq!(history.records, [&records[..1], &records[2..]].concat());
    assert_eq!(history.tiles(), [&tile(1)]);
    dir.append(&Record::Tile(tile(0))).unwrap();
    assert_eq!(History::read(&path).unwrap().tiles(), [&tile(1), &tile(0)]);
}

#[test]
fn the_last_word_on_a_tile_counts() {
    let (root, _, _) = written();
    let (mut dir, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    let again = TileRecord { sha256: "11".repeat(32), ..tile(0) };
    dir.append(&Record::Tile(again.clone())).unwrap();
    dir.append(&Record::Discarded { file: "t1.png".into() }).unwrap();
    let path = root.path().join("state.ron");
    assert_eq!(History::read(&path).unwrap().tiles(), [&again]);
    dir.append(&Record::Tile(tile(1))).unwrap();
    assert_eq!(History::read(&path).unwrap().tiles(), [&again, &tile(1)]);
}

#[test]
fn only_files_that_are_what_was_recorded_are_taken_over() {
    let (root, _, _) = written();
    let (mut dir, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    for file in ["../outside.png", "/outside.png", "", "..", "missing.png"] {
        dir.append(&Record::Tile(TileRecord { file: file.into(), ..tile(3) })).unwrap();
    }
    fs::write(root.path().join("outside.png"), "tile 3").unwrap();
    fs::write(dir.layout().tile("t0.png"), "tile 0").unwrap();
    fs::write(dir.layout().tile("t1.png"), "tile 2").unwrap();
    let history = History::read(&root.path().join("state.ron")).unwrap();
    assert_eq!(dir.sound_tiles(&history), [tile(0)]);
    fs::write(dir.layout().tile("t0.png"), "tile 0 and more").unwrap();
    assert!(dir.sound_tiles(&history).is_empty());
}

#[test]
fn one_controller_at_a_time() {
    let (root, _, bytes) = written();
    let (first, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    for fresh in [false, true] {
        let error = WorkDir::open(root.path(), &job(), fresh).unwrap_err();
        assert!(error.to_string().contains("another tilectl"), "{error}");
    }
    assert_eq!(fs::read(root.path().join("state.ron")).unwrap(), bytes);
    drop(first);
    assert!(WorkDir::open(root.path(), &job(), false).is_ok());
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("letter.txt"), "dear").unwrap();
    for fresh in [false, true] {
        assert!(WorkDir::open(root.path(), &job(), fresh).is_err());
    }
    let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["letter.txt"]);
}

#[test]
fn another_job_is_refused_where_something_is_finished_only() {
    let (root, _, _) = written();
    let other = Identity { samples: 5, ..job() };
    let error = WorkDir::open(root.path(), &other, false).unwrap_err();
    assert!(error.to_string().contains("samples was 4, now 5"), "{error}");
    let (mut dir, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    for number in 0..2 {
        dir.append(&Record::Discarded { file: tile(number).file }).unwrap();
    }
    drop(dir);
    assert!(WorkDir::open(root.path(), &other, false).unwrap().1.is_none());
    assert_eq!(History::read(&root.path().join("state.ron")).unwrap().job, other);
}

#[test]
fn removing_leaves_what_is_not_ours() {
    let (root, _, _) = written();
    fs::write(root.path().join("notes.txt"), "mine").unwrap();
    let (dir, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    dir.remove().unwrap();
    let names: Vec<_> = fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["notes.txt"]);
}

proptest! {
    #[test]
    fn no_content_panics_or_costs_a_sound_record_before_it(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
    ) {
        let (_root, records, bytes) = written();
        let at = at.index(bytes.len() + 1);
        let text = [&bytes[..at], &noise, &bytes[at..]].concat();
        let whole = lines_in(&bytes[..at]);
        if let Ok(history) = History::parse(&text[..], Path::new("state.ron")) {
            let sound = whole.saturating_sub(1);
            prop_assert_eq!(&history.records[..sound], &records[..sound]);
        } else {
            prop_assert_eq!(whole, 0);
        }
    }
}

#[test]
fn looking_whether_it_is_running_disturbs_nobody() {
    let root = tempfile::tempdir().unwrap();
    assert!(!is_running(root.path()));
    let (dir, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    assert!(is_running(root.path()));
    drop(dir);
    assert!(!is_running(root.path()));
    let lock = File::open(root.path().join("lock")).unwrap();
    lock.lock_shared().unwrap();
    let glance = std::thread::spawn(move || {
        std::thread::sleep(GLANCE / 4);
        drop(lock);
    });
    assert!(WorkDir::open(root.path(), &job(), false).is_ok());
    glance.join().unwrap();
}

#[test]
fn an_open_state_file_reads_on_after_it_was_removed() {
    let (root, records, _) = written();
    let path = root.path().join("state.ron");
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        assert_eq!(History::read_open(&file, &path).unwrap().records, records);
    }
}

#[test]
fn a_tile_that_two_nodes_rendered_is_taken_over_once() {
    let (root, _, _) = written();
    let (mut dir, _) = WorkDir::open(root.path(), &job(), false).unwrap();
    let twin = TileRecord { file: "t0-other.png".into(), node: "n2".into(), ..tile(0) };
    dir.append(&Record::Tile(twin)).unwrap();
    for name in ["t0.png", "t0-other.png"] {
        fs::write(dir.layout().tile(name), "tile 0").unwrap();
    }
    fs::write(dir.layout().tile("t1.png"), "tile 1").unwrap();
    let history = History::read(&root.path().join("state.ron")).unwrap();
    assert_eq!(dir.sound_tiles(&history), [tile(0), tile(1)]);
    // The one of them that is discarded goes without the other.
    dir.append(&Record::Discarded { file: "t0.png".into() }).unwrap();
    let history = History::read(&root.path().join("state.ron")).unwrap();
    assert_eq!(dir.sound_tiles(&history).len(), 2);
}
