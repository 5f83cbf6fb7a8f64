//! What the verdict is for, in whole worlds: the table of `simulate --preset all`, as promises.

use crate::{
    Policy,
    sim::{Bad, Figure, Scenario, Series, Span, contenders, play, play_seeds, presets},
};

/// As in the table.
const SEEDS: u64 = 8;

/// What comes of a preset under the policy of this place in [`contenders`].
fn table(preset: &str, contender: usize) -> Series {
    let preset = presets()
        .into_iter()
        .find(|known| known.name == preset)
        .expect("a preset");
    let (_, policy) = contenders().remove(contender);
    play_seeds(&preset.world, &preset.under(policy), SEEDS).expect("a valid policy")
}

fn mean(series: &Series, figure: Figure) -> f64 {
    series.mean(figure).expect("a figure")
}

#[test]
fn poison_quarantines_no_innocent_whatever_the_size_of_the_pool() {
    for preset in ["poison", "poison-5", "poison-2"] {
        let ours = table(preset, 0);
        assert_eq!(ours.worst(Figure::Innocents), Some(0.0), "{preset}");
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{preset}");
        // Nor does it hold up the work: it is not taken for a service that is down.
        let longest = 1.5 * mean(&table(preset, 2), Figure::Makespan);
        assert!(mean(&ours, Figure::Makespan) < longest, "{preset}");
        // Naively it does, or the world is too easy.
        assert!(mean(&table(preset, 1), Figure::Innocents) > 1.0, "{preset}");
    }
}

/// The table of `simulate --preset all`, cell by cell: innocents quarantined, good actions lost, makespan.
///
/// What counts as equal, because it is within chance with so few seeds: one innocent or one action in eight runs, and 2
/// % of the time. Makespans are compared only where the other policy loses no more good actions: what is not done takes
/// no time.
#[test]
fn deferred_verdict_loses_no_cell_to_policies_without() {
    const COUNT: f64 = 0.125;
    const TIME: f64 = 1.02;
    for preset in presets() {
        let ours = table(preset.name, 0);
        for (contender, (name, _)) in contenders().into_iter().enumerate().skip(1) {
            let other = table(preset.name, contender);
            let what = format!("{}, {name}", preset.name);
            let mut loses_as_much = true;
            for figure in [Figure::Innocents, Figure::Lost] {
                let (ours, other) = (mean(&ours, figure), mean(&other, figure));
                assert!(ours <= other + COUNT, "{what}: {ours} to {other} {figure:?}");
                loses_as_much = other <= ours + COUNT;
            }
            let times = mean(&ours, Figure::Makespan) / mean(&other, Figure::Makespan);
            assert!(
                !loses_as_much || times <= TIME,
                "{what}: it takes {times} times as long"
            );
        }
    }
}

#[test]
fn bad_workers_among_good_ones_are_all_found_and_soon() {
    let (ours, naive) = (table("three-bad", 0), table("three-bad", 1));
    assert!(ours.outcomes.iter().all(|outcome| outcome.found == 3));
    assert_eq!(ours.worst(Figure::Innocents), Some(0.0));
    assert!(mean(&ours, Figure::Attempts) < mean(&naive, Figure::Attempts));
    let hole = table("black-hole", 0);
    assert!(
        hole.outcomes
            .iter()
            .all(|outcome| outcome.found == 1 && outcome.innocents == 0)
    );
}

#[test]
fn flaky_work_costs_few_good_actions_and_few_innocents() {
    let (ours, naive) = (table("flaky", 0), table("flaky", 1));
    let lost = mean(&ours, Figure::Lost) / 6000.0;
    assert!(lost < 0.0002, "{lost} of the good actions are lost");
    assert!(mean(&ours, Figure::Innocents) < mean(&naive, Figure::Innocents));
}

#[test]
fn outage_convicts_no_worker() {
    let ours = table("outage", 0);
    assert_eq!(ours.worst(Figure::Innocents), Some(0.0));
    assert_eq!(ours.worst(Figure::Lost), Some(0.0));
}

#[test]
fn outages_again_and_again_lose_nothing() {
    let outages = [(10, 20), (25, 35), (40, 60), (65, 80)].map(|(from, to)| Span::of_millis(from * 1000, to * 1000));
    let world = Scenario {
        outages: outages.to_vec(),
        ..Scenario::default()
    };
    let ours = play_seeds(&world, &Policy::default(), SEEDS).expect("a valid world");
    assert_eq!(ours.worst(Figure::Innocents), Some(0.0));
    assert_eq!(ours.worst(Figure::Lost), Some(0.0));
}

#[test]
fn pools_of_every_size_settle_everything_and_stay() {
    for workers in [1, 2, 5, 20, 200] {
        for seed in 0..4 {
            let world = Scenario {
                workers,
                slots: 1 + seed as u32 % 3,
                actions: 400 + u64::from(workers) * 10,
                flake: 0.05,
                poison: 20,
                poison_traps: seed % 2 == 0,
                bad: match workers {
                    1 | 2 => Vec::new(),
                    _ => vec![Bad { count: 1, rate: 0.8 }],
                },
                seed,
                ..Scenario::default()
            };
            let outcome = play(&world, &Policy::default()).expect("a valid policy");
            assert_eq!(outcome.unsettled, 0, "{workers} workers, seed {seed}");
            assert_eq!(outcome.poison_settled, 20, "{workers} workers, seed {seed}");
            // Poison never empties a pool: every worker that was quarantined for it came back.
            assert!(outcome.innocents <= 1, "{workers} workers, seed {seed}: {outcome:?}");
        }
    }
}

#[test]
fn poison_that_makes_workers_unfit_takes_out_no_worker() {
    for (workers, poison_spread, poison) in [
        (1, true, 8),
        (2, true, 20),
        (4, true, 1),
        (4, false, 60),
        (20, false, 60),
    ] {
        let world = Scenario {
            workers,
            actions: 600,
            poison,
            poison_spread,
            poison_unfit: true,
            ..Scenario::default()
        };
        let ours = play_seeds(&world, &Policy::default(), SEEDS).expect("a valid world");
        let what = format!("{workers} workers, {poison} bad actions, spread: {poison_spread}");
        assert_eq!(ours.worst(Figure::Innocents), Some(0.0), "{what}");
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
        assert_eq!(ours.worst(Figure::PoisonSettled), Some(poison as f64), "{what}");
    }
}

#[test]
fn black_hole_is_found_though_actions_have_one_attempt() {
    let ours = table("one-attempt", 0);
    assert!(ours.outcomes.iter().all(|outcome| outcome.found == 1), "{ours:?}");
    assert_eq!(ours.worst(Figure::Innocents), Some(0.0));
    assert!(ours.worst(Figure::Lost) <= Some(5.0), "{:?}", ours.worst(Figure::Lost));
}

#[test]
fn bad_actions_with_one_attempt_quarantine_no_innocent() {
    for (poison_spread, actions) in [(false, 1000), (true, 1000), (true, 400)] {
        let world = Scenario {
            workers: 4,
            actions,
            poison: 100,
            poison_spread,
            attempts: 1,
            lengths: Span::of_millis(10, 30),
            ..Scenario::default()
        };
        let ours = play_seeds(&world, &Policy::default(), SEEDS).expect("a valid world");
        // By chance alone three bad actions in a row meet the same worker now and then.
        assert!(mean(&ours, Figure::Innocents) <= 0.25, "{world:?}");
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{world:?}");
    }
}

#[test]
fn hiccup_costs_no_action_and_no_innocent() {
    for (workers, millis) in [(1, 50), (2, 50), (2, 1000), (4, 50), (4, 1000), (20, 50), (20, 900)] {
        let world = Scenario {
            workers,
            actions: 300 + 300 * u64::from(workers),
            lengths: Span::of_millis(10, 30),
            hiccups: vec![Span::of_millis(1000, 1000 + millis)],
            ..Scenario::default()
        };
        let ours = play_seeds(&world, &Policy::default(), 2 * SEEDS).expect("a valid world");
        let what = format!("{workers} workers, {millis} ms");
        assert_eq!(ours.worst(Figure::Innocents), Some(0.0), "{what}");
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
    }
}

#[test]
fn evenly_flaky_workers_are_hardly_slowed_down() {
    for (length, workers) in [(1, 4), (1, 20), (10, 4), (10, 20), (100, 20)] {
        for flake in [0.2, 0.4] {
            let world = Scenario {
                workers,
                actions: 60_000 * u64::from(workers) / (20 * length).max(20),
                lengths: Span::of_millis(length, length),
                flake,
                ..Scenario::default()
            };
            let never = Policy {
                suspect_after: 1000,
                ..Policy::default()
            };
            let span = |policy| mean(&play_seeds(&world, policy, 4).expect("a world"), Figure::Makespan);
            let (ours, undamped) = (span(&Policy::default()), span(&never));
            let what = format!("{length} ms, {workers} workers, {flake} fail");
            assert!(ours < 1.2 * undamped, "{what}: {ours} s, undamped {undamped} s");
        }
    }
}

#[test]
fn no_action_is_lost_to_bad_workers_while_there_is_a_good_one() {
    for (workers, black_holes) in [(2, 1), (3, 2), (4, 2), (5, 4), (10, 5), (20, 10), (20, 18)] {
        for (failing, length) in [(0, 20), (10, 20), (1, 1000)] {
            let world = Scenario {
                workers,
                black_holes,
                actions: 50,
                lengths: Span::of_millis(length / 2, length),
                failing: Span::of_millis(failing, failing),
                ..Scenario::default()
            };
            let ours = play_seeds(&world, &Policy::default(), SEEDS).expect("a valid world");
            let what = format!("{black_holes} of {workers} fail after {failing} ms, others take {length} ms");
            assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{what}");
        }
    }
}

#[test]
fn worker_bad_at_one_kind_goes_on_with_the_others() {
    for kinds in [2, 3, 9] {
        let world = Scenario {
            workers: 4,
            actions: 1000 * u64::from(kinds),
            lengths: Span::of_millis(10, 30),
            bad_at_one: 1,
            kinds,
            ..Scenario::default()
        };
        let ours = play_seeds(&world, &Policy::default(), SEEDS).expect("a valid world");
        // Innocents are workers that are taken out as a whole.
        assert_eq!(ours.worst(Figure::Innocents), Some(0.0), "{kinds} kinds");
        assert_eq!(ours.worst(Figure::Lost), Some(0.0), "{kinds} kinds");
        assert!(ours.outcomes.iter().all(|outcome| outcome.found == 1), "{kinds} kinds");
        let least = mean(&ours, Figure::LeastUtilisation);
        assert!(least > 0.5, "{kinds} kinds: it works {least} of the time");
    }
}

#[test]
fn worker_bad_at_every_kind_is_quarantined_as_a_whole() {
    let world = Scenario {
        workers: 4,
        actions: 3000,
        lengths: Span::of_millis(10, 30),
        failing: Span::of_millis(10, 10),
        black_holes: 1,
        kinds: 3,
        ..Scenario::default()
    };
    let ours = play_seeds(&world, &Policy::default(), SEEDS).expect("a valid world");
    assert_eq!(ours.worst(Figure::Innocents), Some(0.0));
    assert!(
        ours.worst(Figure::Attempts) < Some(3020.0),
        "{:?}",
        ours.worst(Figure::Attempts)
    );
}
