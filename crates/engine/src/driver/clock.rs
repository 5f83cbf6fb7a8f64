//! The time of a run: microseconds since its beginning, anchored in the clocks of the machine.

use std::time::{Duration, Instant};

use disperse_scheduler::Moment;

use disperse_protocol::{
    limits::{stopped, stopped_so_far},
    wall_clock::unix_ms,
};

/// Where a run has its time from. It stands still while the process is stopped, so that nothing runs out meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    began_unix_ms: u64,
    /// How long the process had been stopped by then.
    stopped_before: Duration,
    /// The run's time then.
    passed: Duration,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self {
            began: Instant::now(),
            began_unix_ms: unix_ms(),
            stopped_before: stopped_so_far(),
            passed: Duration::ZERO,
        }
    }

    /// Goes on with the time of a run that began at this time of the wall clock, in ms since 1970, and has this time now.
    pub fn resume(began_unix_ms: u64, passed: Duration) -> Self {
        Self {
            began_unix_ms,
            passed,
            ..Self::start()
        }
    }

    /// When the run began, in milliseconds since 1970.
    pub fn began_unix_ms(&self) -> u64 {
        self.began_unix_ms
    }

    /// The run's time.
    pub fn now(&self) -> Moment {
        let now = Instant::now();
        let stopped = stopped(now).saturating_sub(self.stopped_before);
        let elapsed = now.saturating_duration_since(self.began).saturating_sub(stopped);
        Moment::START + self.passed + elapsed
    }

    /// When a moment of the run comes, unless the process is stopped before.
    pub fn instant(&self, moment: Moment) -> Instant {
        let stopped = stopped_so_far().saturating_sub(self.stopped_before);
        self.began + stopped + Duration::from_micros(moment.as_micros()).saturating_sub(self.passed)
    }

    /// How long the run has taken so far, in real time.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
