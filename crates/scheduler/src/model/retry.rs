//! What an action remembers of its attempts.

use crate::{
    ids::Wx,
    model::{accusation::Accused, busy::BusyReplies, votes::Vote},
    moment::Moment,
    policy::Policy,
};

/// Where an action failed or got lost.
#[derive(Debug, Default)]
pub(crate) struct RetryHistory {
    /// The least recent first, each once.
    failed_on: Vec<Wx>,
    /// How many of the last of them count for this round.
    tried: usize,
    /// How many times every worker had been tried.
    rounds: u32,
    /// The workers that failed it and have no verdict. Each once.
    pub(crate) accused: Vec<Accused>,
    /// When it first failed, if it did.
    pub(crate) first_failed: Option<Moment>,
    /// Workers that failed lately and did not get its last attempt: see `rules/shun.rs`.
    pub(crate) shunned: Vec<Wx>,
    /// Whether an attempt was given back once because a worker was taken out.
    pub(crate) revived: bool,
    /// One of its failures says more than that something is away: see `rules/place.rs`.
    pub(crate) has_trapped: bool,
    /// The number of the last row of failures of its pool in which it failed.
    pub(crate) last_streak: Option<u32>,
    /// It failed in one before that: see `rules/outage.rs`.
    pub(crate) fails_again: bool,
    /// Whether it once rested in full: see `rules/rest.rs`.
    pub(crate) has_rested: bool,
    /// Until when its rest may go on that is cut short.
    pub(crate) rests_until: Option<Moment>,
    /// Whether it has no attempt left and only waits for that.
    pub(crate) awaiting_verdict: bool,
    /// Whether it got lost and is tried alone.
    pub(crate) solo: bool,
    /// The votes of workers with an owner: one for each owner.
    pub(crate) votes: Vec<Vote>,
    /// Where it got lost though it was alone.
    pub(crate) lost_alone: Option<Wx>,
    /// Which workers were busy with it.
    pub(crate) busy_replies: BusyReplies,
}

/// Which workers a waiting action avoids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    /// All that failed it: an untried one is usable.
    Tried,
    /// All that failed it except this one, whose turn it is.
    AllBut(Wx),
    /// Only the last that failed it: it has waited long enough.
    Last,
    /// None.
    None,
}

impl RetryHistory {
    /// Remembers that the action failed or got lost on a worker.
    pub(crate) fn remember(&mut self, wx: Wx) {
        match self.failed_on.iter().position(|failed| *failed == wx) {
            Some(index) => {
                // One of an earlier round that failed again, out of its turn, belongs to this one now.
                if index < self.failed_on.len() - self.tried {
                    self.tried += 1;
                }
                self.failed_on.remove(index);
            }
            None => self.tried += 1,
        }
        self.failed_on.push(wx);
    }

    /// The workers on which it failed or got lost, the least recent first, each once.
    pub(crate) fn failed_on(&self) -> &[Wx] {
        &self.failed_on
    }

    /// The first of those that is usable and whose turn of this round has not been.
    pub(crate) fn next_turn(&self, is_usable: impl Fn(&Wx) -> bool) -> Option<Wx> {
        let earlier = self.failed_on.len() - self.tried;
        self.failed_on.iter().take(earlier).copied().find(|wx| is_usable(wx))
    }

    /// Every usable worker was tried: a new round begins. How many there were before.
    pub(crate) fn begin_round(&mut self) -> u32 {
        self.tried = 0;
        let before = self.rounds;
        self.rounds = before.saturating_add(1);
        before
    }

    /// Drops the workers that never come back.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(Wx) -> bool) {
        let earlier = self.failed_on.len() - self.tried;
        let mut index = 0;
        let mut tried = self.tried;
        self.failed_on.retain(|wx| {
            let gone = is_gone(*wx);
            tried -= usize::from(gone && index >= earlier);
            index += 1;
            !gone
        });
        self.tried = tried;
    }

    /// Whether it may go to every worker.
    pub(crate) fn avoids_none(&self) -> bool {
        self.failed_on.is_empty() && self.votes.is_empty()
    }

    /// The workers that this bar bars: rising, each once.
    pub(crate) fn avoid(&self, bar: Exclusion) -> Vec<Wx> {
        let failed_on = self.failed_on.iter().copied();
        let mut avoid: Vec<Wx> = match bar {
            Exclusion::Tried => failed_on.chain(self.shunned.iter().copied()).collect(),
            Exclusion::AllBut(turn) => failed_on
                .filter(|wx| *wx != turn)
                .chain(self.shunned.iter().copied())
                .collect(),
            Exclusion::Last => self.failed_on.last().copied().into_iter().collect(),
            Exclusion::None => Vec::new(),
        };
        avoid.sort_unstable();
        avoid.dedup();
        avoid
    }
}

/// How many retries of the run may go before fresh work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryBudget {
    left: f64,
    most: f64,
    /// What a success adds.
    earned: f64,
}

impl RetryBudget {
    pub(crate) fn new(policy: &Policy) -> Self {
        let most = f64::from(policy.retries);
        Self {
            left: most,
            most,
            earned: policy.retries_earned,
        }
    }

    /// Takes one retry. False: the budget is spent, and the retry goes behind fresh work.
    pub(crate) fn take(&mut self) -> bool {
        let has_one = self.left >= 1.0;
        if has_one {
            self.left -= 1.0;
        }
        has_one
    }

    /// A success earns a part of a retry.
    #[inline]
    pub(crate) fn earn(&mut self) {
        self.left = (self.left + self.earned).min(self.most);
    }
}
