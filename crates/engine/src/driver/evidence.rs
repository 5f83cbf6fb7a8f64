//! The history that `explain` reads: failed attempts and changes of health.
//!
//! Nothing is kept of an action that succeeds at its first attempt. Failed attempts are in one ring, the newest of all workers;
//! workers and actions keep the numbers of theirs. What leaves the ring is forgotten everywhere.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use disperse_scheduler::{ActionId, AttemptId, Health, Moment, Outcome, TaskId, Verdict, WorkerId};
use rustc_hash::FxHashMap;

use disperse_protocol::{
    control::{FailureCause, MESSAGE_MAX, RunId},
    inbox::FailureClass,
};

/// How many failed attempts are kept in all. With their messages they take three megabytes at most.
const ATTEMPTS_MAX: usize = 8192;

/// How many changes of health are kept in all.
const CHANGES_MAX: usize = 8192;

/// How many failed attempts, and changes of health, each worker or action keeps at most.
const OWN_MAX: usize = 64;

/// One attempt that failed.
pub(super) struct FailedAttempt {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    pub(super) at: Moment,
    pub(super) took: Duration,
    pub(super) class: FailureClass,
    pub(super) cause: FailureCause,
    /// Once it is known.
    pub(super) verdict: Option<Verdict>,
}

/// One change of a worker's health; being busy, and no longer, is none.
pub(super) struct HealthChange {
    worker: WorkerId,
    pub(super) at: Moment,
    pub(super) health: Health,
}

/// An action with at least one failed attempt that is kept.
pub(super) struct ActionHistory {
    pub(super) task: TaskId,
    pub(super) kind: Arc<str>,
    /// Rising; never empty.
    attempts: VecDeque<u64>,
    /// The worker with the result, and at which attempt.
    pub(super) passed: Option<(WorkerId, u32)>,
    /// None: it is open.
    pub(super) outcome: Option<Outcome>,
}

/// The history of a worker.
#[derive(Default)]
struct WorkerHistory {
    since: Moment,
    busy: bool,
    attempts: VecDeque<u64>,
    changes: VecDeque<u64>,
    failed: u64,
}

/// The newest entries up to a number, numbered from zero in the order of arrival.
struct RingLog<T> {
    first: u64,
    entries: VecDeque<T>,
}

impl<T> RingLog<T> {
    const fn new() -> Self {
        Self {
            first: 0,
            entries: VecDeque::new(),
        }
    }

    /// Adds an entry; gives back its number, and the entry that left for it with its number.
    fn push(&mut self, entry: T, most: usize) -> (u64, Option<(u64, T)>) {
        let left = (self.entries.len() >= most).then(|| self.entries.pop_front()).flatten();
        let left = left.map(|left| {
            self.first += 1;
            (self.first - 1, left)
        });
        self.entries.push_back(entry);
        (self.first + self.entries.len() as u64 - 1, left)
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn get(&self, number: u64) -> Option<&T> {
        self.entries.get(self.place(number)?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number)?;
        self.entries.get_mut(place)
    }
}

/// The whole history.
pub(super) struct Evidence {
    pub(super) id: RunId,
    attempts: RingLog<FailedAttempt>,
    changes: RingLog<HealthChange>,
    /// Of workers with any.
    workers: FxHashMap<WorkerId, WorkerHistory>,
    histories: FxHashMap<ActionId, ActionHistory>,
}

impl Evidence {
    pub(super) fn new(id: RunId) -> Self {
        Self {
            id,
            attempts: RingLog::new(),
            changes: RingLog::new(),
            workers: FxHashMap::default(),
            histories: FxHashMap::default(),
        }
    }

    /// Sets the verdict on the failures of a worker at an action, at this attempt and before.
    pub(super) fn judged(&mut self, attempt: AttemptId, worker: WorkerId, verdict: Verdict) {
        let Some(history) = self.histories.get(&attempt.action) else {
            return;
        };
        for number in &history.attempts {
            if let Some(one) = self.attempts.get_mut(*number)
                && one.worker == worker
                && one.attempt.number <= attempt.number
                && matches!(
                    one.class,
                    FailureClass::Transient | FailureClass::Trap | FailureClass::Outvoted
                )
            {
                one.verdict.get_or_insert(verdict);
            }
        }
    }

    /// An attempt failed at an action of this task and kind.
    pub(super) fn failed(&mut self, task: TaskId, kind: &Arc<str>, mut one: FailedAttempt) {
        let (attempt, worker) = (one.attempt, one.worker);
        if let FailureCause::Message(message) = &mut one.cause {
            message.truncate(message.floor_char_boundary(MESSAGE_MAX));
        }
        let (number, left) = self.attempts.push(one, ATTEMPTS_MAX);
        if let Some((number, left)) = left {
            self.forget(number, &left);
        }
        let record = self.workers.entry(worker).or_default();
        record.failed += 1;
        push(&mut record.attempts, number);
        let history = self.histories.entry(attempt.action).or_insert_with(|| ActionHistory {
            task,
            kind: kind.clone(),
            attempts: VecDeque::new(),
            passed: None,
            outcome: None,
        });
        push(&mut history.attempts, number);
    }

    fn forget(&mut self, number: u64, left: &FailedAttempt) {
        if let Some(record) = self.workers.get_mut(&left.worker)
            && record.attempts.front() == Some(&number)
        {
            record.attempts.pop_front();
        }
        let Some(history) = self.histories.get_mut(&left.attempt.action) else {
            return;
        };
        if history.attempts.front() == Some(&number) {
            history.attempts.pop_front();
        }
        if history.attempts.is_empty() {
            self.histories.remove(&left.attempt.action);
        }
    }

    /// An attempt has a result. Costs nothing if it was the first of its action.
    pub(super) fn passed(&mut self, attempt: AttemptId, worker: WorkerId) {
        if attempt.number > 1
            && let Some(history) = self.histories.get_mut(&attempt.action)
        {
            history.passed = Some((worker, attempt.number));
        }
    }

    /// An action that had failures is settled.
    pub(super) fn settled(&mut self, action: ActionId, outcome: Outcome) {
        if let Some(history) = self.histories.get_mut(&action) {
            history.outcome = Some(outcome);
        }
    }

    /// The health of a worker has changed.
    pub(super) fn health_changed(&mut self, worker: WorkerId, health: Health, now: Moment) {
        let record = self.workers.entry(worker).or_default();
        record.since = now;
        let is_busy = matches!(health, Health::Busy { .. });
        if std::mem::replace(&mut record.busy, is_busy) || is_busy {
            return;
        }
        let change = HealthChange {
            worker,
            at: now,
            health,
        };
        let (number, left) = self.changes.push(change, CHANGES_MAX);
        push(&mut record.changes, number);
        if let Some((number, left)) = left
            && let Some(record) = self.workers.get_mut(&left.worker)
            && record.changes.front() == Some(&number)
        {
            record.changes.pop_front();
        }
    }

    /// Since when a worker has its present health.
    pub(super) fn since(&self, worker: WorkerId) -> Moment {
        self.workers.get(&worker).map_or(Moment::START, |record| record.since)
    }

    /// How many attempts failed on a worker, also those that are not kept any more.
    pub(super) fn failures(&self, worker: WorkerId) -> u64 {
        self.workers.get(&worker).map_or(0, |record| record.failed)
    }

    /// The failed attempts of a worker, oldest first, with the histories of their actions.
    pub(super) fn failures_of(
        &self,
        worker: WorkerId,
    ) -> impl Iterator<Item = (&FailedAttempt, Option<&ActionHistory>)> {
        let attempts = self.workers.get(&worker).map(|record| record.attempts.iter());
        attempts
            .into_iter()
            .flatten()
            .filter_map(|number| self.attempts.get(*number))
            .map(|one| (one, self.histories.get(&one.attempt.action)))
    }

    /// How a worker's health changed, oldest first.
    pub(super) fn changes(&self, worker: WorkerId) -> impl Iterator<Item = &HealthChange> {
        let changes = self.workers.get(&worker).map(|record| record.changes.iter());
        changes
            .into_iter()
            .flatten()
            .filter_map(|number| self.changes.get(*number))
    }

    pub(super) fn history(&self, action: ActionId) -> Option<&ActionHistory> {
        self.histories.get(&action)
    }

    /// The failed attempts of an action, oldest first.
    pub(super) fn attempts<'a>(&'a self, history: &'a ActionHistory) -> impl Iterator<Item = &'a FailedAttempt> {
        history.attempts.iter().filter_map(|number| self.attempts.get(*number))
    }

    /// The actions that have a history, the oldest first.
    pub(super) fn actions(&self) -> Vec<ActionId> {
        let mut actions: Vec<_> = self.histories.keys().copied().collect();
        actions.sort_unstable();
        actions
    }
}

/// The newest so many.
fn push(numbers: &mut VecDeque<u64>, number: u64) {
    if numbers.len() >= OWN_MAX {
        numbers.pop_front();
    }
    numbers.push_back(number);
}

#[cfg(test)]
mod tests {
    use disperse_scheduler::Reason;

    use super::*;

    const BAD: WorkerId = WorkerId(0);
    const QUIET: WorkerId = WorkerId(1);

    fn evidence() -> Evidence {
        Evidence::new(RunId::new())
    }

    fn fail(evidence: &mut Evidence, action: u64, number: u32, worker: WorkerId) {
        let one = FailedAttempt {
            attempt: AttemptId {
                action: ActionId(action),
                number,
            },
            worker,
            at: Moment::START,
            took: Duration::ZERO,
            class: FailureClass::Trap,
            cause: FailureCause::Message("ü".repeat(1000)),
            verdict: None,
        };
        evidence.failed(TaskId(1), &"k".into(), one);
    }

    #[test]
    fn history_is_bounded_and_forgotten_everywhere() {
        let mut evidence = evidence();
        fail(&mut evidence, 1, 1, QUIET);
        for action in 2..3 * ATTEMPTS_MAX as u64 {
            fail(&mut evidence, action, 1, BAD);
            evidence.settled(ActionId(action), Outcome::Failed(Reason::Exhausted));
            evidence.health_changed(BAD, Health::Suspect, Moment::START);
        }
        assert_eq!(evidence.attempts.entries.len(), ATTEMPTS_MAX);
        assert_eq!(evidence.histories.len(), ATTEMPTS_MAX);
        assert_eq!(evidence.changes.entries.len(), CHANGES_MAX);
        assert_eq!(
            (evidence.failures_of(BAD).count(), evidence.changes(BAD).count()),
            (OWN_MAX, OWN_MAX)
        );
        assert_eq!((evidence.failures_of(QUIET).count(), evidence.failures(QUIET)), (0, 1));
        assert!(evidence.history(ActionId(1)).is_none());
        let (newest, history) = evidence.failures_of(BAD).last().unwrap();
        assert_eq!(newest.attempt.action, ActionId(3 * ATTEMPTS_MAX as u64 - 1));
        assert_eq!(newest.cause, FailureCause::Message("ü".repeat(MESSAGE_MAX / 2)));
        assert_eq!(history.unwrap().outcome, Some(Outcome::Failed(Reason::Exhausted)));
    }

    #[test]
    fn history_of_one_action_is_bounded() {
        let mut evidence = evidence();
        for number in 1..3 * ATTEMPTS_MAX as u32 {
            fail(&mut evidence, 1, number, BAD);
        }
        let history = evidence.history(ActionId(1)).unwrap();
        assert_eq!(evidence.attempts(history).count(), OWN_MAX);
    }

    #[test]
    fn being_busy_is_not_in_the_history() {
        let mut evidence = evidence();
        let until = Moment::from_millis(9);
        for health in [
            Health::Busy { until },
            Health::Healthy,
            Health::Suspect,
            Health::Busy { until },
        ] {
            evidence.health_changed(BAD, health, until);
        }
        let changes: Vec<_> = evidence.changes(BAD).map(|change| change.health).collect();
        assert_eq!(changes, [Health::Suspect]);
        assert_eq!(evidence.since(BAD), until);
    }
}
