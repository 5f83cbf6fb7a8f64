//! Replays the tasks of a run that is resumed, up to where they were.
//!
//! A task makes the same requests again when it is given the same deliveries. So its recorded deliveries are sent in their
//! order, each as soon as the task has made all requests that it answers. An action that was settled is not performed again.
//! What the task asks for beyond that is a request as any other, and from then on the task is one as any other.

use std::time::Duration;

use bytes::Bytes;
use disperse_scheduler::{ActionId, AttemptId, Event, FailedBefore, Moment, Spec, TaskId};

use super::{effects::Effect, evidence::FailedAttempt, journal::AttemptRecord, replay_state::Replay, state::Driver};
use disperse_protocol::{
    control::FailureCause,
    inbox::{Action, Answer, Ask, FailureClass, Request, RequestNumber, TaskEnd},
    limits::Charge,
};

impl Driver<'_> {
    /// Takes a request that is answered by what is recorded. Returns any other one.
    pub(super) fn replayed(&mut self, request: Request) -> Option<Request> {
        if self.replays.is_empty() {
            return Some(request);
        }
        let (task, number) = (request.task, request.number);
        let Some(replay) = self.replays.get_mut(&task) else {
            return Some(request);
        };
        let found = match &request.ask {
            Ask::Action(Action { kind, payload }, _) => replay.settled(number, kind, payload),
            Ask::Oversize { kind, .. } => replay.settled(number, kind, &[]),
            Ask::Sleep(_) if replay.delivered.contains(&number) => {
                let value = Ok(Bytes::new());
                Some(Ok(Answer { number, value }))
            }
            Ask::Sleep(_) | Ask::Cancel => None,
        };
        let Some(found) = found else { return Some(request) };
        match found {
            Ok(answer) => {
                if self.tasks.asked(task, number) {
                    self.answer_again(task, answer);
                }
            }
            Err(difference) => {
                replay.difference.get_or_insert(difference);
                // It gets no more answers, and so ends.
                self.tasks.abandon(task);
            }
        }
        None
    }

    /// Answers a request of a task that is being replayed: with the delivery that did before, or if there was none, a new one.
    fn answer_again(&mut self, task: TaskId, answer: Answer) {
        let Some(replay) = self.replays.get_mut(&task) else {
            return;
        };
        if replay.delivered.contains(&answer.number) {
            replay.ready.insert(answer.number, answer);
            while let Some((delivered, answers)) = replay.next() {
                let charge =
                    |answer: &Answer| Charge::of(&self.budget, answer.size()).map(|charge| (answer.number, charge));
                let charges = answers.iter().filter_map(charge).collect();
                self.tasks.deliver_again(&delivered, answers, charges);
            }
            if replay.deliveries.is_empty() && self.tasks.is_answered(task) {
                self.effects.push(Effect::Deliver { task });
            }
        } else {
            let charge = Charge::of(&self.budget, answer.size());
            self.tasks.answer(&mut self.effects, task, answer, charge);
        }
    }

    /// Takes the attempts of a request that failed before the run was resumed.
    pub(super) fn failed_before(&mut self, task: TaskId, number: RequestNumber) -> Vec<AttemptRecord> {
        if self.replays.is_empty() {
            return Vec::new();
        }
        let replay = self.replays.get_mut(&task);
        replay
            .and_then(|replay| replay.failed.remove(&number))
            .unwrap_or_default()
    }

    /// Submits an action of which attempts failed before the run was resumed: it has that many less.
    pub(super) fn resubmit(&mut self, action: ActionId, spec: Spec, failed: Vec<AttemptRecord>) {
        let mut costs = Vec::new();
        for one in failed {
            let AttemptRecord { number, class, .. } = one;
            let worker = self.registry.find(&one.worker);
            let is_lost = class == FailureClass::Lost;
            if is_lost || matches!(class, FailureClass::Transient | FailureClass::Trap) {
                costs.push(FailedBefore {
                    number,
                    worker,
                    is_lost,
                });
            }
            self.actions
                .fail(action, &format!("attempt {number} on {}", one.worker), &one.message);
            if let Some(worker) = worker {
                let failed = FailedAttempt {
                    attempt: AttemptId { action, number },
                    worker,
                    at: Moment::from_millis(one.now_ms),
                    took: Duration::ZERO,
                    class,
                    cause: FailureCause::Message(one.message),
                    verdict: None,
                };
                self.evidence.failed(spec.task, &one.kind, failed);
            }
        }
        let failed = costs.into();
        self.tell(Event::Resubmitted { action, spec, failed });
    }

    /// The moment from which the times of a request count that a task made at this time as it knew it. A task that has seen nothing
    /// since the run was resumed may have made it before.
    pub(super) fn asked_at(&self, asked_ms: u64) -> Moment {
        let asked = Moment::from_millis(asked_ms);
        if asked < self.resumed { asked } else { self.now }
    }

    /// Whether new answers of a task wait for the deliveries that it got before.
    pub(super) fn is_replaying(&self, task: TaskId) -> bool {
        !self.replays.is_empty()
            && self
                .replays
                .get(&task)
                .is_some_and(|replay| !replay.deliveries.is_empty())
    }

    /// A task gets a delivery that it did not get before.
    pub(super) fn delivers_anew(&mut self, task: TaskId) {
        if !self.replays.is_empty() && self.replays.get(&task).is_some_and(Replay::is_over) {
            self.replays.remove(&task);
        }
    }

    /// A task has ended, maybe while it was being replayed.
    pub(super) fn end_replay(&mut self, task: TaskId, end: &mut TaskEnd) {
        if self.replays.is_empty() {
            return;
        }
        let Some(replay) = self.replays.remove(&task) else {
            return;
        };
        let next = replay.deliveries.front();
        let early = || next.map(|next| format!("it ended before its answer {} of before", next.number));
        if let Some(difference) = replay.difference.or_else(early) {
            end.outcome = Err(format!(
                "the task does not repeat what it did before the run was resumed: {difference}"
            ));
        }
    }
}
