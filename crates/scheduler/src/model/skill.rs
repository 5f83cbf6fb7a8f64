use crate::ids::Kx;
use crate::model::record::PastFailure;
use crate::moment::Moment;
use std::collections::VecDeque;

/// What was seen of a worker with actions of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Skill {
    pub(crate) kx: Kx,
    /// Its last failures, the oldest first.
    pub(crate) past_failures: VecDeque<PastFailure>,
    /// Its successes since the last of them.
    pub(crate) successes_since_failure: u32,
    /// As [`Record::score`](crate::worker::Record), for this kind.
    pub(crate) score: f64,
    /// Its successes since it was last barred.
    pub(crate) successes: u32,
    /// Its failures since its last success.
    pub(crate) consecutive_failures: u32,
    /// How often it was barred, less one for each time that it proved itself.
    pub(crate) round: u32,
    /// Until when it is barred; [`Moment::NEVER`]: it is not.
    pub(crate) until: Moment,
    /// Whether it was barred and has not proved itself.
    pub(crate) on_trial: bool,
}

impl Skill {
    pub(crate) fn new(kx: Kx) -> Self {
        Self {
            kx,
            past_failures: VecDeque::new(),
            successes_since_failure: 0,
            score: 0.0,
            successes: 0,
            consecutive_failures: 0,
            round: 0,
            until: Moment::NEVER,
            on_trial: false,
        }
    }
}
