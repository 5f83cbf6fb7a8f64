//! What one notice does, and what one command does.

use std::time::Duration;

use bytes::Bytes;
use disperse_scheduler::{AttemptId, Command, End, Event, Moment, Outcome, Reason, Spec, TaskId, Verdict, WorkerId};

use super::{
    Driver,
    actions::{Failures, LINE_MAX, Parked},
    effects::Effect,
    evidence::FailedAttempt,
    journal::{AttemptRecord, PlannerCalled, Record},
    votes::Voter,
};
use disperse_protocol::{
    control::FailureCause,
    inbox::{
        Action, ActionName, Ask, AttemptEnded, AttemptFailed, FailureClass, Job, Notice, Options, Order, OutputPiece,
        PlannerNotice, PlannerStep, Request, RequestNumber, RunEvent, TaskEnd, TaskRoom, Words,
    },
    limits::Limits,
    text::cut_to,
};

impl Driver<'_> {
    /// Takes one notice.
    pub(super) fn take(&mut self, notice: Notice) {
        self.log_notice(&notice);
        match notice {
            Notice::Request(request) => self.request(request),
            Notice::TaskEnded { task, end, room } => self.task_ended(task, end, room),
            Notice::Planner(PlannerNotice::Handed(input), guard) => {
                self.tasks.hand_out(&mut self.effects, input, guard.charge());
            }
            Notice::Planner(PlannerNotice::Begun { step, now_ms }, _) => {
                if step != PlannerStep::Finish || !self.is_finish_recorded {
                    self.record(|| Record::PlannerCalled(PlannerCalled { step, now_ms }));
                }
            }
            Notice::Planner(PlannerNotice::Output { origin, bytes }, room) => {
                self.output(OutputPiece { bytes, origin, room });
            }
            Notice::Planner(PlannerNotice::FailedLines(bytes), room) => {
                self.effects.push(Effect::FailedLines(bytes, room));
            }
            Notice::Planner(notice, _) => self.tasks.planner(&notice),
            Notice::AttemptEnded(ended) => self.attempt_ended(ended),
            Notice::Control(control) => self.control(control),
            Notice::Shortage(message) => self.end_for_shortage(message),
            Notice::WorkerLeft { worker } => self.worker_left(worker),
            // Only a rehearsal is told, and it takes note before.
            Notice::Resting { .. } => {}
        }
    }

    fn request(&mut self, request: Request) {
        let Some(request) = self.replayed(request) else {
            return;
        };
        let Request {
            task,
            number,
            asked_ms,
            ask,
        } = request;
        let asked_at = self.asked_at(asked_ms);
        match ask {
            Ask::Action(action, options) => {
                if self.tasks.asked(task, number) {
                    self.submit((task, number), asked_at, action, options);
                }
            }
            Ask::Oversize { kind, message } => {
                if self.tasks.asked(task, number) {
                    self.oversize(task, number, &kind, message);
                }
            }
            Ask::Sleep(duration) => {
                if self.tasks.asked(task, number) {
                    self.tasks.sleep(asked_at + duration, task, number);
                }
            }
            Ask::Cancel => {
                if let Some(action) = self.actions.of_request(task, number) {
                    self.cancel(action);
                } else {
                    self.tasks.cancel_sleep(&mut self.effects, task, number);
                }
            }
        }
    }

    fn submit(&mut self, (task, number): (TaskId, RequestNumber), asked_at: Moment, action: Action, options: Options) {
        let (kind, name) = self.kind(&action.kind);
        self.tally.asked(kind);
        let deadline = if options.deadline.is_zero() {
            Moment::NEVER
        } else {
            asked_at + options.deadline
        };
        let spec = Spec {
            task,
            kind,
            priority: options.priority,
            attempts: options.attempts,
            deadline,
            idempotent: options.idempotent,
        };
        let parked = Parked {
            task,
            number,
            kind,
            name,
            payload: action.payload,
            fuel: options.fuel,
            timeout: options.timeout,
            is_held: false,
            asked: self.now,
            begun: self.now,
            given: self.now,
            votes: None,
            failures: Failures::default(),
            result: Bytes::new(),
            worker: None,
        };
        let action = self.actions.park(parked);
        let failed = self.failed_before(task, number);
        if failed.is_empty() {
            self.submit_when_durable(action, spec);
        } else {
            self.resubmit(action, spec, failed);
        }
    }

    /// An action whose payload is larger than allowed is over before it begins: the scheduler need not know of it.
    fn oversize(&mut self, task: TaskId, number: RequestNumber, kind: &str, message: String) {
        let (kind, name) = self.kind(kind);
        self.tally.asked(kind);
        let action = self.actions.park(Parked {
            task,
            number,
            kind,
            name,
            payload: Bytes::new(),
            fuel: 0,
            timeout: Duration::ZERO,
            is_held: false,
            asked: self.now,
            begun: self.now,
            given: self.now,
            votes: None,
            failures: Failures::beforehand(message),
            result: Bytes::new(),
            worker: None,
        });
        self.settle(action, Outcome::Failed(Reason::Oversize));
    }

    fn task_ended(&mut self, task: TaskId, mut end: TaskEnd, room: TaskRoom) {
        self.end_replay(task, &mut end);
        if end.is_of_machine
            && let Err(error) = &end.outcome
        {
            self.end_for_shortage(error.clone());
        }
        self.emit(RunEvent::task_ended(task, &end));
        if self.report.wants().results {
            let outcome = end.outcome.clone();
            self.effects.push(Effect::Result { task, outcome });
        }
        let has_failed = end.outcome.is_err();
        let now_ms = self.now.as_millis();
        self.record(|| Record::TaskEnded {
            task,
            outcome: end.outcome.clone(),
            now_ms,
        });
        let last_number = self.tasks.end(&mut self.effects, task, end, room);
        // Nothing waits any more for what it asked for and did not wait for.
        for action in self.actions.of_task(task, last_number) {
            self.cancel(action);
        }
        self.halt_if_due(has_failed);
    }

    fn attempt_ended(&mut self, ended: AttemptEnded) {
        self.report_attempt(&ended);
        let AttemptEnded {
            attempt,
            worker,
            mut end,
            result,
            words,
            used,
            denied,
            reports,
        } = ended;
        // The attempts of a worker that is gone are lost, and their results do not count any more.
        let Some(entry) = self.registry.present(worker) else {
            return;
        };
        let voter = Voter {
            worker,
            pool: entry.pool,
            is_untrusted: entry.is_untrusted,
        };
        for reported in reports.into_iter().flatten() {
            let drawn = (worker, self.registry.buckets(worker));
            if let Some(event) = self.quotas.event(drawn, attempt, &reported) {
                self.tell(event);
            }
        }
        if let Some(denied) = denied {
            let name = self.registry.name(worker);
            for what in self.registry.count_denials(worker, *denied) {
                let worker = name.to_string();
                self.emit(RunEvent::Denied { worker, message: what });
            }
        }
        self.watch_shortage(end.class(), words.as_deref());
        self.registry.count_attempt(worker, end.class(), &used);
        let id = attempt.action;
        if let Some(parked) = self.actions.get_mut(id) {
            self.tally.kind_attempt(parked.kind, end.class(), &used);
            if end == End::Ok {
                end = self.actions.keep(attempt, voter, result, used.fuel);
                self.evidence.passed(attempt, worker);
            } else if let Some(class) = FailureClass::of(end.class()) {
                let name = self.registry.name(worker);
                let words = *words.unwrap_or_default();
                let told = words.told();
                let one = FailedAttempt {
                    attempt,
                    worker,
                    at: self.now,
                    took: used.wall,
                    class,
                    cause: FailureCause::Message(told.clone()),
                    verdict: None,
                };
                self.evidence.failed(parked.task, &parked.name, one);
                let (task, request, kind) = (parked.task, parked.number, parked.name.clone());
                self.actions
                    .fail(id, &format!("attempt {} on {name}", attempt.number), &told);
                let now_ms = self.now.as_millis();
                self.record(|| {
                    Record::AttemptFailed(AttemptRecord {
                        action: ActionName { task, request },
                        kind: kind.clone(),
                        number: attempt.number,
                        worker: name.clone(),
                        class,
                        message: cut_to(told, LINE_MAX),
                        now_ms,
                    })
                });
                let Words {
                    message,
                    stderr,
                    is_symptom,
                } = words;
                let failed = AttemptFailed {
                    attempt: attempt.into(),
                    worker: name.to_string(),
                    kind: kind.to_string(),
                    class,
                    message,
                    stderr,
                    is_symptom,
                    fuel: used.fuel,
                    wall: used.wall,
                };
                self.emit(RunEvent::AttemptFailed(Box::new(failed)));
            }
        }
        if self.registry.has_record(worker) {
            self.checkpoints.note_change(worker);
        }
        self.tell(Event::AttemptEnded {
            attempt,
            worker,
            end,
            took: used.wall,
        });
        self.reserve(worker);
    }

    /// Carries out one command.
    pub(super) fn carry_out(&mut self, command: Command) {
        self.log_command(&command);
        match command {
            Command::Assign { attempt, worker } => self.assign(attempt, worker),
            Command::Hedge { attempt } => {
                if let Some(parked) = self.actions.get(attempt.action) {
                    let kind = parked.name.to_string();
                    let attempt = attempt.into();
                    self.emit(RunEvent::Hedged { attempt, kind });
                }
            }
            Command::Stop { attempt, worker } => {
                self.order(worker, Order::Stop(attempt));
            }
            Command::Settle { action, outcome } => self.settle(action, outcome),
            // The failed attempt was told when it ended; the next one will be.
            Command::Retry { .. } => self.tally.retried(),
            Command::Judged {
                attempt,
                worker,
                verdict,
            } => self.judged(attempt, worker, verdict),
            Command::Systemic { pool, on } => {
                if let Some(pool) = self.registry.pool_mut(pool) {
                    pool.is_systemic = on;
                    let pool = pool.name.to_string();
                    self.emit(RunEvent::Systemic { pool, on });
                }
            }
            Command::Barred { worker, kind, until } => {
                let (name, kind) = (self.registry.name(worker), self.tally.kind_name(kind));
                self.emit(RunEvent::barred(&name, &kind, until));
            }
            Command::HealthChanged { worker, health } => {
                let name = self.registry.name(worker);
                self.evidence.health_changed(worker, health, self.now);
                self.checkpoints.note_change(worker);
                self.emit(RunEvent::health(&name, health));
            }
        }
    }

    /// It is known whose fault a failure was, or that a result was not true.
    fn judged(&mut self, attempt: AttemptId, worker: WorkerId, verdict: Verdict) {
        if matches!(verdict, Verdict::Guilty { .. })
            && let Some(outvoted) = self.quorum.outvoted(attempt, worker)
        {
            let event = RunEvent::Outvoted {
                attempt: attempt.into(),
                worker: self.registry.name(worker).to_string(),
                dissent: outvoted.dissent,
            };
            self.emit(event);
            let one = FailedAttempt {
                attempt,
                worker,
                at: self.now,
                took: Duration::ZERO,
                class: FailureClass::Outvoted,
                cause: FailureCause::Dissent(outvoted.dissent),
                verdict: None,
            };
            self.evidence.failed(outvoted.task, &outvoted.kind, one);
            self.evidence.settled(attempt.action, outvoted.outcome);
        }
        self.evidence.judged(attempt, worker, verdict);
        self.checkpoints.note_change(worker);
    }

    fn assign(&mut self, attempt: AttemptId, worker: WorkerId) {
        let Some(parked) = self.actions.get_mut(attempt.action) else {
            return;
        };
        if attempt.number == 1 {
            parked.begun = self.now;
        }
        parked.given = self.now;
        if self.report.wants().attempts {
            self.attempts.given(attempt, worker, parked);
        }
        let limits = self
            .registry
            .present(worker)
            .map_or(Limits::WORKER, |entry| entry.limits);
        let lower = |asked: u64, limit: u64| if asked == 0 { limit } else { asked.min(limit) };
        let job = Job {
            attempt,
            action: ActionName {
                task: parked.task,
                request: parked.number,
            },
            kind: parked.name.clone(),
            payload: parked.payload.clone(),
            fuel: lower(parked.fuel, limits.fuel),
            timeout: if parked.timeout.is_zero() {
                limits.timeout
            } else {
                parked.timeout.min(limits.timeout)
            },
        };
        self.order(worker, Order::Run(job));
    }

    fn order(&mut self, worker: WorkerId, order: Order) {
        let after = self.reserve(worker);
        self.effects.push(Effect::Order { worker, order, after });
    }

    /// A worker is gone for good. What it was at is lost, and goes elsewhere.
    fn worker_left(&mut self, worker: WorkerId) {
        if !self.registry.leave(worker) {
            return;
        }
        self.transport.leave(worker);
        self.report_lost(worker);
        let name = self.registry.name(worker).to_string();
        self.emit(RunEvent::WorkerLeft { worker: name });
        self.tell(Event::WorkerLeft { worker });
    }
}
