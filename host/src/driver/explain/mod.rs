//! From what is known and kept to what is said of it. Nothing here changes the run but what `readmit` and `drain` ask for.

mod action;
mod changes;
mod crew;
mod run;
mod worker;

use std::collections::BTreeMap;

use disperse_scheduler::{ActionId, Health, Moment, PoolId, QuotaView, WorkerId, WorkerView};

use self::crew::{Crew, spent};
use super::Driver;
use crate::{
    control::{Explained, Kept, Problem, Query, Said, find_worker},
    report::QuotaSummary,
    units::Time,
};

/// How many workers a run lists, and attempts a worker. Arbitrary: a screen.
const LISTED_MAX: usize = 20;

/// How many workers and open actions are kept of a run that has ended, beside those of which there is more to say.
const KEPT_MAX: usize = 5000;

/// What is looked at once for all that is to be explained.
struct Survey {
    /// The workers of each pool.
    crews: BTreeMap<PoolId, Crew>,
    /// By bucket.
    quotas: Vec<QuotaView>,
}

impl Driver<'_> {
    /// Answers what is asked from outside.
    ///
    /// # Errors
    /// What is meant is not there, or cannot be done.
    pub(super) fn answer(&mut self, query: &Query) -> Result<Said, Problem> {
        let explained = match query {
            Query::Run => Explained::Run(Box::new(self.explain_run(&self.survey()))),
            Query::Action { id } => Explained::Action(Box::new(self.explain_action(ActionId(*id), &self.survey())?)),
            Query::Worker { name } => {
                let view = self.called(name)?;
                Explained::Worker(Box::new(self.explain_worker(&view, &self.survey())))
            }
            Query::Readmit { worker } => self.readmit(worker)?,
            Query::Workers { pool, add } => self.add_workers(pool, *add)?,
            Query::Drain { worker: None } => self.drain_all(),
            Query::Drain { worker: Some(worker) } => self.drain_worker(worker)?,
        };
        Ok(Said {
            run: self.evidence.id.to_string(),
            ended: false,
            at_ms: self.now.as_millis(),
            explained,
        })
    }

    /// All that could have been asked, for when there is nobody left to ask.
    pub(super) fn kept(&self) -> Kept {
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
                .filter(|id| self.evidence.case(*id).is_none())
                .take(KEPT_MAX),
        );
        Kept::new(
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
        let mut crews: BTreeMap<PoolId, Crew> = BTreeMap::new();
        for view in self.scheduler.workers() {
            let refill = spent.get(&view.worker).copied();
            crews.entry(view.pool).or_default().count(&view, refill);
        }
        Survey { crews, quotas }
    }

    /// What was spent of the first of these quotas, and when there is more.
    fn quota_lines<'a>(&self, views: impl Iterator<Item = &'a QuotaView>) -> Vec<String> {
        let name = |worker| self.tally.worker_name(worker);
        let now_ms = self.now.as_millis();
        let views: Vec<&QuotaView> = views.take(LISTED_MAX).collect();
        let line = |(quota, view): (QuotaSummary, &&QuotaView)| {
            let mut line = format!("quota {}: {}, {} spent", quota.quota, quota.allows, quota.used);
            if quota.capacity > 0 {
                line += &format!(" of {} that were offered", quota.capacity);
            }
            if quota.resets > 0 {
                line += &format!(
                    ", {} left over at the last reset and {} in all",
                    quota.wasted_last, quota.wasted
                );
            }
            if let Some(resets) = quota.resets_at_ms {
                line += &format!(", resets in {}", Time(resets.saturating_sub(now_ms)));
            }
            if view.is.refills_at != Moment::NEVER {
                let more = view.is.refills_at.since(self.now);
                line += &format!("; nothing is left, more in {}", Time::from(more));
            }
            line
        };
        let listed = self.quotas.summary(views.iter().copied(), name);
        listed.into_iter().zip(&views).map(line).collect()
    }

    fn name(&self, worker: WorkerId) -> String {
        self.tally.worker_name(worker).to_string()
    }

    /// The worker that is meant.
    ///
    /// # Errors
    /// None is called so, or several are.
    fn called(&self, name: &str) -> Result<WorkerView, Problem> {
        let at = find_worker(name, self.tally.worker_names())?;
        let found = u32::try_from(at)
            .ok()
            .and_then(|at| self.scheduler.worker(WorkerId(at)));
        found.ok_or_else(|| Problem::new(format!("there is no worker `{name}`")))
    }
}
