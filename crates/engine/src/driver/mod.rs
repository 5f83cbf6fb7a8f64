//! The loop: one writer, which owns everything that changes.
//!
//! Others send it notices. It drains its inbox in batches, tells the scheduler what happened, carries out what the
//! scheduler says, and reports. All waiting is in `event_loop.rs`.

mod actions;
mod attempt_reports;
mod attempts;
mod checkpoint_state;
mod checkpoints;
mod clock;
mod effects;
mod event_loop;
mod evidence;
mod explain;
mod halt;
mod journal;
mod notices;
mod quotas;
mod registry;
mod rehearsal;
mod rehearsal_state;
mod release;
mod replay;
mod replay_planner;
mod replay_state;
mod routes;
mod settle;
mod setup;
mod shortage;
mod shortage_watch;
mod state;
mod tally;
mod tasks;
#[cfg(test)]
mod tests;
mod votes;

pub use self::{
    clock::Clock,
    halt::{ENDED_MIN, Halt},
    journal::{
        AttemptRecord, BEGINNING, Delivered, History, Journal, NoJournal, PlannerCalled, QuotaReserved, Record,
        Settled, SettledBefore, StartedBefore, TaskHistory, TurnNumber, WorkerChanged,
    },
    quotas::BucketSetup,
    rehearsal::Rehearsed,
    setup::{Joining, PoolSetup, PoolWorker, Recruiter, Setup},
    state::Driver,
};
