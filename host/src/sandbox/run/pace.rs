//! How guests share a thread: by time.
//!
//! A guest lets others have a turn after a fixed amount of fuel, but what that takes is up to the guest: a unit of one
//! instruction takes five times as long as one of another, and a load that misses every cache hundreds of times as long. So
//! each turn is timed, and whoever took longer than a turn is worth sits out turns until that is made up for. Where nobody else
//! wants the thread, sitting out takes next to nothing.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

/// What one turn is worth. Less than [`YIELD_INTERVAL`](crate::sandbox::engine::YIELD_INTERVAL) takes on any machine, so that everybody is in debt after a
/// turn and pays in proportion; sitting one out takes a tenth of a microsecond, so that costs a hundredth.
const TURN: Duration = Duration::from_micros(10);

/// The most that is held against a guest. A thread that the machine took away looks like a guest that would not stop.
const DEBT_MAX: Duration = Duration::from_millis(500);

/// By how much the turns of a guest were too long. Of a worker and not of an instance: who traps after every long turn would
/// begin each time without debt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Debt(Arc<Account>);

/// Times are in nanoseconds.
#[derive(Debug)]
struct Account {
    owed: AtomicU64,
    /// When the turn that goes on began, after `since`. No two turns have the same.
    turn: AtomicU64,
    since: Instant,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            owed: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            since: Instant::now(),
        }
    }
}

impl Debt {
    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.owed.load(Ordering::Relaxed))
    }

    /// Notes that a turn begins.
    fn begin(&self, now: Instant) {
        let last = self.0.turn.load(Ordering::Relaxed);
        let began = nanos(now.saturating_duration_since(self.0.since));
        self.0.turn.store(began.max(last.saturating_add(1)), Ordering::Relaxed);
    }

    /// When the turn that goes on began; tells turns apart.
    pub(crate) fn turn(&self) -> Duration {
        Duration::from_nanos(self.0.turn.load(Ordering::Relaxed))
    }

    /// The time, as [`Debt::turn`] says it.
    pub(crate) fn now(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// What is owed here becomes that of whoever comes next: who ends after every long turn is followed by one that begins
    /// with its debt.
    pub(crate) fn hand_on(&self) -> Self {
        Self(Arc::new(Account {
            owed: AtomicU64::new(self.0.owed.swap(0, Ordering::Relaxed)),
            ..Account::default()
        }))
    }

    /// Takes over what somebody who has ended still owes.
    pub(crate) fn inherit(&self, from: &Self) {
        let left = from.0.owed.swap(0, Ordering::Relaxed);
        let sum = |owed: u64| Some(owed.saturating_add(left).min(nanos(DEBT_MAX)));
        let _ = self.0.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// One instance at a time has it, so nobody writes in between.
    fn set(&self, debt: Duration) {
        self.0.owed.store(nanos(debt), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The account of one instance.
#[derive(Debug)]
pub(crate) struct Pace {
    debt: Debt,
    /// When its last turn ended.
    ended: Instant,
}

impl Pace {
    pub(crate) fn new(debt: Debt) -> Self {
        Self {
            debt,
            ended: Instant::now(),
        }
    }

    /// When the last turn ended.
    pub(crate) fn ended(&self) -> Instant {
        self.ended
    }

    /// Polls a call into the guest to its end. `now` is the time: most calls take one turn, and reading the clock costs
    /// as much as a part of them.
    pub(crate) async fn run<T>(&mut self, now: Instant, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut now = Some(now);
        std::future::poll_fn(|cx| {
            let debt = self.debt.get();
            if debt >= TURN {
                self.debt.set(debt - TURN);
                now = None;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let began = now.take().unwrap_or_else(Instant::now);
            self.debt.begin(began);
            let polled = call.as_mut().poll(cx);
            self.ended = Instant::now();
            self.spend(self.ended.saturating_duration_since(began));
            polled
        })
        .await
    }

    fn spend(&mut self, took: Duration) {
        let debt = (self.debt.get() + took).saturating_sub(TURN);
        self.debt.set(debt.min(DEBT_MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_turn_that_was_too_long_is_sat_out() {
        let mut pace = Pace::new(Debt::default());
        pace.spend(TURN * 4);
        let mut call = pin!(pace.run(Instant::now(), std::future::ready(())));
        let mut cx = Context::from_waker(Waker::noop());
        let sat_out = (0..).take_while(|_| call.as_mut().poll(&mut cx).is_pending()).count();
        assert_eq!(sat_out, 3);
    }

    #[test]
    fn no_two_turns_begin_at_the_same_time() {
        let debt = Debt::default();
        let now = Instant::now();
        let turns: Vec<Duration> = (0..3)
            .map(|_| {
                debt.begin(now);
                debt.turn()
            })
            .collect();
        assert!(turns.is_sorted_by(|one, next| one < next), "{turns:?}");
    }

    #[test]
    fn what_is_left_of_a_debt_is_that_of_whoever_comes_next() {
        let all = Debt::default();
        let one = all.hand_on();
        one.set(TURN * 4);
        all.inherit(&one);
        assert_eq!((all.get(), one.get()), (TURN * 4, Duration::ZERO));
        let next = all.hand_on();
        assert_eq!((all.get(), next.get()), (Duration::ZERO, TURN * 4));
        for _ in 0..3 {
            next.set(DEBT_MAX);
            all.inherit(&next);
        }
        assert_eq!(all.get(), DEBT_MAX);
    }

    #[test]
    fn turns_that_are_just_too_long_add_up_and_short_ones_save_nothing() {
        let mut pace = Pace::new(Debt::default());
        for _ in 0..9 {
            pace.spend(TURN + TURN / 10);
        }
        assert!(pace.debt.get() < TURN);
        pace.spend(TURN + TURN / 5);
        assert!(pace.debt.get() >= TURN);
        for _ in 0..100 {
            pace.spend(Duration::ZERO);
        }
        assert_eq!(pace.debt.get(), Duration::ZERO);
        pace.spend(Duration::from_secs(3600));
        assert_eq!(pace.debt.get(), DEBT_MAX);
    }
}
