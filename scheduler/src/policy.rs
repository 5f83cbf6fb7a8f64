//! The numbers that the scheduler goes by, each with its source.

use std::{fmt, time::Duration};

/// What can be tuned. [`Policy::default`] is what the command line uses unless told otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How many attempts of an action may fail before it is given up. At least 1. Default 4: with every tenth attempt
    /// failing by chance, one action in 10,000 is lost (ln 1e-4 / ln 0.1).
    pub attempts: u32,
    /// How many attempts of an action may get lost, beside those that fail. Default 3, as NativeLink retries.
    pub losses: u32,
    /// The longest wait after the first time that every worker was tried; doubles each time. Default 1 s.
    pub backoff_min: Duration,
    /// The longest wait however often every worker was tried. Default 60 s. The wait is drawn evenly between zero and
    /// the longest ("full jitter"), so that retries do not arrive in waves.
    pub backoff_max: Duration,
    /// How long an action waits for a worker that it was not tried on while only others are free. Default 5 s.
    pub patience: Duration,
    /// How many failures in a row, from as many distinct actions, put a worker into quarantine. At least 1. Default 3:
    /// fewer accuse at a flake rate that services really have, more let a black hole eat too many actions.
    pub quarantine_after: u32,
    /// How long the first quarantine takes; doubles each time. Default 30 s (Envoy's base ejection time).
    pub quarantine_min: Duration,
    /// The longest quarantine. Default 15 min.
    pub quarantine_max: Duration,
    /// How much a quarantine's length varies, as a part of it, 0 to 0.5. Default 0.1.
    pub quarantine_jitter: f64,
    /// How many successes in a row end a probation. At least 1. Default 3.
    pub probation: u32,
    /// How many successes take one quarantine off a worker's record. At least 1. Default 10.
    pub forgive_after: u32,
    /// How many quarantines without passing probation lead to eviction. At least 1. Default 5 (Envoy's consecutive
    /// errors; HyperQueue's crash limit).
    pub evict_after: u32,
    /// Which part of a pool may be in quarantine for failing, 0 to 1; at least one worker always may, and the last usable
    /// worker never. Default one third.
    pub quarantine_share: f64,
    /// How long a suspect waits between two attempts; doubles with each further failure. Default 250 ms.
    pub damping_min: Duration,
    /// The longest such wait. Default 2 s.
    pub damping_max: Duration,
    /// How long a worker that is busy without saying for how long is left alone; doubles each time. Default 60 s.
    pub busy_min: Duration,
    /// The longest such wait. Default 15 min. A wait that the worker names itself is kept to whatever its length.
    pub busy_max: Duration,
    /// How many attempts are handed to a worker beyond its slots while its attempts are short. Default 1.
    pub prefetch: u32,
    /// What counts as short for `prefetch`, by the running mean of the worker's attempts. Default 1 ms: a queue behind a
    /// longer attempt costs more than a turn of the driver saves.
    pub prefetch_below: Duration,
    /// From how many open actions on [`Scheduler::is_full`](crate::Scheduler::is_full) says so. At least 1. Default
    /// 4,000,000: at about 200 bytes each the scheduler's own part stays below 1 GB.
    pub open_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 4,
            losses: 3,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            quarantine_after: 3,
            quarantine_min: Duration::from_secs(30),
            quarantine_max: Duration::from_secs(15 * 60),
            quarantine_jitter: 0.1,
            probation: 3,
            forgive_after: 10,
            evict_after: 5,
            quarantine_share: 1.0 / 3.0,
            damping_min: Duration::from_millis(250),
            damping_max: Duration::from_secs(2),
            busy_min: Duration::from_secs(60),
            busy_max: Duration::from_secs(15 * 60),
            prefetch: 1,
            prefetch_below: Duration::from_millis(1),
            open_max: 4_000_000,
        }
    }
}

/// A number that cannot be meant. Says which and what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The field's name.
    pub field: &'static str,
    /// What it has to be.
    pub wanted: &'static str,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.wanted)
    }
}

impl std::error::Error for PolicyError {}

impl Policy {
    /// Whether every number can be meant.
    ///
    /// # Errors
    /// The first one that cannot.
    pub fn check(&self) -> Result<(), PolicyError> {
        let fail = |field, wanted| Err(PolicyError { field, wanted });
        for (field, value) in [
            ("attempts", self.attempts),
            ("quarantine-after", self.quarantine_after),
            ("probation", self.probation),
            ("forgive-after", self.forgive_after),
            ("evict-after", self.evict_after),
        ] {
            if value == 0 {
                return fail(field, "at least 1");
            }
        }
        if self.open_max == 0 {
            return fail("open-max", "at least 1");
        }
        for (field, min, max) in [
            ("backoff", self.backoff_min, self.backoff_max),
            ("quarantine", self.quarantine_min, self.quarantine_max),
            ("damping", self.damping_min, self.damping_max),
            ("busy", self.busy_min, self.busy_max),
        ] {
            if min > max {
                return fail(field, "a range from the shorter to the longer");
            }
        }
        if !(0.0..=1.0).contains(&self.quarantine_share) {
            return fail("quarantine-share", "between 0 and 1");
        }
        if !(0.0..=0.5).contains(&self.quarantine_jitter) {
            return fail("quarantine-jitter", "between 0 and 0.5");
        }
        Ok(())
    }
}
