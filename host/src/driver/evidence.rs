//! What is kept of failures, so that a run can say why it thinks of a worker what it thinks.
//!
//! Nothing is kept of an action that goes well at its first attempt. Failed attempts are in one line, the newest so many of
//! all workers; workers and actions know which of them are theirs. What leaves the line is forgotten everywhere.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use disperse_scheduler::{ActionId, AttemptId, Class, Health, Moment, Outcome, TaskId, Verdict, WorkerId};
use rustc_hash::FxHashMap;

use crate::control::{MESSAGE_MAX, RunId};

/// How many failed attempts are kept in all. With their messages they take three megabytes at most.
const TRIES_MAX: usize = 8192;

/// How many changes of health are kept in all.
const TURNS_MAX: usize = 8192;

/// How many failed attempts, and changes of health, each worker is answered for at most.
const OWN_MAX: usize = 64;

/// One attempt that failed.
pub(super) struct Try {
    pub(super) attempt: AttemptId,
    pub(super) worker: WorkerId,
    pub(super) at: Moment,
    pub(super) took: Duration,
    pub(super) class: Class,
    pub(super) message: String,
    /// Whose fault it was, once that is known.
    pub(super) verdict: Option<Verdict>,
}

/// One change of a worker's health that says something of it. That it is busy, or no longer, does not.
pub(super) struct Turn {
    worker: WorkerId,
    pub(super) at: Moment,
    pub(super) health: Health,
}

/// An action with at least one failed attempt that is kept.
pub(super) struct Case {
    pub(super) task: TaskId,
    pub(super) kind: Arc<str>,
    /// Rising; never empty.
    tries: VecDeque<u64>,
    /// Who had the result, and at which attempt.
    pub(super) passed: Option<(WorkerId, u32)>,
    /// None: it is open.
    pub(super) outcome: Option<Outcome>,
}

/// What is kept of a worker.
#[derive(Default)]
struct Record {
    since: Moment,
    busy: bool,
    tries: VecDeque<u64>,
    turns: VecDeque<u64>,
    failed: u64,
}

/// The newest so many things, numbered from zero in the order of coming.
struct Line<T> {
    first: u64,
    things: VecDeque<T>,
}

impl<T> Line<T> {
    const fn new() -> Self {
        Self {
            first: 0,
            things: VecDeque::new(),
        }
    }

    /// Puts one in; gives back its number and what had to leave for it, with its number.
    fn push(&mut self, thing: T, most: usize) -> (u64, Option<(u64, T)>) {
        let left = (self.things.len() >= most).then(|| self.things.pop_front()).flatten();
        let left = left.map(|left| {
            self.first += 1;
            (self.first - 1, left)
        });
        self.things.push_back(thing);
        (self.first + self.things.len() as u64 - 1, left)
    }

    fn place(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
    }

    fn get(&self, number: u64) -> Option<&T> {
        self.things.get(self.place(number)?)
    }

    fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let place = self.place(number)?;
        self.things.get_mut(place)
    }
}

/// All that is kept.
pub(super) struct Evidence {
    pub(super) id: RunId,
    tries: Line<Try>,
    turns: Line<Turn>,
    workers: Vec<Record>,
    cases: FxHashMap<ActionId, Case>,
}

impl Evidence {
    pub(super) fn new(id: RunId) -> Self {
        Self {
            id,
            tries: Line::new(),
            turns: Line::new(),
            workers: Vec::new(),
            cases: FxHashMap::default(),
        }
    }

    pub(super) fn add_worker(&mut self) {
        self.workers.push(Record::default());
    }

    /// It is known whose fault it was that an action failed on a worker, at this attempt and before.
    pub(super) fn judged(&mut self, attempt: AttemptId, worker: WorkerId, verdict: Verdict) {
        let Some(case) = self.cases.get(&attempt.action) else {
            return;
        };
        for number in &case.tries {
            if let Some(one) = self.tries.get_mut(*number)
                && one.worker == worker
                && one.attempt.number <= attempt.number
                && matches!(one.class, Class::Transient | Class::Trap | Class::Ok)
            {
                one.verdict.get_or_insert(verdict);
            }
        }
    }

    /// An attempt failed at an action of this task and kind.
    pub(super) fn failed(&mut self, task: TaskId, kind: &Arc<str>, mut one: Try) {
        let (attempt, worker) = (one.attempt, one.worker);
        let cut = one.message.floor_char_boundary(MESSAGE_MAX);
        one.message.truncate(cut);
        let (number, left) = self.tries.push(one, TRIES_MAX);
        if let Some((number, left)) = left {
            self.forget(number, &left);
        }
        if let Some(record) = self.workers.get_mut(worker.0 as usize) {
            record.failed += 1;
            push(&mut record.tries, number);
        }
        let case = self.cases.entry(attempt.action).or_insert_with(|| Case {
            task,
            kind: kind.clone(),
            tries: VecDeque::new(),
            passed: None,
            outcome: None,
        });
        push(&mut case.tries, number);
    }

    fn forget(&mut self, number: u64, left: &Try) {
        if let Some(record) = self.workers.get_mut(left.worker.0 as usize)
            && record.tries.front() == Some(&number)
        {
            record.tries.pop_front();
        }
        let Some(case) = self.cases.get_mut(&left.attempt.action) else {
            return;
        };
        if case.tries.front() == Some(&number) {
            case.tries.pop_front();
        }
        if case.tries.is_empty() {
            self.cases.remove(&left.attempt.action);
        }
    }

    /// An attempt has a result. Costs nothing if it was the first of its action.
    pub(super) fn passed(&mut self, attempt: AttemptId, worker: WorkerId) {
        if attempt.number > 1
            && let Some(case) = self.cases.get_mut(&attempt.action)
        {
            case.passed = Some((worker, attempt.number));
        }
    }

    /// An action that had failures is settled.
    pub(super) fn settled(&mut self, action: ActionId, outcome: Outcome) {
        if let Some(case) = self.cases.get_mut(&action) {
            case.outcome = Some(outcome);
        }
    }

    /// A worker is thought of differently.
    pub(super) fn turned(&mut self, worker: WorkerId, health: Health, now: Moment) {
        let Some(record) = self.workers.get_mut(worker.0 as usize) else {
            return;
        };
        record.since = now;
        let is_busy = matches!(health, Health::Busy { .. });
        if std::mem::replace(&mut record.busy, is_busy) || is_busy {
            return;
        }
        let turn = Turn {
            worker,
            at: now,
            health,
        };
        let (number, left) = self.turns.push(turn, TURNS_MAX);
        push(&mut record.turns, number);
        if let Some((number, left)) = left
            && let Some(record) = self.workers.get_mut(left.worker.0 as usize)
            && record.turns.front() == Some(&number)
        {
            record.turns.pop_front();
        }
    }

    /// Since when a worker is thought of as it is.
    pub(super) fn since(&self, worker: WorkerId) -> Moment {
        self.workers
            .get(worker.0 as usize)
            .map_or(Moment::START, |record| record.since)
    }

    /// How many attempts failed on a worker, also those that are not kept any more.
    pub(super) fn failures(&self, worker: WorkerId) -> u64 {
        self.workers.get(worker.0 as usize).map_or(0, |record| record.failed)
    }

    /// What failed on a worker, oldest first, with what became of the actions.
    pub(super) fn of_worker(&self, worker: WorkerId) -> impl Iterator<Item = (&Try, Option<&Case>)> {
        let tries = self.workers.get(worker.0 as usize).map(|record| record.tries.iter());
        tries
            .into_iter()
            .flatten()
            .filter_map(|number| self.tries.get(*number))
            .map(|one| (one, self.cases.get(&one.attempt.action)))
    }

    /// How a worker's health changed, oldest first.
    pub(super) fn turns(&self, worker: WorkerId) -> impl Iterator<Item = &Turn> {
        let turns = self.workers.get(worker.0 as usize).map(|record| record.turns.iter());
        turns.into_iter().flatten().filter_map(|number| self.turns.get(*number))
    }

    pub(super) fn case(&self, action: ActionId) -> Option<&Case> {
        self.cases.get(&action)
    }

    /// The failed attempts of an action, oldest first.
    pub(super) fn tries<'a>(&'a self, case: &'a Case) -> impl Iterator<Item = &'a Try> {
        case.tries.iter().filter_map(|number| self.tries.get(*number))
    }

    /// The actions of which something is kept, the oldest first.
    pub(super) fn actions(&self) -> Vec<ActionId> {
        let mut actions: Vec<_> = self.cases.keys().copied().collect();
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
        let mut evidence = Evidence::new(RunId::new());
        evidence.add_worker();
        evidence.add_worker();
        evidence
    }

    fn fail(evidence: &mut Evidence, action: u64, number: u32, worker: WorkerId) {
        let one = Try {
            attempt: AttemptId {
                action: ActionId(action),
                number,
            },
            worker,
            at: Moment::START,
            took: Duration::ZERO,
            class: Class::Trap,
            message: "ü".repeat(1000),
            verdict: None,
        };
        evidence.failed(TaskId(1), &"k".into(), one);
    }

    #[test]
    fn what_is_kept_is_bounded_and_forgotten_everywhere() {
        let mut evidence = evidence();
        fail(&mut evidence, 1, 1, QUIET);
        for action in 2..3 * TRIES_MAX as u64 {
            fail(&mut evidence, action, 1, BAD);
            evidence.settled(ActionId(action), Outcome::Failed(Reason::Exhausted));
            evidence.turned(BAD, Health::Suspect, Moment::START);
        }
        assert_eq!(evidence.tries.things.len(), TRIES_MAX);
        assert_eq!(evidence.cases.len(), TRIES_MAX);
        assert_eq!(evidence.turns.things.len(), TURNS_MAX);
        assert_eq!(
            (evidence.of_worker(BAD).count(), evidence.turns(BAD).count()),
            (OWN_MAX, OWN_MAX)
        );
        assert_eq!((evidence.of_worker(QUIET).count(), evidence.failures(QUIET)), (0, 1));
        assert!(evidence.case(ActionId(1)).is_none());
        let (newest, case) = evidence.of_worker(BAD).last().unwrap();
        assert_eq!(newest.attempt.action, ActionId(3 * TRIES_MAX as u64 - 1));
        assert!(newest.message.len() <= MESSAGE_MAX);
        assert_eq!(case.unwrap().outcome, Some(Outcome::Failed(Reason::Exhausted)));
    }

    #[test]
    fn one_action_that_fails_without_end_is_bounded_too() {
        let mut evidence = evidence();
        for number in 1..3 * TRIES_MAX as u32 {
            fail(&mut evidence, 1, number, BAD);
        }
        let case = evidence.case(ActionId(1)).unwrap();
        assert_eq!(evidence.tries(case).count(), OWN_MAX);
    }

    #[test]
    fn being_busy_is_no_history() {
        let mut evidence = evidence();
        let until = Moment::from_millis(9);
        for health in [
            Health::Busy { until },
            Health::Healthy,
            Health::Suspect,
            Health::Busy { until },
        ] {
            evidence.turned(BAD, health, until);
        }
        let turns: Vec<_> = evidence.turns(BAD).map(|turn| turn.health).collect();
        assert_eq!(turns, [Health::Suspect]);
        assert_eq!(evidence.since(BAD), until);
    }
}
