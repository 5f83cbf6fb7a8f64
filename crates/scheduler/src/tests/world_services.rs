//! Scenarios with quotas whose services restart, contradict themselves or refuse.

use std::{collections::VecDeque, time::Duration};

use super::world_quota::{fixed, greedy, played, seeds, sliding};
use crate::{
    Moment, Policy, Quota,
    bucket::Bucket,
    sim::{
        Figure, Scenario, Span, contenders, play,
        play::play_told,
        service::{Clock, Service},
    },
};

/// Until the first answer says what is left it can only be guessed: so many attempts as each worker begins at once may
/// be refused. From then on none is, and the quota is used.
#[test]
fn restarted_host_keeps_to_the_remaining_quota() {
    for (quota, accounts) in [(fixed(100), 4), (fixed(100), 1), (sliding(100), 4)] {
        let world = Scenario {
            restarts: Some(Duration::from_secs(24)),
            accounts: Some(accounts),
            actions: 1000 * u64::from(accounts),
            ..greedy(quota)
        };
        for world in seeds(&world) {
            let outcome = play(&world, &Policy::default()).unwrap();
            let told = format!("{quota}, {accounts} accounts, seed {}", world.seed);
            assert_eq!((outcome.done, outcome.lost), (world.actions, 0), "{told}");
            for spending in &outcome.spendings {
                let begun_at_once = u64::from(world.slots * world.workers / accounts);
                assert!(spending.refused <= begun_at_once, "{told}: {spending:?}");
                assert!(spending.used() > Some(0.95), "{told}: {spending:?}");
            }
        }
    }
}

/// It says that windows end three seconds before they do: that is believed twice, and then no more.
#[test]
fn resets_that_a_service_contradicts_are_not_believed_for_long() {
    let world = Scenario {
        resets_early: Duration::from_secs(3),
        ..greedy(fixed(100))
    };
    for world in seeds(&world) {
        let outcome = play(&world, &Policy::default()).unwrap();
        assert_eq!((outcome.done, outcome.lost), (world.actions, 0));
        for spending in &outcome.spendings {
            // Each time as many as are in flight at once, and no more of them in the one that was begun before.
            assert!(spending.refused <= 12, "seed {}: {spending:?}", world.seed);
            assert!(spending.used() > Some(0.85), "seed {}: {spending:?}", world.seed);
        }
    }
}

/// The service counts for itself: if the scheduler is told of more than it allows, it says so. Nothing is lost by it.
#[test]
fn a_service_refuses_what_is_over_its_quota() {
    for quota in [fixed(50), sliding(50)] {
        // With reports the scheduler would soon know better.
        let world = Scenario {
            actions: 1000,
            reports: false,
            ..greedy(quota)
        };
        let outcome = play_told(&world, &Policy::default(), &[sliding(100)]).unwrap();
        assert!(Figure::Overrun.of(&outcome) > Some(0.0), "{quota}");
        assert_eq!((outcome.done, outcome.lost, outcome.innocents), (1000, 0, 0), "{quota}");
        let spent: u64 = outcome.spendings.iter().map(|spending| spending.spent).sum();
        assert_eq!(
            spent,
            1000 + outcome.retries,
            "{quota}: what was refused was not counted"
        );
    }
}

#[test]
fn trouble_does_not_overrun_a_quota() {
    for (name, policy) in contenders() {
        for quota in [sliding(20), fixed(20)] {
            let world = Scenario {
                workers: 6,
                slots: 2,
                actions: 600,
                accounts: Some(4),
                black_holes: 1,
                flake: 0.1,
                poison: 10,
                poison_traps: true,
                quotas: vec![quota],
                ..Scenario::default()
            };
            for world in seeds(&world) {
                let outcome = play(&world, &policy).unwrap();
                let told = format!("{name}, {quota}, seed {}", world.seed);
                assert_eq!(Figure::Overrun.of(&outcome), Some(0.0), "{told}");
                assert_eq!(outcome.unsettled, 0, "{told}");
                assert!(outcome.spendings.iter().all(|one| one.spent <= one.offered), "{told}");
            }
        }
    }
}

#[test]
fn windows_of_any_length_are_counted() {
    let world = |per, quota: fn(u32, Duration) -> Quota| Scenario {
        workers: 1,
        actions: 10,
        lengths: Span::of_millis(10_000, 10_000),
        ..greedy(quota(5, per))
    };
    let quotas: [fn(u32, Duration) -> Quota; 3] = [
        |limit, per| Quota::Sliding { limit, per },
        |limit, per| Quota::Fixed { limit, per },
        |limit, per| Quota::Rate { limit, per, burst: 5 },
    ];
    for quota in quotas {
        // Millions of them in one attempt.
        let outcome = played(&world(Duration::from_micros(1), quota));
        let [spending] = &outcome.spendings[..] else {
            panic!("one account: {:?}", outcome.spendings)
        };
        assert!(spending.offered >= 5 * 25_000_000, "{spending:?}");
        assert!(spending.left_at_resets.len() <= 1000, "only the first are kept");
        // Longer than anything lasts: it comes to an end, and what can be done is done.
        let outcome = play(&world(Duration::MAX, quota), &Policy::default()).unwrap();
        assert_eq!(Figure::Overrun.of(&outcome), Some(0.0));
        assert!(
            outcome.done >= 5 && outcome.done + outcome.unsettled == 10,
            "{outcome:?}"
        );
    }
}

#[test]
fn invalid_scenario_is_rejected() {
    for world in [
        greedy(sliding(0)),
        Scenario {
            accounts: Some(0),
            ..greedy(sliding(1))
        },
        Scenario {
            accounts: Some(5),
            ..greedy(sliding(1))
        },
    ] {
        assert!(play(&world, &Policy::default()).is_err(), "{world:?}");
    }
}

/// A leaky bucket that holds one unit, and attempts that take three times as long as one is earned in: a report as soon
/// as the service has answered says that it was counted, so the next attempt begins while this one goes on.
#[test]
fn rate_with_burst_one_is_used_by_long_attempts_that_report_early() {
    let quota = Quota::Rate {
        limit: 3,
        per: Duration::from_secs(1),
        burst: 1,
    };
    let used = |reports: bool| {
        let mut service = Service::new(quota, Clock::slower(quota, None, 0));
        let mut bucket = Bucket::new(quota);
        let mut began = 0_u64;
        let mut counting: VecDeque<(u64, u64)> = VecDeque::new();
        let mut ending: VecDeque<(u64, u64)> = VecDeque::new();
        for millis in 0..60_000 {
            let now = Moment::from_micros(millis * 1000);
            while let Some((_, seq)) = counting.pop_front_if(|(at, _)| *at == millis) {
                let report = service.count(now, 1).expect("none is over the quota");
                if reports {
                    bucket.report(now, seq, report);
                }
            }
            while let Some((_, seq)) = ending.pop_front_if(|(at, _)| *at == millis) {
                bucket.ended(now, seq, true);
            }
            if ending.len() < 4 && bucket.available(now) > 0 {
                began += 1;
                bucket.debit(now, began, 1);
                counting.push_back((millis + 20, began));
                ending.push_back((millis + 1000, began));
            }
        }
        began as f64 / 180.0
    };
    assert!(used(true) >= 0.9, "{}", used(true));
    assert!(
        used(false) < 0.3,
        "without reports each waits for the one before: {}",
        used(false)
    );
}
