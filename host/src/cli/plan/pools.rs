//! Makes pools of workers from components and grants.

use std::{num::NonZeroU32, path::Path, sync::Arc};

use super::{
    pool_checks,
    worker_grants::{self, WorkerGrants},
};
use crate::{
    cli::{
        args::Common,
        console::Failure,
        loading::{LoadedComponents, host_memory, name_of},
    },
    grants::Secret,
    http::Placed,
    limits::{Limits, cores},
    run::{PoolPlan, WorkerKind, WorkerPlan},
    sandbox::{Invocation, InvocationSettings, LoadedComponent, SCRATCH_FOLDER},
    settings::{Manifest, Pool},
    units::Size,
};

/// Makes pools, with the flags that hold for all of them.
pub(super) struct PoolMaker<'a> {
    programs: &'a LoadedComponents,
    common: &'a Common,
    /// The limits of pools without limits of their own.
    limits: Limits,
    worker_grants: WorkerGrants,
    env: Vec<(String, String)>,
    invocation: InvocationSettings,
}

impl<'a> PoolMaker<'a> {
    /// Parses the grants of the flags. `args`: the arguments of programs; empty if none were given.
    ///
    /// # Errors
    /// A grant is invalid.
    pub(super) fn new(
        programs: &'a LoadedComponents,
        common: &'a Common,
        limits: Limits,
        args: &[String],
    ) -> Result<Self, Failure> {
        Ok(Self {
            invocation: InvocationSettings {
                args: (!args.is_empty()).then(|| args.to_vec()),
                scratch: common.program.scratch.map(|size| size.0),
                result_file: common.program.result_file.clone(),
                ok_status: common
                    .program
                    .ok_status
                    .as_ref()
                    .map(|ok| ok.iter().copied().map(i32::from).collect()),
            },
            programs,
            common,
            limits,
            worker_grants: WorkerGrants::typed(common)?,
            env: common
                .env
                .iter()
                .map(|text| worker_grants::variable(text))
                .collect::<Result<_, _>>()?,
        })
    }

    /// A pool of workers from an operation's own component.
    ///
    /// # Errors
    /// A secret and a variable have the same name.
    pub(super) fn own(&self, path: &Path, program: LoadedComponent) -> Result<PoolPlan, Failure> {
        let count = self.common.workers;
        let settings = InvocationSettings::default();
        self.pool(name_of(path), program, count, None, &WorkerGrants::default(), settings)
    }

    /// A pool of workers from a component.
    ///
    /// # Errors
    /// A secret and a variable have the same name.
    pub(super) fn component(&self, path: &Path, count: Option<u32>) -> Result<PoolPlan, Failure> {
        let program = self.programs.of(path)?;
        let (count, settings) = (count.or(self.common.workers), InvocationSettings::default());
        self.pool(name_of(path), program, count, None, &WorkerGrants::default(), settings)
    }

    /// The pools of a manifest. Without any, for `map`, a pool of its worker, or else of its operation's component.
    ///
    /// # Errors
    /// A grant is invalid.
    pub(super) fn manifest(&self, manifest: &Manifest, folder: &Path, map: bool) -> Result<Vec<PoolPlan>, Failure> {
        if !manifest.pool.is_empty() || !map {
            return manifest.pool.iter().map(|pool| self.table(pool, folder)).collect();
        }
        match (&manifest.worker, &manifest.operation) {
            (Some(worker), _) => {
                let path = folder.join(&worker.component);
                let worker_grants =
                    WorkerGrants::written(&worker.dirs, &worker.exec, &worker.http, &worker.secrets, folder)?;
                let program = self.programs.of(&path)?;
                Ok(vec![self.pool(
                    name_of(&path),
                    program,
                    self.common.workers,
                    worker.concurrency,
                    &worker_grants,
                    InvocationSettings {
                        args: worker.args.clone(),
                        scratch: worker.scratch.map(|size| size.0),
                        result_file: worker.result_file.clone(),
                        ok_status: worker.ok_status.clone(),
                    },
                )?])
            }
            (None, Some(operation)) => Ok(vec![self.component(&folder.join(&operation.component), None)?]),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn pool(
        &self,
        name: String,
        program: LoadedComponent,
        count: Option<u32>,
        concurrency: Option<NonZeroU32>,
        more: &WorkerGrants,
        settings: InvocationSettings,
    ) -> Result<PoolPlan, Failure> {
        let worker_grants = self.worker_grants.clone().and(more);
        let (count, fresh) = (workers(count), self.common.fresh);
        let invocation = self.invocation(&name, &name, &program, settings, &worker_grants)?;
        Ok(PoolPlan {
            concurrency: pool_checks::concurrency(self.common.concurrency, &name, &program, concurrency, fresh, count)?,
            quotas: self.common.quota.clone(),
            name,
            worker_kind: WorkerKind::Component(program),
            kinds: Vec::new(),
            limits: self.limits,
            fresh,
            untrusted: false,
            workers: (1..=count)
                .map(|n| {
                    worker(
                        n.to_string(),
                        self.env.clone(),
                        &invocation,
                        &worker_grants.secrets,
                        &worker_grants,
                    )
                })
                .collect::<Result<_, _>>()?,
            grants: Arc::new(worker_grants.grants),
        })
    }

    fn table(&self, table: &Pool, folder: &Path) -> Result<PoolPlan, Failure> {
        let program = self.programs.of(&folder.join(&table.component))?;
        let written = WorkerGrants::written(&table.dirs, &table.exec, &table.http, &table.secrets, folder)?;
        let worker_grants = self.worker_grants.clone().and(&written);
        let called = name_of(&table.component);
        let settings = InvocationSettings {
            args: table.args.clone(),
            scratch: table.scratch.map(|size| size.0),
            result_file: table.result_file.clone(),
            ok_status: table.ok_status.clone(),
        };
        let invocation = self.invocation(&table.name, &called, &program, settings.clone(), &worker_grants)?;
        let mut listed = Vec::new();
        for listing in &table.worker {
            let mut env: Vec<_> = listing.settings.clone().into_iter().collect();
            // Flags override the manifest, and a worker's own values override its pool's.
            env.retain(|(name, _)| self.env.iter().all(|(typed, _)| typed != name));
            env.extend(self.env.iter().cloned());
            let own = worker_grants::secrets(&listing.secrets, folder)?;
            let typed = self.worker_grants.secrets.clone();
            let secrets = worker_grants::over(worker_grants::over(typed, &own), &worker_grants.secrets);
            let invocation = match &listing.args {
                Some(_) => {
                    let args = listing.args.clone();
                    let settings = InvocationSettings {
                        args,
                        ..settings.clone()
                    };
                    self.invocation(&table.name, &called, &program, settings, &worker_grants)?
                }
                None => invocation.clone(),
            };
            listed.push(WorkerPlan {
                quotas: listing.quota.clone().filter(|_| self.common.quota.is_empty()),
                account: listing.account.clone(),
                owner: listing.owner.clone(),
                ..worker(listing.name.clone(), env, &invocation, &secrets, &worker_grants)?
            });
        }
        let more = match (table.workers, listed.is_empty()) {
            (Some(count), _) => count,
            (None, true) => workers(self.common.workers),
            (None, false) => 0,
        };
        for n in 1..=more {
            let env = self.env.clone();
            listed.push(worker(
                n.to_string(),
                env,
                &invocation,
                &worker_grants.secrets,
                &worker_grants,
            )?);
        }
        if table.untrusted {
            pool_checks::given_nothing(table, &worker_grants, &self.env)?;
        }
        let fresh = table.fresh || self.common.fresh || table.untrusted;
        Ok(PoolPlan {
            concurrency: pool_checks::concurrency(
                self.common.concurrency,
                &table.name,
                &program,
                table.concurrency,
                fresh,
                listed.len(),
            )?,
            quotas: match self.common.quota.as_slice() {
                [] => table.quota.clone(),
                typed => typed.to_vec(),
            },
            name: table.name.clone(),
            worker_kind: WorkerKind::Component(program),
            kinds: table.kinds.clone(),
            // Flags override the pool's limits, which override the manifest's.
            limits: self.common.limits.over(table.limits.over(self.limits)),
            fresh,
            untrusted: table.untrusted,
            workers: listed,
            grants: Arc::new(worker_grants.grants),
        })
    }

    /// The invocation of the workers of a pool, if they are programs. Flags override the manifest. `called`: the program's name.
    ///
    /// # Errors
    /// The workers are not programs but have settings of an invocation, or the settings are invalid.
    fn invocation(
        &self,
        pool: &str,
        called: &str,
        program: &LoadedComponent,
        settings: InvocationSettings,
        worker_grants: &WorkerGrants,
    ) -> Result<Arc<Invocation>, Failure> {
        let settings = self.invocation.clone().over(&settings);
        let is_program = program.contract().program.is_some();
        if let (false, Some(given)) = (is_program, settings.given()) {
            let what = match given {
                "args" => "take arguments".to_owned(),
                other => format!("have `{other}`"),
            };
            return Err(Failure::usage(format!("the workers of `{pool}` cannot {what}"))
                .because(
                    "they export `handle`, which is called with the payload; only a program is started for each action",
                )
                .hint("use a component that exports wasi:cli/run, or a core module with `_start`"));
        }
        let invalid =
            |why| Failure::usage(format!("invalid program settings for the workers of `{pool}`")).because(why);
        let invocation = Invocation::new(called, settings).map_err(invalid)?;
        let taken = worker_grants.grants.dirs.iter().find(|dir| dir.guest == SCRATCH_FOLDER);
        let host = host_memory(self.common)?;
        match (invocation.scratch(), taken) {
            (Some(size), _) if size > host => Err(Failure::usage(format!(
                "the workers of `{pool}` cannot have a scratch folder of {}",
                Size(size)
            ))
            .because(format!(
                "it is held in memory, and all guests together have {}",
                Size(host)
            ))
            .hint("lower --scratch, or raise --host-memory")),
            (Some(_), Some(dir)) => Err(Failure::usage(format!(
                "the workers of `{pool}` see two folders as `{SCRATCH_FOLDER}`"
            ))
            .because(format!(
                "`{dir}` is granted, and their scratch folder has the same path"
            ))
            .hint("grant the folder under another path: PATH::/data")),
            _ => Ok(Arc::new(invocation)),
        }
    }
}

/// One worker, with a placeholder of its own for each secret.
///
/// # Errors
/// A secret and a variable have the same name.
fn worker(
    name: String,
    mut env: Vec<(String, String)>,
    invocation: &Arc<Invocation>,
    secrets: &[Secret],
    worker_grants: &WorkerGrants,
) -> Result<WorkerPlan, Failure> {
    let mut placed = Vec::with_capacity(secrets.len());
    for secret in secrets {
        if env.iter().any(|(name, _)| *name == secret.name) {
            return Err(
                Failure::usage(format!("`{}` is both a secret and a plain variable", secret.name))
                    .hint("give one of them another name"),
            );
        }
        let secret = secret.bound(&worker_grants.grants.http);
        let secret = Placed::new(secret).map_err(|error| Failure::machine("cannot make a placeholder", &error))?;
        env.push((secret.secret.name.clone(), secret.placeholder.clone()));
        placed.push(secret);
    }
    Ok(WorkerPlan {
        name,
        env,
        invocation: invocation.clone(),
        secrets: placed.into(),
        quotas: None,
        account: None,
        owner: None,
    })
}

/// The number of workers; by default one per core.
fn workers(count: Option<u32>) -> usize {
    count.map_or_else(cores, |count| count as usize)
}
