//! What a history has in store: workers, quotas and actions, decided beforehand.

use std::time::Duration;

use super::{
    super::{
        account::Account,
        fate::{Behaviour, roll},
        service::service,
    },
    Run,
};
use crate::{ActionId, BucketId, End, Event, KindId, Moment, OwnerId, PoolId, Quota, Spec, TaskId, WorkerId};

impl Run {
    /// Decides beforehand which workers join, what is submitted, and what is cancelled.
    pub(super) fn plan_events(&mut self) {
        let kinds = 1 + self.roll(3);
        for kind in 0..kinds {
            let own = self.roll(self.pools);
            let pools = (0..self.pools).filter(|pool| *pool == own || roll(&mut self.rng, 3) == 0);
            let pools = pools.map(|pool| PoolId(pool as u32)).collect();
            let kind = KindId(kind as u32);
            self.plan(0, Event::KindDefined { kind, pools });
        }
        self.open_accounts(kinds);
        let sort = self.roll(4);
        for _ in 0..=self.roll(20) {
            let (when, pool) = (self.roll(4).saturating_sub(2) * 30, self.roll(self.pools));
            self.join(when, pool, sort);
        }
        let span = 1 + self.roll(300);
        for id in 1..=1 + self.roll(40) {
            let when = self.roll(span);
            self.ask(when, ActionId(id), kinds);
        }
        if self.roll(20) == 0 {
            let when = self.roll(400);
            self.plan(when, Event::DrainBegun);
        }
    }

    pub(super) fn join(&mut self, when: u64, pool: u64, sort: u64) {
        self.workers += 1;
        let worker = WorkerId(self.workers);
        let behaviour = match (sort, self.roll(12)) {
            (0, _) => Behaviour::Good,
            (1, 0..8) | (_, 0..4) => Behaviour::Flaky(20 + self.roll(60)),
            (_, 4) => Behaviour::BlackHole,
            (_, 5) => Behaviour::Busy,
            (_, 6) => Behaviour::Broken,
            (_, 7) => Behaviour::Silent,
            (_, 8) => Behaviour::Weary,
            (_, 9) => Behaviour::Starved,
            _ => Behaviour::Good,
        };
        self.behaviours.insert(worker, behaviour);
        let slots = self.roll(4) as u32;
        let buckets = (0..self.accounts.len() as u32).map(BucketId);
        let buckets = buckets.filter(|_| roll(&mut self.rng, 3) == 0).collect();
        let pool = PoolId(pool as u32);
        // In some histories some belong to others, and of those some lie.
        let owner = (self.has_owners && self.roll(3) > 0).then(|| OwnerId(self.roll(4) as u32));
        if owner.is_some() {
            let is_wrong = self.roll(4) == 0;
            self.owned.insert(worker, is_wrong);
        }
        self.plan(
            when,
            Event::WorkerJoined {
                worker,
                pool,
                slots,
                buckets,
                owner,
            },
        );
        if sort > 1 {
            let later = when + self.roll(500);
            match self.roll(10) {
                0 => self.plan(later, Event::WorkerLeft { worker }),
                1 => self.plan(later, Event::WorkerDrained { worker }),
                2 => self.plan(later, Event::WorkerReadmitted { worker }),
                _ => {}
            }
        }
    }

    /// Quotas, and the services that have them: in half of the histories none.
    pub(super) fn open_accounts(&mut self, kinds: u64) {
        for id in 0..self.roll(6).saturating_sub(2) as u32 {
            let (limit, per) = (1 + self.roll(6) as u32, Duration::from_millis(1 + self.roll(200)));
            let quota = match self.roll(4) {
                0 => Quota::Sliding { limit, per },
                1 => Quota::Fixed { limit, per },
                2 => Quota::Rate {
                    limit,
                    per,
                    burst: 1 + self.roll(4) as u32,
                },
                _ => Quota::Concurrent { limit },
            };
            let costs: Vec<(KindId, u32)> = (0..kinds as u32)
                .map(|kind| (KindId(kind), roll(&mut self.rng, 12) as u32))
                .filter(|(_, cost)| (1..8).contains(cost))
                .collect();
            let is_fixed = matches!(quota, Quota::Fixed { .. });
            let service = service(quota, is_fixed, &mut self.rng);
            self.accounts.push(Account::new(quota, costs.clone(), service));
            let bucket = BucketId(id);
            self.plan(0, Event::BucketDefined { bucket, quota, costs });
        }
    }

    pub(super) fn ask(&mut self, when: u64, action: ActionId, kinds: u64) {
        let spec = Spec {
            task: TaskId(self.roll(5)),
            kind: KindId(self.roll(kinds) as u32),
            priority: self.roll(6).saturating_sub(3) as i32 * if self.roll(2) == 0 { 1 } else { -1 },
            attempts: self.roll(6) as u32,
            deadline: match self.roll(6) {
                0 => Moment::from_millis(when + self.roll(200)),
                _ => Moment::NEVER,
            },
            idempotent: self.roll(2) == 0,
        };
        match self.roll(12) {
            0 => drop(self.poison.insert(action, End::Trap { fingerprint: 7 })),
            1 => drop(self.poison.insert(action, End::Permanent)),
            2 => drop(self.poison.insert(action, End::Oversize)),
            // It has a limit of its own for a while, on every worker.
            3 => {
                let wait = Duration::from_millis(self.roll(20));
                self.poison.insert(action, End::Busy { wait });
            }
            _ => {}
        }
        self.plan(when, Event::Submitted { action, spec });
        if self.roll(10) == 0 {
            let later = when + self.roll(60);
            self.plan(later, Event::Cancelled { action });
        }
    }
}
