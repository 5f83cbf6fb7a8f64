//! The numbers that the scheduler goes by, each with its source.

use std::{fmt, time::Duration};

/// Which workers are taken out for failing. Explicit faults count under each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Those that failed what others could do: see `rules/verdict.rs`.
    Deferred,
    /// Those that fail so many times in a row, whatever becomes of the actions, as most systems do. For comparisons.
    InARow {
        /// How many. At least 1.
        failures: u32,
    },
    /// None. For comparisons.
    NoWorker,
}

/// What can be tuned. [`Policy::default`] is what the command line uses unless told otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// How many attempts of an action may fail before it is given up. Default 0: as many as it takes that chance alone
    /// loses one action in 10,000, by the failure rate of its kind as it was learned so far (ln 1e-4 / ln rate), from
    /// `attempts_min` to `attempts_max`.
    pub attempts: u32,
    /// The fewest attempts that are given by themselves. At least 1. Default 4: that is right for one failure in ten,
    /// which is assumed before anything was seen.
    pub attempts_min: u32,
    /// The most attempts that are given by themselves. Default 8: a kind that needs more is not flaky but broken.
    pub attempts_max: u32,
    /// How many retries the run has at first. When they are spent, what failed is tried again after fresh work and not
    /// before it. Default 20 (as finagle's and Envoy's retry budgets: a constant part and a share).
    pub retries: u32,
    /// How many retries each success brings back, up to `retries`. Default 0.1.
    pub retries_earned: f64,
    /// Which workers are taken out for failing. Default [`Blame::Deferred`].
    pub blame: Blame,
    /// From which score on a worker is quarantined for failing; the score is how much likelier it is a bad one than one
    /// as flaky as all, as a logarithm. Above 0. Default 7.6 = ln 2000. It rises with the verdicts of a run, see
    /// [`Scheduler::quarantine_score`](crate::Scheduler::quarantine_score).
    pub quarantine_score: f64,
    /// How many attempts of an action may get lost, beside those that fail. Default 3, as NativeLink retries.
    pub losses: u32,
    /// The longest wait after the first time that every worker was tried; doubles each time. Default 1 s. The last
    /// attempt of an action is also no sooner than this after its first failure, if it has more than two; three times
    /// this while its service may be down, since nothing has worked in its pools meanwhile.
    pub backoff_min: Duration,
    /// The longest wait however often every worker was tried. Default 60 s. The wait is drawn evenly between zero and
    /// the longest ("full jitter"), so that retries do not arrive in waves.
    pub backoff_max: Duration,
    /// How long an action waits for a worker that it was not tried on while only others are free. Default 5 s.
    pub patience: Duration,
    /// How many failures in a row, from as many distinct actions and with no verdict yet, make a worker suspect: it is
    /// given work slowly until there are verdicts. At least 1. Default 3: fewer would slow down workers that are merely
    /// flaky, more let a black hole eat many actions before it is known as one. It takes more where the other workers
    /// are so flaky that chance explains so many more often than once in 1,000 times.
    pub suspect_after: u32,
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
    /// After how long without any success in a pool, with enough failures, it is only probed. Default 10 s: long enough
    /// for a row of bad actions to be known as such.
    pub systemic_after: Duration,
    /// How long such a pool is left alone between two probes. Default 10 s.
    pub probe_every: Duration,
    /// Which part of a pool may be in quarantine for failing, 0 to 1; at least one worker always may, and the last
    /// usable worker never. Default one third.
    pub quarantine_share: f64,
    /// How long a suspect waits between two attempts while it is not known how long actions of the kind take; after
    /// that it is their mean duration, at least 1 ms. Doubles with each further failure, three times at most. While
    /// most of the pool fails it is another time: see `rules/outage.rs`. Default 250 ms.
    pub damping_min: Duration,
    /// The longest such wait. Default 2 s: a service that is down is not asked more often by each worker.
    pub damping_max: Duration,
    /// How long a worker rests after an attempt for which the host had not enough of something; doubles each further
    /// time in a row. Default 10 ms: short beside what starting an instance or a program takes, and long for a loop.
    pub host_min: Duration,
    /// The longest such rest. Default 1 s: what a shortage that has passed costs at most.
    pub host_max: Duration,
    /// How long a worker whose declared quota is spent is left alone at first if it is busy without a hint for how
    /// long; doubles each time. Default 60 s.
    pub busy_min: Duration,
    /// The same of any other worker: its quota has room, or it has none. Default 1 s (the first wait of gRPC's
    /// connection backoff and of Google Cloud's truncated backoff).
    pub busy_open: Duration,
    /// The longest such wait. Default 15 min. A wait that the worker names itself is kept to whatever its length.
    pub busy_max: Duration,
    /// How many times in a row a worker may be busy though its own buckets have something to spend, before that counts
    /// as a failure. At least 1. Default 20.
    pub busy_row: u32,
    /// A worker that is busy so twice within this time is given half as much at once. Default 60 s.
    pub narrow_within: Duration,
    /// After how many successes it is given one more at once, up to its slots. At least 1. Default 10.
    pub widen_after: u32,
    /// How many attempts are handed to a worker beyond its slots while its attempts are short. Default 1.
    pub prefetch: u32,
    /// What counts as short for `prefetch`, by the running mean of the worker's attempts. Default 1 ms: a queue behind
    /// a longer attempt costs more than a turn of the driver saves.
    pub prefetch_below: Duration,
    /// From when on an attempt is never too short to be called slow. Default 250 ms.
    pub hedge_min: Duration,
    /// Which part of the attempts of a kind may be second ones beside slow ones, 0 to 1. Only actions that are
    /// idempotent get any, and only while nothing waits. Default 0.05; 0: none.
    pub hedge: f64,
    /// How many different things workers with owners may say of an action before it is given up. At least 2. Default 5.
    pub votes_max: u32,
    /// How many results in a row others have to confirm before the results of a worker with an owner are only checked
    /// by chance. Default 10 (BOINC's adaptive replication). `u32::MAX`: every result has to be confirmed.
    pub trusted_after: u32,
    /// The least part of its results that is checked then, 0 to 1; it is 1 of as many as were confirmed, until that is
    /// less. Default 0.02.
    pub check_min: f64,
    /// From how many open actions on [`Scheduler::is_full`](crate::Scheduler::is_full) says so. At least 1. Default
    /// 4,000,000: at about 200 bytes each the scheduler's own part stays below 1 GB.
    pub open_max: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 0,
            attempts_min: 4,
            attempts_max: 8,
            retries: 20,
            retries_earned: 0.1,
            blame: Blame::Deferred,
            quarantine_score: 7.6,
            losses: 3,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            suspect_after: 3,
            quarantine_min: Duration::from_secs(30),
            quarantine_max: Duration::from_secs(15 * 60),
            quarantine_jitter: 0.1,
            probation: 3,
            forgive_after: 10,
            evict_after: 5,
            systemic_after: Duration::from_secs(10),
            probe_every: Duration::from_secs(10),
            quarantine_share: 1.0 / 3.0,
            damping_min: Duration::from_millis(250),
            damping_max: Duration::from_secs(2),
            host_min: Duration::from_millis(10),
            host_max: Duration::from_secs(1),
            busy_min: Duration::from_secs(60),
            busy_open: Duration::from_secs(1),
            busy_max: Duration::from_secs(15 * 60),
            busy_row: 20,
            narrow_within: Duration::from_secs(60),
            widen_after: 10,
            prefetch: 1,
            prefetch_below: Duration::from_millis(1),
            hedge_min: Duration::from_millis(250),
            hedge: 0.05,
            votes_max: 5,
            trusted_after: 10,
            check_min: 0.02,
            open_max: 4_000_000,
        }
    }
}

/// An invalid number: which, and what it may be.
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
    /// Whether every number is valid.
    ///
    /// # Errors
    /// The first number that is not.
    pub fn check(&self) -> Result<(), PolicyError> {
        let fail = |field, wanted| Err(PolicyError { field, wanted });
        for (field, value) in [
            ("attempts-min", self.attempts_min),
            ("suspect-after", self.suspect_after),
            ("probation", self.probation),
            ("forgive-after", self.forgive_after),
            ("evict-after", self.evict_after),
            ("busy-row", self.busy_row),
            ("widen-after", self.widen_after),
        ] {
            if value == 0 {
                return fail(field, "at least 1");
            }
        }
        if self.votes_max < 2 {
            return fail("votes-max", "at least 2");
        }
        if !(0.0..=1.0).contains(&self.check_min) {
            return fail("check-min", "between 0 and 1");
        }
        if self.open_max == 0 {
            return fail("open-max", "at least 1");
        }
        if self.attempts_max < self.attempts_min {
            return fail("attempts-max", "at least attempts-min");
        }
        if matches!(self.blame, Blame::InARow { failures: 0 }) {
            return fail("blame", "at least 1 failure in a row");
        }
        if !(self.quarantine_score > 0.0 && self.quarantine_score.is_finite()) {
            return fail("quarantine-score", "above 0");
        }
        if !(0.0..=1.0).contains(&self.retries_earned) {
            return fail("retries-earned", "between 0 and 1");
        }
        for (field, min, max) in [
            ("backoff", self.backoff_min, self.backoff_max),
            ("quarantine", self.quarantine_min, self.quarantine_max),
            ("damping", self.damping_min, self.damping_max),
            ("host", self.host_min, self.host_max),
            ("busy", self.busy_min, self.busy_max),
            ("busy-open", self.busy_open, self.busy_max),
        ] {
            if min > max {
                return fail(field, "a range from the shorter to the longer");
            }
        }
        if !(0.0..=1.0).contains(&self.quarantine_share) {
            return fail("quarantine-share", "between 0 and 1");
        }
        if !(0.0..=1.0).contains(&self.hedge) {
            return fail("hedge", "between 0 and 1");
        }
        if !(0.0..=0.5).contains(&self.quarantine_jitter) {
            return fail("quarantine-jitter", "between 0 and 0.5");
        }
        Ok(())
    }
}
