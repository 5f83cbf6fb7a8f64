//! Shares threads among guests by time.
//!
//! A guest yields after a fixed amount of fuel, but the time for that depends on the guest: a unit of one instruction
//! takes five times as long as one of another, and a load that misses every cache takes hundreds of times as long. So
//! each turn is timed. A guest whose turn took longer than its quantum skips turns until the difference is made up for.
//! If no other guest needs the thread, skipping costs almost nothing.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

/// The quantum of one turn. Less than [`YIELD_INTERVAL`](crate::engine::YIELD_INTERVAL) takes on any machine,
/// so that every guest has a deficit after a turn and skips turns in proportion. Skipping a turn takes 0.1 µs, so the
/// overhead is a hundredth.
const TURN: Duration = Duration::from_micros(10);

/// The largest deficit. When the machine suspends a thread, the time is counted as if the guest had run.
const DEBT_MAX: Duration = Duration::from_millis(500);

/// The time by which the turns of a guest were too long. It is kept for a worker and not for an instance: otherwise a
/// guest that traps after every long turn would start each time without a deficit.
#[derive(Clone, Debug, Default)]
pub struct DeficitCounter(Arc<Account>);

/// Times are in nanoseconds.
#[derive(Debug)]
struct Account {
    owed: AtomicU64,
    /// When the current turn began, after `since`. Unique for each turn.
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

impl DeficitCounter {
    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.owed.load(Ordering::Relaxed))
    }

    /// Notes that a turn begins.
    fn begin(&self, now: Instant) {
        let last = self.0.turn.load(Ordering::Relaxed);
        let began = nanos(now.saturating_duration_since(self.0.since));
        self.0.turn.store(began.max(last.saturating_add(1)), Ordering::Relaxed);
    }

    /// When the current turn began. Unique for each turn.
    pub fn turn(&self) -> Duration {
        Duration::from_nanos(self.0.turn.load(Ordering::Relaxed))
    }

    /// The current time, on the clock of [`DeficitCounter::turn`].
    pub fn now(&self) -> Duration {
        self.0.since.elapsed()
    }

    /// Moves the deficit to a new counter, for the next task. So a task that ends after every long turn does not lose
    /// its deficit.
    pub fn hand_on(&self) -> Self {
        Self(Arc::new(Account {
            owed: AtomicU64::new(self.0.owed.swap(0, Ordering::Relaxed)),
            ..Account::default()
        }))
    }

    /// Adds the deficit of a task that has ended.
    pub fn inherit(&self, from: &Self) {
        let left = from.0.owed.swap(0, Ordering::Relaxed);
        let sum = |owed: u64| Some(owed.saturating_add(left).min(nanos(DEBT_MAX)));
        let _ = self.0.owed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
    }

    /// Sets the deficit. Only one instance at a time uses it, so there is no other writer.
    fn set(&self, debt: Duration) {
        self.0.owed.store(nanos(debt), Ordering::Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Runs the calls of one instance and counts its deficit.
#[derive(Debug)]
pub struct Pace {
    debt: DeficitCounter,
    /// When the last turn ended.
    ended: Instant,
}

impl Pace {
    pub fn new(debt: DeficitCounter) -> Self {
        Self {
            debt,
            ended: Instant::now(),
        }
    }

    /// When the last turn ended.
    pub fn ended(&self) -> Instant {
        self.ended
    }

    /// Polls a call into the guest to its end. `now`: the current time, passed in because most calls take one turn and
    /// reading the clock is a noticeable part of that.
    pub async fn run<T>(&mut self, now: Instant, call: impl Future<Output = T>) -> T {
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
    fn turns_are_skipped_after_a_long_turn() {
        let mut pace = Pace::new(DeficitCounter::default());
        pace.spend(TURN * 4);
        let mut call = pin!(pace.run(Instant::now(), std::future::ready(())));
        let mut cx = Context::from_waker(Waker::noop());
        let sat_out = (0..).take_while(|_| call.as_mut().poll(&mut cx).is_pending()).count();
        assert_eq!(sat_out, 3);
    }

    #[test]
    fn no_two_turns_begin_at_the_same_time() {
        let debt = DeficitCounter::default();
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
    fn deficit_of_an_ended_task_passes_to_the_next() {
        let all = DeficitCounter::default();
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
    fn slightly_long_turns_add_up_and_short_turns_earn_no_credit() {
        let mut pace = Pace::new(DeficitCounter::default());
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
