//! The description of a run before it starts.

use std::{collections::BTreeSet, fmt, io::Read};

use super::{Host, Operation, Policy, Pool, Run, StartError};
use crate::{
    assembly::{InputSource, Plan, PoolPlan},
    library::library,
};
use disperse_egress::grants::{Dir, Tampering};
use disperse_protocol::logger::Level;

/// A run before it starts: see [`Host::run`].
#[must_use = "nothing runs before `start`"]
pub struct RunBuilder {
    host: Host,
    operation: Operation,
    pools: Vec<Pool>,
    input: Option<Box<dyn Read + Send>>,
    tasks: Option<usize>,
    ordered: bool,
    policy: Policy,
    seed: u64,
}

impl fmt::Debug for RunBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunBuilder")
            .field("operation", &self.operation)
            .field("pools", &self.pools)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Describes a run of this operation. Nothing happens before [`RunBuilder::start`].
    pub fn run(&self, operation: Operation) -> RunBuilder {
        RunBuilder::new(self.clone(), operation)
    }
}

impl RunBuilder {
    pub(super) fn new(host: Host, operation: Operation) -> Self {
        Self {
            host,
            operation,
            pools: Vec::new(),
            input: None,
            tasks: None,
            ordered: false,
            policy: Policy::default(),
            seed: 0,
        }
    }

    /// Adds a pool of workers; a run needs at least one. Pools of components and native pools may serve the same kind:
    /// an action that fails on a worker of one is retried on the other.
    pub fn pool(mut self, pool: Pool) -> Self {
        self.pools.push(pool);
        self
    }

    /// The run's input, for a component or for lines: a file, a socket, or bytes in a `Cursor`. A thread of its own
    /// reads it. Once the run is over that thread ends, at once or when a blocked read returns. If the reader panics,
    /// the input counts as broken off. A native operation ignores it. Default: none.
    pub fn input(mut self, reader: impl Read + Send + 'static) -> Self {
        self.input = Some(Box::new(reader));
        self
    }

    /// The most tasks in flight, from 1; 0 counts as 1. Default: three for each attempt that the workers can make at
    /// once.
    pub fn tasks(mut self, tasks: usize) -> Self {
        self.tasks = Some(tasks);
        self
    }

    /// Whether tasks are completed, and their final output written, in the order of the tasks rather than as they end.
    /// What a native task [writes before its end](crate::Task::output) is passed on at once in either case. Default:
    /// no.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.ordered = ordered;
        self
    }

    /// The policy: when workers are taken out, and how often a failed action is retried.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The seed of all random numbers of the tasks and of the scheduler. Default 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Starts the run on the current tokio runtime, which needs its time and IO drivers. The run goes on until it is
    /// done, cancelled or dropped; see [`Run`] for what happens when its events are not read.
    ///
    /// # Errors
    /// A setting is invalid, or there is no runtime. Nothing has been started then.
    pub fn start(self) -> Result<Run, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        if self.pools.is_empty() {
            return Err(StartError::NoPools);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = self.pools.iter().find(|pool| !names.insert(pool.name())) {
            return Err(StartError::SameName {
                what: "pools".into(),
                name: twice.name().to_owned(),
            });
        }
        let policy = self.policy.checked()?;
        let what = self.operation.what(&self.host)?;
        let pools = self.pools.into_iter().map(|pool| pool.plan(&self.host));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        cannot_be_exchanged(&pools, &self.host)?;
        let plan = Plan {
            what,
            pools,
            input: self.input.map_or(InputSource::Nothing, InputSource::Reader),
            policy,
            tasks_max: self.tasks,
            ordered: self.ordered,
            halt: None,
            verbose: false,
            socket: false,
            log_level: Level::Info,
            seed: self.seed,
            recording: None,
            is_embedded: true,
        };
        Ok(Run::start(&runtime, self.host.sandbox, plan, library()))
    }
}

/// Checks that no guest can write to the folder of a program that guests may run, or of compiled code.
///
/// # Errors
/// A guest can.
fn cannot_be_exchanged(pools: &[PoolPlan], host: &Host) -> Result<(), StartError> {
    let tampering = Tampering::with(pools.iter().map(|pool| &*pool.grants));
    let refused = |pool: &PoolPlan, what: String, dir: &Dir| StartError::Grant {
        pool: pool.name.clone(),
        what,
        why: format!("guests could replace it: they may write to `{dir}`"),
    };
    for pool in pools {
        for rule in &pool.grants.exec {
            if let Some(dir) = tampering.exchange(rule.program()) {
                return Err(refused(pool, format!("the program `{rule}`"), dir));
            }
        }
        for dir in pool.grants.dirs.iter().filter(|dir| dir.writable) {
            let cache = host.sandbox.cache();
            if let Some(cache) = cache.filter(|cache| tampering.exchange_in(cache).is_some()) {
                return Err(StartError::Grant {
                    pool: pool.name.clone(),
                    what: format!("the folder `{dir}`"),
                    why: format!(
                        "compiled code is kept at `{}`, and guests could replace it",
                        cache.display()
                    ),
                });
            }
        }
    }
    Ok(())
}
