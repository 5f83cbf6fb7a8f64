use std::{future::Future, pin::pin, task::Poll, time::Duration};

use super::*;

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(3600);

fn account(shares: &Arc<Shares>) -> Arc<Account> {
    shares.account(u64::MAX, Arc::default())
}

/// Whether a wait is over when it is polled once.
async fn is_ready<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        })
    })
    .await
}

/// Two accounts of 100: each is guaranteed 25, and 50 are spare.
fn two() -> (Arc<Shares>, Arc<Account>, Arc<Account>) {
    let shares = Shares::new(100, 2, false);
    let (one, other) = (account(&shares), account(&shares));
    (shares, one, other)
}

#[test]
fn share_is_reserved_for_its_account() {
    let (_, large, other) = two();
    let _all = large.try_take(75).unwrap();
    assert_eq!(large.most(), 75);
    assert!(large.try_take(1).is_none());
    let _share = other.try_take(25).unwrap();
    assert!(other.try_take(1).is_none());
}

#[test]
fn capped_share_leaves_the_rest_to_all() {
    let shares = Shares::new(100, 2, false);
    let (capped, other) = (shares.account(1, Arc::default()), account(&shares));
    assert_eq!((capped.most(), other.most()), (75, 99));
    let _most = other.try_take(99).unwrap();
    assert!(capped.try_take(1).is_some());
}

#[test]
fn forced_amounts_use_the_spare_and_no_share() {
    let shares = Shares::new(100, 2, true);
    let pool = account(&shares);
    shares.force(75);
    assert!(!shares.is_over());
    assert!(pool.try_take(26).is_none());
    let mut share = pool.try_take(25).unwrap();
    assert_eq!(shares.peak(), 75);
    share.note_used(20);
    assert_eq!(shares.peak(), 95);
    drop(share);
    assert_eq!(shares.unused.load(Ordering::SeqCst), 0);
    shares.force(1);
    assert!(shares.is_over());
    // A forced amount is not undone, but nothing beyond the limit is granted.
    assert!(pool.try_take(25).is_none());
    assert!(pool.try_take(24).is_some());
}

#[tokio::test]
async fn queued_request_is_granted_released_amounts() {
    let (_, pool, _other) = two();
    let all = pool.try_take(75).unwrap();
    let mut first = pin!(pool.take(20));
    let mut second = pin!(pool.take(5));
    assert!(is_ready(&mut first).await.is_none());
    assert!(is_ready(&mut second).await.is_none());
    drop(all);
    assert_eq!(is_ready(&mut first).await.unwrap().unwrap().amount(), 20);
    assert_eq!(is_ready(&mut second).await.unwrap().unwrap().amount(), 5);
}

#[tokio::test]
async fn request_that_needs_the_spare_does_not_hold_up_a_share() {
    let (_, large, other) = two();
    let all = large.try_take(75).unwrap();
    // More than the share of its account, so that it has to wait for the other one.
    let mut large = pin!(other.take(40));
    assert!(is_ready(&mut large).await.is_none());
    let small = other.try_take(10).unwrap();
    let mut queued = pin!(other.take(15));
    assert!(is_ready(&mut queued).await.unwrap().is_ok());
    drop((all, small));
    assert_eq!(is_ready(&mut large).await.unwrap().unwrap().amount(), 40);
}

#[tokio::test]
async fn spare_is_granted_in_the_order_of_the_requests() {
    let (_, one, other) = two();
    let all = one.try_take(75).unwrap();
    let _share = other.try_take(25).unwrap();
    let mut first = pin!(other.take(20));
    assert!(is_ready(&mut first).await.is_none());
    let mut second = pin!(one.take(60));
    assert!(is_ready(&mut second).await.is_none());
    drop(all);
    assert!(is_ready(&mut first).await.unwrap().is_ok());
    assert!(is_ready(&mut second).await.unwrap().is_ok());
}

#[tokio::test]
async fn dropped_request_holds_nothing() {
    let (shares, pool, other) = two();
    let all = pool.try_take(75).unwrap();
    {
        let mut first = pin!(pool.take(25));
        assert!(is_ready(&mut first).await.is_none());
        let mut second = Box::pin(pool.take(25));
        assert!(is_ready(&mut second).await.is_none());
        // Granted, and dropped before that was seen.
        drop(all);
        drop(second);
        assert!(is_ready(&mut first).await.unwrap().is_ok());
    }
    assert_eq!(shares.waiting.load(Ordering::SeqCst), 0);
    assert_eq!(shares.held.load(Ordering::SeqCst), 0);
    assert_eq!(shares.taken.load(Ordering::SeqCst), 0);
    assert!(other.try_take(75).is_some());
}

#[tokio::test]
async fn more_than_an_account_can_have_fails_at_once_and_when_accounts_are_added() {
    let (shares, pool, _other) = two();
    assert_eq!(pool.take(76).await.unwrap_err(), NoRoom::Never(75));
    let all = pool.try_take(75).unwrap();
    let mut waiting = pin!(pool.take(70));
    assert!(is_ready(&mut waiting).await.is_none());
    // Now each is guaranteed 12.
    let (_third, _fourth) = (account(&shares), account(&shares));
    assert_eq!(is_ready(&mut waiting).await.unwrap().unwrap_err(), NoRoom::Never(64));
    drop(all);
}

#[tokio::test]
async fn idle_instances_are_asked_for_where_they_are_in_the_way() {
    let shares = Shares::new(100, 2, false);
    let [large, busy, other] = [(); 3].map(|()| Arc::<Notify>::default());
    let accounts = [&large, &busy, &other].map(|notify| shares.account(u64::MAX, notify.clone()));
    let [of_hog, of_busy, of_honest] = &accounts;
    // Each is guaranteed 16; beyond its share is only the first.
    let idle = of_hog.try_take(60).unwrap();
    let _busy = of_busy.try_take(16).unwrap();
    let _honest = of_honest.try_take(10).unwrap();
    let mut more = pin!(of_busy.take(10));
    assert!(is_ready(&mut more).await.is_none());
    assert!(of_hog.is_in_the_way());
    assert!(of_busy.is_in_the_way());
    assert!(!of_honest.is_in_the_way());
    large.notified().await;
    of_hog.answer();
    drop(idle);
    assert!(is_ready(&mut more).await.unwrap().is_ok());
    assert!(accounts.iter().all(|account| !account.is_in_the_way()));
}

#[tokio::test]
async fn last_holder_that_has_to_wait_fails_at_once() {
    let (_, tasks, _other) = two();
    let mut first = tasks.try_take(40).unwrap();
    let mut second = tasks.try_take(35).unwrap();
    let mut waiting = Box::pin(first.grow(10, LONG));
    assert!(is_ready(&mut waiting).await.is_none());
    assert_eq!(second.grow(10, LONG).await, Err(NoRoom::Stuck));
    drop(second);
    assert_eq!(waiting.await, Ok(()));
    assert_eq!(first.amount(), 50);
}

#[tokio::test]
async fn growth_waits_for_others_that_hold_the_spare_but_not_for_ever() {
    let (_, tasks, pool) = two();
    let spare = pool.try_take(75).unwrap();
    let mut task = tasks.try_take(25).unwrap();
    {
        let mut waiting = Box::pin(task.grow(10, LONG));
        assert!(is_ready(&mut waiting).await.is_none());
        drop(spare);
        assert_eq!(waiting.await, Ok(()));
    }
    let _spare = pool.try_take(65).unwrap();
    assert_eq!(task.grow(10, Duration::from_millis(1)).await, Err(NoRoom::Stuck));
    assert_eq!(task.grow(1000, LONG).await, Err(NoRoom::Never(75)));
}

/// Arbitrary numbers below the argument, the same for the same seed (xorshift).
fn arbitrary(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    }
}

/// Amounts are taken, forced, waited for and given back in an arbitrary order: the limit holds, and so does every
/// share.
#[tokio::test]
async fn limit_and_shares_hold_in_any_history() {
    for seed in 0..200u64 {
        let mut next = arbitrary(seed);
        let limit = 1 + next(1000);
        let shares = Shares::new(limit, 1 + next(4), false);
        let accounts: Vec<_> = (0..=next(5))
            .map(|_| shares.account(next(300), Arc::default()))
            .collect();
        let share = |account: &Account| account.signals.share.load(Ordering::SeqCst);
        let mut held: Vec<Reservation> = Vec::new();
        let mut waiting = Vec::new();
        for _ in 0..200 {
            let account = &accounts[next(accounts.len() as u64) as usize];
            match next(5) {
                0 => held.extend(account.try_take(next(limit))),
                1 => {
                    let (account, amount) = (account.clone(), next(limit));
                    waiting.push(Box::pin(async move { account.take(amount).await }));
                }
                2 if !held.is_empty() => drop(held.swap_remove(next(held.len() as u64) as usize)),
                3 if !waiting.is_empty() => drop(waiting.swap_remove(next(waiting.len() as u64) as usize)),
                4 if !held.is_empty() => {
                    let at = next(held.len() as u64) as usize;
                    held[at].try_grow(next(limit));
                }
                _ => {}
            }
            // A task that never yields is not woken.
            tokio::task::yield_now().await;
            let mut still = Vec::new();
            for mut one in waiting {
                match is_ready(&mut one).await {
                    Some(granted) => held.extend(granted.ok()),
                    None => still.push(one),
                }
            }
            waiting = still;
            let of = |id| {
                held.iter()
                    .filter(move |one| one.account().id == id)
                    .map(|one| one.amount())
                    .sum::<u64>()
            };
            let guaranteed: u64 = accounts.iter().map(|account| of(account.id).max(share(account))).sum();
            assert!(guaranteed <= limit, "seed {seed}: {guaranteed} of {limit}");
            assert_eq!(
                shares.held.load(Ordering::SeqCst),
                accounts.iter().map(|account| of(account.id)).sum::<u64>()
            );
            // A share without waiting requests of its account is available at once.
            for account in &accounts {
                let left = share(account).saturating_sub(of(account.id));
                let is_waited_for = !shares.ledger().accounts[&account.id].queue.is_empty();
                assert!(is_waited_for || account.add(left, true), "seed {seed}");
                if !is_waited_for {
                    account.give(left);
                }
            }
        }
        // No waiting request is forgotten.
        while !held.is_empty() || !waiting.is_empty() {
            held.clear();
            let before = waiting.len();
            tokio::task::yield_now().await;
            let mut still = Vec::new();
            for mut one in waiting {
                match is_ready(&mut one).await {
                    Some(granted) => held.extend(granted.ok()),
                    None => still.push(one),
                }
            }
            waiting = still;
            assert!(
                waiting.len() < before || before == 0,
                "seed {seed}: {before} wait for nothing"
            );
        }
    }
}

/// Tasks hold a slot while they wait for workers, and workers keep theirs for the next action: for any numbers all
/// tasks end, because no account takes the share of another.
#[tokio::test]
async fn any_number_of_tasks_workers_and_slots_makes_progress() {
    for seed in 0..300u64 {
        let mut next = arbitrary(seed);
        let slots = 2 + next(60);
        let pools = 1 + next(4.min(slots - 1)) as usize;
        let shares = Shares::new(slots, 1 + next(4), false);
        let tasks = account(&shares);
        let crews: Vec<_> = (0..pools).map(|_| (account(&shares), 1 + next(60) as usize)).collect();
        let all = 1 + next(300) as usize;
        let take = |account: &Arc<Account>| {
            let account = account.clone();
            Box::pin(async move { account.take(1).await })
        };
        let mut waiting: Vec<_> = (0..all).map(|_| take(&tasks)).collect();
        let mut running: Vec<(Reservation, usize)> = Vec::new();
        let mut starting: Vec<Vec<_>> = crews.iter().map(|_| Vec::new()).collect();
        let mut idle: Vec<Vec<Reservation>> = crews.iter().map(|_| Vec::new()).collect();
        let mut done = 0;
        for round in 0.. {
            assert!(
                round < 10_000,
                "seed {seed}: {done} of {all} with {slots} slots and {pools} pools"
            );
            // A task that never yields is not woken.
            tokio::task::yield_now().await;
            let mut still = Vec::new();
            for mut one in waiting {
                match is_ready(&mut one).await {
                    Some(granted) => running.push((granted.unwrap(), next(pools as u64) as usize)),
                    None => still.push(one),
                }
            }
            waiting = still;
            for (pool, (account, workers)) in crews.iter().enumerate() {
                let wanted = running.iter().filter(|(_, at)| *at == pool).count().min(*workers);
                while idle[pool].len() + starting[pool].len() < wanted {
                    starting[pool].push(take(account));
                }
                let mut still = Vec::new();
                for mut one in std::mem::take(&mut starting[pool]) {
                    match is_ready(&mut one).await {
                        Some(granted) => idle[pool].push(granted.unwrap()),
                        None => still.push(one),
                    }
                }
                starting[pool] = still;
                // Some of the holders of a slot end an action now.
                for _ in 0..idle[pool].len().min(1 + next(3) as usize) {
                    if let Some(at) = running.iter().position(|(_, at)| *at == pool) {
                        running.swap_remove(at);
                        done += 1;
                    }
                }
                // An idle instance that is in the way is dropped.
                if account.is_in_the_way() {
                    idle[pool].pop();
                    account.answer();
                }
            }
            if done == all {
                break;
            }
        }
    }
}
