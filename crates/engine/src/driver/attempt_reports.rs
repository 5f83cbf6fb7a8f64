//! Reports every attempt, to a sink that takes them.

use std::time::Duration;

use disperse_protocol::inbox::{AttemptEnded, AttemptReport, Used};
use disperse_scheduler::{AttemptId, Class, WorkerId};

use super::{attempts::Given, effects::Effect, state::Driver};

impl Driver<'_> {
    /// Reports an attempt that has ended.
    pub(super) fn report_attempt(&mut self, ended: &AttemptEnded) {
        if let Some(given) = self.attempts.take(ended.attempt) {
            let class = ended.end.class();
            self.report_given(ended.attempt, given, class, ended.result.len(), ended.used);
        }
    }

    /// Reports the attempts of a worker that is gone.
    pub(super) fn report_lost(&mut self, worker: WorkerId) {
        for (attempt, given) in self.attempts.take_of(worker) {
            let used = Used {
                wall: self.now.since(given.at),
                ..Used::default()
            };
            self.report_given(attempt, given, Class::Lost, 0, used);
        }
    }

    fn report_given(&mut self, attempt: AttemptId, given: Given, class: Class, received: usize, used: Used) {
        let ended = Duration::from_micros(self.now.as_micros());
        let began = u64::try_from(ended.saturating_sub(used.wall).as_millis()).unwrap_or(u64::MAX);
        let report = AttemptReport {
            attempt: attempt.into(),
            task: given.task.0,
            worker: self.registry.name(given.worker),
            kind: given.kind,
            class,
            sent: given.sent as u64,
            received: received as u64,
            began_unix_ms: self.clock.began_unix_ms().saturating_add(began),
            used,
        };
        self.effects.push(Effect::Attempt(Box::new(report)));
    }
}
