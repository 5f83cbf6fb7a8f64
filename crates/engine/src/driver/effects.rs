//! What a notice does to the rest of the run and to the world: collected while the driver decides, released at its end.

use std::collections::VecDeque;

use bytes::Bytes;
use disperse_scheduler::{TaskId, WorkerId};

use super::journal::{Record, TurnNumber};
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

    /// Whether it is visible outside, so that it must not happen before the records that it follows from are durable.
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
    pub(super) now: Vec<Effect>,
    pub(super) records: Vec<Record>,
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
    pub(super) fn end_turn(&mut self) -> Option<(TurnNumber, Vec<Record>)> {
        self.turns += 1;
        let records = std::mem::take(&mut self.records);
        (!records.is_empty()).then(|| {
            self.recorded = self.turns;
            (self.turns, records)
        })
    }

    /// Keeps an effect that has to wait; returns one that need not. `durable`: the last turn that is.
    pub(super) fn hold(&mut self, effect: Effect, durable: TurnNumber) -> Option<Effect> {
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
    pub(super) fn next_due(&mut self, durable: TurnNumber) -> Option<Effect> {
        let (_, effect) = self.waiting.pop_front_if(|(turn, _)| *turn <= durable)?;
        self.orders_waiting -= usize::from(effect.is_order());
        Some(effect)
    }
}
