//! Scenarios: what has to hold in them under every policy.

use std::time::Duration;

use crate::{
    Policy,
    sim::{Bad, Figure, Outcome, Scenario, Span, contenders, play, play_seeds, presets},
};

/// A preset's world, a tenth of it, under every policy.
fn each_small(mut check: impl FnMut(&str, &Scenario, &Policy, &Outcome)) {
    for preset in presets() {
        let world = Scenario {
            actions: 600,
            ..preset.world.clone()
        };
        for (name, policy) in contenders() {
            let policy = preset.under(policy);
            let outcome = play(&world, &policy).unwrap();
            check(&format!("{}, {name}", preset.name), &world, &policy, &outcome);
        }
    }
}

#[test]
fn every_action_is_settled_once() {
    each_small(|name, world, _, outcome| {
        assert_eq!(outcome.unsettled, 0, "{name}");
        assert_eq!(
            outcome.done + outcome.lost + outcome.poison_settled,
            world.actions,
            "{name}"
        );
        assert_eq!(outcome.poison_settled, world.poison, "{name}: poison has no result");
        // Policies that evict every worker that says it is unfit have none left for the rest.
        let is_emptied = world.poison_unfit && outcome.innocents == u64::from(world.workers);
        assert!(is_emptied || outcome.attempts >= world.actions, "{name}");
    });
}

#[test]
fn no_policy_is_faster_than_the_work() {
    each_small(|name, world, _, outcome| {
        let work = outcome.utilisation.iter().sum::<f64>() * outcome.makespan.as_secs_f64();
        let shortest = world.lengths.from.as_secs_f64() * outcome.done as f64;
        assert!(work >= shortest, "{name}: {work} s of work");
        assert!(
            outcome.utilisation.iter().all(|part| (0.0..=1.0).contains(part)),
            "{name}"
        );
        assert!(
            outcome.makespan.as_secs_f64() * f64::from(world.workers) >= shortest,
            "{name}"
        );
    });
}

#[test]
fn the_same_seed_gives_the_same() {
    each_small(|name, world, policy, outcome| {
        assert_eq!(*outcome, play(world, policy).unwrap(), "{name}");
        let other = Scenario {
            seed: world.seed + 1,
            ..world.clone()
        };
        assert_ne!(outcome.makespan, play(&other, policy).unwrap().makespan, "{name}");
    });
}

#[test]
fn no_worker_is_convicted_when_all_is_well() {
    for (name, policy) in contenders() {
        let world = Scenario::default();
        let outcome = play(&world, &policy).unwrap();
        assert_eq!((outcome.done, outcome.lost), (world.actions, 0), "{name}");
        assert_eq!((outcome.attempts, outcome.retries), (world.actions, 0), "{name}");
        assert_eq!((outcome.innocents, outcome.first_found), (0, None), "{name}");
        // 6,000 actions of 100 ms for 20 workers, and the last of them.
        let seconds = outcome.makespan.as_secs_f64();
        assert!((29.0..31.0).contains(&seconds), "{name}: {seconds} s");
        assert!(Figure::Utilisation.of(&outcome).unwrap() > 0.97, "{name}");
    }
}

#[test]
fn a_black_hole_is_found_and_nothing_is_lost() {
    let world = Scenario {
        black_holes: 1,
        ..Scenario::default()
    };
    for (name, policy) in contenders().into_iter().take(2) {
        let outcome = play(&world, &policy).unwrap();
        assert_eq!((outcome.found, outcome.innocents, outcome.lost), (1, 0, 0), "{name}");
        assert!(
            outcome.first_found.unwrap() < Duration::from_secs(1),
            "{name}: {:?}",
            outcome.first_found
        );
        assert_eq!(
            outcome.utilisation.first(),
            Some(&0.0),
            "{name}: the first worker is the hole"
        );
    }
}

#[test]
fn policy_without_blame_quarantines_no_worker() {
    for preset in presets() {
        let (_, policy) = contenders().pop().unwrap();
        let world = Scenario {
            actions: 600,
            ..preset.world.clone()
        };
        let outcome = play(&world, &policy).unwrap();
        // What a worker says of itself is believed all the same.
        let evicted = if preset.world.poison_unfit {
            u64::from(preset.world.workers)
        } else {
            0
        };
        assert_eq!((outcome.innocents, outcome.found), (evicted, 0), "{}", preset.name);
    }
}

#[test]
fn randomness_depends_on_attempts_and_not_on_the_policy() {
    // With one worker and no failure nothing is left to decide, so all of it is the world's.
    let world = Scenario {
        workers: 1,
        actions: 100,
        ..Scenario::default()
    };
    let spans: Vec<_> = contenders()
        .iter()
        .map(|(_, policy)| play(&world, policy).unwrap().makespan)
        .collect();
    assert!(spans.windows(2).all(|pair| pair.first() == pair.last()), "{spans:?}");
}

#[test]
fn every_seed_gives_another_run() {
    let world = Scenario {
        actions: 2000,
        flake: 0.2,
        ..Scenario::default()
    };
    let series = play_seeds(&world, &Policy::default(), 8).unwrap();
    let mut attempts: Vec<_> = series.outcomes.iter().map(|outcome| outcome.attempts).collect();
    attempts.sort_unstable();
    attempts.dedup();
    assert!(attempts.len() > 4, "as good as never the same number: {attempts:?}");
}

#[test]
fn slots_work_at_once() {
    let world = |slots| Scenario {
        workers: 2,
        slots,
        actions: 400,
        ..Scenario::default()
    };
    let span = |slots| play(&world(slots), &Policy::default()).unwrap().makespan.as_secs_f64();
    let (one, ten) = (span(1), span(10));
    assert!((8.0..12.0).contains(&(one / ten)), "{one} s and {ten} s");
}

#[test]
fn prefetched_attempts_wait() {
    // Short enough to be handed out ahead; two at once in one slot would take half the time.
    let world = Scenario {
        workers: 1,
        actions: 1000,
        lengths: Span {
            from: Duration::from_micros(200),
            to: Duration::from_micros(200),
        },
        ..Scenario::default()
    };
    let outcome = play(&world, &Policy::default()).unwrap();
    assert_eq!(outcome.makespan, Duration::from_millis(200));
}

#[test]
fn as_many_are_open_as_may_be() {
    let world = Scenario {
        workers: 10,
        actions: 200,
        open_max: 1,
        ..Scenario::default()
    };
    let outcome = play(&world, &Policy::default()).unwrap();
    assert!(outcome.makespan > Duration::from_secs(15), "one after the other");
}

#[test]
fn poison_is_placed_as_configured() {
    let at = |poison_spread| {
        let world = Scenario {
            actions: 100,
            poison: 7,
            poison_spread,
            ..Scenario::default()
        };
        (0..100).filter(|action| world.is_poison(*action)).collect::<Vec<_>>()
    };
    assert_eq!(at(false), [0, 1, 2, 3, 4, 5, 6]);
    let spread = at(true);
    assert_eq!(spread.len(), 7);
    assert!(spread.windows(2).all(|pair| pair[1] - pair[0] >= 14), "{spread:?}");
}

#[test]
fn series_have_a_mean_and_a_worst() {
    let world = Scenario {
        workers: 3,
        actions: 60,
        black_holes: 1,
        flake: 0.1,
        ..Scenario::default()
    };
    let series = play_seeds(&world, &Policy::default(), 4).unwrap();
    assert_eq!(series.outcomes.len(), 4);
    assert_eq!(series.outcomes[0], play(&world, &Policy::default()).unwrap());
    let spans: Vec<f64> = series.outcomes.iter().map(|one| one.makespan.as_secs_f64()).collect();
    let mean = series.mean(Figure::Makespan).unwrap();
    assert!((mean - spans.iter().sum::<f64>() / 4.0).abs() < 1e-9);
    assert_eq!(
        series.worst(Figure::Makespan),
        spans.iter().copied().reduce(f64::max),
        "longest"
    );
    assert!(series.worst(Figure::Utilisation) <= series.mean(Figure::Utilisation));
    assert_eq!(series.utilisation().len(), 3);
    let none = play_seeds(&Scenario::default(), &Policy::default(), 2).unwrap();
    assert_eq!(none.mean(Figure::FirstFound), None, "no worker is to be found");
}

#[test]
fn invalid_scenario_is_rejected() {
    let usual = Scenario::default;
    let bad = |count, rate| Scenario {
        bad: vec![Bad { count, rate }],
        ..usual()
    };
    let worlds = [
        Scenario { workers: 0, ..usual() },
        Scenario { slots: 0, ..usual() },
        Scenario { open_max: 0, ..usual() },
        Scenario {
            flake: f64::NAN,
            ..usual()
        },
        Scenario { flake: 1.1, ..usual() },
        Scenario {
            lengths: Span::of_millis(2, 1),
            ..usual()
        },
        Scenario {
            outages: vec![Span::of_millis(2, 1)],
            ..usual()
        },
        Scenario {
            poison: 6001,
            ..usual()
        },
        Scenario {
            black_holes: 1,
            ..bad(20, 0.5)
        },
        bad(21, 0.5),
        bad(1, -0.5),
    ];
    for world in worlds {
        assert!(play(&world, &Policy::default()).is_err(), "{world:?}");
    }
    assert!(play(&Scenario { actions: 0, ..usual() }, &Policy::default()).is_ok());
}
