//! Time without the periods in which this process was stopped, by Ctrl-Z or `kill -STOP`.
//!
//! A guest's timeout must not pass while it cannot run. A thread that wakes regularly ([`tick`]) shows that the process
//! runs; after a gap of a second, the process was stopped, or the machine was as busy: waits are then extended by the
//! gap, once, without other effects. Without such a thread, in a program that embeds the host, all time counts. The
//! clock itself leaves out time in which the whole machine sleeps.

use std::{
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time::{error::Elapsed, sleep_until, timeout_at};

/// How often [`tick`] is to be called.
pub const TICK: Duration = Duration::from_millis(250);

/// The shortest gap between two ticks that counts as a stop of the process: four ticks, which a busy machine seldom
/// delays.
const GAP: Duration = Duration::from_secs(1);

static WATCH: LazyLock<Watch> = LazyLock::new(|| Watch::new(Instant::now()));

/// Microseconds, from `began` on.
struct Watch {
    began: Instant,
    /// The time of the last tick. 0: there was none.
    ticked: AtomicU64,
    /// How long the process was stopped until then.
    stopped: AtomicU64,
    /// Held while the two change.
    counting: Mutex<()>,
}

impl Watch {
    fn new(began: Instant) -> Self {
        Self {
            began,
            ticked: AtomicU64::new(0),
            stopped: AtomicU64::new(0),
            counting: Mutex::new(()),
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    /// Notes that the process runs now.
    fn tick(&self, now: Instant) {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = self.micros(now).max(1);
        let before = self.ticked.load(Ordering::SeqCst);
        let gap = Duration::from_micros(micros.saturating_sub(before));
        if before > 0 {
            let stopped = u64::try_from((gap - awake(gap)).as_micros()).unwrap_or(u64::MAX);
            self.stopped.fetch_add(stopped, Ordering::SeqCst);
        }
        // Last: all threads wake at the same moment, and one that sees this only reads the sum.
        self.ticked.fetch_max(micros, Ordering::SeqCst);
    }

    /// How long the process was stopped until `now`, also if it just continued. A call shows that it runs, too: so a
    /// machine on which only the ticking thread is late does not count as stopped.
    fn stopped(&self, now: Instant) -> Duration {
        let ticked = self.ticked.load(Ordering::SeqCst);
        if ticked > 0 && self.micros(now).saturating_sub(ticked) >= TICK.as_micros() as u64 {
            self.tick(now);
        }
        Duration::from_micros(self.stopped.load(Ordering::SeqCst))
    }
}

/// Shows that the process runs. One thread with no other work is to call it each [`TICK`].
pub fn tick() {
    WATCH.tick(Instant::now());
}

/// How much of the time between two calls, meant to be a [`TICK`] apart, the process was not stopped.
pub fn awake(gap: Duration) -> Duration {
    if gap < GAP { gap } else { TICK }
}

/// How long the process was stopped until `now`.
pub fn stopped(now: Instant) -> Duration {
    WATCH.stopped(now)
}

/// The part of it that is known without reading the clock.
pub fn stopped_so_far() -> Duration {
    Duration::from_micros(WATCH.stopped.load(Ordering::SeqCst))
}

/// A deadline, extended by the time in which the process is stopped before it.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    cut: Instant,
    /// How long the process had been stopped when it was set.
    before: Duration,
}

impl Deadline {
    /// A deadline `limit` after `began`, which is now or not long ago.
    pub fn after(began: Instant, limit: Duration) -> Self {
        Self {
            cut: began + limit,
            before: stopped_so_far(),
        }
    }

    /// The deadline's time, as known now.
    pub fn moment(&self) -> Instant {
        self.moment_at(Instant::now())
    }

    fn moment_at(&self, now: Instant) -> Instant {
        self.cut + stopped(now).saturating_sub(self.before)
    }

    /// A key by which deadlines sort.
    pub fn rank(&self) -> Instant {
        self.cut.checked_sub(self.before).unwrap_or(self.cut)
    }

    /// How much time is left.
    pub fn left(&self) -> Duration {
        let now = Instant::now();
        self.moment_at(now).saturating_duration_since(now)
    }

    /// Waits for it.
    ///
    /// Cancel safe.
    pub async fn over(self) {
        while !self.left().is_zero() {
            sleep_until(self.moment().into()).await;
        }
    }

    /// Waits for a future until the deadline.
    ///
    /// # Errors
    /// The deadline passed.
    pub async fn bound<T>(self, what: impl Future<Output = T>) -> Result<T, Elapsed> {
        let mut what = std::pin::pin!(what);
        let mut cut = self.cut;
        loop {
            let late = match timeout_at(cut.into(), &mut what).await {
                Ok(done) => return Ok(done),
                Err(late) => late,
            };
            cut = self.moment();
            if cut <= Instant::now() {
                return Err(late);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn gap_between_two_ticks_is_time_in_which_the_process_was_stopped() {
        let began = Instant::now();
        let watch = Watch::new(began);
        let at = |ms| began + Duration::from_millis(ms);
        // Without ticks nothing is known.
        assert_eq!(watch.stopped(at(60_000)), Duration::ZERO);
        watch.tick(at(60_000));
        watch.tick(at(60_250));
        assert_eq!(watch.stopped(at(61_200)), Duration::ZERO);
        // Found out before the next tick, and counted once; from the last call.
        assert_eq!(watch.stopped(at(70_250)), Duration::from_millis(8800));
        watch.tick(at(70_250));
        watch.tick(at(70_500));
        assert_eq!(watch.stopped(at(70_500)), Duration::from_millis(8800));
        watch.tick(at(72_500));
        assert_eq!(watch.stopped(at(72_500)), Duration::from_millis(8800 + 1750));
    }

    /// All threads wake at once after a stop: each of them must see all of it.
    #[test]
    fn every_thread_sees_the_whole_length_of_a_stop() {
        for _ in 0..2_000 {
            let began = Instant::now();
            let watch = Watch::new(began);
            let at = |ms| began + Duration::from_millis(ms);
            watch.tick(at(1_000));
            let start = Barrier::new(4);
            std::thread::scope(|scope| {
                let asked: [_; 4] = std::array::from_fn(|_| {
                    scope.spawn(|| {
                        start.wait();
                        watch.stopped(at(11_000))
                    })
                });
                for asked in asked {
                    assert_eq!(asked.join().unwrap(), Duration::from_millis(9_750));
                }
            });
        }
    }
}
