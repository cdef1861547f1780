//! The rules of the scheduler, one by one.

use super::*;
use crate::cost::{NodeModel, Tiling, Work};
use crate::error::Error;
use crate::geometry::{Frame, uncovered};
use crate::plan::plan;

fn job(tiles: u32, slots: usize) -> (Scheduler, Frame) {
    let frame = Frame::new(64, 64).unwrap();
    let work = Work { tiling: Tiling::Count(tiles), ..Work::whole(frame) };
    let models: Vec<NodeModel> = (0..slots)
        .map(|i| NodeModel { rate: 100.0, known: true, ..NodeModel::unknown(format!("n{i}")) })
        .collect();
    (Scheduler::new(&plan(work, &models).unwrap().start(), Options::default()), frame)
}

fn renders(actions: &[Action]) -> Vec<(SlotId, Piece)> {
    actions.iter().filter_map(|a| if let Action::Render(s, p) = a { Some((*s, *p)) } else { None }).collect()
}

fn complete(actions: &[Action]) -> bool {
    actions.iter().any(|a| matches!(a, Action::Complete))
}

#[test]
fn every_tile_is_stored_once_and_then_it_is_complete() {
    let (mut d, frame) = job(12, 2);
    let mut flying = renders(&d.on(0.0, Input::Ready(0)));
    flying.extend(renders(&d.on(0.0, Input::Ready(1))));
    let (mut stored, mut now, mut done) = (Vec::new(), 0.0, false);
    // In the order they were handed out, so that none is overdue.
    while !flying.is_empty() {
        let (slot, piece) = flying.remove(0);
        assert!(!done);
        now += 1.0;
        flying.extend(renders(&d.on(now, Input::Rendered(slot, piece.id))));
        stored.push(piece.region);
        let actions = d.on(now, Input::Stored(slot, piece.id));
        done = complete(&actions);
        flying.extend(renders(&actions));
    }
    assert!(done);
    assert_eq!(stored.iter().map(|r| r.area()).sum::<u64>(), frame.area());
    assert!(uncovered(frame.rect(), stored).is_empty());
    assert!(d.progress(now).done >= 1.0);
    assert!(d.on(now, Input::Ready(0)).is_empty(), "nothing happens after the end");
}

#[test]
fn a_tile_that_fails_goes_elsewhere_and_three_times_fails_the_job() {
    let (mut d, _) = job(1, 2);
    let (_, first) = renders(&d.on(0.0, Input::Ready(0)))[0];
    assert!(renders(&d.on(0.0, Input::Ready(1))).is_empty());
    let bad = || Error::render("out of memory").log("last words");
    let next = renders(&d.on(1.0, Input::Failed(0, first.id, bad())));
    assert_eq!(next[0].0, 1, "elsewhere");
    assert_ne!(next[0].1.id, first.id);
    let next = renders(&d.on(2.0, Input::Failed(1, next[0].1.id, bad())));
    let end = d.on(3.0, Input::Failed(next[0].0, next[0].1.id, bad()));
    let Some(Action::Fail(error)) = end.last() else { panic!("{end:?}") };
    assert!(error.to_string().contains("out of memory") && error.process_log() == Some("last words"));
}

#[test]
fn a_lost_slot_comes_back_and_its_tile_is_rendered_again() {
    let (mut d, _) = job(1, 1);
    let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
    d.on(1.0, Input::Rendered(0, piece.id));
    let actions = d.on(1.5, Input::Lost(0, Error::node("gone")));
    assert!(matches!(actions[..], [Action::Reconnect(0, wait)] if wait > 0.0), "{actions:?}");
    let again = renders(&d.on(5.0, Input::Ready(0)));
    assert_eq!(again[0].1.region, piece.region);
    assert!(complete(&d.on(6.0, Input::Stored(0, again[0].1.id))));
}

#[test]
fn with_every_node_gone_the_job_fails_with_each_reason() {
    let (mut d, _) = job(4, 2);
    d.on(0.0, Input::Ready(0));
    let actions = d.on(1.0, Input::Lost(0, Error::node("wrong key").fatal()));
    assert!(matches!(&actions[..], [Action::Retire(0, reason)] if reason == "wrong key"));
    let actions = d.on(2.0, Input::Lost(1, Error::node("no Blender").fatal()));
    let Some(Action::Fail(error)) = actions.last() else { panic!("{actions:?}") };
    assert!(error.to_string().contains("n0: wrong key") && error.to_string().contains("n1: no Blender"));
}

#[test]
fn a_slot_that_only_ever_vanishes_is_given_up() {
    let (mut d, _) = job(1, 1);
    let mut reconnects = 0;
    for i in 0..100 {
        match &d.on(f64::from(i), Input::Lost(0, Error::node("gone")))[..] {
            [Action::Reconnect(0, _)] => reconnects += 1,
            [Action::Reconnect(0, _), Action::Fail(error)] => {
                assert!(error.to_string().contains("n0: gone"), "{error}");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reconnects, 5);
}

#[test]
fn draining_finishes_what_runs_and_no_more() {
    let (mut d, _) = job(12, 1);
    let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
    assert!(d.on(1.0, Input::Drain).is_empty());
    assert!(renders(&d.on(2.0, Input::Rendered(0, piece.id))).is_empty());
    assert!(complete(&d.on(3.0, Input::Stored(0, piece.id))));
}

#[test]
fn a_slot_that_joins_takes_part() {
    let (mut d, _) = job(12, 1);
    d.on(0.0, Input::Joined(NodeModel::unknown("late")));
    assert_eq!(renders(&d.on(0.0, Input::Ready(1)))[0].0, 1);
}

#[test]
fn nothing_to_do_is_complete_at_once() {
    let work = Work { pictures: Vec::new(), ..Work::whole(Frame::new(1, 1).unwrap()) };
    let mut d = Scheduler::new(&plan(work, &[NodeModel::unknown("a")]).unwrap().start(), Options::default());
    assert!(complete(&d.on(0.0, Input::Tick)));
}

#[test]
fn reports_about_what_nobody_asked_for_change_nothing() {
    let (mut d, _) = job(2, 1);
    for input in [
        Input::Ready(99),
        Input::Stored(99, 99),
        Input::Failed(0, 99, Error::render("x")),
        Input::Lost(99, Error::node("x")),
        Input::Cancelled(0, 7),
        Input::Progress(0, 0, f64::NAN),
        Input::Leave(99),
        Input::Away(99, Error::node("x")),
    ] {
        assert!(d.on(0.0, input).is_empty());
    }
    assert_eq!(renders(&d.on(0.0, Input::Ready(0))).len(), 1);
}

#[test]
fn a_slot_that_leaves_finishes_its_tile_first() {
    let (mut d, _) = job(12, 2);
    let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
    d.on(0.0, Input::Ready(1));
    assert!(d.on(1.0, Input::Leave(0)).is_empty(), "its tile goes on");
    assert!(renders(&d.on(2.0, Input::Rendered(0, piece.id))).iter().all(|r| r.0 == 1));
    let actions = d.on(3.0, Input::Stored(0, piece.id));
    assert!(actions.iter().any(|a| matches!(a, Action::Retire(0, _))), "{actions:?}");
    let actions = d.on(4.0, Input::Leave(1));
    assert!(!actions.iter().any(|a| matches!(a, Action::Fail(_))), "the last one's tile goes on too");
}

#[test]
fn a_slot_that_pauses_is_handed_nothing_until_it_goes_on() {
    let (mut d, _) = job(12, 1);
    let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
    d.on(1.0, Input::Hold(0));
    d.on(2.0, Input::Rendered(0, piece.id));
    assert!(d.on(3.0, Input::Stored(0, piece.id)).is_empty());
    assert!(d.on(100.0, Input::Tick).is_empty(), "a job may pause as long as it likes");
    assert_eq!(renders(&d.on(101.0, Input::Release(0))).len(), 1);
}

#[test]
fn a_slot_that_says_that_it_is_at_work_is_not_started_anew() {
    // The tile takes 41 s as expected, but the machine is busy with other things.
    let started_anew = |at_work_until: f64| {
        let (mut d, _) = job(1, 1);
        let (_, piece) = renders(&d.on(0.0, Input::Ready(0)))[0];
        d.on(1.0, Input::Progress(0, piece.id, 0.01));
        (1..1000).map(|n| 5.0 * f64::from(n)).find(|now| {
            if *now <= at_work_until {
                assert!(d.on(*now, Input::Alive(0)).is_empty());
            }
            d.on(*now, Input::Tick).iter().any(|a| matches!(a, Action::Reconnect(..)))
        })
    };
    assert!(started_anew(0.0).is_some_and(|when| when < 100.0), "nothing is heard of it");
    let when = started_anew(1000.0).unwrap();
    assert!((1040.0..1200.0).contains(&when), "{when}");
}

#[test]
fn a_machine_that_is_off_is_waited_for_while_others_render() {
    let (mut d, _) = job(12, 2);
    d.on(0.0, Input::Ready(0));
    for i in 1..50 {
        let actions = d.on(f64::from(i), Input::Lost(1, Error::node("no route to host")));
        assert!(matches!(actions[..], [Action::Reconnect(1, wait)] if wait > 0.0), "{actions:?}");
    }
    let actions = d.on(100.0, Input::Ready(1));
    assert_eq!(renders(&actions)[0].0, 1, "it is up at last");
    let end = d.on(101.0, Input::Lost(0, Error::node("broken").fatal()));
    assert!(!end.iter().any(|a| matches!(a, Action::Fail(_))));
}
