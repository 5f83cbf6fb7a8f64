//! What workers that nobody vouches for have said of an action, until somebody else says the same.
//!
//! Results are compared byte for byte, and between workers of one pool, which run the same component, the fuel that it took
//! as well: their clocks stand still and their luck is the action's, so that it can only differ if somebody lies.

use std::sync::Arc;

use bytes::Bytes;
use disperse_scheduler::{AttemptId, End, Outcome, PoolId, TaskId, WorkerId};

/// One result, and what it took.
#[derive(Debug)]
struct Said {
    attempt: AttemptId,
    worker: WorkerId,
    pool: PoolId,
    result: Bytes,
    fuel: u64,
}

/// Every result of an action that is not settled yet, the first first.
#[derive(Debug, Default)]
pub(super) struct Votes(Vec<Said>);

impl Votes {
    /// What they take in the host, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|said| said.result.len() + size_of::<Said>()).sum()
    }

    /// How many different results there are.
    pub(super) fn different(&self) -> usize {
        let all = self.0.iter().enumerate();
        all.filter(|(index, said)| self.find(said.pool, &said.result, said.fuel) == Some(*index))
            .count()
    }

    /// The first result that is the same.
    fn find(&self, pool: PoolId, result: &Bytes, fuel: u64) -> Option<usize> {
        self.0
            .iter()
            .position(|said| said.result == result && (said.pool != pool || said.fuel == fuel))
    }

    /// How it differed from the others, if it did.
    fn differs(&self, attempt: AttemptId, worker: WorkerId) -> Option<String> {
        let own = self
            .0
            .iter()
            .find(|said| (said.attempt, said.worker) == (attempt, worker))?;
        let other = self.0.iter().find(|said| {
            said.attempt != attempt && (said.result != own.result || (said.pool == own.pool && said.fuel != own.fuel))
        })?;
        let words = match own.result == other.result {
            true => format!("it took {} units of fuel for what takes {}", own.fuel, other.fuel),
            false => format!(
                "its result of {} bytes is not the one of {} bytes that others have",
                own.result.len(),
                other.result.len()
            ),
        };
        Some(words)
    }
}

/// What was said of an action that was settled otherwise.
pub(super) struct Lie {
    pub(super) task: TaskId,
    pub(super) kind: Arc<str>,
    pub(super) outcome: Outcome,
    /// How it differed.
    pub(super) message: String,
}

/// Who is whose.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    /// By number: the pool, and whether nobody vouches for the worker.
    workers: Vec<(PoolId, bool)>,
    /// What was said of the action that was settled last, and which one that was.
    settled: Option<(Votes, TaskId, Arc<str>, Outcome)>,
}

impl Strangers {
    pub(super) fn add_worker(&mut self, pool: PoolId, is_stranger: bool) {
        self.workers.push((pool, is_stranger));
    }

    /// What the result of an attempt is for the scheduler: a vote if nobody vouches for the worker, or for others that had
    /// one before. `votes` are those of its action.
    pub(super) fn end(
        &self,
        votes: &mut Option<Box<Votes>>,
        attempt: AttemptId,
        worker: WorkerId,
        result: &Bytes,
        fuel: u64,
    ) -> End {
        let Some((pool, is_stranger)) = self.workers.get(worker.0 as usize).copied() else {
            return End::Ok;
        };
        if !is_stranger && votes.is_none() {
            return End::Ok;
        }
        let votes = votes.get_or_insert_default();
        let found = votes.find(pool, result, fuel);
        let ballot = found.unwrap_or(votes.0.len());
        votes.0.push(Said {
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

    /// An action is settled: what was said of it is kept until it is known who is to blame, which follows at once.
    pub(super) fn settled(&mut self, votes: Votes, task: TaskId, kind: Arc<str>, outcome: Outcome) {
        self.settled = Some((votes, task, kind, outcome));
    }

    /// What was wrong with what a worker said of the action that was settled last. None: it said what others said.
    pub(super) fn lied(&self, attempt: AttemptId, worker: WorkerId) -> Option<Lie> {
        let (votes, task, kind, outcome) = self.settled.as_ref()?;
        Some(Lie {
            task: *task,
            kind: kind.clone(),
            outcome: *outcome,
            message: votes.differs(attempt, worker)?,
        })
    }
}
