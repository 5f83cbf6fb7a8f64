//! A run in virtual time, with workers that are played by a script: a *rehearsal*. The same script leads to the same events, in
//! the same order and at the same moments, on any machine and with any number of threads.
//!
//! Guests are real and compute in threads of their own, as long as they like. What keeps chance out is this:
//!
//! 1. The driver takes its turns as in any run, but a turn only when all guests **rest**: no call of the planner is open, and
//!    every task has ended or has reported that it waits with all deliveries taken that it was sent ([`Notice::Resting`]). A task
//!    reports that after its requests and on the same way, so that nothing of it can still come. Until then notices are only
//!    gathered.
//! 2. What was gathered is taken in the order of its senders, the planner first, then tasks by number; each sends its own in
//!    order. How threads took turns is forgotten with that.
//! 3. What a notice sends to a task is one delivery, and which deliveries it takes is all that its path depends on. The planner is
//!    called in the order of the calls.
//! 4. When a turn has sent nothing to any guest, nothing more can happen now, and the clock jumps to the next moment for which
//!    something is set: the end of an attempt, of a sleep, or a timer of the scheduler. Ends come in the order in which the
//!    attempts were to end, then began.
//!
//! The state after a turn thus follows from the state before it. What in a run depends on the machine is left out: the host's
//! memory has no limit here, and no turn waits for a slow output. A guest that never rests is ended by real time.

use std::time::{Duration, Instant};

use disperse_scheduler::{Command, Moment, Quota, QuotaView, TaskId};

use super::{event_loop::sleep_until, rehearsal_state::Stage, state::Driver};
use crate::script::Log;
use disperse_protocol::{
    inbox::{Ask, Guard, Notice, PlannerNotice, RunSummary},
    logger::Line,
    units::Time,
};

/// How many bytes of requests and output may wait for the driver, and of actions to be settled. There is no `--host-memory` in a
/// rehearsal, because what is over it depends on chance; a test that holds this much is at fault.
const HELD_MAX: u64 = 1 << 30;

/// How a rehearsal went.
pub struct Rehearsed {
    pub summary: RunSummary,
    pub log: Log,
    /// Why it broke off before the end, if it did.
    pub trouble: Option<String>,
    /// What guests said; the first of it.
    pub said: Vec<Line>,
    /// How much virtual time has passed.
    pub took: Duration,
}

impl Driver<'_> {
    /// Runs to the end in virtual time, or until so much real time has passed. The transport must be that of a script, and the
    /// tasks must report when they rest.
    pub async fn rehearse(mut self, limit: Duration) -> Rehearsed {
        let until = Instant::now() + limit;
        let names = self.registry.names().map(str::to_owned).collect();
        self.stage = Some(Box::new(Stage::new(names)));
        let trouble = self.turns(until).await.err();
        let mut stage = self.stage.take().map(|stage| *stage).unwrap_or_default();
        let trouble = trouble.map(|trouble| match trouble {
            Trouble::Late => late(limit, self.now, &stage, self.tasks.calls_open()),
            Trouble::Other(text) => text,
        });
        while let Ok(line) = self.lines.try_recv() {
            stage.hear(line);
        }
        Rehearsed {
            log: stage.log,
            trouble,
            said: stage.said,
            took: self.now.since(Moment::START),
            summary: self.summary(),
        }
    }

    async fn turns(&mut self, until: Instant) -> Result<(), Trouble> {
        let (mut now, mut batch) = (self.now, Vec::new());
        loop {
            let is_over = self.turn(now, &mut batch);
            self.note_quotas();
            self.check(until)?;
            let is_awake = self.stage.as_ref().is_some_and(|stage| !stage.awake.is_empty());
            if is_over {
                return Ok(());
            }
            if is_awake || self.tasks.calls_open() > 0 {
                batch = self.gather(until).await?;
            } else {
                now = self.next_moment().ok_or_else(stuck)?.max(now);
                batch = self.transport.take_due(now);
            }
        }
    }

    /// Waits until all guests rest. Returns what they sent, in an order that does not depend on when.
    async fn gather(&mut self, until: Instant) -> Result<Vec<Notice>, Trouble> {
        let Some(stage) = self.stage.as_deref_mut() else {
            return Err(stuck());
        };
        let mut calls = self.tasks.calls_open();
        let mut gathered = Vec::new();
        let mut held = 0;
        while calls > 0 || !stage.awake.is_empty() {
            let mut notice = tokio::select! {
                biased;
                () = sleep_until(Some(until)) => return Err(Trouble::Late),
                Some(notice) = self.inbox.recv() => notice,
                Some(line) = self.lines.recv() => {
                    stage.hear(line);
                    continue;
                }
            };
            match &mut notice {
                Notice::Resting { task, taken } => {
                    if stage.awake.get(task) == Some(taken) {
                        stage.awake.remove(task);
                    }
                    continue;
                }
                Notice::TaskEnded { task, .. } => drop(stage.awake.remove(task)),
                Notice::Planner(PlannerNotice::Output { bytes, .. }, guard) => {
                    // The room that it takes is given back when it is written, which is when this turn is over: the planner
                    // must not wait for that.
                    *guard = Guard::None;
                    held += bytes.len() as u64;
                }
                Notice::Planner(
                    PlannerNotice::Paused { .. } | PlannerNotice::Collected | PlannerNotice::Finished(_),
                    _,
                ) => calls = calls.saturating_sub(1),
                // It answers no more calls.
                Notice::Planner(PlannerNotice::Failed(_), _) => calls = 0,
                Notice::Request(request) => {
                    if let Ask::Action(action, _) = &request.ask {
                        held += action.payload.len() as u64;
                    }
                }
                _ => {}
            }
            gathered.push(notice);
            if held > HELD_MAX {
                return Err(too_much());
            }
        }
        gathered.sort_by_key(source);
        Ok(gathered)
    }

    /// The next moment at which anything happens.
    pub(super) fn next_moment(&self) -> Option<Moment> {
        let moments = [
            self.transport.next_moment(),
            self.tasks.next_wakeup(),
            self.scheduler.next_wakeup(),
        ];
        moments.into_iter().flatten().min()
    }

    /// Whether there is a reason not to go on.
    fn check(&mut self, until: Instant) -> Result<(), Trouble> {
        if let Some(trouble) = self.transport.take_trouble() {
            return Err(Trouble::Other(trouble));
        }
        if let Some(trouble) = self.stage.as_ref().and_then(|stage| stage.log.is_over()) {
            return Err(Trouble::Other(format!("{trouble}, at {} of its time", clock(self.now))));
        }
        if self.actions.size() > HELD_MAX {
            return Err(too_much());
        }
        // A run in which no guest has a part may have no other end.
        if Instant::now() > until {
            Err(Trouble::Late)
        } else {
            Ok(())
        }
    }

    /// Has in the log which quotas have been spent since the last turn.
    fn note_quotas(&mut self) {
        let Some(stage) = self.stage.as_deref_mut().filter(|_| self.quotas.are_there()) else {
            return;
        };
        for QuotaView { bucket, is, .. } in self.scheduler.quotas() {
            // How many attempts go on says this better.
            if matches!(is.quota, Quota::Concurrent { .. }) {
                continue;
            }
            let before = stage.quotas.insert(bucket, (is.available, is.used));
            let is_news = before.is_none_or(|(available, used)| available > 0 || is.used > used);
            if is.available == 0 && is_news {
                stage.log.spent(self.now, self.quotas.label(bucket));
            }
        }
    }

    /// Has a notice in the log of a rehearsal.
    pub(super) fn log_notice(&mut self, notice: &Notice) {
        if let Some(stage) = &mut self.stage {
            stage.log.notice(self.now, notice);
        }
    }

    /// Has a command in the log of a rehearsal.
    pub(super) fn log_command(&mut self, command: &Command) {
        if let Some(stage) = &mut self.stage {
            let actions = &self.actions;
            stage.log.command(self.now, command, |action| {
                actions.get(action).map(|parked| (parked.task, parked.number))
            });
        }
    }

    /// A task has something to do, and will rest again with so many deliveries taken.
    pub(super) fn awakened(&mut self, task: TaskId, deliveries: u32) {
        if let Some(stage) = &mut self.stage {
            stage.awake.insert(task, deliveries);
        }
    }
}

/// Why a rehearsal does not go on.
enum Trouble {
    /// Its real time is up.
    Late,
    Other(String),
}

fn stuck() -> Trouble {
    Trouble::Other("nothing more can happen, and it is not over".to_owned())
}

fn too_much() -> Trouble {
    Trouble::Other(format!("more than {} MiB of requests and output wait", HELD_MAX >> 20))
}

/// Whose notice it is: 0 for the planner, else the task's number.
fn source(notice: &Notice) -> u64 {
    match notice {
        Notice::Request(request) => request.task.0,
        Notice::TaskEnded { task, .. } | Notice::Resting { task, .. } => task.0,
        Notice::Planner(..) => 0,
        // Of these there are none in the inbox of a rehearsal.
        Notice::AttemptEnded(_) | Notice::WorkerLeft { .. } | Notice::Control(_) | Notice::Shortage(_) => u64::MAX,
    }
}

fn clock(now: Moment) -> Time {
    Time::from(now.since(Moment::START))
}

fn late(limit: Duration, now: Moment, stage: &Stage, calls: usize) -> String {
    let busy = match stage.awake.first_key_value() {
        Some((task, _)) => format!("task {} is still computing", task.0),
        None if calls > 0 => "the planner is still computing".to_owned(),
        None => "its tasks and workers would go on".to_owned(),
    };
    let limit = Time::from(limit);
    format!(
        "it was not over within {limit} of real time: {busy}, at {} of its own; raise it with --timeout",
        clock(now)
    )
}
