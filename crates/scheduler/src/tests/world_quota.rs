//! Worlds with quotas: each account is used up, none is overrun, and nothing takes longer than the windows make it
//! take.

use std::time::Duration;

use crate::{
    Policy, Quota,
    sim::{Figure, Outcome, Scenario, Span, Spending, play},
};

pub(super) const PER: Duration = Duration::from_secs(10);

pub(super) fn sliding(limit: u32) -> Quota {
    Quota::Sliding { limit, per: PER }
}

pub(super) fn fixed(limit: u32) -> Quota {
    Quota::Fixed { limit, per: PER }
}

/// Four workers that could do about four times what they may.
pub(super) fn greedy(quota: Quota) -> Scenario {
    Scenario {
        workers: 4,
        slots: 4,
        actions: 4000,
        quotas: vec![quota],
        ..Scenario::default()
    }
}

pub(super) fn played(world: &Scenario) -> Outcome {
    let outcome = play(world, &Policy::default()).unwrap();
    let told = format!("{:?}, seed {}", world.quotas, world.seed);
    assert_eq!((outcome.done, outcome.unsettled), (world.actions, 0), "{told}");
    assert_eq!(Figure::Overrun.of(&outcome), Some(0.0), "{told}");
    let spent: u64 = outcome.spendings.iter().map(|spending| spending.spent).sum();
    assert_eq!(
        spent,
        outcome.attempts * world.quotas.len() as u64,
        "{told}: all are counted"
    );
    outcome
}

pub(super) fn seeds(world: &Scenario) -> impl Iterator<Item = Scenario> {
    (1..=10).map(|seed| Scenario { seed, ..world.clone() })
}

/// At least 97 % of what each account offered was spent.
pub(super) fn is_used_up(outcome: &Outcome, told: &str) {
    for spending in &outcome.spendings {
        let used = spending.used().unwrap();
        assert!((0.97..=1.0).contains(&used), "{told}: {used} of {spending:?}");
    }
}

#[test]
fn every_account_is_used_up_and_none_is_overrun() {
    let rate = Quota::Rate {
        limit: 100,
        per: PER,
        burst: 20,
    };
    for quota in [sliding(100), fixed(100), rate] {
        for world in seeds(&greedy(quota)) {
            let outcome = played(&world);
            assert_eq!(outcome.spendings.len(), 4);
            is_used_up(&outcome, &format!("{quota}, seed {}", world.seed));
        }
    }
}

/// Ten windows' work for each worker: nine windows have to pass, each a little longer than it is called.
#[test]
fn it_takes_as_long_as_the_windows_make_it_take() {
    for quota in [sliding(100), fixed(100)] {
        for world in seeds(&greedy(quota)) {
            let took = played(&world).makespan;
            // The first fixed window may be over at once.
            let least = PER * if quota == sliding(100) { 9 } else { 8 };
            let most = (PER + Duration::from_millis(400)) * 9 + Duration::from_secs(5);
            assert!((least..most).contains(&took), "{quota}, seed {}: {took:?}", world.seed);
        }
    }
}

#[test]
fn workers_with_one_account_spend_it_once() {
    let world = |accounts| Scenario {
        workers: 2,
        slots: 4,
        actions: 1000,
        accounts,
        ..greedy(sliding(100))
    };
    for alone in seeds(&world(None)) {
        let seed = alone.seed;
        let shared = Scenario { seed, ..world(Some(1)) };
        let (alone, shared) = (played(&alone), played(&shared));
        assert_eq!((alone.spendings.len(), shared.spendings.len()), (2, 1));
        assert_eq!(shared.spendings[0].spent, 1000);
        is_used_up(&shared, &format!("seed {seed}"));
        // Nine windows pass instead of four.
        assert!(alone.makespan < PER * 5, "seed {seed}: {:?}", alone.makespan);
        assert!(shared.makespan >= PER * 9, "seed {seed}: {:?}", shared.makespan);
        // Both have something to do.
        let useful = &shared.utilisation;
        assert!(useful.iter().all(|part| *part > 0.1), "seed {seed}: {useful:?}");
    }
}

#[test]
fn workers_have_the_accounts_in_turn() {
    let world = Scenario {
        workers: 10,
        accounts: Some(3),
        quotas: vec![sliding(10), Quota::Concurrent { limit: 2 }],
        actions: 100,
        ..Scenario::default()
    };
    let accounts: Vec<u32> = (0..10).map(|worker| world.account(worker)).collect();
    assert_eq!(accounts, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
    let outcome = played(&world);
    let spent = |at: usize| (outcome.spendings[at].account, outcome.spendings[at].quota);
    assert_eq!(outcome.spendings.len(), 6);
    assert_eq!(spent(3), (1, Quota::Concurrent { limit: 2 }));
    assert_eq!(spent(4), (2, sliding(10)));
    assert_eq!(
        outcome.spendings[3].used(),
        None,
        "what is only held is offered in no number"
    );
}

/// Two at once for four workers with one account take half of their time.
#[test]
fn an_account_holds_no_more_than_it_may() {
    let world = Scenario {
        accounts: Some(1),
        actions: 400,
        ..greedy(Quota::Concurrent { limit: 2 })
    };
    for world in seeds(&world) {
        let outcome = played(&world);
        let useful = outcome.utilisation.iter().sum::<f64>() * 4.0;
        assert!((1.9..=2.0).contains(&useful), "seed {}: {useful}", world.seed);
        assert_eq!(Figure::QuotaUsed.of(&outcome), None);
    }
}

#[test]
fn waste_at_each_reset_is_reported() {
    for world in seeds(&greedy(fixed(100))) {
        let outcome = played(&world);
        for Spending {
            offered,
            spent,
            resets,
            left,
            left_at_resets,
            ..
        } in &outcome.spendings
        {
            assert_eq!(*resets, left_at_resets.len() as u64);
            assert_eq!(*left, left_at_resets.iter().sum::<u64>());
            assert!((8..=11).contains(resets), "{resets}");
            assert!(*left <= offered - spent, "the last window is not over");
            assert!(left_at_resets.iter().all(|left| *left <= 5), "{left_at_resets:?}");
        }
    }
    assert_eq!(Figure::Left.of(&played(&greedy(sliding(100)))), None, "nothing resets");
    // Hardly any worker works: nearly all is left.
    let idle = Scenario {
        workers: 1,
        slots: 1,
        actions: 10,
        lengths: Span::of_millis(10_000, 10_000),
        ..greedy(fixed(100))
    };
    let outcome = played(&idle);
    let [spending] = &outcome.spendings[..] else {
        panic!("one account: {:?}", outcome.spendings)
    };
    assert!((900..1000).contains(&spending.offered), "{spending:?}");
    let whole = spending.left_at_resets.get(1..).unwrap();
    assert!(
        whole.iter().all(|left| (98..=100).contains(left)),
        "one or two in each: {whole:?}"
    );
}

/// Until a report tells when a window ends it is counted as sliding: safe, and a little is left over.
#[test]
fn without_reports_a_fixed_window_is_safe() {
    let world = Scenario {
        reports: false,
        ..greedy(fixed(100))
    };
    for world in seeds(&world) {
        let outcome = played(&world);
        assert!(Figure::LeastQuotaUsed.of(&outcome) > Some(0.9), "seed {}", world.seed);
    }
}

/// Services as they are: none refuses anything, and what they allow is used.
#[test]
fn quotas_of_many_sorts_are_used_and_not_overrun() {
    let seconds = Duration::from_secs;
    let rate = |burst| Quota::Rate {
        limit: 3,
        per: seconds(1),
        burst,
    };
    let in_windows = |per, limit| Quota::Fixed {
        limit,
        per: seconds(per),
    };
    let usual = || greedy(in_windows(7, 70));
    // A burst of 1 is used but for the time that the answer takes: until then it is unknown when it was counted.
    let short = Span::of_millis(10, 30);
    let cases: [(&str, f64, Scenario); 12] = [
        ("fixed windows of 7 s", 0.95, usual()),
        (
            "fixed windows of 13 s",
            0.95,
            Scenario {
                quotas: vec![in_windows(13, 130)],
                ..usual()
            },
        ),
        (
            "a leaky bucket, burst 1",
            0.90,
            Scenario {
                quotas: vec![rate(1)],
                lengths: short,
                actions: 400,
                ..usual()
            },
        ),
        (
            "a leaky bucket, burst 20",
            0.95,
            Scenario {
                quotas: vec![rate(20)],
                actions: 1000,
                ..usual()
            },
        ),
        (
            "an account of four workers",
            0.95,
            Scenario {
                accounts: Some(1),
                actions: 1000,
                ..usual()
            },
        ),
        ("a clock of whole seconds", 0.95, Scenario { dates: true, ..usual() }),
        (
            "fixed windows by a slow clock",
            0.95,
            Scenario {
                clocks_slow: 1,
                ..usual()
            },
        ),
        (
            "fixed windows by a fast clock",
            0.95,
            Scenario {
                clocks_slow: -1,
                ..usual()
            },
        ),
        (
            "a leaky bucket by a slow clock",
            0.95,
            Scenario {
                quotas: vec![rate(20)],
                clocks_slow: 1,
                actions: 1000,
                ..usual()
            },
        ),
        (
            "a leaky bucket by a fast clock",
            0.95,
            Scenario {
                quotas: vec![rate(20)],
                clocks_slow: -1,
                actions: 1000,
                ..usual()
            },
        ),
        (
            "a secondary limit at once and one a minute",
            0.95,
            Scenario {
                quotas: vec![in_windows(13, 130), Quota::Concurrent { limit: 3 }],
                ..usual()
            },
        ),
        (
            "a sliding window",
            0.95,
            Scenario {
                quotas: vec![Quota::Sliding {
                    limit: 70,
                    per: seconds(7),
                }],
                ..usual()
            },
        ),
    ];
    for (name, least, world) in cases {
        for world in seeds(&world) {
            let outcome = played(&world);
            for spending in outcome.spendings.iter().filter(|spending| spending.offered > 0) {
                let used = spending.used().unwrap();
                assert!(used >= least, "{name}, seed {}: {used} of {spending:?}", world.seed);
            }
        }
    }
}
