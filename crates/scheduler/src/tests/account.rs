//! A service that a history's workers ask, each with its own account.

use std::collections::{BTreeMap, BTreeSet};

use crate::{AttemptId, KindId, Moment, Quota, Report, WorkerId, sim::service::Service};

/// One account, and what is on its way to the service.
pub(super) struct Account {
    quota: Quota,
    costs: Vec<(KindId, u32)>,
    service: Service,
    pub(super) workers: BTreeSet<WorkerId>,
    /// What the service will count, and when.
    coming: BTreeSet<(Moment, AttemptId)>,
    /// Whose it is, what it costs, and what the service said when it counted it.
    asked: BTreeMap<AttemptId, (WorkerId, u64, Option<Report>)>,
}

impl Account {
    pub(super) fn new(quota: Quota, costs: Vec<(KindId, u32)>, service: Service) -> Self {
        Self {
            quota,
            costs,
            service,
            workers: BTreeSet::new(),
            coming: BTreeSet::new(),
            asked: BTreeMap::new(),
        }
    }

    /// An attempt will be counted at that moment, if it is made by a worker that has this account.
    pub(super) fn ask(&mut self, at: Moment, attempt: AttemptId, worker: WorkerId, kind: KindId) {
        if !self.workers.contains(&worker) {
            return;
        }
        let most = match self.quota {
            Quota::Sliding { limit, .. } | Quota::Fixed { limit, .. } | Quota::Concurrent { limit } => limit,
            Quota::Rate { burst, .. } => burst,
        };
        let cost = self
            .costs
            .iter()
            .find(|(costly, _)| *costly == kind)
            .map_or(1, |(_, cost)| *cost);
        self.coming.insert((at, attempt));
        self.asked.insert(attempt, (worker, u64::from(cost.min(most)), None));
    }

    /// The service counts what has reached it.
    pub(super) fn count_until(&mut self, now: Moment) -> Result<(), String> {
        while let Some((at, attempt)) = self.coming.first().copied().filter(|(at, _)| *at <= now) {
            self.coming.remove(&(at, attempt));
            self.count(at, attempt)?;
        }
        Ok(())
    }

    fn count(&mut self, now: Moment, attempt: AttemptId) -> Result<(), String> {
        let Some((_, units, said)) = self.asked.get_mut(&attempt) else {
            return Ok(());
        };
        let report = self.service.count(now, *units);
        *said = Some(report.map_err(|refused| format!("{now}: {attempt} with {}: {refused}", self.quota))?);
        Ok(())
    }

    /// An attempt is over: what was not counted yet is counted now. Says what the service said.
    pub(super) fn ended(&mut self, now: Moment, attempt: AttemptId) -> Result<Option<Report>, String> {
        let coming = self.coming.iter().find(|(_, other)| *other == attempt).copied();
        if let Some(coming) = coming {
            self.coming.remove(&coming);
            self.count(now, attempt)?;
        }
        let asked = self.asked.remove(&attempt);
        if let Some((_, units, _)) = asked {
            self.service.answer(units);
        }
        Ok(asked.and_then(|(.., said)| said))
    }

    /// A worker is gone with everything that it was at.
    pub(super) fn left(&mut self, now: Moment, worker: WorkerId) -> Result<(), String> {
        let of_it: Vec<AttemptId> = self
            .asked
            .iter()
            .filter(|(_, (whose, ..))| *whose == worker)
            .map(|(attempt, _)| *attempt)
            .collect();
        of_it
            .into_iter()
            .try_for_each(|attempt| self.ended(now, attempt).map(drop))
    }
}
