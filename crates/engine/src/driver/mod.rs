//! The loop: one writer, which owns everything that changes.
//!
//! Others send it notices. It drains its inbox in batches, tells the scheduler what happened, carries out what the
//! scheduler says, and reports. It never waits for anything but the next notice or the next moment that matters.

mod actions;
mod clock;
mod effects;
mod event_loop;
mod evidence;
mod explain;
mod journal;
mod quotas;
mod registry;
mod rehearsal;
mod release;
mod routes;
mod setup;
mod shortage;
mod stage;
mod state;
mod tally;
mod tasks;
#[cfg(test)]
mod tests;
mod turn;
mod votes;
mod watch;

pub use self::{
    clock::Clock,
    journal::{Journal, NoJournal, Record, TurnNumber},
    quotas::BucketSetup,
    rehearsal::Rehearsed,
    setup::{Joining, PoolSetup, PoolWorker, Recruiter, Setup},
    state::Driver,
};
