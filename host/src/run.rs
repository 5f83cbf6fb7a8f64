//! One run, put together: the only file that knows every room.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use disperse_scheduler::{BucketId, OwnerId, Policy};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{
    control::{RunId, Server},
    driver::{BucketSetup, Driver, PoolSetup, Rehearsed, Setup},
    grants::Grants,
    http::Placed,
    inbox::{Control, Notice},
    limits::{Budget, CompileLimits, Limits},
    logger::{Level, Logger},
    operation::{ComponentOperation, Lines, LinesOptions, Operation, OperationSettings},
    report::{Finished, Format, Reporter, Style, Summary, Target, Writer},
    sandbox::{Cache, Debt, Input, Program, Sandbox, Tail, WorkerSpec},
    script::{Script, ScriptedWorker},
    settings::QuotaTable,
    transport::{InProcess, Member, Scripted, Workers},
    worker::Worker,
};

/// Where a run's input comes from.
#[derive(Debug)]
pub(crate) enum InputSource {
    Nothing,
    Stdin,
    File(std::fs::File),
}

/// What is run.
pub(crate) enum What {
    Component {
        program: Program,
        args: Vec<String>,
        task_limits: Limits,
        planner_limits: Limits,
    },
    Lines {
        kind: String,
        batch: usize,
        /// Whether a second run of a line does no harm.
        idempotent: bool,
        /// The longest line or batch in bytes.
        payload_max: usize,
    },
}

/// One pool, loaded.
pub(crate) struct PoolPlan {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) kinds: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) grants: Arc<Grants>,
    pub(crate) fresh: bool,
    /// Whether what its workers say counts only when others say the same. Then `fresh`, one at a time and without grants.
    pub(crate) untrusted: bool,
    /// How many attempts one worker takes at once, from 1.
    pub(crate) concurrency: u32,
    /// What a service allows each account.
    pub(crate) quotas: Vec<QuotaTable>,
    pub(crate) workers: Vec<WorkerPlan>,
}

/// One worker of a pool.
pub(crate) struct WorkerPlan {
    pub(crate) name: String,
    /// Settings, and the placeholders of secrets.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) secrets: Arc<[Placed]>,
    /// Instead of its pool's.
    pub(crate) quotas: Option<Vec<QuotaTable>>,
    /// Whose quotas it spends; none: its own.
    pub(crate) account: Option<String>,
    /// Who runs it, if it is untrusted; none: somebody of its own.
    pub(crate) owner: Option<String>,
}

/// A whole run, as it was asked for.
pub(crate) struct Plan {
    pub(crate) what: What,
    pub(crate) input: InputSource,
    pub(crate) output: Option<PathBuf>,
    pub(crate) pools: Vec<PoolPlan>,
    pub(crate) policy: Policy,
    /// None: three for each attempt that workers take at once.
    pub(crate) tasks_max: Option<usize>,
    pub(crate) ordered: bool,
    pub(crate) format: Format,
    pub(crate) quiet: bool,
    pub(crate) verbose: bool,
    /// Whether it listens in `.disperse`, and keeps there what can be asked once it has ended.
    pub(crate) socket: bool,
    pub(crate) log_level: Level,
    pub(crate) seed: u64,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot write the output: {0}")]
    Output(std::io::Error),
    #[error("cannot create `{path}`: {error}")]
    Target { path: String, error: std::io::Error },
    #[error("cannot start: {0}")]
    Start(std::io::Error),
    #[error("the health settings cannot be meant: {0}")]
    Policy(#[from] disperse_scheduler::PolicyError),
}

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) summary: Summary,
    pub(crate) finished: Finished,
}

/// A new sandbox. `cache`: whether compiled code is kept for the next start. `compile` and `stack`: see [`Sandbox::new`].
pub(crate) fn sandbox(host_memory: u64, cache: bool, compile: Option<CompileLimits>, stack: usize) -> Sandbox {
    Sandbox::new(
        cache.then(Cache::user).flatten(),
        compile,
        stack,
        Budget::new(host_memory),
    )
}

/// Runs a plan to its end. `on_start` is given what stops it gently.
///
/// # Errors
/// The output cannot be written, or there are no threads to be had.
pub(crate) async fn run(sandbox: Arc<Sandbox>, plan: Plan, on_start: impl FnOnce(Stopper)) -> Result<Ended, RunError> {
    let style = Style {
        format: plan.format,
        quiet: plan.quiet,
        verbose: plan.verbose,
        output_is_file: plan.output.is_some(),
        lines_a_task: match plan.what {
            What::Component { .. } => None,
            What::Lines { batch, .. } => Some(batch as u64),
        },
    };
    let target = plan.output.clone().map_or(Target::Stdout, Target::File);
    let progress = !plan.quiet && plan.format == Format::Text;
    let writer = Writer::new(target, progress).map_err(|error| match &plan.output {
        Some(path) => RunError::Target {
            path: path.display().to_string(),
            error,
        },
        None => RunError::Start(error),
    })?;
    let mut report = Reporter::new(style, writer);
    let (to_driver, inbox) = unbounded_channel();
    let (logger, lines) = Logger::new(plan.log_level, plan.verbose);
    on_start(Stopper(to_driver.clone()));
    let id = RunId::new();
    let listens = plan.socket.then(|| Server::start(&id, to_driver.clone()));
    let (server, deaf) = match listens.transpose() {
        Ok(server) => (server, None),
        Err(error) => (None, Some(error.to_string())),
    };
    report.begun(id.as_str(), deaf.as_deref());

    let (pools, buckets) = pools(plan.pools, plan.seed, &sandbox, &logger, &to_driver);
    let workers: usize = pools.iter().map(|pool| pool.workers.len()).sum();
    let each = pools.iter().flat_map(|pool| &pool.workers);
    let slots: usize = each.map(|worker| worker.slots() as usize).sum();
    let tasks_default = match plan.what {
        What::Component { .. } => 3 * slots,
        // Lines are light, and the more of them are on their way the less often threads wake each other.
        What::Lines { .. } => (64 * workers).max(3 * slots),
    };
    let setup = Setup {
        id,
        policy: plan.policy,
        seed: plan.seed,
        tasks_max: plan.tasks_max.unwrap_or(tasks_default).max(1),
        ordered: plan.ordered,
        pools,
        buckets,
        workers: Workers::InProcess(InProcess::default()),
    };
    let operation = operation(plan.what, plan.input, plan.seed, &sandbox, &logger, &to_driver)?;
    let (summary, kept) = Driver::new(setup, operation, inbox, lines, &mut report, &sandbox)?
        .run(server.is_some())
        .await;
    match logger.take_dropped() {
        0 => {}
        dropped => report.dropped_lines(dropped),
    }
    if let (Some(server), Some(kept)) = (server, kept) {
        // As with all that disks do: not in a thread that others need. What cannot be kept is not worth an error.
        let _ = tokio::task::spawn_blocking(move || server.end(&kept)).await;
    }
    report.summary(&summary);
    // In a thread that may block: a reader that takes its time must not keep a second Ctrl-C from being heard.
    let finished = tokio::task::spawn_blocking(|| report.finish()).await;
    let finished = finished
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(RunError::Output)?;
    Ok(Ended { summary, finished })
}

/// Stops a run gently: no new attempts, those that run end.
#[derive(Clone)]
pub(crate) struct Stopper(UnboundedSender<Notice>);

impl Stopper {
    pub(crate) fn stop(&self) {
        // A run that is over needs no stopping.
        let _ = self.0.send(Notice::Control(Control::Drain));
    }
}

/// A test of an operation, ready to go.
pub(crate) struct Rehearsal {
    pub(crate) program: Program,
    /// All of the operation's arguments, its name first.
    pub(crate) args: Vec<String>,
    pub(crate) task_limits: Limits,
    pub(crate) planner_limits: Limits,
    pub(crate) policy: Policy,
    /// How many tasks may be in flight, unless the script says so.
    pub(crate) tasks_max: Option<NonZeroUsize>,
    pub(crate) script: Script,
    /// How much real time it may take.
    pub(crate) timeout: Duration,
    pub(crate) log_level: Level,
}

/// When every rehearsal begins, in ms since 1970, as its guests see it: 2000-01-01.
const REHEARSED_UNIX_MS: u64 = 946_684_800_000;

/// Rehearses an operation; see `driver/rehearsal.rs`. The sandbox must have no limit for all guests together.
///
/// # Errors
/// There are no threads to be had, or the policy cannot be meant.
pub(crate) async fn rehearse(sandbox: Arc<Sandbox>, rehearsal: Rehearsal) -> Result<Rehearsed, RunError> {
    let Rehearsal { script, policy, .. } = rehearsal;
    let style = Style {
        format: Format::Text,
        quiet: true,
        verbose: false,
        output_is_file: false,
        lines_a_task: None,
    };
    let writer = Writer::new(Target::Nowhere, false).map_err(RunError::Start)?;
    let mut report = Reporter::new(style, writer);
    let (to_driver, inbox) = unbounded_channel();
    let (logger, lines) = Logger::new(rehearsal.log_level, false);
    let setup = Setup {
        id: RunId::new(),
        policy,
        seed: script.seed,
        tasks_max: script.tasks_max(rehearsal.tasks_max),
        ordered: script.ordered,
        pools: scripted_pools(&script.workers, rehearsal.task_limits),
        buckets: Vec::new(),
        workers: Workers::Scripted(Box::new(Scripted::new(script.rules, rehearsal.task_limits.result))),
    };
    let settings = OperationSettings {
        args: rehearsal.args.into(),
        input: script.input.map(|bytes| Input::new(std::io::Cursor::new(bytes))),
        task_limits: rehearsal.task_limits,
        planner_limits: rehearsal.planner_limits,
        began_unix_ms: REHEARSED_UNIX_MS,
        seed: script.seed,
        gated: true,
    };
    let operation = ComponentOperation::start(sandbox.clone(), rehearsal.program, settings, logger, to_driver);
    let driver = Driver::new(setup, Box::new(operation), inbox, lines, &mut report, &sandbox)?;
    Ok(driver.rehearse(rehearsal.timeout).await)
}

/// Workers with the same kinds are one pool.
fn scripted_pools(workers: &[ScriptedWorker], limits: Limits) -> Vec<PoolSetup> {
    let mut pools: Vec<PoolSetup> = Vec::new();
    for worker in workers {
        if pools.iter().all(|pool| pool.kinds != worker.kinds) {
            pools.push(PoolSetup {
                name: worker.kinds.join("+"),
                kinds: worker.kinds.clone(),
                limits,
                workers: Vec::new(),
                buckets: Vec::new(),
                owners: Vec::new(),
            });
        }
    }
    let mut ids = (0..).map(disperse_scheduler::WorkerId);
    for pool in &mut pools {
        let members = workers.iter().filter(|worker| worker.kinds == pool.kinds);
        pool.workers = members
            .zip(&mut ids)
            .map(|(worker, id)| Member::Scripted {
                worker: id,
                name: worker.name.clone(),
                slots: worker.slots,
            })
            .collect();
    }
    pools
}

fn pools(
    plans: Vec<PoolPlan>,
    seed: u64,
    sandbox: &Arc<Sandbox>,
    logger: &Logger,
    to_driver: &UnboundedSender<Notice>,
) -> (Vec<PoolSetup>, Vec<BucketSetup>) {
    let mut buckets = Vec::new();
    let mut known = BTreeMap::new();
    let mut ids = (0..).map(disperse_scheduler::WorkerId);
    let pool = |plan: PoolPlan| {
        let drawn = draw(&plan, &mut buckets);
        let owners = owned(&plan, &mut known);
        let worker = |worker: WorkerPlan| {
            let denials = Arc::default();
            let http = sandbox.access(&plan.grants, worker.secrets, &plan.limits, &denials, plan.concurrency);
            Member::Guest(Box::new(Worker {
                id: ids.next().unwrap_or(disperse_scheduler::WorkerId(u32::MAX)),
                spec: WorkerSpec {
                    program: plan.program.clone(),
                    name: format!("{}/{}", plan.name, worker.name).into(),
                    env: worker.env.into(),
                    limits: plan.limits,
                    grants: plan.grants.clone(),
                    http: Arc::new(http),
                    voice: Tail::new(plan.limits.log_rate, plan.limits.log_size),
                    debt: Debt::default(),
                    denials,
                    reports: Arc::default(),
                    slots: plan.concurrency,
                    repeatable: plan.untrusted.then_some(seed),
                },
                fresh: plan.fresh,
                sandbox: sandbox.clone(),
                logger: logger.clone(),
                to_driver: to_driver.clone(),
            }))
        };
        let workers = plan.workers.into_iter().map(worker).collect();
        PoolSetup {
            name: plan.name.clone(),
            kinds: plan.kinds,
            limits: plan.limits,
            workers,
            buckets: drawn,
            owners,
        }
    };
    let pools = plans.into_iter().map(pool).collect();
    (pools, buckets)
}

/// Who runs each worker of a pool, in the order of the workers, if nobody vouches for them. `known`: the owners so far; one
/// that is named is the same one in every pool.
fn owned(plan: &PoolPlan, known: &mut BTreeMap<String, OwnerId>) -> Vec<OwnerId> {
    if !plan.untrusted {
        return Vec::new();
    }
    let owner = |worker: &WorkerPlan| {
        // A name of an owner has no blank at its end.
        let own = || format!("{}/{} ", plan.name, worker.name);
        let next = OwnerId(u32::try_from(known.len()).unwrap_or(u32::MAX));
        *known.entry(worker.owner.clone().unwrap_or_else(own)).or_insert(next)
    };
    plan.workers.iter().map(owner).collect()
}

/// Which buckets each worker of a pool draws from, in the order of the workers; makes them.
fn draw(plan: &PoolPlan, buckets: &mut Vec<BucketSetup>) -> Vec<Vec<BucketId>> {
    let mut accounts: BTreeMap<&str, Vec<BucketId>> = BTreeMap::new();
    let mut drawn = Vec::with_capacity(plan.workers.len());
    for worker in &plan.workers {
        let account = worker.account.as_deref();
        if let Some(shared) = account.and_then(|account| accounts.get(account)) {
            drawn.push(shared.clone());
            continue;
        }
        let own: Vec<BucketId> = worker
            .quotas
            .as_deref()
            .unwrap_or(&plan.quotas)
            .iter()
            .filter_map(|table| {
                // What cannot be meant was refused before.
                let quota = table.quota().ok()?;
                let id = BucketId(u32::try_from(buckets.len()).unwrap_or(u32::MAX));
                let whose = account.unwrap_or(&worker.name);
                let colon = if table.name.is_empty() { "" } else { ":" };
                buckets.push(BucketSetup {
                    name: table.name.as_str().into(),
                    label: format!("{}/{whose}{colon}{}", plan.name, table.name),
                    quota,
                    costs: table.costs.iter().map(|(kind, cost)| (kind.clone(), *cost)).collect(),
                });
                Some(id)
            })
            .collect();
        if let Some(account) = account {
            accounts.insert(account, own.clone());
        }
        drawn.push(own);
    }
    drawn
}

fn operation(
    what: What,
    input: InputSource,
    seed: u64,
    sandbox: &Arc<Sandbox>,
    logger: &Logger,
    to_driver: &UnboundedSender<Notice>,
) -> Result<Box<dyn Operation>, RunError> {
    let source: Option<Box<dyn Read + Send>> = match input {
        InputSource::Nothing => None,
        InputSource::Stdin => Some(Box::new(std::io::stdin())),
        InputSource::File(file) => Some(Box::new(file)),
    };
    match what {
        What::Component {
            program,
            args,
            task_limits,
            planner_limits,
        } => {
            let began_unix_ms = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
            let settings = OperationSettings {
                args: args.into(),
                input: source.map(Input::new),
                task_limits,
                planner_limits,
                began_unix_ms,
                seed,
                gated: false,
            };
            Ok(Box::new(ComponentOperation::start(
                sandbox.clone(),
                program,
                settings,
                logger.clone(),
                to_driver.clone(),
            )))
        }
        What::Lines {
            kind,
            batch,
            idempotent,
            payload_max,
        } => {
            let source = source.unwrap_or_else(|| Box::new(std::io::empty()));
            let options = LinesOptions {
                kind: kind.into(),
                batch,
                idempotent,
                payload_max,
            };
            let lines = Lines::start(BufReader::with_capacity(1 << 16, source), options, to_driver.clone());
            Ok(Box::new(lines.map_err(RunError::Start)?))
        }
    }
}
