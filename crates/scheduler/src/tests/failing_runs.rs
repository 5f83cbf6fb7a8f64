//! Runs in which much or everything fails: nothing good is lost to bad workers, and what cannot work ends soon.

use std::time::Duration;

use super::script::play;
use crate::{
    Policy,
    sim::{Bad, Figure, Scenario, Series, Span, contenders, play_seeds},
};

const SEEDS: u64 = 8;

fn ours(world: &Scenario, seeds: u64) -> Series {
    play_seeds(world, &Policy::default(), seeds).expect("a valid world")
}

/// All panics of a guest may be at one place, as where each of its errors ends: then equal traps prove no more than
/// failures do.
#[test]
fn panics_by_chance_at_one_place_lose_no_action() {
    for workers in [2, 4, 8] {
        let world = Scenario {
            workers,
            actions: 1000,
            lengths: Span::of_millis(1, 3),
            flake: 0.15,
            traps: true,
            ..Scenario::default()
        };
        assert_eq!(ours(&world, SEEDS).worst(Figure::Lost), Some(0.0), "{workers} workers");
    }
}

#[test]
fn workers_that_trap_on_everything_lose_no_action() {
    for (workers, count) in [(2, 1), (3, 2), (4, 2), (4, 3), (10, 9)] {
        for failing in [0, 10] {
            let world = Scenario {
                workers,
                actions: 100,
                bad: vec![Bad { count, rate: 1.0 }],
                failing: Span::of_millis(failing, failing),
                traps: true,
                ..Scenario::default()
            };
            let what = format!("{count} of {workers} trap after {failing} ms");
            assert_eq!(ours(&world, 20).worst(Figure::Lost), Some(0.0), "{what}");
        }
    }
}

#[test]
fn no_action_is_lost_while_one_good_worker_is_left() {
    for (workers, black_holes) in [(4, 3), (10, 9), (20, 19)] {
        for (traps, failing) in [(false, 0), (false, 10), (true, 0)] {
            let world = Scenario {
                workers,
                black_holes,
                traps,
                // Longer than an action waits for a worker that may never come.
                actions: 1000,
                failing: Span::of_millis(failing, failing),
                ..Scenario::default()
            };
            let what = format!("{black_holes} of {workers} fail after {failing} ms, by traps: {traps}");
            let ours = ours(&world, 20);
            assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
            // The good one is never without work.
            assert!(ours.worst(Figure::Makespan) < Some(110.0), "{what}");
        }
    }
}

#[test]
fn run_in_which_nothing_ever_works_ends_soon() {
    let short = Span::of_millis(1, 3);
    for (workers, black_holes, poison, lengths) in [
        (1, 0, 500, short),
        (4, 0, 500, short),
        (20, 0, 500, short),
        (1, 1, 0, short),
        (2, 2, 0, short),
        (4, 4, 0, Span::of_millis(50, 150)),
    ] {
        let world = Scenario {
            workers,
            black_holes,
            actions: 500,
            poison,
            lengths,
            ..Scenario::default()
        };
        let what = format!("{workers} workers, {black_holes} bad, {poison} bad actions");
        let ours = ours(&world, 4);
        assert!(
            ours.worst(Figure::Makespan) < Some(30.0),
            "{what}: {:?}",
            ours.worst(Figure::Makespan)
        );
    }
}

/// What is asked of a service that is down when the run begins, has some seconds for it to come up.
#[test]
fn service_that_comes_up_as_the_run_begins_costs_no_action() {
    for workers in [1, 4, 20] {
        for (actions, lasts) in [(1, 2500), (8, 2500), (500, 2000)] {
            let world = Scenario {
                workers,
                actions,
                lengths: Span::of_millis(1, 3),
                outages: vec![Span::of_millis(0, lasts)],
                ..Scenario::default()
            };
            let what = format!("{workers} workers, {actions} actions, {lasts} ms");
            assert_eq!(ours(&world, SEEDS).worst(Figure::Lost), Some(0.0), "{what}");
        }
    }
}

#[test]
fn mostly_bad_work_is_not_taken_for_a_service_that_is_down() {
    for (workers, poison_spread, poison) in [
        (2, false, 900),
        (2, true, 900),
        (4, false, 900),
        (4, true, 900),
        (2, true, 300),
        (4, true, 600),
        (20, true, 600),
    ] {
        let world = Scenario {
            workers,
            actions: 1000,
            poison,
            poison_spread,
            ..Scenario::default()
        };
        let (_, never) = contenders().pop().expect("a policy");
        let never = play_seeds(&world, &never, 4).expect("a valid world");
        let ours = ours(&world, 4);
        let what = format!("{workers} workers, {poison} bad actions, spread: {poison_spread}");
        assert_eq!(ours.worst(Figure::Innocents), Some(0.0), "{what}");
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
        let times = ours.mean(Figure::Makespan).unwrap() / never.mean(Figure::Makespan).unwrap();
        assert!(times < 3.0, "{what}: it takes {times} times as long");
    }
}

/// All keys of a pool are revoked while it works: the last worker is tried once more, and not for a quarter of an hour.
#[test]
fn last_worker_that_stays_unfit_is_evicted_after_one_quarantine() {
    let mut script = "0ms kind k0 pools=p0
        join w1 p0 slots=1
        join w2 p0 slots=1
        does w1 ok,unfit 1ms
        does w2 ok,unfit 1ms\n"
        .to_owned();
    for action in 1..=3 {
        script += &format!("submit a{action}\n");
    }
    script += "idle\ndoes w1 unfit 1ms\ndoes w2 unfit 1ms\n";
    for action in 11..=60 {
        script += &format!("submit a{action}\n");
    }
    let mut replay = play(&format!("{script}idle"));
    assert_eq!(replay.scheduler().open(), 0, "{:?}", replay.log);
    let quarantines = replay.log.iter().filter(|line| line.contains("quarantined")).count();
    let evicted = replay.log.iter().filter(|line| line.ends_with("evicted unfit")).count();
    assert!(quarantines <= 1, "{:?}", replay.log);
    assert_eq!(evicted, 2, "{:?}", replay.log);
    let end = replay.now.since(crate::Moment::START);
    assert!(end < Duration::from_secs(60), "{end:?}");
}
