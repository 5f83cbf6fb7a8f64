//! Responses to `explain`, and to `readmit`, `workers` and `drain`, which alone change the run.

mod action;
mod changes;
mod counts;
mod run;
mod worker;

use std::collections::BTreeMap;

use disperse_scheduler::{ActionId, Health, PoolId, QuotaView, WorkerId, WorkerView};

use self::counts::{Survey, WorkerCounts, spent};
use super::Driver;
use disperse_protocol::{
    control::{Archive, ControlResponse, Problem, Query, Status, find_worker},
    inbox::QuotaSummary,
};

/// How many workers a run lists, and attempts a worker. Arbitrary: a screen.
const LISTED_MAX: usize = 20;

/// How many workers and open actions are kept of a run that has ended, beside those of which there is more to say.
const KEPT_MAX: usize = 5000;

impl Driver<'_> {
    /// Carries out a request from outside.
    ///
    /// # Errors
    /// Its subject does not exist, or the change is not possible.
    pub(super) fn answer(&mut self, query: &Query) -> Result<ControlResponse, Problem> {
        let status = match query {
            Query::Run => Status::Run(Box::new(self.explain_run(&self.survey()))),
            Query::Action { id } => Status::Action(Box::new(self.explain_action(ActionId(*id), &self.survey())?)),
            Query::Worker { name } => {
                let view = self.called(name)?;
                Status::Worker(Box::new(self.explain_worker(&view, &self.survey())))
            }
            Query::Readmit { worker } => Status::Changed(self.readmit(worker)?),
            Query::Workers { pool, add } => Status::Changed(self.add_workers(pool, *add)?),
            Query::Drain { worker: None } => Status::Changed(self.drain_all()),
            Query::Drain { worker: Some(worker) } => Status::Changed(self.drain_worker(worker)?),
        };
        Ok(ControlResponse {
            run: self.evidence.id.to_string(),
            ended: false,
            at_ms: self.now.as_millis(),
            status,
        })
    }

    /// The record of the run, for when it has ended.
    pub(super) fn kept(&self) -> Archive {
        let survey = self.survey();
        let is_notable = |view: &WorkerView| view.health != Health::Healthy || self.evidence.failures(view.worker) > 0;
        let (notable, others): (Vec<_>, Vec<_>) = self.scheduler.workers().partition(is_notable);
        let mut views: Vec<_> = notable.into_iter().chain(others).take(KEPT_MAX).collect();
        views.sort_by_key(|view| view.worker);
        let mut actions = self.evidence.actions();
        actions.extend(
            self.actions
                .open()
                .map(|(id, _)| id)
                .filter(|id| self.evidence.history(*id).is_none())
                .take(KEPT_MAX),
        );
        Archive::new(
            self.now.as_millis(),
            self.actions.last(),
            self.explain_run(&survey),
            views.iter().map(|view| self.explain_worker(view, &survey)).collect(),
            actions
                .into_iter()
                .filter_map(|id| self.explain_action(id, &survey).ok())
                .collect(),
        )
    }

    fn survey(&self) -> Survey {
        let quotas: Vec<QuotaView> = self.scheduler.quotas().collect();
        let spent = spent(&quotas);
        let mut pools: BTreeMap<PoolId, WorkerCounts> = BTreeMap::new();
        for view in self.scheduler.workers() {
            let refill = spent.get(&view.worker).copied();
            pools.entry(view.pool).or_default().count(&view, refill);
        }
        Survey { pools, quotas }
    }

    /// The first of these quotas.
    fn quota_status<'a>(&self, views: impl Iterator<Item = &'a QuotaView>) -> Vec<QuotaSummary> {
        let name = |worker| self.registry.name(worker);
        self.quotas.summary(views.take(LISTED_MAX), name)
    }

    fn name(&self, worker: WorkerId) -> String {
        self.registry.name(worker).to_string()
    }

    /// The worker that is meant.
    ///
    /// # Errors
    /// None is called so, or several are.
    fn called(&self, name: &str) -> Result<WorkerView, Problem> {
        let at = find_worker(name, self.registry.names())?;
        let found = u32::try_from(at)
            .ok()
            .and_then(|at| self.scheduler.worker(WorkerId(at)));
        found.ok_or_else(|| Problem::new(format!("there is no worker `{name}`")))
    }
}
