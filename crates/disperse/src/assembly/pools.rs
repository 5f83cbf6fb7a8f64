//! The pools of a run: turns their plans into workers, quotas and owners.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use disperse_scheduler::{BucketId, OwnerId, WorkerId};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    control::RunId,
    settings::{QuotaTable, Spender},
    worker::{NativeCall, NativeWorker, Worker},
};
use disperse_egress::{grants::Grants, http::Placed};
use disperse_engine::{
    driver::{BucketSetup, Joining, PoolSetup, PoolWorker, Recruiter},
    transport::{Life, NewWorker},
};
use disperse_protocol::{inbox::Notice, limits::Limits, logger::Logger};
use disperse_sandbox::{
    DeficitCounter, Folders, Invocation, LoadedComponent, Need, Sandbox, Share, Tail, WorkerSpec, folders,
};

/// The kind of a pool's workers.
pub enum WorkerKind {
    Component(LoadedComponent),
    Native(NativeCall),
}

/// One pool, loaded.
pub struct PoolPlan {
    pub name: String,
    pub worker_kind: WorkerKind,
    pub kinds: Vec<String>,
    pub limits: Limits,
    pub grants: Arc<Grants>,
    pub fresh: bool,
    /// Whether results count only when workers of another owner confirm them. Then `fresh`, one at a time and without
    /// grants.
    pub untrusted: bool,
    /// How many attempts one worker makes at once, from 1.
    pub concurrency: u32,
    /// The quotas that a service allows each account.
    pub quotas: Vec<QuotaTable>,
    pub workers: Vec<WorkerPlan>,
}

/// One worker of a pool.
#[derive(Clone)]
pub struct WorkerPlan {
    pub name: String,
    /// Settings, and the placeholders of secrets.
    pub env: Vec<(String, String)>,
    /// Its invocation, if it is a program.
    pub invocation: Arc<Invocation>,
    pub secrets: Arc<[Placed]>,
    /// Instead of its pool's.
    pub quotas: Option<Vec<QuotaTable>>,
    /// The account whose quotas it spends; none: its own.
    pub account: Option<String>,
    /// Its owner, if it is untrusted; none: an owner of its own.
    pub owner: Option<String>,
}

impl WorkerPlan {
    /// Whether it is one of the pool's counted workers, without settings of its own.
    fn is_counted(&self) -> bool {
        let own = self.quotas.is_some() || self.account.is_some() || self.owner.is_some();
        !own && self.name.parse::<u32>().is_ok()
    }

    fn spender(&self) -> Spender<'_> {
        Spender {
            name: &self.name,
            quota: self.quotas.as_deref(),
            account: self.account.as_deref(),
        }
    }
}

/// The pools with their workers, and the buckets that these draw from.
///
/// # Errors
/// There are no descriptors left for the granted folders.
pub(super) fn pools(
    plans: Vec<PoolPlan>,
    (run, seed): (&RunId, u64),
    sandbox: &Arc<Sandbox>,
    logger: &Logger,
    to_driver: &UnboundedSender<Notice>,
) -> std::io::Result<(Vec<PoolSetup>, Vec<BucketSetup>)> {
    let with_folders = plans.iter().filter(|plan| !plan.grants.dirs.is_empty());
    let with_folders: usize = with_folders.map(|plan| plan.workers.len()).sum();
    let mut buckets = Vec::new();
    let mut known = BTreeMap::new();
    let mut ids = (0..).map(WorkerId);
    let pool = |plan: PoolPlan| {
        let spenders = plan.workers.iter().map(WorkerPlan::spender);
        let mut drawn = draw(&plan.quotas, spenders, &format!("{}/", plan.name), &mut buckets).into_iter();
        let mut owners = owned(&plan, &mut known).into_iter();
        let worker_kind = match plan.worker_kind {
            WorkerKind::Component(program) => {
                let share = Share::new(sandbox, &program);
                Ok((program, share))
            }
            WorkerKind::Native(call) => Err(call),
        };
        let maker = Maker {
            run: run.as_str().into(),
            pool: plan.name.clone(),
            worker_kind,
            limits: plan.limits,
            folders: folders(&plan.grants)?,
            grants: plan.grants,
            with_folders,
            fresh: plan.fresh,
            repeatable: plan.untrusted.then_some(seed),
            slots: plan.concurrency,
            quotas: plan.quotas,
            template: plan.workers.iter().find(|worker| worker.is_counted()).cloned(),
            made: plan.workers.len(),
            sandbox: sandbox.clone(),
            logger: logger.clone(),
            to_driver: to_driver.clone(),
        };
        let worker = |worker| PoolWorker {
            worker: maker.worker(ids.next().unwrap_or(WorkerId(u32::MAX)), worker, owners.next()),
            buckets: drawn.next().unwrap_or_default(),
        };
        let workers = plan.workers.into_iter().map(worker).collect();
        Ok(PoolSetup {
            name: plan.name,
            kinds: plan.kinds,
            limits: plan.limits,
            workers,
            recruiter: Some(Box::new(maker)),
        })
    };
    let pools = plans.into_iter().map(pool).collect::<std::io::Result<_>>()?;
    Ok((pools, buckets))
}

/// Makes the workers of one pool: those of its plan, and more of them while the run goes on.
struct Maker {
    /// The run's name.
    run: Arc<str>,
    pool: String,
    worker_kind: Result<(LoadedComponent, Arc<Share>), NativeCall>,
    limits: Limits,
    folders: Folders,
    grants: Arc<Grants>,
    /// How many workers of the plan share the descriptors of granted folders.
    with_folders: usize,
    fresh: bool,
    repeatable: Option<u64>,
    slots: u32,
    quotas: Vec<QuotaTable>,
    /// A counted worker of the plan, the model of those that join later. None: all workers have settings of their own.
    template: Option<WorkerPlan>,
    /// How many there were so far: their numbers are names.
    made: usize,
    sandbox: Arc<Sandbox>,
    logger: Logger,
    to_driver: UnboundedSender<Notice>,
}

impl Recruiter for Maker {
    fn one_more(&mut self, id: WorkerId) -> Option<Joining> {
        self.made += 1;
        let worker = WorkerPlan {
            name: self.made.to_string(),
            ..self.template.clone()?
        };
        let mut buckets = Vec::new();
        draw(
            &self.quotas,
            [worker.spender()],
            &format!("{}/", self.pool),
            &mut buckets,
        );
        // Owners of the plan are numbered from 0, and there are fewer of them.
        let owner = self.repeatable.map(|_| OwnerId(u32::MAX - id.0));
        Some(Joining {
            worker: self.worker(id, worker, owner),
            buckets,
        })
    }
}

impl Maker {
    fn worker(&self, id: WorkerId, worker: WorkerPlan, owner: Option<OwnerId>) -> NewWorker {
        let name: Arc<str> = format!("{}/{}", self.pool, worker.name).into();
        NewWorker {
            life: Some(self.life(id, worker, name.clone())),
            name,
            slots: self.slots,
            owner,
        }
    }

    /// The function that carries out a worker's orders.
    fn life(&self, id: WorkerId, worker: WorkerPlan, name: Arc<str>) -> Life {
        let (program, share) = match &self.worker_kind {
            Ok((program, share)) => (program.clone(), share.clone()),
            Err(call) => {
                let worker = NativeWorker {
                    id,
                    run: self.run.clone(),
                    name,
                    call: call.clone(),
                    slots: self.slots,
                    result_max: self.limits.result,
                    to_driver: self.to_driver.clone(),
                };
                return Box::new(move |orders| Box::pin(worker.live(orders)));
            }
        };
        let denials = Arc::default();
        let http = self.sandbox.access(
            share.memory(),
            &self.grants,
            worker.secrets,
            &self.limits,
            &denials,
            self.slots,
        );
        let worker = Box::new(Worker {
            id,
            spec: WorkerSpec {
                program,
                run: self.run.clone(),
                name,
                env: worker.env.into(),
                invocation: worker.invocation,
                limits: self.limits,
                grants: self.grants.clone(),
                files: self.sandbox.files(&self.folders, self.with_folders, &self.limits),
                http: Arc::new(http),
                stderr: Tail::new(self.limits.log_rate, self.limits.log_size),
                debt: DeficitCounter::default(),
                denials,
                reports: Arc::default(),
                share,
                need: Need::default(),
                slots: self.slots,
                repeatable: self.repeatable,
            },
            fresh: self.fresh,
            sandbox: self.sandbox.clone(),
            logger: self.logger.clone(),
            to_driver: self.to_driver.clone(),
        });
        Box::new(move |orders| Box::pin(worker.live(orders)))
    }
}

/// The owner of each worker of an untrusted pool, in the order of the workers. `known`: the owners so far; a named
/// owner is the same in every pool.
fn owned(plan: &PoolPlan, known: &mut BTreeMap<String, OwnerId>) -> Vec<OwnerId> {
    if !plan.untrusted {
        return Vec::new();
    }
    let owner = |worker: &WorkerPlan| {
        // A configured name of an owner has no space at its end.
        let own = || format!("{}/{} ", plan.name, worker.name);
        let next = OwnerId(u32::try_from(known.len()).unwrap_or(u32::MAX));
        *known.entry(worker.owner.clone().unwrap_or_else(own)).or_insert(next)
    };
    plan.workers.iter().map(owner).collect()
}

/// The pools whose results can never be confirmed, because all workers that serve some kind belong to one owner: a list
/// for each such kind, without duplicates.
pub(super) fn unconfirmed(pools: &[PoolSetup]) -> Vec<Vec<String>> {
    let serves = |pool: &PoolSetup, kind: Option<&str>| match kind {
        Some(kind) => pool.kinds.iter().any(|own| own == kind),
        None => pool.kinds.is_empty(),
    };
    let listed = pools
        .iter()
        .flat_map(|pool| &pool.kinds)
        .map(|kind| Some(kind.as_str()));
    let kinds: BTreeSet<Option<&str>> = listed.chain([None]).collect();
    let mut found: BTreeSet<Vec<String>> = BTreeSet::new();
    for kind in kinds {
        let serving: Vec<&PoolSetup> = pools.iter().filter(|pool| serves(pool, kind)).collect();
        let workers = || serving.iter().flat_map(|pool| &pool.workers);
        let owners: BTreeSet<OwnerId> = workers().filter_map(|worker| worker.worker.owner).collect();
        let is_trusted = workers().any(|worker| worker.worker.owner.is_none());
        if !is_trusted && owners.len() == 1 {
            found.insert(serving.iter().map(|pool| pool.name.clone()).collect());
        }
    }
    found.into_iter().collect()
}

/// The buckets that each of these workers draws from, in their order; creates them. `quotas`: of workers that have none
/// of their own. `whole`: a prefix of all names, for people.
pub fn draw<'a>(
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
                // Invalid quotas were rejected before.
                let quota = table.quota().ok()?;
                let id = BucketId(u32::try_from(buckets.len()).unwrap_or(u32::MAX));
                let account = spender.account.unwrap_or(spender.name);
                let colon = if table.name.is_empty() { "" } else { ":" };
                buckets.push(BucketSetup {
                    name: table.name.as_str().into(),
                    label: format!("{whole}{account}{colon}{}", table.name),
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
