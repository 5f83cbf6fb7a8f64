//! The results of untrusted workers, until another owner's worker confirms one.
//!
//! Results are compared byte for byte, and between workers of one pool, which run the same component, the fuel that they took
//! as well: their clocks stand still and their random seed is the action's, so that an honest worker uses the same.

use std::sync::Arc;

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, Outcome, PoolId, TaskId, WorkerId};

use disperse_protocol::inbox::Dissent;

/// One result, and the fuel for it.
#[derive(Debug)]
struct Ballot {
    attempt: AttemptId,
    worker: WorkerId,
    pool: PoolId,
    result: Bytes,
    fuel: u64,
}

/// The results of an action that is not settled yet, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Votes(Vec<Ballot>);

/// A worker whose attempt has a result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voter {
    pub(super) worker: WorkerId,
    pub(super) pool: PoolId,
    pub(super) is_untrusted: bool,
}

/// The end of an attempt with a result: a vote if the worker is untrusted, or if untrusted workers had a result before. `votes` are
/// those of its action.
pub(super) fn end(votes: &mut Option<Box<Votes>>, attempt: AttemptId, voter: Voter, result: &Bytes, fuel: u64) -> End {
    let Voter {
        worker,
        pool,
        is_untrusted,
    } = voter;
    if !is_untrusted && votes.is_none() {
        return End::Ok;
    }
    let votes = votes.get_or_insert_default();
    let found = votes.find(pool, result, fuel);
    let ballot = found.unwrap_or(votes.0.len());
    votes.0.push(Ballot {
        attempt,
        worker,
        pool,
        result: result.clone(),
        fuel,
    });
    End::Vote {
        ballot: u32::try_from(ballot).unwrap_or(u32::MAX),
    }
}

impl Votes {
    /// What they take in the host, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0
            .iter()
            .map(|ballot| ballot.result.len() + size_of::<Ballot>())
            .sum()
    }

    /// How many different results there are.
    pub(super) fn different(&self) -> usize {
        let all = self.0.iter().enumerate();
        all.filter(|(index, ballot)| self.find(ballot.pool, &ballot.result, ballot.fuel) == Some(*index))
            .count()
    }

    /// The first result that is the same.
    fn find(&self, pool: PoolId, result: &Bytes, fuel: u64) -> Option<usize> {
        self.0
            .iter()
            .position(|ballot| ballot.result == result && (ballot.pool != pool || ballot.fuel == fuel))
    }

    /// How the result of an attempt differed from the others, if it did.
    fn differs(&self, attempt: AttemptId, worker: WorkerId) -> Option<Dissent> {
        let is_own = |ballot: &&Ballot| (ballot.attempt, ballot.worker) == (attempt, worker);
        let own = self.0.iter().find(is_own)?;
        let other = self.0.iter().find(|ballot| {
            ballot.attempt != attempt
                && (ballot.result != own.result || (ballot.pool == own.pool && ballot.fuel != own.fuel))
        })?;
        Some(match own.result == other.result {
            true => Dissent::Fuel {
                own: own.fuel,
                others: other.fuel,
            },
            false => Dissent::Result {
                own: own.result.len() as u64,
                others: other.result.len() as u64,
            },
        })
    }
}

/// A result that was not accepted.
pub(super) struct Outvoted {
    pub(super) task: TaskId,
    pub(super) kind: Arc<str>,
    pub(super) outcome: Outcome,
    /// How it differed.
    pub(super) dissent: Dissent,
}

/// The votes of the last settled action.
#[derive(Debug, Default)]
pub(super) struct QuorumVotes {
    settled: Option<(Votes, TaskId, Arc<str>, Outcome)>,
}

impl QuorumVotes {
    /// An action is settled: its votes are kept until the verdicts on its attempts, which follow at once.
    pub(super) fn settled(&mut self, votes: Votes, task: TaskId, kind: Arc<str>, outcome: Outcome) {
        self.settled = Some((votes, task, kind, outcome));
    }

    /// How the result of an attempt at the action that was settled last was not accepted. None: it agreed with the others.
    pub(super) fn outvoted(&self, attempt: AttemptId, worker: WorkerId) -> Option<Outvoted> {
        let (votes, task, kind, outcome) = self.settled.as_ref()?;
        Some(Outvoted {
            task: *task,
            kind: kind.clone(),
            outcome: *outcome,
            dissent: votes.differs(attempt, worker)?,
        })
    }
}
