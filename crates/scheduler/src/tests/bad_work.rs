//! Runs with actions that fail wherever they are tried, as many open as `map` has lines in flight: they cost their
//! attempts, and hardly any time.

use std::time::Duration;

use crate::{
    Policy,
    sim::{Bad, Figure, Scenario, Series, Span, play_seeds},
};

/// What `map` has in flight for each worker.
const LINES: u64 = 64;

/// Attempts of 0.1 ms, of which so many per cent are of bad actions.
fn world(workers: u32, percent: u64, traps: bool) -> Scenario {
    let length = |micros| Duration::from_micros(micros);
    let lengths = Span {
        from: length(50),
        to: length(150),
    };
    let actions = 20_000;
    Scenario {
        workers,
        actions,
        open_max: LINES * u64::from(workers),
        lengths,
        failing: lengths,
        poison: actions * percent / 100,
        poison_spread: true,
        poison_traps: traps,
        traps,
        ..Scenario::default()
    }
}

fn ours(world: &Scenario) -> Series {
    play_seeds(world, &Policy::default(), 2).expect("a valid world")
}

/// How many attempts a world takes in which a bad action has so many of them, and how long these take the good workers.
fn least(world: &Scenario, each: u64) -> (f64, f64) {
    let attempts = (world.actions - world.poison + each * world.poison) as f64;
    let good = f64::from(world.workers) - world.guilty() as f64;
    let length = (world.lengths.from + world.lengths.to).as_secs_f64() / 2.0;
    (attempts, attempts * length / good)
}

fn each_world(mut check: impl FnMut(&str, Scenario, u64)) {
    for (traps, each) in [(true, 3), (false, 4)] {
        for workers in [2, 4, 8] {
            for percent in [1, 10, 50, 80] {
                let what = format!("{workers} workers, {percent} % bad, traps: {traps}");
                check(&what, world(workers, percent, traps), each);
            }
        }
    }
}

#[test]
fn bad_actions_cost_their_attempts_and_hardly_any_time() {
    each_world(|what, world, each| {
        let ours = ours(&world);
        let (attempts, seconds) = least(&world, each);
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
        assert_eq!(ours.worst(Figure::InnocentQuarantines), Some(0.0), "{what}");
        assert!(ours.worst(Figure::Attempts) < Some(1.01 * attempts), "{what}: {ours:?}");
        // Before it is known that rests help no action, each rests in full: for a second, or three for what an outage
        // explains. The last one does so again.
        let rests = if world.traps { 2.0 } else { 5.0 };
        let longest = ours.worst(Figure::Makespan).expect("a time");
        assert!(
            longest < 1.3 * seconds + rests,
            "{what}: {longest} s, at least {seconds} s"
        );
    });
}

#[test]
fn bad_worker_is_found_among_bad_actions() {
    each_world(|what, usual, each| {
        for rate in [0.3, 1.0] {
            let world = Scenario {
                bad: vec![Bad { count: 1, rate }],
                ..usual.clone()
            };
            let what = format!("{what}, a worker fails {rate} of the rest");
            let ours = ours(&world);
            let (attempts, seconds) = least(&world, each);
            assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
            assert_eq!(ours.worst(Figure::Innocents), Some(0.0), "{what}");
            assert_eq!(ours.worst(Figure::Found), Some(1.0), "{what}");
            assert!(ours.worst(Figure::Attempts) < Some(1.4 * attempts), "{what}: {ours:?}");
            let longest = ours.worst(Figure::Makespan).expect("a time");
            assert!(
                longest < 4.0 * seconds + 20.0,
                "{what}: {longest} s, at least {seconds} s"
            );
        }
    });
}

#[test]
fn bad_actions_with_one_attempt_hardly_slow_a_run_down() {
    each_world(|what, usual, _| {
        let world = Scenario { attempts: 1, ..usual };
        let ours = ours(&world);
        let (attempts, seconds) = least(&world, 1);
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
        assert!(ours.worst(Figure::Attempts) < Some(1.01 * attempts), "{what}: {ours:?}");
        // What has no attempt left waits for the verdict on its worker, if there may be one: for five seconds.
        let longest = ours.worst(Figure::Makespan).expect("a time");
        assert!(
            longest < 2.0 * seconds + 6.0,
            "{what}: {longest} s, at least {seconds} s"
        );
    });
}
