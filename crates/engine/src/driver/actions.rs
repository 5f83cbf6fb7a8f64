//! The actions that are not settled: their bytes, and what went wrong with them so far.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use disperse_scheduler::{ActionId, AttemptId, End, KindId, Moment, TaskId, WorkerId};
use rustc_hash::FxHashMap;

use super::votes::{self, Voter, Votes};
use disperse_protocol::{inbox::RequestNumber, text::MESSAGE_MAX};

/// One action that waits or runs.
pub(super) struct Parked {
    pub(super) task: TaskId,
    pub(super) number: RequestNumber,
    pub(super) kind: KindId,
    pub(super) name: Arc<str>,
    pub(super) payload: Bytes,
    /// Zero: the pool's.
    pub(super) fuel: u64,
    pub(super) timeout: Duration,
    /// Whether the scheduler does not know it yet, because what its task has seen is not durable.
    pub(super) is_held: bool,
    /// When it was asked for.
    pub(super) asked: Moment,
    /// When a worker was first given it; the same before that.
    pub(super) begun: Moment,
    /// When a worker was last given it; the same before that.
    pub(super) given: Moment,
    /// The results of untrusted workers.
    pub(super) votes: Option<Box<Votes>>,
    pub(super) failures: Failures,
    /// The result, between the end of the attempt that has it and the settling.
    pub(super) result: Bytes,
    /// The worker whose result that is.
    pub(super) worker: Option<WorkerId>,
}

impl Parked {
    /// What it takes in the host, in bytes.
    fn size(&self) -> u64 {
        let votes = self.votes.as_deref().map_or(0, Votes::size);
        (self.payload.len() + self.result.len() + votes + self.failures.text.len() + size_of::<Self>()) as u64
    }
}

/// The longest line about one failed attempt, in bytes: two of them fit into a message.
pub(super) const LINE_MAX: usize = MESSAGE_MAX / 2;

/// What went wrong with an action so far: each failed attempt and how, the first ones that fit into a message. The others are
/// counted.
#[derive(Default)]
pub(super) struct Failures {
    /// Each line after a line break.
    text: String,
    told: usize,
    count: usize,
}

impl Failures {
    /// What was wrong before any attempt.
    pub(super) fn beforehand(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    /// Whether something was wrong before any attempt.
    pub(super) fn is_beforehand(&self) -> bool {
        self.count == 0 && !self.text.is_empty()
    }

    /// How many attempts failed.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Adds an attempt, and how it failed. What an earlier attempt failed with in the same words is not told again.
    fn push(&mut self, attempt: &str, how: &str) {
        self.count += 1;
        let how = if self.has(how) { "the same" } else { how };
        let line = format!("{attempt}: {how}");
        let end = line.floor_char_boundary(LINE_MAX);
        if self.told + 1 == self.count && self.text.len() + end < MESSAGE_MAX {
            self.told += 1;
            self.text.push('\n');
            self.text.push_str(line.get(..end).unwrap_or_default());
            self.text.push_str(if end < line.len() { "…" } else { "" });
        }
    }

    /// Whether an attempt was told to have failed in just these words.
    fn has(&self, how: &str) -> bool {
        self.text.match_indices(how).any(|(at, _)| {
            let before = self.text.get(..at).unwrap_or_default();
            let after = self.text.get(at + how.len()..).unwrap_or_default();
            !how.is_empty() && before.ends_with(": ") && (after.is_empty() || after.starts_with("\nattempt "))
        })
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match self.count - self.told {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Actions {
    last: u64,
    /// What all of them take in the host, in bytes.
    size: u64,
    parked: FxHashMap<ActionId, Parked>,
    /// For cancelling by request.
    by_request: FxHashMap<(TaskId, RequestNumber), ActionId>,
}

impl Actions {
    /// Parks one and names it.
    pub(super) fn park(&mut self, parked: Parked) -> ActionId {
        self.last += 1;
        self.size += parked.size();
        let id = ActionId(self.last);
        self.by_request.insert((parked.task, parked.number), id);
        self.parked.insert(id, parked);
        id
    }

    /// The newest action; zero if there was none.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// All that are open, in no order.
    pub(super) fn open(&self) -> impl Iterator<Item = (ActionId, &Parked)> {
        self.parked.iter().map(|(id, parked)| (*id, parked))
    }

    pub(super) fn get(&self, id: ActionId) -> Option<&Parked> {
        self.parked.get(&id)
    }

    /// What all of them take in the host, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Keeps the result of an attempt until it is settled, and says what that is for the scheduler.
    pub(super) fn keep(&mut self, attempt: AttemptId, voter: Voter, result: Bytes, fuel: u64) -> End {
        let Some(parked) = self.parked.get_mut(&attempt.action) else {
            return End::Ok;
        };
        self.size -= parked.size();
        let end = votes::end(&mut parked.votes, attempt, voter, &result, fuel);
        parked.result = result;
        parked.worker = Some(voter.worker);
        self.size += parked.size();
        end
    }

    /// An attempt at an action failed, and how.
    pub(super) fn fail(&mut self, id: ActionId, attempt: &str, how: &str) {
        if let Some(parked) = self.parked.get_mut(&id) {
            self.size -= parked.size();
            parked.failures.push(attempt, how);
            self.size += parked.size();
        }
    }

    pub(super) fn get_mut(&mut self, id: ActionId) -> Option<&mut Parked> {
        self.parked.get_mut(&id)
    }

    /// The action that a request asked for, if it is not settled.
    pub(super) fn of_request(&self, task: TaskId, number: RequestNumber) -> Option<ActionId> {
        self.by_request.get(&(task, number)).copied()
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, id: ActionId) -> Option<Parked> {
        let parked = self.parked.remove(&id)?;
        self.size -= parked.size();
        self.by_request.remove(&(parked.task, parked.number));
        Some(parked)
    }

    /// The actions of a task that ended without waiting for them.
    pub(super) fn of_task(&self, task: TaskId, last_number: RequestNumber) -> Vec<ActionId> {
        (1..=last_number)
            .filter_map(|number| self.of_request(task, number))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_an_action_are_bounded_and_the_rest_is_counted() {
        let mut failures = Failures::default();
        failures.push("attempt 1 on a", "no");
        failures.push("attempt 2 on b", "no way");
        assert_eq!(failures.to_string(), "\nattempt 1 on a: no\nattempt 2 on b: no way");
        for _ in 0..1000 {
            failures.push("attempt 3 on c", &"ü".repeat(MESSAGE_MAX));
        }
        let text = failures.to_string();
        assert!(text.len() < MESSAGE_MAX + 50, "{}", text.len());
        assert!(text.ends_with("…\n… and 999 more"), "{text}");
        assert_eq!(failures.count(), 1002);
    }

    #[test]
    fn attempts_that_failed_in_the_same_words_are_told_so() {
        let mut failures = Failures::default();
        for (number, how) in (1..).zip(["panicked\n  at x", "panicked\n  at x", "panicked", "panicked\n  at x"]) {
            failures.push(&format!("attempt {number} on a"), how);
        }
        assert_eq!(
            failures.to_string(),
            "\nattempt 1 on a: panicked\n  at x\nattempt 2 on a: the same\nattempt 3 on a: panicked\nattempt 4 on a: the same"
        );
    }
}
