//! What was seen of a worker with actions of one kind.

use std::time::Duration;

use crate::{
    ids::{ActionId, Kx},
    model::failure_log::FailureLog,
    moment::Moment,
    rng::doubled,
};

/// What was seen of a worker with actions of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Skill {
    kx: Kx,
    log: FailureLog,
    /// Successes since it was last barred.
    successes: u32,
    consecutive_failures: u32,
    /// How often it was barred, less one for each time that it proved itself.
    round: u32,
    /// Until when it is barred; [`Moment::NEVER`]: it is not.
    until: Moment,
    /// Whether it was barred and has not proved itself.
    on_trial: bool,
}

impl Skill {
    pub(crate) fn new(kx: Kx) -> Self {
        Self {
            kx,
            log: FailureLog::default(),
            successes: 0,
            consecutive_failures: 0,
            round: 0,
            until: Moment::NEVER,
            on_trial: false,
        }
    }

    pub(crate) fn kx(&self) -> Kx {
        self.kx
    }

    /// Until when the worker is barred from the kind. None: it is not.
    pub(crate) fn barred_until(&self) -> Option<Moment> {
        (self.until != Moment::NEVER).then_some(self.until)
    }

    /// Records a success. `relief`: what it adds to the score. `probation`: how many of them prove the worker.
    pub(crate) fn note_success(&mut self, relief: f64, probation: u32) {
        self.successes = self.successes.saturating_add(1);
        self.consecutive_failures = 0;
        self.log.note_success(relief);
        if self.on_trial && self.successes >= probation {
            self.on_trial = false;
            self.round = self.round.saturating_sub(1);
        }
    }

    /// Records a failure without a verdict.
    pub(crate) fn note_failure(&mut self, action: ActionId, at: Moment) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.log.note_failure(action, Some(self.kx), at);
    }

    /// Records a verdict against the worker. Whether it is bad at the kind.
    pub(crate) fn convict(&mut self, action: ActionId, guilt: f64, relief: f64, enough: f64) -> bool {
        self.log.convict(action, guilt, relief);
        self.log.score() >= enough || self.on_trial && guilt > 0.0
    }

    /// Forgets the failures of an action that was at fault.
    pub(crate) fn acquit(&mut self, action: ActionId, relief: f64) {
        self.log.acquit(action, relief);
    }

    /// Whether the worker is good at the kind.
    pub(crate) fn is_good(&self, enough: f64, probation: u32) -> bool {
        self.until == Moment::NEVER
            && self.consecutive_failures == 0
            && self.successes >= probation
            && self.log.score() < enough / 2.0
    }

    /// The worker is to be barred, for a time between these that is longer each time, and then to prove itself. For how
    /// long.
    pub(crate) fn begin_bar(&mut self, min: Duration, max: Duration) -> Duration {
        let length = doubled(min, self.round, max);
        self.round = self.round.saturating_add(1);
        self.log.clear();
        self.successes = 0;
        self.on_trial = true;
        length
    }

    /// Sets until when the worker is barred; [`Moment::NEVER`]: it is not. What it was before.
    pub(crate) fn set_until(&mut self, until: Moment) -> Moment {
        std::mem::replace(&mut self.until, until)
    }
}
