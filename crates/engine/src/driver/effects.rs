//! What a notice does to the rest of the run and to the world: collected while the driver decides, released at its end.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use disperse_scheduler::{TaskId, WorkerId};
use rustc_hash::FxHashMap;

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
    /// Sends a worker an order, after those that it was sent before.
    Order {
        worker: WorkerId,
        order: Order,
        /// The turn that must be durable before. 0: none.
        after: TurnNumber,
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
    reports: VecDeque<(TurnNumber, Effect)>,
    /// Orders that wait, by the turn that they wait for.
    orders: BTreeMap<TurnNumber, Vec<Effect>>,
    /// The turn for which the last order of a worker waits that had to wait: later ones must not overtake it.
    ordered: FxHashMap<WorkerId, TurnNumber>,
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
        !self.reports.is_empty() || !self.orders.is_empty()
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
        match &effect {
            Effect::Start { .. } | Effect::Deliver { .. } | Effect::Call(..) => Some(effect),
            Effect::Order { worker, after, .. } => {
                let before = self.ordered.get(worker).copied().unwrap_or_default();
                let after = before.max(*after);
                if durable >= after {
                    return Some(effect);
                }
                self.ordered.insert(*worker, after);
                self.orders.entry(after).or_default().push(effect);
                None
            }
            Effect::Output(_) | Effect::Event(_) => {
                // The last record, which may be one of this turn.
                let cause = if self.records.is_empty() {
                    self.recorded
                } else {
                    self.turn()
                };
                if durable >= cause && self.reports.is_empty() {
                    return Some(effect);
                }
                self.reports.push_back((cause, effect));
                None
            }
        }
    }

    /// The effects that waited and need not any more: orders to a worker in their order, and output and events in theirs.
    pub(super) fn take_due(&mut self, durable: TurnNumber) -> Vec<Effect> {
        let mut due = Vec::new();
        while let Some(orders) = self.orders.first_entry()
            && *orders.key() <= durable
        {
            due.extend(orders.remove());
        }
        while let Some((_, effect)) = self.reports.pop_front_if(|(turn, _)| *turn <= durable) {
            due.push(effect);
        }
        due
    }
}
