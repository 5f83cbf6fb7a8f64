//! Replays the planner of a run that is resumed, then starts the tasks that had not ended.
//!
//! The planner is called as it was called before, one call after another; ends of tasks are those that are recorded. It writes
//! the same output again, of which what is at its target already is dropped.

use std::io;

use bytes::Bytes;
use disperse_protocol::{
    digest::Digest,
    inbox::{Guard, Notice, OutputPiece, PlannerCall, PlannerNotice, PlannerStep, TaskEnd, TaskRoom},
};
use disperse_scheduler::{Moment, TaskId};

use super::{
    effects::Effect,
    journal::{History, PlannerCalled},
    replay_state::Replay,
    state::Driver,
};

/// Why a run cannot be resumed.
enum Broken {
    /// What was recorded cannot be read.
    Journal(io::Error),
    /// The planner did something else than before, or failed.
    Planner(String),
    /// It is being stopped.
    Stopped,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Journal(error)
    }
}

/// How a call of the planner ended.
enum Called {
    Handed(Bytes, Guard),
    Nothing,
    Collected,
}

impl Driver<'_> {
    /// Replays what the run did before, if it is resumed. `now`: no attempt of before is still being made.
    pub(super) async fn resume(&mut self, now: Moment) {
        let Some(mut history) = self.history.take() else {
            return;
        };
        self.now = self.now.max(now);
        self.resumed = self.now;
        let replayed = match self.restore(history.as_mut()) {
            Ok(()) => self.replay_planner(history.as_mut()).await,
            Err(error) => Err(Broken::Journal(error)),
        };
        // What the planner said it has said before.
        while self.lines.try_recv().is_ok() {}
        let started = match replayed {
            Ok(()) => self.start_again(history.as_mut()).map_err(Broken::from),
            Err(broken) => Err(broken),
        };
        match started {
            Ok(()) | Err(Broken::Stopped) => {}
            Err(Broken::Journal(error)) => self.end_for_shortage(format!("the journal cannot be read: {error}")),
            Err(Broken::Planner(message)) => self.tasks.planner(&PlannerNotice::Failed(message)),
        }
    }

    async fn replay_planner(&mut self, history: &mut dyn History) -> Result<(), Broken> {
        while let Some(PlannerCalled { step, now_ms }) = history.next_call()? {
            self.now = self.now.max(Moment::from_millis(now_ms));
            match step {
                PlannerStep::Next => {
                    self.operation.call(PlannerCall::Next(1), TaskRoom::default(), now_ms);
                    let called = self.planner_called().await?;
                    self.handed_again(history, called)?;
                }
                PlannerStep::Collect(task) => {
                    let Some(outcome) = history.outcome(task)? else {
                        return Err(Broken::Journal(missing("the end of task", task)));
                    };
                    let Some((call, room)) = self.tasks.collect_again(task, outcome) else {
                        return Err(Broken::Journal(missing("the start of task", task)));
                    };
                    self.operation.call(call, room, now_ms);
                    self.planner_called().await?;
                    self.tasks.planner(&PlannerNotice::Collected);
                }
                PlannerStep::Finish => {
                    // Its notices come as those of any other call, but for its beginning, which is recorded.
                    self.is_finish_recorded = true;
                    self.tasks.finish_again();
                    self.operation.call(PlannerCall::Finish, TaskRoom::default(), now_ms);
                }
            }
        }
        Ok(())
    }

    /// Takes what the planner has handed out again.
    fn handed_again(&mut self, history: &mut dyn History, called: Called) -> Result<(), Broken> {
        let Called::Handed(input, guard) = called else {
            self.tasks.asked_again();
            self.tasks.planner(&PlannerNotice::Paused { none: true });
            return Ok(());
        };
        let task = self.tasks.next_task();
        let before = history.started(task)?;
        if before.is_some_and(|before| before.input != Digest::of(&input)) {
            return Err(Broken::Planner(format!(
                "the planner handed out another task {} than before the run was resumed: it is not deterministic, or its component, \
                 arguments or input are not the same",
                task.0
            )));
        }
        match before {
            Some(_) => self.tasks.hand_out_again(input, guard.charge()),
            // The run broke off before its start was recorded.
            None => self.tasks.hand_out(&mut self.effects, input, guard.charge()),
        }
        Ok(())
    }

    /// Waits until the planner has answered its one open call.
    async fn planner_called(&mut self) -> Result<Called, Broken> {
        let mut handed = None;
        loop {
            let Some(notice) = self.inbox.recv().await else {
                return Err(Broken::Stopped);
            };
            match notice {
                Notice::Planner(PlannerNotice::Handed(input), guard) => {
                    handed = Some((input, guard));
                }
                Notice::Planner(PlannerNotice::Paused { .. }, _) => {
                    return Ok(handed.map_or(Called::Nothing, |(input, guard)| Called::Handed(input, guard)));
                }
                Notice::Planner(PlannerNotice::Collected, _) => return Ok(Called::Collected),
                Notice::Planner(PlannerNotice::Output { origin, bytes }, room) => {
                    self.output(OutputPiece { bytes, origin, room });
                    self.release_effects();
                }
                Notice::Planner(PlannerNotice::Failed(message), _) => return Err(Broken::Planner(message)),
                Notice::Planner(PlannerNotice::Begun { .. }, _) => {}
                Notice::Planner(notice, _) => self.tasks.planner(&notice),
                Notice::Control(control) => {
                    self.control(control);
                    if self.cancelled || self.draining {
                        return Err(Broken::Stopped);
                    }
                }
                Notice::Shortage(message) => {
                    self.end_for_shortage(message);
                    return Err(Broken::Stopped);
                }
                notice => self.late.push_back(notice),
            }
        }
    }

    /// Has a piece of output written, but for what of it is at its target already.
    pub(super) fn output(&mut self, mut piece: OutputPiece) {
        if self.unwritten == 0 {
            self.effects.push(Effect::Output(piece));
            return;
        }
        let done = self.unwritten.min(piece.bytes.len() as u64);
        self.unwritten -= done;
        // At most the length of the piece.
        let rest = piece
            .bytes
            .split_off(usize::try_from(done).unwrap_or(usize::MAX).min(piece.bytes.len()));
        if !rest.is_empty() {
            piece.bytes = rest;
            self.effects.push(Effect::Output(piece));
        }
    }

    /// Starts the tasks that had not ended, and has those collected that had.
    fn start_again(&mut self, history: &mut dyn History) -> io::Result<()> {
        for task in self.tasks.handed_again() {
            if let Some(outcome) = history.outcome(task)? {
                let end = TaskEnd::free(outcome);
                self.tasks.end(&mut self.effects, task, end, TaskRoom::default());
                continue;
            }
            let Some(started) = history.started(task)? else {
                continue;
            };
            let replay = Replay::new(history.task(task)?);
            if let Some(input) = self.tasks.input(task) {
                let deliveries = self.operation.start(task, input, started.now_ms);
                self.tasks.started(task, deliveries);
                self.replays.insert(task, replay);
            }
        }
        Ok(())
    }
}

fn missing(what: &str, task: TaskId) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it lacks {what} {}", task.0))
}
