//! What is left to be replayed of a task.

use std::collections::VecDeque;

use disperse_scheduler::TaskId;
use rustc_hash::{FxHashMap, FxHashSet};

use super::journal::{AttemptRecord, BEGINNING, Delivered, SettledBefore, TaskHistory};
use disperse_protocol::{
    digest::Digest,
    inbox::{Answer, RequestNumber},
    text::plain_line,
};

/// The tasks that are not yet where they were.
pub(super) type Replays = FxHashMap<TaskId, Replay>;

/// One task that is being replayed.
pub(super) struct Replay {
    pub(super) deliveries: VecDeque<Delivered>,
    pub(super) settled: FxHashMap<RequestNumber, SettledBefore>,
    /// The attempts that failed of actions that were not settled, in their order.
    pub(super) failed: FxHashMap<RequestNumber, Vec<AttemptRecord>>,
    /// All requests that are answered by these deliveries.
    pub(super) delivered: FxHashSet<RequestNumber>,
    /// Answers to requests that the task has made again.
    pub(super) ready: FxHashMap<RequestNumber, Answer>,
    /// How it differs from what it did before, once it does.
    pub(super) difference: Option<String>,
}

impl Replay {
    pub(super) fn new(history: TaskHistory) -> Self {
        let TaskHistory {
            deliveries,
            settled,
            failed: all_failed,
        } = history;
        let mut failed: FxHashMap<RequestNumber, Vec<AttemptRecord>> = FxHashMap::default();
        for one in all_failed {
            let request = one.action.request;
            if !settled.contains_key(&request) {
                failed.entry(request).or_default().push(one);
            }
        }
        Self {
            failed,
            delivered: deliveries.iter().flat_map(|one| one.requests.iter().copied()).collect(),
            deliveries: deliveries.into(),
            settled,
            ready: FxHashMap::default(),
            difference: None,
        }
    }

    /// Whether nothing is left of it, once it gets an answer that is new.
    pub(super) fn is_over(&self) -> bool {
        self.deliveries.is_empty() && self.settled.is_empty() && self.failed.is_empty() && self.difference.is_none()
    }

    /// Takes a request that was settled before. None: it was not.
    pub(super) fn settled(
        &mut self,
        number: RequestNumber,
        kind: &str,
        payload: &[u8],
    ) -> Option<Result<Answer, String>> {
        let before = self.settled.remove(&number)?;
        if before.kind != kind || before.digest != Digest::of(payload) {
            return Some(Err(format!(
                "its request {number} was `{}` with {} and is `{kind}` with {} now",
                before.kind,
                beginning(&before.beginning),
                beginning(payload),
            )));
        }
        let value = before.value;
        Some(Ok(Answer { number, value }))
    }

    /// The next delivery, if the task has made all requests that it answers, and its answers.
    pub(super) fn next(&mut self) -> Option<(Delivered, Vec<Answer>)> {
        let next = self.deliveries.front()?;
        if !next.requests.iter().all(|number| self.ready.contains_key(number)) {
            return None;
        }
        let next = self.deliveries.pop_front()?;
        let answers = next.requests.iter().filter_map(|number| self.ready.remove(number));
        let answers = answers.collect();
        Some((next, answers))
    }
}

/// The first bytes of a payload, as text.
fn beginning(payload: &[u8]) -> String {
    let shown = payload.get(..BEGINNING).unwrap_or(payload);
    format!("`{}`", plain_line(&String::from_utf8_lossy(shown)))
}
