//! One run, put together: the only room that knows every other.

mod rehearsal;

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use disperse_scheduler::{BucketId, OwnerId, Policy};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::{
    control::{RunId, Server},
    driver::{BucketSetup, Driver, PoolSetup, Setup},
    grants::Grants,
    http::Placed,
    inbox::{Control, Notice},
    limits::{Budget, CompileLimits, Limits},
    logger::{Level, Logger},
    operation::{ComponentOperation, Lines, LinesOptions, Operation, OperationSettings},
    report::{Finished, Format, Reporter, Style, Summary, Target, Writer},
    sandbox::{Cache, Debt, Input, Program, Sandbox, Tail, WorkerSpec},
    settings::{QuotaTable, Spender},
    transport::{InProcess, Member, Workers},
    worker::Worker,
};

pub(crate) use self::rehearsal::{Stage, rehearse};

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

impl WorkerPlan {
    fn spender(&self) -> Spender<'_> {
        Spender {
            name: &self.name,
            quota: self.quotas.as_deref(),
            account: self.account.as_deref(),
        }
    }
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
        let spenders = plan.workers.iter().map(WorkerPlan::spender);
        let drawn = draw(&plan.quotas, spenders, &format!("{}/", plan.name), &mut buckets);
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

/// Which buckets each of these draws from, in their order; makes them. `quotas`: of those that have none of their own. `whole`:
/// what stands before the names of all, for people.
fn draw<'a>(
    quotas: &[QuotaTable],
    spenders: impl IntoIterator<Item = Spender<'a>>,
    whole: &str,
    buckets: &mut Vec<BucketSetup>,
) -> Vec<Vec<BucketId>> {
    let mut accounts: BTreeMap<&str, Vec<BucketId>> = BTreeMap::new();
    let mut drawn = Vec::new();
    for spender in spenders {
        if let Some(shared) = spender.account.and_then(|account| accounts.get(account)) {
            drawn.push(shared.clone());
            continue;
        }
        let own: Vec<BucketId> = spender
            .quota
            .unwrap_or(quotas)
            .iter()
            .filter_map(|table| {
                // What cannot be meant was refused before.
                let quota = table.quota().ok()?;
                let id = BucketId(u32::try_from(buckets.len()).unwrap_or(u32::MAX));
                let whose = spender.account.unwrap_or(spender.name);
                let colon = if table.name.is_empty() { "" } else { ":" };
                buckets.push(BucketSetup {
                    name: table.name.as_str().into(),
                    label: format!("{whole}{whose}{colon}{}", table.name),
                    quota,
                    costs: table.costs.iter().map(|(kind, cost)| (kind.clone(), *cost)).collect(),
                });
                Some(id)
            })
            .collect();
        if let Some(account) = spender.account {
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
