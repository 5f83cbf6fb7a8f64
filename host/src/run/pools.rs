//! The pools of a run: from what was asked for to workers, their quotas and their owners.

use std::{collections::BTreeMap, sync::Arc};

use disperse_scheduler::{BucketId, OwnerId, WorkerId};
use tokio::sync::mpsc::UnboundedSender;

use crate::{
    driver::{BucketSetup, PoolSetup},
    grants::Grants,
    http::Placed,
    inbox::Notice,
    limits::Limits,
    logger::Logger,
    sandbox::{Debt, Need, Program, Sandbox, Share, Tail, WorkerSpec, folders},
    settings::{QuotaTable, Spender},
    transport::Member,
    worker::{NativeCall, NativeWorker, Worker},
};

/// What the workers of a pool are.
pub(crate) enum Performer {
    Component(Program),
    Native(NativeCall),
}

/// One pool, loaded.
pub(crate) struct PoolPlan {
    pub(crate) name: String,
    pub(crate) performer: Performer,
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

/// The pools with their workers, and what these draw from.
///
/// # Errors
/// There are no descriptors left for the folders that are granted.
pub(super) fn pools(
    plans: Vec<PoolPlan>,
    seed: u64,
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
        let drawn = draw(&plan.quotas, spenders, &format!("{}/", plan.name), &mut buckets);
        let owners = owned(&plan, &mut known);
        let folders = folders(&plan.grants)?;
        let guest = match &plan.performer {
            Performer::Component(program) => Ok((program, Share::new(sandbox, program))),
            Performer::Native(call) => Err(call),
        };
        let worker = |worker: WorkerPlan| {
            let id = ids.next().unwrap_or(WorkerId(u32::MAX));
            let name = format!("{}/{}", plan.name, worker.name).into();
            let (program, share) = match &guest {
                Ok((program, share)) => ((*program).clone(), share.clone()),
                Err(call) => {
                    return Member::Native(Box::new(NativeWorker {
                        id,
                        name,
                        call: (*call).clone(),
                        slots: plan.concurrency,
                        result_max: plan.limits.result,
                        to_driver: to_driver.clone(),
                    }));
                }
            };
            let denials = Arc::default();
            let http = sandbox.access(
                share.memory(),
                &plan.grants,
                worker.secrets,
                &plan.limits,
                &denials,
                plan.concurrency,
            );
            Member::Guest(Box::new(Worker {
                id,
                spec: WorkerSpec {
                    program,
                    name,
                    env: worker.env.into(),
                    limits: plan.limits,
                    grants: plan.grants.clone(),
                    files: sandbox.files(&folders, with_folders, &plan.limits),
                    http: Arc::new(http),
                    voice: Tail::new(plan.limits.log_rate, plan.limits.log_size),
                    debt: Debt::default(),
                    denials,
                    reports: Arc::default(),
                    share,
                    need: Need::default(),
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
        Ok(PoolSetup {
            name: plan.name.clone(),
            kinds: plan.kinds,
            limits: plan.limits,
            workers,
            buckets: drawn,
            owners,
        })
    };
    let pools = plans.into_iter().map(pool).collect::<std::io::Result<_>>()?;
    Ok((pools, buckets))
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
pub(super) fn draw<'a>(
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
