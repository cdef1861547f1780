//! Set-up on the paths that go wrong, without any Blender.

use std::path::Path;

use super::*;
use crate::blender::Picture;
use crate::geometry::Frame;

/// What is done, in short.
fn words(effects: &[Effect]) -> Vec<String> {
    let word = |effect: &Effect| match effect {
        Effect::Send(slot, order) => {
            let order = format!("{order:?}");
            format!("{slot} {}", order.split(['(', ' ']).next().unwrap_or_default().to_lowercase())
        }
        Effect::Tell(events::Event::Warning { text }) => format!("warn: {text}"),
        Effect::Tell(_) => String::new(),
        Effect::Decide(_) => "decide".to_owned(),
        Effect::SetUp(slot) => format!("{slot} setup"),
        Effect::Schedule(Input::Lost(slot, _)) => format!("schedule without {slot}"),
        Effect::Schedule(input) => format!("{input:?}"),
        Effect::GiveUp { slot, told: true, .. } => format!("without {slot}"),
        Effect::GiveUp { slot, told: false, .. } => format!("without {slot}, the last"),
        Effect::Fail(error) => format!("fail: {error}"),
    };
    effects.iter().map(word).filter(|w| !w.is_empty()).collect()
}

fn slots(names: &[&str]) -> Vec<SlotState> {
    let state = |(node, name): (usize, &&str)| {
        SlotState::new((*name).to_owned(), node, Device::Cpu, None, crossbeam_channel::unbounded().0, false)
    };
    names.iter().enumerate().map(state).collect()
}

/// A .blend that nobody reads further than its header.
fn blend(folder: &Path, header: &str) -> Request {
    let path = folder.join("a.blend");
    std::fs::write(&path, header).unwrap();
    Request::new(path, 1)
}

fn hello(version: &str, hash: &str) -> Event {
    Event::Booted(Hello { version: version.into(), hash: hash.into(), ..Hello::default() }, 1.0)
}

fn up() -> Event {
    hello("4.2.0", "a")
}

fn opened() -> Event {
    Event::Opened(1.0, Opened::default())
}

fn surveyed(setup: &Setup<'_>) -> Event {
    let inputs = (*setup.inputs).clone();
    Event::Surveyed(Survey { inputs, grew: false, missing: Vec::new(), notes: Vec::new() })
}

fn inspected() -> Event {
    let facts = r#"{"scene":"S","camera":null,"cameras":[],"engine":"CYCLES","resolution":[8,8],"percentage":100,"frame":1,
        "frames":[1,1,1],"samples":1,"seed":0,"border":null,"format":"PNG","needs":{"tile_format":"png"}}"#;
    Event::Inspected(serde_json::from_str(facts).unwrap())
}

/// What the coordinator does when it is to decide.
fn decide(setup: &mut Setup<'_>) {
    let frame = Frame::new(8, 8).unwrap();
    setup.canvases = vec![Canvas { picture: Picture::plain(), frame, region: frame.rect() }];
}

#[test]
fn the_first_slot_inspects_and_the_others_receive_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    assert_eq!(words(&s.on(1.0, &mut slots, 0, up())), ["0 open"]);
    assert!(words(&s.on(1.0, &mut slots, 1, up())).is_empty(), "it waits");
    assert_eq!(words(&s.on(2.0, &mut slots, 0, opened())), ["0 files"]);
    let survey = surveyed(&s);
    assert_eq!(words(&s.on(3.0, &mut slots, 0, survey)), ["0 look"]);
    assert_eq!(words(&s.on(4.0, &mut slots, 0, inspected())), ["decide"]);
    decide(&mut s);
    assert_eq!(words(&s.on(4.0, &mut slots, 0, Event::Decided)), ["0 setup", "1 open"]);
    assert_eq!(words(&s.on(5.0, &mut slots, 1, opened())), ["1 setup"]);
}

#[test]
fn when_the_inspector_dies_another_one_looks() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, up());
    s.on(1.0, &mut slots, 1, up());
    s.on(2.0, &mut slots, 0, opened());
    // What it found out so far counts for nothing: it may be what it died of.
    let survey = surveyed(&s);
    s.on(3.0, &mut slots, 0, survey);
    s.on(3.5, &mut slots, 0, inspected());
    slots[0].lost(Error::node("gone"));
    let lost = s.on(4.0, &mut slots, 0, Event::Lost(Error::node("gone")));
    assert_eq!(words(&lost), ["0 boot", "1 open"]);
    assert!(s.facts.is_empty());
    assert!(words(&s.on(5.0, &mut slots, 0, up())).is_empty(), "it is back and waits as the others do");
    assert_eq!(words(&s.on(6.0, &mut slots, 1, opened())), ["1 files"]);
}

#[test]
fn a_node_that_leaves_in_set_up_is_done_without_and_the_last_one_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, up());
    s.on(1.0, &mut slots, 1, up());
    let lost = s.on(2.0, &mut slots, 0, Event::Lost(Error::node("a's key is wrong").fatal()));
    assert_eq!(words(&lost), ["without 0", "1 open"]);
    assert!(s.on(3.0, &mut slots, 0, opened()).is_empty(), "it may still have been at work");
    let lost = s.on(4.0, &mut slots, 1, Event::Lost(Error::node("b's disk is full").fatal()));
    let end = words(&lost);
    assert_eq!(end[0], "without 1, the last");
    assert!(end[1].starts_with("fail: no node can render") && end[1].contains("a's key is wrong"), "{end:?}");
    assert!(end[1].contains("b's disk is full"), "{end:?}");
}

#[test]
fn the_trouble_of_a_lone_node_is_the_error_of_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a"]));
    let lost = s.on(1.0, &mut slots, 0, Event::Lost(Error::node("no such host").fatal()));
    assert_eq!(words(&lost), ["without 0, the last", "fail: no such host"]);
}

#[test]
fn nobody_waits_for_ever_for_nodes_that_cannot_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    let mut last = Vec::new();
    for n in 0..3 {
        for slot in 0..2 {
            assert!(!words(&last).iter().any(|w| w.starts_with("fail")), "{n}");
            let error = Error::node("no answer");
            slots[slot].trouble = Some(error.clone());
            last = s.on(f64::from(n), &mut slots, slot, Event::Lost(error));
        }
    }
    let end = words(&last);
    assert!(end.last().unwrap().contains("a: no answer; b: no answer"), "{end:?}");
}

#[test]
fn of_versions_that_differ_the_newest_wins_until_the_job_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b", "c", "d"]));
    s.on(1.0, &mut slots, 0, hello("3.6.0", "x"));
    s.on(1.5, &mut slots, 0, opened());
    let newer = s.on(2.0, &mut slots, 1, hello("4.2.0", "y"));
    assert_eq!(words(&newer), ["without 0", "1 open"], "what the older one found out is forgotten");
    assert_eq!(words(&s.on(3.0, &mut slots, 2, hello("3.6.0", "x"))), ["without 2"]);
    s.progress = Progress::Identified;
    assert_eq!(words(&s.on(4.0, &mut slots, 3, hello("4.3.0", "z"))), ["without 3"]);
    assert_eq!(s.blender, Some(("4.2.0".to_owned(), "y".to_owned())));
}

#[test]
fn two_builds_of_one_version_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, hello("4.2.0", "x"));
    let other = words(&s.on(2.0, &mut slots, 1, hello("4.2.0", "y")));
    assert!(other[0].starts_with("fail: the nodes have different Blenders"), "{other:?}");
    let mixed = Request { mixed_versions: true, ..request };
    let (mut s, mut slots) = (Setup::new(&mixed, true).unwrap(), self::slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, hello("4.2.0", "x"));
    assert!(words(&s.on(2.0, &mut slots, 1, hello("4.2.0", "y"))).is_empty(), "that was accepted");
}

#[test]
fn colours_that_differ_are_refused_before_and_done_without_after() {
    let other = || {
        let environment = Environment { colour: "other".into(), ..Environment::default() };
        let hello = Hello { version: "4.2.0".into(), hash: "a".into(), environment, ..Hello::default() };
        Event::Booted(hello, 1.0)
    };
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, up());
    let refused = words(&s.on(2.0, &mut slots, 1, other()));
    assert!(refused[0].starts_with("fail: the nodes have different"), "{refused:?}");
    s.progress = Progress::Rendering;
    assert_eq!(words(&s.on(3.0, &mut slots, 1, other())), ["schedule without 1"]);
}

#[test]
fn a_blender_older_than_the_file_is_done_without() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "BLENDER-v402RENDH");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    assert_eq!(words(&s.on(1.0, &mut slots, 0, hello("3.6.0", "x"))), ["without 0"]);
    let last = words(&s.on(2.0, &mut slots, 1, hello("4.1.0", "x")));
    assert!(last[1].contains("was saved by Blender 4.2"), "{last:?}");
}

#[test]
fn another_slot_looks_where_the_inspector_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, up());
    assert!(s.tick(100.0, &mut slots).is_empty(), "nobody else could look");
    s.on(100.0, &mut slots, 1, up());
    s.heard(100.0, 0);
    assert!(s.tick(129.0, &mut slots).is_empty());
    let again = words(&s.tick(131.0, &mut slots));
    assert!(again[0].starts_with("warn: a has said nothing") && again[1] == "1 open", "{again:?}");
    // It answers after all, and the other has not come further: it is the inspector again.
    assert_eq!(words(&s.on(132.0, &mut slots, 0, opened())), ["0 files"]);
    // The other one then receives the files as everybody does.
    assert!(words(&s.on(133.0, &mut slots, 1, opened())).is_empty());
    assert_eq!(slots[1].stage, Stage::Waiting);
}

#[test]
fn a_scene_that_is_refused_ends_the_job_and_later_only_the_slot() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b"]));
    s.on(1.0, &mut slots, 0, up());
    let refused = || Event::Refused(Error::input("it has no camera"));
    assert_eq!(words(&s.on(2.0, &mut slots, 0, refused())), ["fail: it has no camera"]);
    s.progress = Progress::Identified;
    assert_eq!(words(&s.on(3.0, &mut slots, 0, refused())), ["without 0"]);
}

#[test]
fn planning_waits_a_while_for_slots_that_are_coming() {
    let folder = tempfile::tempdir().unwrap();
    let request = blend(folder.path(), "no header");
    let (mut s, mut slots) = (Setup::new(&request, true).unwrap(), slots(&["a", "b", "c"]));
    assert!(!s.is_done(0.0, &slots));
    slots[0].stage = Stage::Ready { rendering: None };
    s.ready = Some(1.0);
    assert!(!s.is_done(2.9, &slots) && s.is_done(3.1, &slots));
    s.on(2.0, &mut slots, 1, Event::Queued("pending".into()));
    slots[2].stage = Stage::Off;
    assert!(s.is_done(2.0, &slots), "nobody is coming: one is in a queue, one is gone");
}
