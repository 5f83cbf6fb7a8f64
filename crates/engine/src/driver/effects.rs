//! What a notice does to the rest of the run and to the world: collected while the driver decides, released at its end.

use std::collections::VecDeque;

use bytes::Bytes;
use disperse_scheduler::{ActionId, Spec, TaskId, WorkerId};

use super::journal::{Record, TurnNumber};
use disperse_protocol::inbox::{AttemptReport, Guard, Order, OutputPiece, PlannerCall, RunEvent, TaskRoom};

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
        /// The turn that must be durable before, of a worker whose quota is recorded.
        after: Option<TurnNumber>,
    },
    /// Writes to the run's output.
    Output(OutputPiece),
    /// Reports something.
    Event(RunEvent),
    /// Reports an attempt.
    Attempt(Box<AttemptReport>),
    /// Reports how a task ended.
    Result {
        task: TaskId,
        outcome: Result<Bytes, String>,
    },
    /// Passes on bytes of the lines that failed, and what they take in the host.
    FailedLines(Bytes, Guard),
}

impl Effect {
    /// A call of the planner that takes nothing in the host.
    pub(super) fn call(call: PlannerCall) -> Self {
        Self::Call(call, TaskRoom::default())
    }
}

/// The effects of the notice that is taken, and those of earlier ones that wait for the journal.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// How many turns have ended.
    turns: TurnNumber,
    /// The last of them that has records. Output and events wait until it is durable.
    recorded: TurnNumber,
    pub(super) now: Vec<Effect>,
    pub(super) records: Vec<Record>,
    /// Output and events that wait for a turn, in their order.
    waiting: VecDeque<(TurnNumber, Effect)>,
    /// Orders that wait for a turn, in their order.
    orders: VecDeque<(TurnNumber, Effect)>,
    /// Actions that are submitted to the scheduler when a turn is durable, in their order.
    held: VecDeque<(TurnNumber, ActionId, Spec)>,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.now.push(effect);
    }

    /// The turn that is under way.
    pub(super) fn turn(&self) -> TurnNumber {
        self.turns + 1
    }

    /// The last turn that has records.
    #[cfg(test)]
    pub(super) fn recorded(&self) -> TurnNumber {
        self.recorded
    }

    /// Whether effects wait for the journal.
    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.orders.is_empty()
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

    /// Keeps an effect that has to wait, because it is visible outside and follows from records that are not durable; returns one
    /// that need not. `durable`: the last turn that is.
    pub(super) fn hold(&mut self, effect: Effect, durable: TurnNumber) -> Option<Effect> {
        match effect {
            // An order is one of an action that may leave: others are held. It may have to wait for its part of a quota, and then others
            // do behind it, so that none overtakes another one to its worker.
            Effect::Order { after: Some(after), .. } if after > durable || !self.orders.is_empty() => {
                self.orders.push_back((after, effect));
                None
            }
            Effect::Start { .. } | Effect::Deliver { .. } | Effect::Call(..) | Effect::Order { .. } => Some(effect),
            Effect::Output(_)
            | Effect::Event(_)
            | Effect::Attempt(_)
            | Effect::Result { .. }
            | Effect::FailedLines(..) => {
                // The last record, which may be one of this turn.
                let cause = if self.records.is_empty() {
                    self.recorded
                } else {
                    self.turn()
                };
                if durable >= cause && self.waiting.is_empty() {
                    return Some(effect);
                }
                self.waiting.push_back((cause, effect));
                None
            }
        }
    }

    /// The next effect that waited and need not any more.
    pub(super) fn next_due(&mut self, durable: TurnNumber) -> Option<Effect> {
        let due = |(turn, _): &mut (TurnNumber, Effect)| *turn <= durable;
        let next = self.orders.pop_front_if(due).or_else(|| self.waiting.pop_front_if(due));
        next.map(|(_, effect)| effect)
    }

    /// Keeps an action that must not leave the run before a turn is durable.
    pub(super) fn hold_action(&mut self, after: TurnNumber, action: ActionId, spec: Spec) {
        self.held.push_back((after, action, spec));
    }

    /// The next action that was kept and need not be any more.
    pub(super) fn next_action(&mut self, durable: TurnNumber) -> Option<(ActionId, Spec)> {
        let (_, action, spec) = self.held.pop_front_if(|(turn, ..)| *turn <= durable)?;
        Some((action, spec))
    }

    /// How many actions are kept, those included that were cancelled meanwhile.
    pub(super) fn actions_held(&self) -> usize {
        self.held.len()
    }
}
