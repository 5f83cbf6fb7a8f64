//! The plan of a pool: its description turned into workers with their grants, secrets and quotas.

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

use super::{Pool, Worker, WorkerSource};
use crate::{
    assembly::{PoolPlan, WorkerKind, WorkerPlan},
    embed::{Component, Host, Quota, StartError},
    settings::{QuotaTable, Spender, check_quotas},
};
use disperse_egress::{
    grants::{Dir, ExecRule, Grants, HttpRuleError, Secret},
    http::Placed,
};
use disperse_protocol::limits::{self, CONCURRENCY_MAX, WORKERS_MAX};
use disperse_sandbox::{EngineKind, Invocation, InvocationSettings, LoadedComponent, SCRATCH_FOLDER};

impl Pool {
    pub(in crate::embed) fn name(&self) -> &str {
        &self.name
    }

    /// The plan of the pool.
    ///
    /// # Errors
    /// A setting of it is invalid.
    pub(in crate::embed) fn plan(self, host: &Host) -> Result<PoolPlan, StartError> {
        self.limits.check().map_err(|why| self.wrong(why))?;
        let grants = self.grants()?;
        let quotas = quotas(&self.common.quotas);
        let worker_kind = match &self.source {
            WorkerSource::Component(component) => {
                if self.untrusted {
                    self.check_no_grants("its workers are untrusted")?;
                }
                WorkerKind::Component(self.guest(host, component)?)
            }
            WorkerSource::Native(call) => {
                if self.untrusted {
                    return Err(self.wrong("it is untrusted, and results of native workers cannot be compared"));
                }
                self.check_no_grants("a native worker has all that this program has")?;
                WorkerKind::Native(call.clone())
            }
        };
        let counted = match (self.count, self.listed.is_empty()) {
            (Some(count), _) => count,
            (None, true) => limits::cores(),
            (None, false) => 0,
        };
        let all = self.listed.len().saturating_add(counted);
        if !(1..=WORKERS_MAX as usize).contains(&all) {
            return Err(self.wrong(format!("it has {all} workers, and may have 1 to {WORKERS_MAX}")));
        }
        let most = CONCURRENCY_MAX as usize / all;
        let is_native = matches!(worker_kind, WorkerKind::Native(_));
        match self.concurrency {
            0 => return Err(self.wrong("a worker makes at least one attempt at once")),
            1 => {}
            many if is_native && many > WORKERS_MAX => {
                return Err(self.wrong(format!("a worker makes at most {WORKERS_MAX} attempts at once")));
            }
            _ if is_native => {}
            many if many as usize > most => {
                return Err(self.wrong(format!("its workers make more than {CONCURRENCY_MAX} attempts at once")));
            }
            _ => {}
        }
        let mut names = BTreeSet::new();
        let mut workers = Vec::with_capacity(all);
        let invocation = self.invocation(None, &worker_kind, &grants)?;
        for one in &self.listed {
            let own = match &one.args {
                Some(args) => self.invocation(Some(args.clone()), &worker_kind, &grants)?,
                None => invocation.clone(),
            };
            workers.push(self.worker_plan(&one.name, Some(one), own, &grants)?);
        }
        for number in 1..=counted {
            workers.push(self.worker_plan(&number.to_string(), None, invocation.clone(), &grants)?);
        }
        if let Some(twice) = workers.iter().find(|worker| !names.insert(&worker.name)) {
            return Err(StartError::SameName {
                what: format!("workers of the pool `{}`", self.name),
                name: twice.name.clone(),
            });
        }
        let spenders = workers.iter().map(|worker| Spender {
            name: &worker.name,
            quota: worker.quotas.as_deref(),
            account: worker.account.as_deref(),
        });
        let called = |name: &str| format!("the worker `{}/{name}`", self.name);
        check_quotas((&format!("the pool `{}`", self.name), &quotas), spenders, called).map_err(StartError::Quota)?;
        Ok(PoolPlan {
            limits: self.limits.over(limits::Limits::WORKER),
            name: self.name,
            worker_kind,
            kinds: self.kinds,
            grants: Arc::new(grants),
            fresh: self.fresh || self.untrusted,
            untrusted: self.untrusted,
            concurrency: self.concurrency,
            quotas,
            workers,
        })
    }

    /// The component, if it can serve as a worker of this pool.
    fn guest(&self, host: &Host, component: &Component) -> Result<LoadedComponent, StartError> {
        let named = || component.name().to_owned();
        if !component.is_of(host) {
            return Err(StartError::OtherHost { component: named() });
        }
        match component.program.contract().worker {
            None => Err(StartError::NotAWorker {
                pool: self.name.clone(),
                component: named(),
            }),
            Some(EngineKind::Blocking) if self.concurrency > 1 => {
                Err(self.wrong("its workers are blocking, and take one attempt at once"))
            }
            Some(_) if self.concurrency > 1 && (self.fresh || self.untrusted) => {
                Err(self.wrong("attempts at once share an instance, and each is to have a new one"))
            }
            Some(_) => Ok(component.program.clone()),
        }
    }

    fn check_no_grants(&self, why: &str) -> Result<(), StartError> {
        let listed = || self.listed.iter().chain([&self.common]);
        let given = [
            ("folders", !self.dirs.is_empty()),
            ("programs", !self.exec.is_empty()),
            ("requests", !self.http.is_empty()),
            ("variables", listed().any(|worker| !worker.env.is_empty())),
            ("secrets", listed().any(|worker| !worker.secrets.is_empty())),
            (
                "arguments for one worker alone",
                listed().any(|worker| worker.args.is_some()),
            ),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((what, _)) => Err(self.cannot_give(what, why)),
        }
    }

    fn grants(&self) -> Result<Grants, StartError> {
        let dir = |rule: &String| {
            let parsed = Dir::parse(rule, Path::new("."));
            parsed.map_err(|why| self.cannot_give(&format!("the folder `{rule}`"), why))
        };
        let exec = |words: &Vec<String>| {
            let parsed = ExecRule::new(words.iter().map(String::as_str));
            parsed.map_err(|why| self.cannot_give(&format!("the program `{}`", words.join(" ")), why))
        };
        let http = |rule: &String| {
            let parsed = rule.parse();
            parsed.map_err(|why: HttpRuleError| self.cannot_give(&format!("the requests `{rule}`"), why))
        };
        Ok(Grants {
            dirs: self.dirs.iter().map(dir).collect::<Result<_, _>>()?,
            exec: self.exec.iter().map(exec).collect::<Result<_, _>>()?,
            http: self.http.iter().map(http).collect::<Result<_, _>>()?,
        })
    }

    /// How its workers are invoked; `own`: the arguments of one of them.
    ///
    /// # Errors
    /// They are not programs and have settings of programs, or the settings are invalid.
    fn invocation(
        &self,
        own: Option<Vec<String>>,
        worker_kind: &WorkerKind,
        grants: &Grants,
    ) -> Result<Arc<Invocation>, StartError> {
        let own = InvocationSettings {
            args: own,
            ..InvocationSettings::default()
        };
        let settings = own.over(&self.invocation);
        let is_program = matches!(worker_kind, WorkerKind::Component(program) if program.contract().program.is_some());
        if let (false, Some(given)) = (is_program, settings.given()) {
            return Err(self.wrong(format!("it has `{given}`, which applies only to programs")));
        }
        let name = match &self.source {
            WorkerSource::Component(component) => component.name(),
            WorkerSource::Native(_) => &self.name,
        };
        let invocation = Invocation::new(name, settings).map_err(|why| self.wrong(why.to_string()))?;
        let taken = grants.dirs.iter().find(|dir| dir.guest == SCRATCH_FOLDER);
        match (invocation.scratch(), taken) {
            (Some(_), Some(dir)) => Err(self.cannot_give(
                &format!("the folder `{dir}`"),
                format!("the scratch folder is `{SCRATCH_FOLDER}` too"),
            )),
            _ => Ok(Arc::new(invocation)),
        }
    }

    fn worker_plan(
        &self,
        name: &str,
        own: Option<&Worker>,
        invocation: Arc<Invocation>,
        grants: &Grants,
    ) -> Result<WorkerPlan, StartError> {
        let mut env = self.common.env.clone();
        for (name, value) in own.into_iter().flat_map(|own| &own.env) {
            env.retain(|(other, _)| other != name);
            env.push((name.clone(), value.clone()));
        }
        if let Some((name, _)) = env
            .iter()
            .find(|(name, _)| name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(self.cannot_give(
                &format!("the variable `{name}`"),
                "it is not a valid name of a variable",
            ));
        }
        let mut placed: Vec<Placed> = Vec::new();
        for (name, value) in own.into_iter().chain([&self.common]).flat_map(|worker| &worker.secrets) {
            if placed.iter().any(|placed| placed.secret.name == *name) {
                continue;
            }
            let what = format!("the secret `{name}`");
            if env.iter().any(|(other, _)| other == name) {
                return Err(self.cannot_give(&what, "there is a plain variable of that name"));
            }
            if let Some(why) = Secret::wrong_name(name) {
                return Err(self.cannot_give(&what, why));
            }
            let secret = Secret::new(name.clone(), value.clone(), None, false);
            let secret = secret.map_err(|why| self.cannot_give(&what, why))?.bound(&grants.http);
            placed.push(Placed::new(secret).map_err(|why| self.cannot_give(&what, why))?);
        }
        let placeholders = placed
            .iter()
            .map(|placed| (placed.secret.name.clone(), placed.placeholder.clone()));
        env.extend(placeholders);
        Ok(WorkerPlan {
            name: name.to_owned(),
            env,
            invocation,
            secrets: placed.into(),
            quotas: match own {
                Some(own) if !own.quotas.is_empty() => Some(quotas(&own.quotas)),
                _ => None,
            },
            account: own.and_then(|own| own.account.clone()),
            owner: own.and_then(|own| own.owner.clone()),
        })
    }

    fn wrong(&self, why: impl Into<String>) -> StartError {
        StartError::Workers {
            pool: self.name.clone(),
            why: why.into(),
        }
    }

    fn cannot_give(&self, what: &str, why: impl fmt::Display) -> StartError {
        StartError::Grant {
            pool: self.name.clone(),
            what: what.to_owned(),
            why: why.to_string(),
        }
    }
}

fn quotas(quotas: &[Quota]) -> Vec<QuotaTable> {
    quotas.iter().map(Quota::table).collect()
}
