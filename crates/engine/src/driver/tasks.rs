//! The tasks that are in flight, the planner, and the requests that sleep.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use disperse_scheduler::{Moment, TaskId};
use rustc_hash::FxHashMap;

use super::{
    effects::{Effect, Effects},
    journal::{Delivered, Record, TurnNumber},
};
use crate::operation::Operation;
use disperse_protocol::{
    inbox::{
        Answer, Deliveries, Delivery, Parcel, Performed, PlannerCall, PlannerNotice, RequestNumber, TaskCounts,
        TaskEnd, TaskRoom, Undone,
    },
    limits::Charge,
    text::cut,
};

/// A task between being handed out and being collected.
struct Entry {
    input: Bytes,
    /// What that takes in the host.
    room: Option<Charge>,
    /// The way of its answers, once it has started.
    deliveries: Option<Deliveries>,
    /// How many deliveries it was sent.
    delivered: u32,
    /// What it is sent next.
    pending: Parcel,
    /// The highest number that it has used for a request.
    last_number: RequestNumber,
    /// How many of its requests are not answered.
    open: usize,
    /// The turn that recorded what it has seen last.
    seen: TurnNumber,
    /// How many of its actions are settled.
    settled: u64,
    /// How the last of them was performed.
    performed: Option<Performed>,
}

impl Entry {
    fn new(input: Bytes, room: Option<Charge>) -> Self {
        Self {
            input,
            room,
            deliveries: None,
            delivered: 0,
            pending: Parcel::default(),
            last_number: 0,
            open: 0,
            seen: 0,
            settled: 0,
            performed: None,
        }
    }

    /// How its action was performed, if it had a single one.
    fn performed(&self) -> Option<Performed> {
        self.performed.filter(|_| self.settled == 1)
    }
}

/// What the planner is doing, as far as the driver has to know.
#[derive(Debug, Default, PartialEq, Eq)]
enum Planner {
    /// It may be asked for tasks.
    #[default]
    Ready,
    /// It was asked for tasks.
    Asked,
    /// It said that there is nothing now; it is asked again after the next collect.
    Dry,
    /// It was told that nothing will follow.
    Finishing,
    /// It is done, or has failed.
    Done,
}

/// All tasks of the run.
pub(super) struct Tasks {
    in_flight_max: usize,
    ordered: bool,
    planner: Planner,
    last: u64,
    entries: FxHashMap<TaskId, Entry>,
    /// With `ordered`: tasks that have ended but not every one before them.
    ended: BTreeMap<TaskId, (PlannerCall, TaskRoom)>,
    /// With `ordered`: the task to be collected next.
    next_to_collect: TaskId,
    /// Calls of `collect` that are not answered.
    collecting: usize,
    /// Tasks that wait for no answer, so that they are on their way to a request or to their end.
    under_way: usize,
    sleepers: BTreeSet<(Moment, TaskId, RequestNumber)>,
    done: u64,
    failed: u64,
    /// How many there will be in all, once the planner knows.
    total: Option<u64>,
    failure: Option<String>,
    /// Whether results that wait for earlier ones are to be written, as the run is being stopped.
    released: bool,
}

impl Tasks {
    pub(super) fn new(in_flight_max: usize, ordered: bool) -> Self {
        Self {
            in_flight_max: in_flight_max.max(1),
            ordered,
            planner: Planner::Ready,
            last: 0,
            entries: FxHashMap::default(),
            ended: BTreeMap::new(),
            next_to_collect: TaskId(1),
            collecting: 0,
            under_way: 0,
            sleepers: BTreeSet::new(),
            done: 0,
            failed: 0,
            total: None,
            failure: None,
            released: false,
        }
    }

    /// Lets so many more be in flight.
    pub(super) fn allow(&mut self, more: usize) {
        self.in_flight_max = self.in_flight_max.saturating_add(more);
    }

    /// Handed out and not yet collected.
    pub(super) fn in_flight(&self) -> usize {
        self.entries.len() + self.ended.len() + self.collecting
    }

    pub(super) fn counts(&self) -> TaskCounts {
        TaskCounts {
            done: self.done,
            failed: self.failed,
            in_flight: self.in_flight() as u64,
        }
    }

    /// How many there will be in all, where that is known.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// What is left of all tasks, of which at least `read` are in the input.
    pub(super) fn undone(&self, read: u64) -> Undone {
        let known = self.total.unwrap_or_else(|| self.last.max(read));
        Undone {
            tasks: known.saturating_sub(self.done + self.failed),
            at_least: self.total.is_none(),
        }
    }

    /// Whether the planner is done and everything with it.
    pub(super) fn is_over(&self) -> bool {
        self.planner == Planner::Done
    }

    /// Whether nothing more happens unless a request is answered or the planner is asked.
    pub(super) fn are_at_rest(&self) -> bool {
        self.under_way == 0 && self.collecting == 0 && self.planner != Planner::Finishing
    }

    /// Has the results that wait for earlier ones written, once. Whether that is to be waited for.
    pub(super) fn write_held(&mut self, operation: &dyn Operation, effects: &mut Effects) -> bool {
        if !self.released && operation.held().is_some() {
            self.released = true;
            self.collecting += 1;
            effects.push(Effect::call(PlannerCall::Release));
        }
        self.released && self.collecting > 0
    }

    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// Asks the planner for what there is room for, or for the end if there will be nothing more.
    pub(super) fn steer(&mut self, effects: &mut Effects, hold: bool) {
        match self.planner {
            Planner::Ready if !hold => {
                let room = self.in_flight_max.saturating_sub(self.in_flight());
                if room > 0 {
                    self.planner = Planner::Asked;
                    let next = PlannerCall::Next(u32::try_from(room).unwrap_or(u32::MAX));
                    effects.push(Effect::call(next));
                }
            }
            Planner::Dry if self.in_flight() == 0 => {
                self.planner = Planner::Finishing;
                effects.push(Effect::call(PlannerCall::Finish));
            }
            _ => {}
        }
    }

    /// Starts a task that the planner has handed out.
    pub(super) fn hand_out(&mut self, effects: &mut Effects, input: Bytes, room: Option<Charge>) {
        effects.push(Effect::Start {
            task: self.next_task(),
            input: input.clone(),
        });
        self.hand_out_again(input, room);
    }

    /// A task was started; its answers go there.
    pub(super) fn started(&mut self, task: TaskId, deliveries: Deliveries) {
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.deliveries = Some(deliveries);
        }
    }

    /// Takes note of a task that was handed out before the run was resumed. It is started when the planner is where it was.
    pub(super) fn hand_out_again(&mut self, input: Bytes, room: Option<Charge>) {
        self.last += 1;
        self.entries.insert(TaskId(self.last), Entry::new(input, room));
        self.under_way += 1;
    }

    /// The number of the task that is handed out next.
    pub(super) fn next_task(&self) -> TaskId {
        TaskId(self.last + 1)
    }

    /// The tasks that are in flight and not started, in their order.
    pub(super) fn handed_again(&self) -> Vec<TaskId> {
        let unstarted = self.entries.iter().filter(|(_, entry)| entry.deliveries.is_none());
        let mut tasks: Vec<_> = unstarted.map(|(task, _)| *task).collect();
        tasks.sort_unstable();
        tasks
    }

    pub(super) fn input(&self, task: TaskId) -> Option<Bytes> {
        self.entries.get(&task).map(|entry| entry.input.clone())
    }

    /// The planner is asked for tasks, as it was before the run was resumed.
    pub(super) fn asked_again(&mut self) {
        self.planner = Planner::Asked;
    }

    /// The planner is told that nothing will follow, as it was before the run was resumed.
    pub(super) fn finish_again(&mut self) {
        self.planner = Planner::Finishing;
    }

    /// The call with which a task is collected that had been collected before the run was resumed. None: there is no such task.
    pub(super) fn collect_again(
        &mut self,
        task: TaskId,
        outcome: Result<Bytes, String>,
    ) -> Option<(PlannerCall, TaskRoom)> {
        let entry = self.entries.remove(&task)?;
        self.under_way -= 1;
        self.count_end(&outcome);
        self.collecting += 1;
        self.next_to_collect = TaskId(task.0 + 1).max(self.next_to_collect);
        let room = TaskRoom {
            input: entry.room,
            ..TaskRoom::default()
        };
        let call = PlannerCall::Collect {
            task,
            input: entry.input,
            outcome,
            performed: None,
        };
        Some((call, room))
    }

    fn count_end(&mut self, outcome: &Result<Bytes, String>) {
        match outcome {
            Ok(_) => self.done += 1,
            Err(_) => self.failed += 1,
        }
    }

    /// Sends a task a delivery that it was sent before the run was resumed.
    pub(super) fn deliver_again(
        &mut self,
        delivered: &Delivered,
        answers: Vec<Answer>,
        charges: Vec<(RequestNumber, Charge)>,
    ) {
        let Some(entry) = self.entries.get_mut(&delivered.task) else {
            return;
        };
        entry.open = entry.open.saturating_sub(answers.len());
        self.under_way += usize::from(entry.open == 0);
        entry.delivered = delivered.number;
        let delivery = Delivery {
            number: delivered.number,
            now_ms: delivered.now_ms,
            answers: answers.into(),
        };
        if let Some(deliveries) = &mut entry.deliveries {
            deliveries.send(Parcel { delivery, charges });
        }
    }

    /// Sends a task no more answers, so that it ends when it waits for one.
    pub(super) fn abandon(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.deliveries = None;
        }
    }

    /// Takes note of what the planner did, other than handing out tasks and writing.
    pub(super) fn planner(&mut self, notice: &PlannerNotice) {
        match notice {
            PlannerNotice::Paused { none } => {
                if self.planner == Planner::Asked {
                    self.planner = if *none { Planner::Dry } else { Planner::Ready };
                }
            }
            PlannerNotice::Total(total) => self.total = Some(*total),
            PlannerNotice::Collected => {
                self.collecting = self.collecting.saturating_sub(1);
                if self.planner == Planner::Dry {
                    self.planner = Planner::Ready;
                }
            }
            PlannerNotice::Finished(said) => {
                self.planner = Planner::Done;
                if let Err(text) = said {
                    self.failure = Some(cut(format!("the operation failed: {text}")));
                }
            }
            PlannerNotice::Failed(text) => {
                self.planner = Planner::Done;
                self.failure = Some(cut(text.clone()));
            }
            PlannerNotice::Begun { .. }
            | PlannerNotice::Handed(_)
            | PlannerNotice::Output { .. }
            | PlannerNotice::FailedLines(_) => {}
        }
    }

    /// Takes the end of a task and has it collected, now or in its turn. Returns the highest number of its requests.
    pub(super) fn end(
        &mut self,
        effects: &mut Effects,
        task: TaskId,
        end: TaskEnd,
        mut room: TaskRoom,
    ) -> RequestNumber {
        let Some(entry) = self.entries.remove(&task) else {
            return 0;
        };
        self.under_way -= usize::from(entry.open == 0);
        self.count_end(&end.outcome);
        let performed = entry.performed();
        room.input = entry.room;
        let collect = PlannerCall::Collect {
            task,
            performed,
            input: entry.input,
            outcome: end.outcome,
        };
        if self.ordered {
            self.ended.insert(task, (collect, room));
            while let Some((collect, room)) = self.ended.remove(&self.next_to_collect) {
                self.next_to_collect = TaskId(self.next_to_collect.0 + 1);
                self.collecting += 1;
                effects.push(Effect::Call(collect, room));
            }
        } else {
            self.collecting += 1;
            effects.push(Effect::Call(collect, room));
        }
        entry.last_number
    }

    /// Takes note of a request. False if the task has ended.
    pub(super) fn asked(&mut self, task: TaskId, number: RequestNumber) -> bool {
        match self.entries.get_mut(&task) {
            Some(entry) => {
                entry.last_number = entry.last_number.max(number);
                self.under_way -= usize::from(entry.open == 0);
                entry.open += 1;
                true
            }
            None => false,
        }
    }

    /// An action of a task is settled.
    pub(super) fn settled(&mut self, task: TaskId, performed: Option<Performed>) {
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.settled += 1;
            entry.performed = performed;
        }
    }

    /// Answers a request: with the task's next delivery, in which what a large result takes in the host (`charge`) goes along.
    /// A task that has ended hears nothing.
    pub(super) fn answer(&mut self, effects: &mut Effects, task: TaskId, answer: Answer, charge: Option<Charge>) {
        let Some(entry) = self.entries.get_mut(&task) else {
            return;
        };
        entry.open -= 1;
        self.under_way += usize::from(entry.open == 0);
        let Parcel { delivery, charges } = &mut entry.pending;
        if delivery.answers.is_empty() {
            effects.push(Effect::Deliver { task });
        }
        charges.extend(charge.map(|charge| (answer.number, charge)));
        delivery.answers.push(answer);
    }

    /// Whether a task has answers that it was not sent.
    pub(super) fn is_answered(&self, task: TaskId) -> bool {
        let entry = self.entries.get(&task);
        entry.is_some_and(|entry| !entry.pending.delivery.answers.is_empty())
    }

    /// What a task does from now on follows from what this turn records.
    pub(super) fn depends(&mut self, task: TaskId, turn: TurnNumber) {
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.seen = turn;
        }
    }

    /// The turn from whose records it follows what a task does. 0: none of this process.
    pub(super) fn seen(&self, task: TaskId) -> TurnNumber {
        self.entries.get(&task).map_or(0, |entry| entry.seen)
    }

    /// What is recorded of the next delivery of a task. None: there is none.
    pub(super) fn next_delivery(&self, task: TaskId, now_ms: u64) -> Option<Record> {
        let entry = self.entries.get(&task)?;
        let mut requests: Vec<RequestNumber> = entry.pending.delivery.answers.iter().map(|one| one.number).collect();
        requests.sort_unstable();
        Some(Record::Delivered(Delivered {
            task,
            number: entry.delivered + 1,
            now_ms,
            requests,
        }))
    }

    /// Sends a task all answers that it was not sent. Returns which delivery of the task that is; none if it has ended.
    pub(super) fn deliver(&mut self, task: TaskId, now_ms: u64) -> Option<u32> {
        let entry = self.entries.get_mut(&task)?;
        let Parcel { delivery, charges } = std::mem::take(&mut entry.pending);
        let mut answers = delivery.answers;
        answers.sort_unstable_by_key(|answer| answer.number);
        entry.delivered += 1;
        let delivery = Delivery {
            number: entry.delivered,
            now_ms,
            answers,
        };
        if let Some(deliveries) = &mut entry.deliveries {
            deliveries.send(Parcel { delivery, charges });
        }
        Some(entry.delivered)
    }

    /// How many calls of the planner are not answered.
    pub(super) fn calls_open(&self) -> usize {
        self.collecting + usize::from(matches!(self.planner, Planner::Asked | Planner::Finishing))
    }

    /// Has a request answered at a moment.
    pub(super) fn sleep(&mut self, until: Moment, task: TaskId, number: RequestNumber) {
        self.sleepers.insert((until, task, number));
    }

    /// Ends a sleep before its time. False if that request was no sleep.
    pub(super) fn cancel_sleep(&mut self, effects: &mut Effects, task: TaskId, number: RequestNumber) -> bool {
        let found = self
            .sleepers
            .iter()
            .find(|(_, sleeper, this)| (*sleeper, *this) == (task, number))
            .copied();
        let Some(sleeper) = found else { return false };
        self.sleepers.remove(&sleeper);
        self.wake_one(effects, task, number);
        true
    }

    pub(super) fn next_wakeup(&self) -> Option<Moment> {
        self.sleepers.first().map(|(moment, ..)| *moment)
    }

    /// Answers the sleeps that are over.
    pub(super) fn wake(&mut self, effects: &mut Effects, now: Moment) {
        while let Some(&(until, task, number)) = self.sleepers.first()
            && until <= now
        {
            self.sleepers.pop_first();
            self.wake_one(effects, task, number);
        }
    }

    fn wake_one(&mut self, effects: &mut Effects, task: TaskId, number: RequestNumber) {
        let value = Ok(Bytes::new());
        self.answer(effects, task, Answer { number, value }, None);
    }
}
