//! What a run is started with.

use std::sync::Arc;

use disperse_protocol::{control::RunId, limits::Limits};
use disperse_scheduler::{BucketId, Policy, WorkerId};

use super::{
    clock::Clock,
    halt::Halt,
    journal::{History, Journal},
    quotas::BucketSetup,
};
use crate::{
    sink::LiveCounts,
    transport::{NewWorker, Transport},
};

/// One pool, as the driver is given it.
pub struct PoolSetup {
    pub name: String,
    /// Empty: it serves every kind that no pool lists.
    pub kinds: Vec<String>,
    pub limits: Limits,
    pub workers: Vec<PoolWorker>,
    /// What makes more of them while the run goes on. None: nothing does.
    pub recruiter: Option<Box<dyn Recruiter>>,
}

/// One worker of a pool, and the buckets that it draws from.
pub struct PoolWorker {
    pub worker: NewWorker,
    pub buckets: Vec<BucketId>,
}

/// Makes workers of a pool while a run goes on.
pub trait Recruiter: Send {
    /// One more worker, of this number. None: every worker of the pool was given something of its own, so that none can be made
    /// without being told of that.
    fn one_more(&mut self, id: WorkerId) -> Option<Joining>;
}

/// A worker that joins while a run goes on.
pub struct Joining {
    pub worker: NewWorker,
    /// What it draws from, and no other worker.
    pub buckets: Vec<BucketSetup>,
}

/// What the driver is started with.
pub struct Setup {
    pub id: RunId,
    pub policy: Policy,
    pub seed: u64,
    pub pools: Vec<PoolSetup>,
    pub buckets: Vec<BucketSetup>,
    /// The way to the workers.
    pub transport: Box<dyn Transport>,
    /// What keeps the records of the run.
    pub journal: Box<dyn Journal>,
    /// What the run did before, if it is resumed.
    pub history: Option<Box<dyn History>>,
    /// How many bytes of the output are at their target before it starts.
    pub written: u64,
    /// Its beginning is that of the run.
    pub clock: Clock,
    /// How many tasks may be in flight, from 1.
    pub tasks_max: usize,
    /// How many more may be in flight for each worker that joins later, at least, and for each of its slots.
    pub tasks_each: (usize, usize),
    /// Whether the ends of tasks are collected in the order in which the tasks were handed out.
    pub ordered: bool,
    /// How many tasks may fail until the run is stopped. None: all.
    pub halt: Option<Halt>,
    /// Where it is kept how far the run is.
    pub counts: Arc<LiveCounts>,
}
