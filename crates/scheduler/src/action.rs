//! The life of an action: waiting, running, backing off, and out.

use std::time::Duration;

use crate::{
    command::Command,
    event::Spec,
    health::Of,
    ids::{ActionId, AttemptId, Ax, Gx, Kx, Rx, TaskId, WorkerId, Wx},
    moment::Moment,
    outcome::{Class, End, Outcome, Reason},
    policy::Blame,
    queue::{Key, Turn},
    quorum::Count,
    retry::{Bar, Trials},
    scheduler::{Plant, Scheduler},
    timers::Timer,
};

/// Where an open action is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum State {
    /// On its way from one state to the next. Never seen between two events.
    Between,
    /// In line.
    Waiting {
        /// In which group; none: the open line.
        group: Option<Gx>,
        /// Whom it avoids, and why.
        bar: Bar,
        /// When it avoids fewer.
        patience: Moment,
    },
    /// Every worker was tried; or it has no attempt left, and what becomes of somebody who failed it is awaited.
    Resting { until: Moment },
    /// A worker has an attempt of it, and if that is slow another worker a second one.
    Running { first: Run, second: Option<Run> },
}

/// An attempt that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) number: u32,
    pub(crate) wx: Wx,
}

/// An open action. Kept small: there may be a million.
#[derive(Debug)]
pub(crate) struct Action {
    pub(crate) id: ActionId,
    pub(crate) task: TaskId,
    pub(crate) deadline: Moment,
    pub(crate) rx: Rx,
    pub(crate) kx: Kx,
    pub(crate) priority: i32,
    /// How many attempts may fail; 0: as many as its kind needs.
    pub(crate) attempts: u32,
    /// Whether a second run of it does no harm.
    pub(crate) idempotent: bool,
    /// The number of its newest attempt; 0: it had none.
    pub(crate) number: u32,
    pub(crate) failed: u32,
    pub(crate) losses: u32,
    /// When it has its turn, the next time that it stands in line.
    pub(crate) turn: Turn,
    pub(crate) state: State,
    /// Where it failed. None: nowhere, as for most.
    pub(crate) trials: Option<Box<Trials>>,
}

impl Action {
    pub(crate) fn key(&self, ax: Ax) -> Key {
        Key::new(self.priority, self.turn, self.task, self.id, ax)
    }
}

impl Scheduler {
    pub(crate) fn submitted(&mut self, id: ActionId, spec: Spec, out: &mut Vec<Command>) {
        if self.action_ids.contains_key(&id) {
            return;
        }
        let refuse = |reason, out: &mut Vec<Command>| {
            out.push(Command::Settle {
                action: id,
                outcome: Outcome::Refused(reason),
            });
        };
        if spec.deadline <= self.now {
            return refuse(Reason::Deadline, out);
        }
        // A kind that was never defined is served by nobody.
        let Some(kx) = self.kind_ids.get(&spec.kind).copied() else {
            return refuse(Reason::Unroutable, out);
        };
        let Some(rx) = self.kinds.get(kx).map(|kind| kind.rx) else {
            return refuse(Reason::Unroutable, out);
        };
        let ax = self.actions.insert(Action {
            id,
            task: spec.task,
            deadline: spec.deadline,
            rx,
            kx,
            priority: spec.priority,
            attempts: match spec.attempts {
                0 => self.policy.attempts,
                own => own,
            },
            idempotent: spec.idempotent,
            number: 0,
            failed: 0,
            losses: 0,
            turn: Turn::Fresh,
            state: State::Between,
            trials: None,
        });
        self.action_ids.insert(id, ax);
        self.timers.set(spec.deadline, Timer::Deadline(ax));
        self.place(ax, None, out);
    }

    pub(crate) fn cancelled(&mut self, id: ActionId, out: &mut Vec<Command>) {
        if let Some(ax) = self.action_ids.get(&id) {
            self.give_up(*ax, Reason::Cancelled, out);
        }
    }

    /// Settles an action wherever it is; what runs of it is stopped.
    pub(crate) fn give_up(&mut self, ax: Ax, reason: Reason, out: &mut Vec<Command>) {
        self.settle(ax, Outcome::Refused(reason), None, out);
    }

    pub(crate) fn rested(&mut self, ax: Ax, out: &mut Vec<Command>) {
        if self.is_spent(ax) {
            return self.give_up(ax, Reason::Exhausted, out);
        }
        self.leave(ax);
        self.place(ax, None, out);
    }

    /// How many attempts of an action may fail.
    pub(crate) fn attempts_max(&self, action: &Action) -> u32 {
        let learned = || {
            let kind = self.kinds.get(action.kx);
            kind.map_or(self.policy.attempts_min, |kind| kind.flake.attempts(&self.policy))
        };
        match action.attempts {
            0 => learned(),
            own => own,
        }
    }

    /// Whether an action has no attempt left.
    pub(crate) fn is_spent(&self, ax: Ax) -> bool {
        self.actions
            .get(ax)
            .is_some_and(|action| action.failed > 0 && action.failed >= self.attempts_max(action))
    }

    /// An action was given an attempt back. If it was only waiting for that, it goes on.
    pub(crate) fn revive(&mut self, ax: Ax, out: &mut Vec<Command>) {
        let held = self.actions.get(ax).is_some_and(|action| {
            let held = action.trials.as_deref().is_some_and(|trials| trials.held);
            held && matches!(action.state, State::Resting { .. })
        });
        if held && !self.is_spent(ax) {
            if let Some(trials) = self.actions.get_mut(ax).and_then(|action| action.trials.as_deref_mut()) {
                trials.held = false;
            }
            self.leave(ax);
            self.place(ax, None, out);
        }
    }

    /// An action has failed and will be tried again: before fresh work, or when the run has retried too much, after it.
    pub(crate) fn charge(&mut self, ax: Ax) {
        let Some(action) = self.actions.get_mut(ax) else { return };
        action.turn = if self.retries < 1.0 { Turn::Late } else { Turn::Soon };
        if action.turn == Turn::Soon {
            self.retries -= 1.0;
        }
    }

    pub(crate) fn ended(
        &mut self,
        attempt: AttemptId,
        worker: WorkerId,
        end: End,
        took: Duration,
        out: &mut Vec<Command>,
    ) {
        let Some(wx) = self.worker_ids.get(&worker).copied() else {
            return;
        };
        let sent = !matches!(end, End::Faulty | End::Unstartable | End::Host { begun: false });
        let seq = self.release(wx, attempt, sent);
        let held = seq.is_some();
        let (said, end) = (
            end,
            if held {
                self.taken_for(wx, attempt.action, end)
            } else {
                end
            },
        );
        let ax = self.action_ids.get(&attempt.action).copied();
        let current = ax.filter(|ax| self.is_current(*ax, attempt, wx));
        if held {
            let kx = ax.and_then(|ax| self.actions.get(ax)).map(|action| action.kx);
            // The worker first: where the action can go depends on what is thought of the worker now.
            let of = Of {
                action: attempt.action,
                kx,
                current: current.is_some(),
            };
            self.judge(wx, of, end, took, out);
            if let (End::Busy { wait }, End::Transient) = (said, end) {
                self.busied(wx, attempt.action, wait, out);
            }
        }
        if let Some(seq) = seq {
            self.tried(wx, attempt.action, seq, said, out);
        }
        match (current, ax) {
            (Some(ax), _) => self.resolve(ax, wx, attempt, end, out),
            (None, Some(ax)) if end.class() == Class::Ok && self.is_stale(ax, attempt) => {
                // Nobody asks twice: a result is a result, even of an attempt that was thought lost.
                self.resolve_late(ax, wx, attempt, end, out);
            }
            _ => {}
        }
        if held {
            self.relist(wx);
            self.pull(wx, out);
        }
    }

    /// Takes an attempt off a worker's list. Its number among all dispatches; none: it is not on it.
    fn release(&mut self, wx: Wx, attempt: AttemptId, sent: bool) -> Option<u64> {
        let keep = self.planted(Plant::KeepSlot);
        let worker = self.workers.get_mut(wx)?;
        let index = worker.attempts.iter().position(|held| held.attempt == attempt)?;
        let seq = worker.attempts.get(index)?.seq;
        if !keep {
            worker.attempts.swap_remove(index);
            self.held = self.held.saturating_sub(1);
            if !worker.buckets.is_empty() {
                self.paid(wx, seq, sent);
            }
        }
        Some(seq)
    }

    pub(crate) fn is_current(&self, ax: Ax, attempt: AttemptId, wx: Wx) -> bool {
        self.runs(ax).any(|run| run.number == attempt.number && run.wx == wx)
    }

    /// Whether this attempt of the action was made but is not its running one.
    fn is_stale(&self, ax: Ax, attempt: AttemptId) -> bool {
        let made = self.actions.get(ax).map_or(0, |action| action.number);
        (1..=made).contains(&attempt.number) && !self.runs(ax).any(|run| run.number == attempt.number)
    }

    /// What the end of a running attempt means for its action.
    pub(crate) fn resolve(&mut self, ax: Ax, wx: Wx, attempt: AttemptId, end: End, out: &mut Vec<Command>) {
        let losses = self.policy.losses;
        let goes_on = self.run_over(ax, attempt.number, end);
        if self.is_vote(wx, end) {
            match self.count(ax, wx, attempt, end, out) {
                Count::Decided => {}
                Count::Open if goes_on => return,
                Count::Open => return self.place(ax, None, out),
                Count::Hung => return self.give_up(ax, Reason::Exhausted, out),
            }
        }
        let Some(action) = self.actions.get_mut(ax) else { return };
        let retry = match end.class() {
            Class::Ok => {
                let outcome = Outcome::Done { number: attempt.number };
                return self.settle(ax, outcome, Some(wx), out);
            }
            Class::Permanent => {
                let reason = match end {
                    End::Oversize => Reason::Oversize,
                    _ => Reason::Permanent,
                };
                return self.give_up(ax, reason, out);
            }
            Class::Transient | Class::Trap => {
                action.failed = action.failed.saturating_add(1);
                self.remember(ax, wx);
                if self.accuse(ax, wx, attempt.number, end) {
                    return self.give_up(ax, Reason::Poison, out);
                }
                if !self.is_usable(wx) {
                    self.annul(wx, out);
                }
                true
            }
            Class::Lost => {
                action.losses = action.losses.saturating_add(1);
                if action.losses > losses && !goes_on {
                    return self.give_up(ax, Reason::Exhausted, out);
                }
                // Accuses nobody, yet another worker is the better bet, one that does nothing else: what else is lost then?
                self.remember(ax, wx);
                if self.lost(ax, wx) {
                    return self.give_up(ax, Reason::Poison, out);
                }
                true
            }
            Class::WorkerFault if end == End::Unfit && self.policy.blame == Blame::Deferred => {
                self.remember(ax, wx);
                if self.accuse(ax, wx, attempt.number, end) {
                    return self.give_up(ax, Reason::Poison, out);
                }
                match self.is_usable(wx) {
                    true => self.check_unfit(wx, out),
                    false => self.annul(wx, out),
                }
                true
            }
            Class::WorkerFault => true,
            Class::Busy | Class::Host | Class::Neutral => false,
        };
        if goes_on {
            return;
        }
        if self.is_spent(ax) {
            if !self.is_in_doubt(ax) {
                return self.give_up(ax, Reason::Exhausted, out);
            }
            self.hold(ax);
            return self.weigh_open(ax, out);
        }
        if matches!(end.class(), Class::Transient | Class::Trap) {
            self.charge(ax);
        }
        if let End::Busy { wait } = end {
            return self.place_busied(ax, wx, wait, out);
        }
        self.place(ax, retry.then_some((attempt, wx)), out);
    }

    /// An attempt that was thought lost has a result.
    fn resolve_late(&mut self, ax: Ax, wx: Wx, attempt: AttemptId, end: End, out: &mut Vec<Command>) {
        let had = self.votes(ax).len();
        match self.count(ax, wx, attempt, end, out) {
            Count::Decided => self.settle(ax, Outcome::Done { number: attempt.number }, Some(wx), out),
            Count::Hung => self.give_up(ax, Reason::Exhausted, out),
            // What waits avoids one owner more.
            Count::Open if had < self.votes(ax).len() && self.runs(ax).next().is_none() => {
                let Some(rx) = self.actions.get(ax).map(|action| action.rx) else {
                    return;
                };
                if self.is_out_of_voters(ax, rx) {
                    return self.give_up(ax, Reason::Unroutable, out);
                }
                self.note_voting(ax, rx);
                self.place_again(ax, out);
            }
            Count::Open => {}
        }
    }

    /// Takes an action out of the state that it is in.
    pub(crate) fn leave(&mut self, ax: Ax) {
        let Some(action) = self.actions.get_mut(ax) else { return };
        let (rx, key) = (action.rx, action.key(ax));
        if action.trials.as_deref().is_some_and(|trials| !trials.votes.is_empty())
            && let Some(route) = self.queues.routes.get_mut(rx)
        {
            route.voting.remove(&ax);
        }
        match std::mem::replace(&mut action.state, State::Between) {
            State::Between => {}
            State::Waiting { group, patience, .. } => {
                self.queues.remove(rx, group, key);
                self.leave_solo(rx, key);
                self.timers.clear(patience, Timer::Patience(ax));
                self.tallies.waiting -= 1;
            }
            State::Resting { until } => {
                if let Some(route) = self.queues.routes.get_mut(rx) {
                    route.resting.remove(&ax);
                }
                self.timers.clear(until, Timer::Rested(ax));
                self.tallies.backing_off -= 1;
            }
            State::Running { second, .. } => {
                self.tallies.running -= 1;
                self.tallies.second -= usize::from(second.is_some());
            }
        }
    }

    /// Tells the asker and forgets the action. `by`: whose result it is.
    pub(crate) fn settle(&mut self, ax: Ax, outcome: Outcome, by: Option<Wx>, out: &mut Vec<Command>) {
        let runs = self.runs(ax);
        self.leave(ax);
        let Some(action) = self.actions.remove(ax) else { return };
        let (id, kx, rx) = (action.id, action.kx, action.rx);
        self.action_ids.remove(&action.id);
        self.timers.clear(action.deadline, Timer::Deadline(ax));
        let stopped = if self.planted(Plant::KeepSecond) { 0 } else { 2 };
        for (index, run) in runs.take(stopped).enumerate() {
            let Some(worker) = self.workers.get_mut(run.wx) else {
                continue;
            };
            out.push(Command::Stop {
                attempt: AttemptId {
                    action: action.id,
                    number: run.number,
                },
                worker: worker.id,
            });
            if action.is_solo() {
                // What is being stopped needs nobody for itself.
                worker.alone = false;
                self.stirred.push(run.wx);
            }
            if index > 0 {
                self.hedge_over(kx, false);
            }
        }
        let settle = Command::Settle {
            action: action.id,
            outcome,
        };
        out.push(settle);
        if self.planted(Plant::SettleTwice) {
            out.push(settle);
        }
        match outcome {
            Outcome::Done { .. } => self.tallies.done += 1,
            Outcome::Refused(_) => self.tallies.refused += 1,
        }
        if let Some(trials) = &action.trials {
            self.forget_shunned(ax, trials);
        }
        let accused = action.trials.map_or(Vec::new(), |trials| trials.accused);
        match outcome {
            _ if accused.is_empty() => {}
            Outcome::Done { .. } => self.convict(ax, id, kx, by, &accused, out),
            Outcome::Refused(Reason::Poison | Reason::Permanent | Reason::Oversize) => {
                self.acquit(ax, (id, kx), &accused, out)
            }
            Outcome::Refused(_) => self.close_open(ax, id, (kx, rx), &accused, out),
        }
    }
}
