//! Records what a notice does, and releases it.

use disperse_protocol::inbox::{ActionDone, OutputPiece, RunEvent};
use disperse_scheduler::{ActionId, Event, Outcome, Reason, Spec};

use super::{effects::Effect, journal::Record, state::Driver};

impl Driver<'_> {
    /// Takes a record of what happens, if the journal wants any.
    pub(super) fn record(&mut self, record: impl FnOnce() -> Record) {
        if self.journal.is_on() {
            self.effects.records.push(record());
        }
    }

    /// Reports something at the end of the notice.
    pub(super) fn emit(&mut self, event: RunEvent) {
        self.effects.push(Effect::Event(event));
    }

    /// Releases the effects of a notice at once, so that others work while the rest of the turn is decided; what leaves the run
    /// waits for the records that it follows from.
    pub(super) fn release_effects(&mut self) {
        let mut effects = std::mem::take(&mut self.effects.now);
        if self.journal.is_on() {
            let durable = self.journal.durable();
            for effect in effects.drain(..) {
                if matches!(effect, Effect::Deliver { task } if self.is_replaying(task)) {
                    continue;
                }
                self.record_effect(&effect);
                if let Some(effect) = self.effects.hold(effect, durable) {
                    self.release(effect);
                }
            }
        } else {
            for effect in effects.drain(..) {
                self.release(effect);
            }
        }
        // Keeps the room that it has.
        if self.effects.now.is_empty() {
            self.effects.now = effects;
        }
    }

    /// Ends a turn: releases the effects that are left and hands its records to the journal.
    pub(super) fn end_turn(&mut self) {
        self.release_effects();
        self.record_written();
        if let Some((turn, records)) = self.effects.end_turn() {
            self.journal.append(turn, records);
        }
        self.release_durable();
    }

    /// Records how much of the output has been written, if that is more than before.
    fn record_written(&mut self) {
        if !self.journal.is_on() {
            return;
        }
        let bytes = self.written_before + self.report.written();
        if bytes > self.written {
            self.written = bytes;
            self.effects.records.push(Record::Written { bytes });
        }
    }

    /// Submits an action to the scheduler, or keeps it until what its task has seen is durable. So no worker is kept from other work by
    /// an action that cannot leave yet.
    pub(super) fn submit_when_durable(&mut self, action: ActionId, spec: Spec) {
        if self.journal.is_on() && !spec.idempotent {
            let after = self.tasks.seen(spec.task);
            if after > self.journal.durable() {
                if let Some(parked) = self.actions.get_mut(action) {
                    parked.is_held = true;
                }
                self.effects.hold_action(after, action, spec);
                return;
            }
        }
        self.tell(Event::Submitted { action, spec });
    }

    /// Submits the actions that were kept and need not be any more.
    pub(super) fn submit_durable(&mut self) {
        if self.effects.actions_held() == 0 {
            return;
        }
        let durable = self.journal.durable();
        while let Some((action, spec)) = self.effects.next_action(durable) {
            // One that was cancelled is settled.
            if let Some(parked) = self.actions.get_mut(action) {
                parked.is_held = false;
                self.tell(Event::Submitted { action, spec });
                self.release_effects();
            }
        }
    }

    /// Cancels an action.
    pub(super) fn cancel(&mut self, action: ActionId) {
        if self.actions.get(action).is_some_and(|parked| parked.is_held) {
            // The scheduler does not know it.
            self.settle(action, Outcome::Failed(Reason::Cancelled));
        } else {
            self.tell(Event::Cancelled { action });
        }
    }

    /// Releases the effects of earlier turns that have become durable.
    pub(super) fn release_durable(&mut self) {
        if !self.effects.are_waiting() {
            return;
        }
        let durable = self.journal.durable();
        while let Some(effect) = self.effects.next_due(durable) {
            self.release(effect);
        }
    }

    fn record_effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Start { task, input } => {
                let (task, input) = (*task, input.clone());
                let now_ms = self.now.as_millis();
                self.record(|| Record::TaskStarted { task, input, now_ms });
                self.tasks.depends(task, self.effects.turn());
            }
            Effect::Deliver { task } => {
                if let Some(record) = self.tasks.next_delivery(*task, self.now.as_millis()) {
                    self.record(|| record);
                    self.tasks.depends(*task, self.effects.turn());
                }
            }
            Effect::Output(_)
            | Effect::Call(..)
            | Effect::Order { .. }
            | Effect::Event(_)
            | Effect::Attempt(_)
            | Effect::Result { .. }
            | Effect::FailedLines(..) => {}
        }
    }

    fn release(&mut self, effect: Effect) {
        let now_ms = self.now.as_millis();
        match effect {
            Effect::Start { task, input } => {
                let deliveries = self.operation.start(task, input, now_ms);
                self.tasks.started(task, deliveries);
                self.awakened(task, 0);
            }
            Effect::Deliver { task } => {
                self.delivers_anew(task);
                if let Some(number) = self.tasks.deliver(task, now_ms) {
                    self.awakened(task, number);
                }
            }
            Effect::Call(call, room) => self.operation.call(call, room, now_ms),
            Effect::Order { worker, order, .. } => {
                if self.transport.send(self.now, worker, order).is_err() {
                    self.vanished.push(worker);
                }
            }
            Effect::Output(piece) => self.release_output(piece),
            Effect::Event(event) => self.report.event(self.now, event),
            Effect::Attempt(attempt) => self.report.attempt(&attempt),
            Effect::Result { task, outcome } => self.report.result(task.0, &outcome),
            Effect::FailedLines(bytes, room) => self.report.failed_lines(bytes, room),
        }
    }

    fn release_output(&mut self, piece: OutputPiece) {
        let performed = piece.origin.and_then(|origin| origin.performed);
        let action = performed.map(|performed| ActionDone {
            action: performed.action.0,
            worker: self.registry.name(performed.worker),
            attempts: performed.attempts,
            wall: performed.wall,
        });
        self.report.output(self.now, piece, action);
    }
}
