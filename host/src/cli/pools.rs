//! From components and grants to pools of workers.

use std::{path::Path, sync::Arc};

use super::{args::Common, error::Failure, plan};
use crate::{
    digest::Digest,
    grants::{Dir, ExecRule, Grants},
    limits::Limits,
    run::PoolPlan,
    sandbox::{Program, Sandbox},
    settings::{Manifest, Pool},
};

/// Makes pools from what was typed for all of them.
pub(super) struct PoolMaker<'a> {
    sandbox: &'a Sandbox,
    common: &'a Common,
    /// Of pools that say nothing else.
    limits: Limits,
    grants: Grants,
    env: Vec<(String, String)>,
}

impl<'a> PoolMaker<'a> {
    /// Reads the grants that were typed.
    ///
    /// # Errors
    /// One cannot be meant.
    pub(super) fn new(sandbox: &'a Sandbox, common: &'a Common, limits: Limits) -> Result<Self, Failure> {
        let exec: Vec<Vec<&str>> = common
            .exec
            .iter()
            .map(|rule| rule.split_whitespace().collect())
            .collect();
        Ok(Self {
            sandbox,
            common,
            limits,
            grants: grants(&common.dir, exec, Path::new("."))?,
            env: common.env.iter().map(|text| variable(text)).collect::<Result<_, _>>()?,
        })
    }

    /// Workers of an operation's own component.
    pub(super) fn own(&self, path: &Path, program: Program) -> PoolPlan {
        self.pool(name_of(path), program, self.common.workers, &Grants::default())
    }

    /// Workers of a component.
    ///
    /// # Errors
    /// It cannot be loaded or is no worker.
    pub(super) fn component(&self, path: &Path, count: Option<u32>) -> Result<PoolPlan, Failure> {
        let program = self.load(path, None)?;
        Ok(self.pool(
            name_of(path),
            program,
            count.or(self.common.workers),
            &Grants::default(),
        ))
    }

    /// Workers of a component that must be the one with this digest, if one is given.
    ///
    /// # Errors
    /// As [`PoolMaker::component`], or it is another one.
    pub(super) fn pinned(&self, path: &Path, pin: Option<Digest>) -> Result<PoolPlan, Failure> {
        let program = self.load(path, pin)?;
        Ok(self.pool(name_of(path), program, self.common.workers, &Grants::default()))
    }

    /// The pools of a manifest; of none, for `map`, its worker, else its operation's own.
    ///
    /// # Errors
    /// A component cannot be loaded or is no worker, or a grant cannot be meant.
    pub(super) fn manifest(&self, manifest: &Manifest, folder: &Path, map: bool) -> Result<Vec<PoolPlan>, Failure> {
        if !manifest.pool.is_empty() || !map {
            return manifest.pool.iter().map(|pool| self.table(pool, folder)).collect();
        }
        match (&manifest.worker, &manifest.operation) {
            (Some(worker), _) => {
                let path = folder.join(&worker.component);
                let granted = grants(&worker.dirs, &worker.exec, folder)?;
                let program = self.load(&path, self.common.expect_sha256.or(worker.sha256))?;
                Ok(vec![self.pool(name_of(&path), program, self.common.workers, &granted)])
            }
            (None, Some(operation)) => {
                let pin = self.common.expect_sha256.or(operation.sha256);
                Ok(vec![self.pinned(&folder.join(&operation.component), pin)?])
            }
            (None, None) => Ok(Vec::new()),
        }
    }

    fn load(&self, path: &Path, pin: Option<Digest>) -> Result<Program, Failure> {
        let program = plan::load(self.sandbox, path, pin)?;
        match program.contract().worker {
            Some(_) => Ok(program),
            None => Err(
                Failure::usage(format!("`{}` is an operation, not a worker", path.display()))
                    .hint("a worker exports `handle`; `run` runs an operation"),
            ),
        }
    }

    fn pool(&self, name: String, program: Program, count: Option<u32>, granted: &Grants) -> PoolPlan {
        PoolPlan {
            name,
            program,
            kinds: Vec::new(),
            limits: self.limits,
            grants: Arc::new(self.grants.clone().and(granted)),
            fresh: self.common.fresh,
            workers: (1..=workers(count))
                .map(|n| (n.to_string(), self.env.clone()))
                .collect(),
        }
    }

    fn table(&self, table: &Pool, folder: &Path) -> Result<PoolPlan, Failure> {
        let program = self.load(&folder.join(&table.component), table.sha256)?;
        let mut listed: Vec<(String, Vec<(String, String)>)> = table
            .worker
            .iter()
            .map(|worker| {
                let mut env: Vec<_> = worker.settings.clone().into_iter().collect();
                // What was typed comes before what is written.
                env.retain(|(name, _)| self.env.iter().all(|(typed, _)| typed != name));
                env.extend(self.env.iter().cloned());
                (worker.name.clone(), env)
            })
            .collect();
        let more = match (table.workers, listed.is_empty()) {
            (Some(count), _) => count,
            (None, true) => workers(self.common.workers),
            (None, false) => 0,
        };
        listed.extend((1..=more).map(|n| (n.to_string(), self.env.clone())));
        let granted = grants(&table.dirs, &table.exec, folder)?;
        Ok(PoolPlan {
            name: table.name.clone(),
            program,
            kinds: table.kinds.clone(),
            // As above, and a pool's own before the manifest's.
            limits: plan::limits(self.common).over(table.limits.over(self.limits)),
            grants: Arc::new(self.grants.clone().and(&granted)),
            fresh: table.fresh || self.common.fresh,
            workers: listed,
        })
    }
}

/// One worker for each core, unless a number was given.
fn workers(count: Option<u32>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    count.map_or_else(cores, |count| count as usize)
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_stem()
        .map_or_else(|| "component".into(), |name| name.to_string_lossy().into_owned())
}

/// `NAME=VALUE`, or `NAME` for what it is here.
fn variable(text: &str) -> Result<(String, String), Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            let here = std::env::var(text);
            let unset = || Failure::usage(format!("cannot pass `--env {text}` on"));
            (
                text,
                here.map_err(|error| unset().because(error).hint("give it as --env NAME=VALUE"))?,
            )
        }
    };
    if name.is_empty() {
        return Err(Failure::usage(format!("`--env {text}` has no name")).hint("it is written NAME[=VALUE]"));
    }
    Ok((name.to_owned(), value))
}

fn grants<S: AsRef<str>>(
    dirs: &[String],
    exec: impl IntoIterator<Item = impl AsRef<[S]>>,
    base: &Path,
) -> Result<Grants, Failure> {
    let dir = |text: &String| {
        let failed = |error| Failure::usage(format!("cannot grant the folder `{text}`")).because(error);
        Dir::parse(text, base).map_err(failed)
    };
    let rule = |words: &[S]| {
        let shown = || words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        ExecRule::new(words.iter().map(AsRef::as_ref))
            .map_err(|error| Failure::usage(format!("cannot grant the program `{}`", shown())).because(error))
    };
    Ok(Grants {
        dirs: dirs.iter().map(dir).collect::<Result<_, _>>()?,
        exec: exec
            .into_iter()
            .map(|words| rule(words.as_ref()))
            .collect::<Result<_, _>>()?,
    })
}
