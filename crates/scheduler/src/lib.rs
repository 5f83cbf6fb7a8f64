//! The scheduler of Disperse: which worker tries which action, and which workers are trusted.
//!
//! A state machine: events go in, commands come out. It knows actions, workers and time only as ids and numbers; every
//! event carries the time.
//!
//! **The one rule: everything that happens goes through [`Scheduler::handle`], and every command that comes out is
//! carried out, in order.**
//!
//! 1. Call [`Scheduler::handle`] with the time and an [`Event`].
//! 2. Carry out the [`Command`]s that it appended.
//! 3. Wait for the next event, at most until [`Scheduler::next_wakeup`]; then send [`Event::Tick`].
//!
//! ```
//! use disperse_scheduler::*;
//! use std::time::Duration;
//!
//! let mut scheduler = Scheduler::new(Policy::default(), 1)?;
//! let mut commands = Vec::new();
//! let (kind, pool, worker, action) = (KindId(0), PoolId(0), WorkerId(1), ActionId(1));
//! let usual = Spec { task: TaskId(1), kind, priority: 0, attempts: 0, deadline: Moment::NEVER, idempotent: false };
//!
//! let mut now = Moment::START;
//! scheduler.handle(now, Event::KindDefined { kind, pools: vec![pool] }, &mut commands);
//! scheduler.handle(now, Event::WorkerJoined { worker, pool, slots: 1, buckets: vec![], owner: None }, &mut commands);
//! scheduler.handle(now, Event::Submitted { action, spec: usual }, &mut commands);
//! let attempt = AttemptId { action, number: 1 };
//! assert_eq!(commands, [Command::Assign { attempt, worker }]);
//!
//! // The worker has failed and there is no other: the action rests. Nothing else happens, so time goes on until then.
//! commands.clear();
//! let took = Duration::from_millis(3);
//! scheduler.handle(now + took, Event::AttemptEnded { attempt, worker, end: End::Transient, took }, &mut commands);
//! now = scheduler.next_wakeup().ok_or("it would never be tried again")?;
//! assert_eq!(commands, [Command::Retry { attempt, worker, at: now }]);
//! scheduler.handle(now, Event::Tick, &mut commands);
//! let attempt = AttemptId { action, number: 2 };
//! assert_eq!(commands.last(), Some(&Command::Assign { attempt, worker }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Inside: `model` is data with its own methods, `state` is all of it together, and the modules of `rules` are functions of
//! the state in layers. What has to happen above a rule is queued as a follow-up, which one loop in `scheduler` carries out.
//! `bucket` counts quotas, `view` answers questions, `sim` simulates.
//!
//! The same policy, seed and events always give the same commands. There is no IO here, no clock, no randomness beyond
//! the seed, no thread and no dependency.

mod bucket;
mod command;
mod event;
mod ids;
mod mean;
mod model;
mod moment;
mod outcome;
mod policy;
mod quota;
mod rng;
mod rules;
mod scheduler;
pub mod sim;
mod slab;
mod state;
mod table;
mod timers;
mod view;

pub use bucket::{Block, BucketCheckpoint, BucketHistory, BucketView, ReportedState, Reservation};
pub use command::Command;
pub use event::{Event, FailedBefore, Spec};

pub use ids::{ActionId, AttemptId, BucketId, KindId, OwnerId, PoolId, TaskId, WorkerId};
pub use model::{health::WorkerCheckpoint, latency::HedgeView, quota_state::QuotaView};
pub use moment::Moment;
pub use outcome::{Class, End, Evicted, Health, Outcome, Reason, Verdict};
pub use policy::{Blame, Policy, PolicyError};
pub use quota::{Quota, QuotaError, Report};
pub use scheduler::Scheduler;
pub use view::{ActionState, ActionView, Counts, WorkerView};

#[cfg(test)]
mod tests;
