//! A run in virtual time, with workers that are played by a script: a *rehearsal*. The same script leads to the same events, in
//! the same order and at the same moments, on any machine and with any number of threads.
//!
//! Guests are real and compute in threads of their own, as long as they like. What keeps chance out is this:
//!
//! 1. The driver acts in steps, and takes a step only when everybody is **at rest**: no call of the planner is open, and every
//!    task has ended or has said that it waits with all the answers taken that it was sent ([`Notice::Resting`]). A task says so
//!    after its requests and on the same way, so that nothing of it can still come. Until then notices are only gathered.
//! 2. What was gathered is taken in the order of who sent it, the planner first, then tasks by number; each sends its own in
//!    order. How threads took turns is forgotten with that.
//! 3. What a step sends to a task waits behind a gate until the step is over (`inbox/answers.rs`). So the task sees it as one
//!    batch, and which batches it sees is all that its path depends on. The planner is called in the order of the calls.
//! 4. When a step has sent nothing to anybody, nothing more can happen now, and the clock jumps to the next moment that somebody
//!    waits for: the end of an attempt, of a sleep, or what the scheduler has set. Ends come in the order in which the attempts
//!    were to end, then began.
//!
//! The state after a step thus follows from the state before it. What in a run depends on the machine is left out: the host's
//! memory has no limit here, and nobody waits for a slow output. A guest that never rests is ended by real time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use disperse_scheduler::{BucketId, Command, Moment, Quota, QuotaView, TaskId};

use super::{Driver, sleep_until};
use crate::{
    inbox::{Ask, Notice, PlannerNotice, RunSummary},
    logger::Line,
    script::Log,
    transport::Workers,
    units::Time,
};

/// How many bytes of requests and output may wait for the driver, and of actions to be settled. There is no `--host-memory` in a
/// rehearsal, because what is over it depends on chance; a test that holds this much is at fault.
const HELD_MAX: u64 = 1 << 30;

/// How many lines of guests are kept. Arbitrary.
const SAID_MAX: usize = 1000;

/// How a rehearsal went.
pub(crate) struct Rehearsed {
    pub(crate) summary: RunSummary,
    pub(crate) log: Log,
    /// Why it broke off before the end, if it did.
    pub(crate) trouble: Option<String>,
    /// What guests said; the first of it.
    pub(crate) said: Vec<Line>,
    /// How much virtual time has passed.
    pub(crate) took: Duration,
}

/// Who is not at rest and what they say, and what was seen at the last step.
#[derive(Default)]
struct Room {
    /// Tasks that have something to do, and how many answers each will have taken when it is at rest.
    awake: BTreeMap<TaskId, u64>,
    said: Vec<Line>,
    /// Units of each quota that were left at the last look, and that had been spent.
    quotas: BTreeMap<BucketId, (u32, u64)>,
}

impl Driver<'_> {
    /// Runs to the end in virtual time, or until so much real time has passed. The workers must be those of a script, and the
    /// tasks' answers must be gated.
    pub(crate) async fn rehearse(mut self, limit: Duration) -> Rehearsed {
        let until = Instant::now() + limit;
        let mut room = Room::default();
        let trouble = self.steps(&mut room, until).await.err();
        let trouble = trouble.map(|trouble| match trouble {
            Trouble::Late => late(limit, self.now, &room, self.tasks.calls_open()),
            Trouble::Other(text) => text,
        });
        while let Ok(line) = self.lines.try_recv() {
            room.hear(line);
        }
        Rehearsed {
            log: self.log.take().map(|log| *log).unwrap_or_default(),
            trouble,
            said: room.said,
            took: self.now.since(Moment::START),
            summary: self.summary(),
        }
    }

    async fn steps(&mut self, room: &mut Room, until: Instant) -> Result<(), Trouble> {
        self.steer();
        while !self.is_over() {
            room.awake.extend(self.tasks.release());
            if room.awake.is_empty() && self.tasks.calls_open() == 0 {
                self.jump()?;
            } else {
                for notice in self.gather(room, until).await? {
                    if let Some(log) = &mut self.log {
                        log.notice(self.now, &notice);
                    }
                    self.take(notice);
                }
            }
            self.steer();
            self.note_quotas(room);
            self.check(until)?;
        }
        Ok(())
    }

    /// Waits until everybody is at rest. Gives what they sent, in an order that does not depend on when.
    async fn gather(&mut self, room: &mut Room, until: Instant) -> Result<Vec<Notice>, Trouble> {
        let mut calls = self.tasks.calls_open();
        let mut gathered = Vec::new();
        let mut held = 0;
        while calls > 0 || !room.awake.is_empty() {
            let mut notice = tokio::select! {
                biased;
                () = sleep_until(Some(until)) => return Err(Trouble::Late),
                Some(notice) = self.inbox.recv() => notice,
                Some(line) = self.lines.recv() => {
                    room.hear(line);
                    continue;
                }
            };
            match &mut notice {
                Notice::Resting { task, taken } => {
                    if room.awake.get(task) == Some(taken) {
                        room.awake.remove(task);
                    }
                    continue;
                }
                Notice::TaskEnded { task, .. } => drop(room.awake.remove(task)),
                Notice::Planner(PlannerNotice::Output(piece)) => {
                    // The room that it takes is given back when it is written, which is when this step is over: the planner
                    // must not wait for that.
                    piece.room = None;
                    held += piece.bytes.len() as u64;
                }
                Notice::Planner(
                    PlannerNotice::Paused { .. } | PlannerNotice::Collected | PlannerNotice::Finished(_),
                ) => calls = calls.saturating_sub(1),
                // It answers no more calls.
                Notice::Planner(PlannerNotice::Failed(_)) => calls = 0,
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

    /// Lets time go on to the next moment at which anything happens, and happen what is due.
    fn jump(&mut self) -> Result<(), Trouble> {
        let stuck = || Trouble::Other("nothing more can happen, and it is not over".to_owned());
        let Workers::Scripted(workers) = &mut self.workers else {
            return Err(stuck());
        };
        let moments = [workers.next(), self.tasks.next_wakeup(), self.scheduler.next_wakeup()];
        let next = moments.into_iter().flatten().min().ok_or_else(stuck)?;
        self.now = self.now.max(next);
        for ended in workers.due(self.now) {
            let notice = Notice::AttemptEnded(ended);
            if let Some(log) = &mut self.log {
                log.notice(self.now, &notice);
            }
            self.take(notice);
        }
        self.wake();
        Ok(())
    }

    /// Whether there is a reason not to go on.
    fn check(&mut self, until: Instant) -> Result<(), Trouble> {
        if let Workers::Scripted(workers) = &mut self.workers
            && let Some(trouble) = workers.take_trouble()
        {
            return Err(Trouble::Other(trouble));
        }
        if let Some(trouble) = self.log.as_ref().and_then(|log| log.is_over()) {
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

    /// Has in the log which quotas have been spent since the last step.
    fn note_quotas(&mut self, room: &mut Room) {
        let Some(log) = self.log.as_mut().filter(|_| self.quotas.are_there()) else {
            return;
        };
        for QuotaView { bucket, is, .. } in self.scheduler.quotas() {
            // How many attempts go on says this better.
            if matches!(is.quota, Quota::Concurrent { .. }) {
                continue;
            }
            let before = room.quotas.insert(bucket, (is.available, is.used));
            let is_news = before.is_none_or(|(available, used)| available > 0 || is.used > used);
            if is.available == 0 && is_news {
                log.spent(self.now, self.quotas.label(bucket));
            }
        }
    }

    /// Has a command in the log, if there is one.
    pub(super) fn note(&mut self, command: &Command) {
        if let Some(log) = &mut self.log {
            let actions = &self.actions;
            log.command(self.now, command, |action| {
                actions.get(action).map(|parked| (parked.task, parked.number))
            });
        }
    }
}

impl Room {
    fn hear(&mut self, line: Line) {
        if self.said.len() < SAID_MAX {
            self.said.push(line);
        }
    }
}

/// Why a rehearsal does not go on.
enum Trouble {
    /// Its real time is up.
    Late,
    Other(String),
}

fn too_much() -> Trouble {
    Trouble::Other(format!("more than {} MiB of requests and output wait", HELD_MAX >> 20))
}

/// Whose notice it is: 0 for the planner, else the task's number.
fn source(notice: &Notice) -> u64 {
    match notice {
        Notice::Request(request) => request.task.0,
        Notice::TaskEnded { task, .. } | Notice::Resting { task, .. } => task.0,
        Notice::Planner(_) => 0,
        // Of these there are none in the inbox of a rehearsal.
        Notice::AttemptEnded(_) | Notice::Control(_) | Notice::Shortage(_) => u64::MAX,
    }
}

fn clock(now: Moment) -> Time {
    Time::from(now.since(Moment::START))
}

fn late(limit: Duration, now: Moment, room: &Room, calls: usize) -> String {
    let who = match room.awake.first_key_value() {
        Some((task, _)) => format!("task {} is still computing", task.0),
        None if calls > 0 => "the planner is still computing".to_owned(),
        None => "its tasks and workers would go on".to_owned(),
    };
    let limit = Time::from(limit);
    format!(
        "it was not over within {limit} of real time: {who}, at {} of its own; raise it with --timeout",
        clock(now)
    )
}
