//! Everything that the scheduler remembers, and what is yet to follow from a step.
//!
//! The rules (`rules/`) are functions of this state. A rule calls only rules below its own; what has to follow above it
//! is queued as a [`FollowUp`], and the one loop in `scheduler.rs` carries that out.

use std::time::Duration;

use crate::{
    command::Command,
    ids::{ActionId, AttemptId, Ax, BucketId, Bx, KindId, Kx, OwnerId, Ox, PoolId, Px, Rx, WorkerId, Wx},
    model::{
        accusation::{Accused, Closed},
        action::{Action, Phase, Run},
        kind::Kind,
        pool::Pool,
        queue::Queues,
        quota_state::QuotaState,
        retry::RetryBudget,
        votes::Vote,
        worker::Worker,
    },
    moment::Moment,
    outcome::{Outcome, Reason},
    policy::Policy,
    rng::Rng,
    table::Table,
    timers::Timers,
};

/// How many verdicts in a run leave the score as it is that condemns a worker; with twice, three times as many and so
/// on a bad worker has to be as many times likelier. Chosen by simulation: with none of this, two of five attempts
/// failing by chance cost 0.7 innocents in 33,000 attempts, and one in five 0.16 in 7,500 (`simulate --preset
/// flaky-fast` and `flaky`); with this 0.03 and 0.
const VERDICTS: f64 = 5.0;

/// Faults that a test injects, to see that the simulation finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Forgets where an action failed.
    SameWorker,
    /// Settles an action that is done a second time.
    SettleTwice,
    /// Does not take an attempt off a worker's list when it ends.
    KeepSlot,
    /// Quarantines the last usable worker as well.
    QuarantineLast,
    /// Quarantines as much of a pool as fails.
    IgnoreShare,
    /// Never waits less choosily.
    EndlessPatience,
    /// Does not look for work when a worker is free again.
    ForgetWorker,
    /// Does not look again when the workers that an action could have are gone.
    ForgetStuck,
    /// Gives a worker on probation as much as any other.
    FullProbation,
    /// Numbers a new attempt as the one before.
    SameNumber,
    /// Believes the first result, whichever worker has it.
    BelieveAll,
    /// Asks workers of the same owner again.
    SameOwner,
    /// Gives what may not run twice a second attempt.
    HedgeAll,
    /// Leaves the other attempt going when one of two has a result.
    KeepSecond,
}

/// How many actions are where. Kept by the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ActionCounts {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    /// Actions that run twice.
    pub(crate) second: usize,
    pub(crate) backing_off: usize,
    pub(crate) done: u64,
    pub(crate) failed: u64,
}

/// Everything that the scheduler remembers.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) rng: Rng,
    pub(crate) now: Moment,
    pub(crate) draining: bool,
    pub(crate) actions: Table<ActionId, Ax, Action>,
    pub(crate) workers: Table<WorkerId, Wx, Worker>,
    pub(crate) pools: Table<PoolId, Px, Pool>,
    pub(crate) kinds: Table<KindId, Kx, Kind>,
    pub(crate) quotas: Table<BucketId, Bx, QuotaState>,
    /// The workers of each owner, in the order of joining.
    pub(crate) owners: Table<OwnerId, Ox, Vec<Wx>>,
    pub(crate) queues: Queues,
    pub(crate) timers: Timers,
    pub(crate) tallies: ActionCounts,
    pub(crate) retry_budget: RetryBudget,
    /// Workers that may have room since something else than their own attempt ended.
    pub(crate) dirty_workers: Vec<Wx>,
    /// Buckets of several workers that have more in them again, and up to which place in line workers may look for
    /// work.
    pub(crate) refilling: Vec<(Bx, u64)>,
    /// How many failures had a verdict that speaks against a worker.
    pub(crate) verdicts: u64,
    /// How many times a worker began to wait for a bucket.
    pub(crate) waited: u64,
    /// How many assignments there were.
    pub(crate) assigned: u64,
    /// How many attempts are with workers, also those that were told to stop.
    pub(crate) in_flight: usize,
    /// The commands of the event that is being handled, in order.
    pub(crate) commands: Vec<Command>,
    /// What the current step has queued, in order; under it, in reverse, what earlier steps have.
    pub(crate) follow_ups: Vec<FollowUp>,
    #[cfg(test)]
    pub(crate) mutation: Option<Mutation>,
}

/// What follows from a step of the rules, and needs rules above those that have queued it.
///
/// What a step has queued is carried out right after it, in order, before what was queued by earlier steps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FollowUp {
    /// An action is settled. `by`: the worker whose result it is.
    Settle { ax: Ax, outcome: Outcome, by: Option<Wx> },
    /// One of `shares` workers that failed an action is guilty, since another one has succeeded.
    Convict {
        closed: Closed,
        accused: Accused,
        shares: u32,
    },
    /// One of `failed_by` workers failed an action that was closed before a verdict.
    CloseOpen {
        closed: Closed,
        accused: Accused,
        failed_by: usize,
    },
    /// The same of an action that is not closed yet and has no attempt left.
    WeighOpen { closed: Closed, wx: Wx, failed_by: usize },
    /// A worker was taken out: what failed there was not the fault of the actions.
    Annul(Wx),
    /// A worker of this pool is out for good: actions that no worker can take any more fail.
    FailUnroutable(Px),
    /// The usable workers of this pool have changed: actions that avoid all of them are placed again.
    PlaceStuck(Px),
    /// A worker is usable again.
    UpdateListing(Wx),
}

impl State {
    /// Without workers and actions. `seed` decides all jitter.
    pub(crate) fn new(policy: Policy, seed: u64) -> Self {
        let retry_budget = RetryBudget::new(&policy);
        Self {
            policy,
            rng: Rng::new(seed),
            now: Moment::START,
            draining: false,
            actions: Table::default(),
            workers: Table::default(),
            pools: Table::default(),
            kinds: Table::default(),
            quotas: Table::default(),
            owners: Table::default(),
            queues: Queues::default(),
            timers: Timers::default(),
            tallies: ActionCounts::default(),
            retry_budget,
            dirty_workers: Vec::new(),
            refilling: Vec::new(),
            verdicts: 0,
            waited: 0,
            assigned: 0,
            in_flight: 0,
            commands: Vec::new(),
            follow_ups: Vec::new(),
            #[cfg(test)]
            mutation: None,
        }
    }

    /// Queues the settlement of an action. `by`: the worker whose result it is.
    #[inline]
    pub(crate) fn settle(&mut self, ax: Ax, outcome: Outcome, by: Option<Wx>) {
        self.follow_ups.push(FollowUp::Settle { ax, outcome, by });
    }

    /// Queues the settlement of an action without a result.
    #[inline]
    pub(crate) fn fail(&mut self, ax: Ax, reason: Reason) {
        self.settle(ax, Outcome::Failed(reason), None);
    }

    /// How many attempts of an action may fail.
    #[inline]
    pub(crate) fn attempts_max(&self, action: &Action) -> u32 {
        let learned = || {
            let kind = self.kinds.get(action.kx);
            kind.map_or(self.policy.attempts_min, |kind| {
                kind.failure_rate.attempts(&self.policy)
            })
        };
        match action.attempts {
            0 => learned(),
            own => own,
        }
    }

    /// Whether an action has no attempt left.
    #[inline]
    pub(crate) fn is_spent(&self, ax: Ax) -> bool {
        self.actions
            .get(ax)
            .is_some_and(|action| action.failed > 0 && action.failed >= self.attempts_max(action))
    }

    #[inline]
    pub(crate) fn is_current(&self, ax: Ax, attempt: AttemptId, wx: Wx) -> bool {
        self.runs(ax).any(|run| run.number == attempt.number && run.wx == wx)
    }

    /// From which score on a worker is quarantined for failing now. Each verdict is one more chance for chance: the
    /// more there were, the surer it has to be.
    pub(crate) fn quarantine_score(&self) -> f64 {
        self.policy.quarantine_score + (1.0 + self.verdicts as f64 / VERDICTS).ln()
    }

    /// The attempts of an action that are going on.
    #[inline]
    pub(crate) fn runs(&self, ax: Ax) -> impl Iterator<Item = Run> + use<> {
        let phase = self.actions.get(ax).map(|action| action.phase);
        let runs = match phase {
            Some(Phase::Running { first, second }) => [Some(first), second],
            _ => [None, None],
        };
        runs.into_iter().flatten()
    }

    #[inline]
    pub(crate) fn votes(&self, ax: Ax) -> &[Vote] {
        let history = self.actions.get(ax).and_then(|action| action.history.as_deref());
        history.map_or(&[], |history| &history.votes)
    }

    /// Whether a worker has failed since its last success.
    #[inline]
    pub(crate) fn has_failed(&self, wx: Wx) -> bool {
        self.workers.get(wx).is_some_and(|worker| worker.health.is_failing())
    }

    /// How many workers of a route are usable, busy ones included.
    #[inline]
    pub(crate) fn usable(&self, rx: Rx) -> usize {
        self.over_pools(rx, |pool| pool.usable)
    }

    /// Whether no worker is left that could ever take an action of this route. While the run is being drained none is
    /// ever missing: workers go away then, and what waits is for the next run.
    #[inline]
    pub(crate) fn is_unroutable(&self, rx: Rx) -> bool {
        let pools = self.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
        let any = |holds: fn(&Pool) -> bool| pools.iter().any(|px| self.pools.get(*px).is_some_and(holds));
        !self.draining && !any(|pool| pool.present > 0) && (pools.is_empty() || any(|pool| pool.joined))
    }

    /// One of the routes that a pool is part of, by its place among them.
    #[inline]
    pub(crate) fn route(&self, px: Px, index: usize) -> Option<Rx> {
        self.pools.get(px)?.routes.get(index).copied()
    }

    #[inline]
    pub(crate) fn over_pools(&self, rx: Rx, count: impl Fn(&Pool) -> usize) -> usize {
        self.over_route(rx).map(count).sum()
    }

    /// Whether an attempt that began after that moment has succeeded in a pool of a route.
    pub(crate) fn has_worked_since(&self, rx: Rx, moment: Moment) -> bool {
        self.over_route(rx).any(|pool| pool.bursts.worked_at > moment)
    }

    /// The pools of a route.
    #[inline]
    pub(crate) fn over_route(&self, rx: Rx) -> impl Iterator<Item = &Pool> {
        let pools = self.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
        pools.iter().filter_map(|px| self.pools.get(*px))
    }

    #[inline]
    pub(crate) fn is_usable(&self, wx: Wx) -> bool {
        self.workers.get(wx).is_some_and(|worker| worker.standing.is_usable())
    }

    /// Whether a test injected this fault.
    #[cfg(test)]
    pub(crate) fn fault_injected(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// There are no mutations outside tests.
    #[cfg(not(test))]
    pub(crate) const fn fault_injected(&self, _: Mutation) -> bool {
        false
    }

    /// The moment that is so long after now.
    #[inline]
    pub(crate) fn later(&self, after: Duration) -> Moment {
        self.now + after
    }

    /// Whether a worker is given nothing of a kind.
    #[inline]
    pub(crate) fn is_barred(&self, wx: Wx, kx: Kx) -> bool {
        let kind = self.kinds.get(kx);
        kind.is_some_and(|kind| kind.barred.binary_search(&wx).is_ok())
    }

    /// Whether no worker of this pool may be given anything now.
    #[inline]
    pub(crate) fn is_held_back(&self, px: Px) -> bool {
        let probe = self.pools.get(px).and_then(|pool| pool.probe);
        probe.is_some_and(|probe| probe.is_pausing())
    }

    /// Whether workers of this pool are judged at all.
    #[inline]
    pub(crate) fn is_systemic(&self, px: Px) -> bool {
        self.pools.get(px).is_some_and(|pool| pool.probe.is_some())
    }
}
