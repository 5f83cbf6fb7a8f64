//! Busy replies, as an action and as a worker remember them.

use std::time::Duration;

use crate::{
    ids::{ActionId, Wx},
    moment::Moment,
    policy::Policy,
    rng::doubled,
};

/// From how many busy replies on an action rests itself, and a worker is tried with other work. Two is the least that
/// tells more of the action than of a worker.
const SEVERAL: u32 = 2;

/// How many times the replies that it takes to try a worker with other work can double. Arbitrary: at most 16 replies
/// for one action.
const REFUTED_MAX: u32 = 3;

/// Busy replies to one action, from workers whose own buckets had room.
#[derive(Debug, Default)]
pub(crate) struct BusyReplies {
    /// The workers that gave them, each once.
    workers: Vec<Wx>,
    /// How many since a worker was last tried with other work.
    replies: u32,
    /// The limit is the action's.
    own_limit: bool,
    /// Replies in a row since that is known, or since they last counted as a failure.
    consecutive: u32,
    /// The action stands behind fresh work for a while.
    deferred: bool,
}

impl BusyReplies {
    /// Records a reply. From now on the action stands behind fresh work.
    pub(crate) fn note(&mut self, wx: Wx) {
        self.deferred = true;
        if !self.workers.contains(&wx) {
            self.workers.push(wx);
        }
        self.replies = self.replies.saturating_add(1);
    }

    /// Whether they are enough for the action to rest.
    pub(crate) fn are_several(&self) -> bool {
        self.replies >= SEVERAL
    }

    /// Whether they are enough to try a worker with other work, after `refuted` such trials in a row that were in vain.
    pub(crate) fn call_for_trial(&self, refuted: u32) -> bool {
        self.replies >= SEVERAL << refuted.min(REFUTED_MAX)
    }

    /// A worker is tried with other work.
    pub(crate) fn begin_trial(&mut self) {
        self.replies = 0;
    }

    /// A trial has shown whose the limit is.
    pub(crate) fn end_trial(&mut self, own_limit: bool) {
        self.own_limit = own_limit;
    }

    /// Whether the limit is known to be the action's.
    pub(crate) fn has_own_limit(&self) -> bool {
        self.own_limit
    }

    /// Records a reply to an action that has a limit of its own: how long it rests if the worker did not say, and
    /// whether so many in a row count as a failure of the action.
    pub(crate) fn note_own_limit(&mut self, policy: &Policy) -> (Duration, bool) {
        let wait = doubled(policy.busy_open, self.consecutive, policy.busy_max);
        self.consecutive = self.consecutive.saturating_add(1);
        let has_failed = self.consecutive >= policy.busy_row;
        if has_failed {
            self.consecutive = 0;
        }
        (wait, has_failed)
    }

    /// Whether an action that rests does so for them.
    pub(crate) fn is_cause_of_rest(&self) -> bool {
        self.deferred || self.own_limit
    }

    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// The action stands where others do again. True: it was deferred.
    pub(crate) fn end_deferral(&mut self) -> bool {
        std::mem::take(&mut self.deferred)
    }

    /// The workers that gave them, each once.
    pub(crate) fn workers(&self) -> &[Wx] {
        &self.workers
    }
}

/// A worker that rested for one action is tried with other work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BusyTrial {
    /// What made it busy.
    pub(crate) action: ActionId,
    /// The number of the last dispatch before: attempts that were in flight then prove nothing.
    pub(crate) after: u64,
}

/// Busy replies of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct BusyRecord {
    /// Times in a row that it did not say for how long.
    without_hint: u32,
    /// The first of the waits in a row without a hint.
    first_wait: Duration,
    /// Times in a row that its quotas had room.
    with_quota: u32,
    /// When that was, the last time.
    last_with_quota: Option<Moment>,
    /// The action that it rests for, if it is busy because of that one alone.
    cause: Option<ActionId>,
    /// The trial that goes on.
    trial: Option<BusyTrial>,
    /// It succeeded since it was last busy.
    has_succeeded: bool,
}

impl BusyRecord {
    /// Records a reply though the worker's quotas had room: whether the one before was so soon that it is to be given
    /// less at once, and whether so many in a row count as a failure.
    pub(crate) fn note_with_quota(&mut self, now: Moment, policy: &Policy) -> (bool, bool) {
        let before = self.last_with_quota.replace(now);
        let is_soon = before.is_some_and(|before| now.since(before) <= policy.narrow_within);
        self.with_quota += 1;
        let has_failed = self.with_quota >= policy.busy_row;
        if has_failed {
            self.with_quota = 0;
        }
        (is_soon, has_failed)
    }

    /// An attempt has a result, confirmed or not.
    #[inline]
    pub(crate) fn note_success(&mut self) {
        self.with_quota = 0;
        self.has_succeeded = true;
    }

    /// A success counts: the next wait without a hint is the first again.
    #[inline]
    pub(crate) fn end_waits(&mut self) {
        self.without_hint = 0;
    }

    /// The action that the worker rests for alone.
    pub(crate) fn cause(&self) -> Option<ActionId> {
        self.cause
    }

    /// The worker rests because of an action. `is_resting`: it rests already. `is_spent_out`: one of its quotas is
    /// empty.
    pub(crate) fn rest_for(&mut self, action: ActionId, is_resting: bool, is_spent_out: bool) {
        self.cause = match self.cause {
            cause if is_resting => cause.filter(|cause| *cause == action),
            _ => (!is_spent_out).then_some(action),
        };
    }

    /// The next wait without a hint. `is_spent_out`: one of the worker's quotas is empty.
    pub(crate) fn next_wait(&mut self, is_spent_out: bool, policy: &Policy) -> Duration {
        if self.without_hint == 0 {
            // One that has no quota has none that could be spent.
            self.first_wait = match is_spent_out && !self.has_succeeded {
                true => policy.busy_min,
                false => policy.busy_open,
            };
        }
        let wait = doubled(self.first_wait, self.without_hint, policy.busy_max);
        self.without_hint = self.without_hint.saturating_add(1);
        wait
    }

    /// The reply is handled.
    pub(crate) fn end_reply(&mut self) {
        self.has_succeeded = false;
    }

    /// The worker rests no longer.
    pub(crate) fn wake(&mut self) {
        self.cause = None;
    }

    pub(crate) fn begin_trial(&mut self, trial: BusyTrial) {
        self.trial = Some(trial);
    }

    #[inline]
    pub(crate) fn trial(&self) -> Option<BusyTrial> {
        self.trial
    }

    pub(crate) fn end_trial(&mut self) {
        self.trial = None;
    }
}
