//! Assembles a rehearsal: a run with the workers of a script.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use disperse_scheduler::Policy;
use tokio::sync::mpsc::unbounded_channel;

use disperse::{
    assembly::draw,
    operation::{ComponentOperation, OperationSettings},
};

use super::RunError;
use crate::{
    control::RunId,
    driver::{BucketSetup, Clock, Driver, NoJournal, PoolSetup, PoolWorker, Rehearsed, Setup},
    limits::Limits,
    logger::{Level, Logger},
    report::{NoSink, Reporter},
    sandbox::{Input, LoadedComponent, NO_TIME_UNIX_MS, Sandbox},
    script::{Script, ScriptedWorker},
    settings::Spender,
    transport::{NewWorker, Scripted},
};

/// The parts that all rehearsals of an operation share.
pub(crate) struct Stage {
    /// It must have no limit for all guests together.
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) program: LoadedComponent,
    /// The operation's arguments, its name first. Those of a script follow.
    pub(crate) args: Vec<String>,
    pub(crate) task_limits: Limits,
    pub(crate) planner_limits: Limits,
    pub(crate) policy: Policy,
    /// The most tasks in flight, unless a script sets it.
    pub(crate) tasks_max: Option<NonZeroUsize>,
    /// The most real time that one may take.
    pub(crate) timeout: Duration,
    pub(crate) log_level: Level,
}

/// Rehearses an operation; see `driver/rehearsal.rs`.
///
/// # Errors
/// No thread can be started, or the policy is invalid.
pub(crate) async fn rehearse(stage: &Stage, script: Script) -> Result<Rehearsed, RunError> {
    let mut report = Reporter::new(Box::new(NoSink));
    let (to_driver, inbox) = unbounded_channel();
    let (logger, lines) = Logger::new(stage.log_level, false);
    let (pools, buckets) = pools(&script.workers, stage.task_limits);
    let setup = Setup {
        id: RunId::new(),
        policy: stage.policy.clone(),
        seed: script.seed,
        tasks_max: script.tasks_max(stage.tasks_max),
        tasks_each: (0, 0),
        halt: None,
        ordered: script.ordered,
        pools,
        buckets,
        transport: Box::new(Scripted::new(script.rules, stage.task_limits.result)),
        journal: Box::new(NoJournal),
        history: None,
        written: 0,
        clock: Clock::start(),
        counts: Arc::default(),
    };
    let settings = OperationSettings {
        args: stage.args.iter().cloned().chain(script.args).collect(),
        input: script.input.map(|bytes| Input::new(std::io::Cursor::new(bytes))),
        task_limits: stage.task_limits,
        planner_limits: stage.planner_limits,
        began_unix_ms: NO_TIME_UNIX_MS,
        seed: script.seed,
        is_rehearsal: true,
        is_recorded: false,
    };
    let operation = ComponentOperation::start(
        stage.sandbox.clone(),
        stage.program.clone(),
        settings,
        logger,
        to_driver,
    );
    let driver = Driver::new(
        setup,
        Box::new(operation),
        inbox,
        lines,
        &mut report,
        stage.sandbox.budget(),
    )?;
    Ok(driver.rehearse(stage.timeout).await)
}

/// Groups workers with the same kinds into pools, with the buckets that they draw from.
fn pools(workers: &[ScriptedWorker], limits: Limits) -> (Vec<PoolSetup>, Vec<BucketSetup>) {
    let mut pools: Vec<PoolSetup> = Vec::new();
    for worker in workers {
        if pools.iter().all(|pool| pool.kinds != worker.kinds) {
            pools.push(PoolSetup {
                name: worker.kinds.join("+"),
                kinds: worker.kinds.clone(),
                limits,
                workers: Vec::new(),
                recruiter: None,
            });
        }
    }
    let mut buckets = Vec::new();
    for pool in &mut pools {
        let members = || workers.iter().filter(|worker| worker.kinds == pool.kinds);
        let spenders = members().map(|worker| Spender {
            name: &worker.name,
            quota: Some(&worker.quotas),
            account: worker.account.as_deref(),
        });
        let drawn = draw(&[], spenders, "", &mut buckets);
        let joining = members().zip(drawn).map(|(worker, buckets)| PoolWorker {
            worker: NewWorker {
                name: worker.name.as_str().into(),
                slots: worker.slots,
                owner: None,
                life: None,
            },
            buckets,
        });
        pool.workers = joining.collect();
    }
    (pools, buckets)
}
