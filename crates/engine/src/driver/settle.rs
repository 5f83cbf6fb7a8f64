//! The end of an action: its answer, and the words of a refusal.

use disperse_protocol::{
    inbox::{ActionFailed, ActionName, Answer, Performed, Refusal, RunEvent},
    limits::Charge,
};
use disperse_scheduler::{ActionId, KindId, Outcome, Reason};

use super::{
    actions::{Failures, Parked},
    journal::{Record, Settled},
    state::Driver,
    votes::Votes,
};

impl Driver<'_> {
    pub(super) fn settle(&mut self, id: ActionId, outcome: Outcome) {
        let Some(parked) = self.actions.remove(id) else { return };
        if parked.failures.count() > 0 {
            self.evidence.settled(id, outcome);
        }
        let Parked {
            task,
            number,
            kind,
            name,
            result,
            votes,
            failures,
            payload,
            begun,
            worker,
            ..
        } = parked;
        let different = votes.as_deref().map_or(0, Votes::different);
        if let Some(votes) = votes {
            self.quorum.settled(*votes, task, name.clone(), outcome);
        }
        let value = match outcome {
            Outcome::Done { .. } => Ok(result),
            Outcome::Failed(reason) => {
                let message = self.explain(reason, kind, &name, &failures, different);
                if reason != Reason::Cancelled {
                    let failed = ActionFailed {
                        action: id.0,
                        task: task.0,
                        kind: name.to_string(),
                        reason: reason.into(),
                        message: message.clone(),
                    };
                    self.emit(RunEvent::ActionFailed(Box::new(failed)));
                }
                Err(Refusal { reason, message })
            }
        };
        self.tally.settled(kind, outcome);
        let now_ms = self.now.as_millis();
        self.record(|| {
            Record::Settled(Settled {
                action: ActionName { task, request: number },
                kind: name,
                payload,
                value: value.clone(),
                attempts: match outcome {
                    Outcome::Done { number } => number,
                    Outcome::Failed(_) => u32::try_from(failures.count()).unwrap_or(u32::MAX),
                },
                now_ms,
            })
        });
        let performed = match (outcome, worker) {
            (Outcome::Done { number }, Some(worker)) => Some(Performed {
                action: id,
                worker,
                attempts: number,
                wall: self.now.since(begun),
            }),
            _ => None,
        };
        self.tasks.settled(task, performed);
        let answer = Answer { number, value };
        let charge = Charge::of(&self.budget, answer.size());
        self.tasks.answer(&mut self.effects, task, answer, charge);
    }

    /// What a refusal tells its asker.
    fn explain(&self, reason: Reason, kind: KindId, name: &str, failures: &Failures, different: usize) -> String {
        let what = match reason {
            Reason::Permanent => "it can never work".to_owned(),
            Reason::Exhausted if different > 1 => {
                format!("{different} workers gave {different} different results, so none of them counts")
            }
            Reason::Unroutable if different > 0 => {
                "no untrusted worker of another owner is left to confirm its result".to_owned()
            }
            Reason::Exhausted if failures.count() == 0 => "its workers were busy too many times in a row".to_owned(),
            Reason::Exhausted if failures.count() == 1 => "its one attempt failed".to_owned(),
            Reason::Exhausted => format!("{} attempts failed", failures.count()),
            Reason::Poison => "it broke distinct workers in the same way".to_owned(),
            Reason::Unroutable if self.routes.is_served(kind) => {
                format!("no worker that could do `{name}` is left")
            }
            Reason::Unroutable => {
                format!(
                    "no pool serves the kind `{name}`; kinds that are served: {}",
                    self.routes.served()
                )
            }
            Reason::Cancelled => "it was cancelled".to_owned(),
            Reason::Deadline => "its deadline passed".to_owned(),
            Reason::Oversize if failures.is_beforehand() => String::new(),
            Reason::Oversize => "its result is too large".to_owned(),
        };
        format!("{what}{failures}")
    }
}
