//! What a notice does to the rest of the run and to the world: collected while the driver decides, released at its end.

use std::collections::VecDeque;

use bytes::Bytes;
use disperse_scheduler::{TaskId, WorkerId};

use super::{
    Driver,
    journal::{Record, TurnNumber},
};
use disperse_protocol::inbox::{Order, OutputPiece, PlannerCall, RunEvent, TaskRoom};

/// One thing that a notice does.
#[derive(Debug)]
pub(super) enum Effect {
    /// Starts a task that was handed out.
    Start { task: TaskId, input: Bytes },
    /// Sends a task its next delivery: all answers that it has not been sent.
    Deliver { task: TaskId },
    /// Calls the planner; beside the call what it takes in the host.
    Call(PlannerCall, TaskRoom),
    /// Sends a worker an order.
    Order {
        worker: WorkerId,
        order: Order,
        /// Whether making the attempt twice does no harm.
        idempotent: bool,
    },
    /// Writes to the run's output.
    Output(OutputPiece),
    /// Reports something.
    Event(RunEvent),
}

impl Effect {
    /// A call of the planner that takes nothing in the host.
    pub(super) fn call(call: PlannerCall) -> Self {
        Self::Call(call, TaskRoom::default())
    }

    /// Whether it is visible outside, so that it must not happen before its turn is durable.
    fn leaves(&self) -> bool {
        match self {
            Self::Start { .. } | Self::Deliver { .. } | Self::Call(..) => false,
            Self::Order { idempotent, .. } => !idempotent,
            Self::Output(_) | Self::Event(_) => true,
        }
    }

    fn is_order(&self) -> bool {
        matches!(self, Self::Order { .. })
    }
}

/// The effects of the notice that is taken, and those of earlier ones that wait for the journal.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// How many turns have ended.
    turns: TurnNumber,
    /// The last of them that has records. Effects wait until it is durable.
    recorded: TurnNumber,
    now: Vec<Effect>,
    records: Vec<Record>,
    waiting: VecDeque<(TurnNumber, Effect)>,
    /// How many of those are orders: they reach a worker in their order.
    orders_waiting: usize,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.now.push(effect);
    }

    /// The last turn that has records.
    #[cfg(test)]
    pub(super) fn recorded(&self) -> TurnNumber {
        self.recorded
    }

    /// Whether effects wait for the journal.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Ends a turn. Returns its number and its records, if it has any.
    fn end_turn(&mut self) -> Option<(TurnNumber, Vec<Record>)> {
        self.turns += 1;
        let records = std::mem::take(&mut self.records);
        (!records.is_empty()).then(|| {
            self.recorded = self.turns;
            (self.turns, records)
        })
    }

    /// Keeps an effect that has to wait; returns one that need not. `durable`: the last turn that is.
    fn hold(&mut self, effect: Effect, durable: TurnNumber) -> Option<Effect> {
        // What it follows from: the last record, which may be one of this turn.
        let cause = if self.records.is_empty() {
            self.recorded
        } else {
            self.turns + 1
        };
        // Orders reach a worker in their order, and output and events their reader.
        let is_behind = match effect {
            Effect::Order { .. } => self.orders_waiting > 0,
            Effect::Output(_) | Effect::Event(_) => self.waiting.len() > self.orders_waiting,
            Effect::Start { .. } | Effect::Deliver { .. } | Effect::Call(..) => false,
        };
        if (durable >= cause || !effect.leaves()) && !is_behind {
            return Some(effect);
        }
        self.orders_waiting += usize::from(effect.is_order());
        self.waiting.push_back((cause, effect));
        None
    }

    /// The next effect that waited and need not any more.
    fn next_due(&mut self, durable: TurnNumber) -> Option<Effect> {
        let (_, effect) = self.waiting.pop_front_if(|(turn, _)| *turn <= durable)?;
        self.orders_waiting -= usize::from(effect.is_order());
        Some(effect)
    }
}

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
        if let Some((turn, records)) = self.effects.end_turn() {
            self.journal.append(turn, records);
        }
        self.release_durable();
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
                self.record(|| Record::TaskStarted { task, input });
            }
            Effect::Deliver { task } => {
                if let Some(record) = self.tasks.next_delivery(*task, self.now.as_millis()) {
                    self.record(|| record);
                }
            }
            Effect::Output(piece) => {
                let (task, bytes) = (piece.task, piece.bytes.len() as u64);
                self.record(|| Record::Output { task, bytes });
            }
            Effect::Call(..) | Effect::Order { .. } | Effect::Event(_) => {}
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
            Effect::Output(piece) => self.report.output(self.now, piece),
            Effect::Event(event) => self.report.event(self.now, event),
        }
    }
}
