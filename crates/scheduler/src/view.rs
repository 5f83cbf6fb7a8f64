//! What can be asked without changing anything: for the driver, progress lines and reports.

use std::time::Duration;

use crate::{
    bucket::BucketCheckpoint,
    ids::{ActionId, AttemptId, BucketId, Bx, KindId, PoolId, Px, TaskId, WorkerId},
    model::{
        action::{Action, Phase},
        health::WorkerCheckpoint,
        latency::HedgeView,
        quota_state::{QuotaState, QuotaView},
        retry::RetryHistory,
        worker::Worker,
    },
    moment::Moment,
    outcome::Health,
    policy::Policy,
    scheduler::Scheduler,
};

/// How long ahead an estimate looks at most.
const AHEAD: Duration = Duration::from_secs(366 * 24 * 3600);

/// How many of what, for a progress line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Actions that wait for a worker.
    pub waiting: usize,
    /// Actions that a worker has.
    pub running: usize,
    /// Actions that were tried by every worker and rest.
    pub backing_off: usize,
    /// Actions that were settled with a result.
    pub done: u64,
    /// Actions that were settled without a result.
    pub failed: u64,
    /// Attempts that were told to stop and have not ended.
    pub stopping: usize,
    /// Workers that are neither evicted nor gone.
    pub workers: usize,
    /// Workers among them in quarantine.
    pub quarantined: usize,
}

/// What is known of an open action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionView {
    /// The task that asked.
    pub task: TaskId,
    /// Which sort it is.
    pub kind: KindId,
    /// What happens to it now.
    pub state: ActionState,
    /// The number of its newest attempt; 0: it had none.
    pub attempts: u32,
    /// How many attempts failed.
    pub failed: u32,
    /// How many attempts may fail.
    pub failed_max: u32,
    /// How many attempts got lost.
    pub lost: u32,
}

/// What happens to an open action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It waits for a worker.
    Waiting {
        /// When it avoids fewer of the workers that failed it; [`Moment::NEVER`]: it avoids none.
        patience: Moment,
    },
    /// Every worker was tried, or several were busy with it.
    BackingOff {
        /// When it is tried again.
        until: Moment,
        /// Whether it rests because workers were busy with it.
        busy: bool,
    },
    /// A worker has it.
    Running {
        /// The worker.
        worker: WorkerId,
        /// The worker that has a second attempt beside it, because the first one is slow.
        second: Option<WorkerId>,
    },
}

/// What is known of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerView {
    /// The worker.
    pub worker: WorkerId,
    /// The pool that it belongs to.
    pub pool: PoolId,
    /// How many attempts it makes at once.
    pub slots: u32,
    /// How many of these are used now: fewer after it was busy again and again though it had something to spend.
    pub width: u32,
    /// How many it has now, also those that lie ready and those that are being stopped.
    pub in_flight: u32,
    /// Its health.
    pub health: Health,
    /// Its attempts with a result.
    pub ok: u64,
    /// Its attempts that failed, transients and traps.
    pub failed: u64,
    /// Its attempts that got lost.
    pub lost: u64,
    /// Its busy replies.
    pub busy: u64,
    /// Its explicit faults.
    pub faults: u64,
    /// Its results that others have contradicted, of a worker with an owner.
    pub outvoted: u64,
    /// Times that it was quarantined.
    pub quarantines: u32,
    /// How much likelier it is a bad one than one that is as flaky as all, as a logarithm, by the verdicts so far.
    pub score: f64,
    /// The running mean of what its attempts with a result took; zero if there was none.
    pub mean: Duration,
}

impl Scheduler {
    /// What of a worker has to survive a crash. None: it never joined.
    pub fn worker_checkpoint(&self, id: WorkerId) -> Option<WorkerCheckpoint> {
        self.state.workers.find(id).map(Worker::checkpoint)
    }

    /// What of a bucket has to survive a crash. None: it was never defined.
    pub fn bucket_checkpoint(&self, id: BucketId) -> Option<BucketCheckpoint> {
        self.state.quotas.find(id).map(QuotaState::checkpoint)
    }

    /// What came of second attempts for a kind. None: it was never defined.
    pub fn hedges(&self, kind: KindId) -> Option<HedgeView> {
        let latency = &self.state.kinds.find(kind)?.latency;
        Some(latency.view())
    }

    /// What became of each bucket so far, in the order in which they were defined.
    pub fn quotas(&self) -> impl Iterator<Item = QuotaView> {
        self.state.quotas.iter().map(|quota| QuotaView {
            bucket: quota.id(),
            workers: quota
                .workers()
                .iter()
                .filter_map(|wx| Some(self.state.workers.get(*wx)?.id))
                .collect(),
            is: quota.view(self.state.now),
        })
    }

    /// How many workers that could be given something wait for their quota.
    pub fn waiting_for_quota(&self) -> usize {
        let waits = |quota: &QuotaState| quota.is_empty(self.state.now);
        let workers = self.state.workers.iter().filter(|worker| worker.standing.is_usable());
        workers
            .filter(|worker| {
                worker
                    .buckets
                    .iter()
                    .any(|bx| self.state.quotas.get(*bx).is_some_and(waits))
            })
            .count()
    }

    /// How long the open actions will take, by how long attempts took so far and by what quotas allow. None: unknown,
    /// because no worker is usable or nothing was ever done. It looks at every worker, so it is for a display.
    pub fn eta(&self) -> Option<Duration> {
        let open = self.open() as u64;
        if open == 0 {
            return Some(Duration::ZERO);
        }
        let done_by = |ahead: Duration| self.done_within(ahead) >= open;
        let mut most = Duration::from_secs(1);
        while !done_by(most) {
            most = most.saturating_mul(2);
            if most > AHEAD {
                return None;
            }
        }
        let mut least = Duration::ZERO;
        while most - least > most / 100 + Duration::from_millis(10) {
            let middle = least + (most - least) / 2;
            match done_by(middle) {
                true => most = middle,
                false => least = middle,
            }
        }
        Some(most)
    }

    /// How many attempts all workers together can make in this time.
    fn done_within(&self, ahead: Duration) -> u64 {
        let until = self.state.now + ahead;
        let mut all = 0_u64;
        let mut shared: std::collections::BTreeMap<Bx, u64> = std::collections::BTreeMap::new();
        for worker in self.state.workers.iter().filter(|worker| worker.standing.is_usable()) {
            let from = worker.standing.until().since(self.state.now);
            let mean = worker.took.get().max(Duration::from_millis(1));
            let time = ahead.saturating_sub(match worker.standing.until() {
                Moment::NEVER => Duration::ZERO,
                _ => from,
            });
            let turns = u64::try_from(time.as_micros() / mean.as_micros().max(1)).unwrap_or(u64::MAX);
            let mut can = turns.saturating_mul(u64::from(worker.concurrency.width()));
            let mut common = None;
            for bx in &worker.buckets {
                let Some(quota) = self.state.quotas.get(*bx) else {
                    continue;
                };
                if quota.is_shared() {
                    common = Some(*bx);
                } else {
                    can = can.min(quota.attempts_until(self.state.now, until));
                }
            }
            match common {
                Some(bx) => {
                    let sum = shared.entry(bx).or_default();
                    *sum = sum.saturating_add(can);
                }
                None => all = all.saturating_add(can),
            }
        }
        for (bx, can) in shared {
            let offers = self
                .state
                .quotas
                .get(bx)
                .map_or(0, |quota| quota.attempts_until(self.state.now, until));
            all = all.saturating_add(can.min(offers));
        }
        all
    }

    /// The kinds that a worker is barred from, each with the moment until which it is. Empty for one that is not known.
    pub fn barred_from(&self, worker: WorkerId) -> impl Iterator<Item = (KindId, Moment)> {
        let worker = self.state.workers.find(worker);
        let skills = worker.map_or(&[][..], |worker| &worker.skills).iter();
        skills.filter_map(|skill| Some((self.state.kinds.get(skill.kx())?.id, skill.barred_until()?)))
    }

    /// How many actions were submitted and are not settled.
    pub fn open(&self) -> usize {
        self.state.actions.len()
    }

    /// The numbers that it goes by.
    pub fn policy(&self) -> &Policy {
        &self.state.policy
    }

    /// Whether [`Policy::open_max`](crate::Policy::open_max) actions are open: read no more requests until some are
    /// settled.
    pub fn is_full(&self) -> bool {
        self.open() >= self.state.policy.open_max
    }

    /// Whether nothing is open and no worker has anything, not even something that is being stopped.
    pub fn is_idle(&self) -> bool {
        self.open() == 0 && self.state.in_flight == 0
    }

    /// How many attempts are with workers, also those that are being stopped. After
    /// [`DrainBegun`](crate::Event::DrainBegun) the run can end when it is zero.
    pub fn in_flight(&self) -> usize {
        self.state.in_flight
    }

    /// How many of what. Costs a step for each pool.
    pub fn counts(&self) -> Counts {
        let (workers, quarantined) = self.state.pools.iter().fold((0, 0), |(workers, quarantined), pool| {
            (workers + pool.members, quarantined + pool.present - pool.usable)
        });
        Counts {
            waiting: self.state.tallies.waiting,
            running: self.state.tallies.running,
            backing_off: self.state.tallies.backing_off,
            done: self.state.tallies.done,
            failed: self.state.tallies.failed,
            stopping: self
                .state
                .in_flight
                .saturating_sub(self.state.tallies.running + self.state.tallies.second),
            workers,
            quarantined,
        }
    }

    /// An open action. None: it is settled or was never submitted.
    pub fn action(&self, id: ActionId) -> Option<ActionView> {
        let action = self.state.actions.find(id)?;
        Some(ActionView {
            task: action.task,
            kind: self.state.kinds.get(action.kx)?.id,
            state: self.action_state(action)?,
            attempts: action.number,
            failed: action.failed,
            failed_max: self.state.attempts_max(action),
            lost: action.losses,
        })
    }

    fn action_state(&self, action: &Action) -> Option<ActionState> {
        let history = action.history.as_deref();
        Some(match action.phase {
            Phase::Between => return None,
            Phase::Waiting { patience, .. } => ActionState::Waiting {
                // One that only stands behind fresh work avoids no worker.
                patience: match history.is_some_and(RetryHistory::avoids_none) {
                    true => Moment::NEVER,
                    false => patience,
                },
            },
            Phase::Resting { until } => ActionState::BackingOff {
                until,
                busy: history.is_some_and(|history| history.busy_replies.is_cause_of_rest()),
            },
            Phase::Running { first, second } => ActionState::Running {
                worker: self.state.workers.get(first.wx)?.id,
                second: second.and_then(|run| Some(self.state.workers.get(run.wx)?.id)),
            },
        })
    }

    /// A worker that joined once. None: it never did.
    pub fn worker(&self, id: WorkerId) -> Option<WorkerView> {
        let worker = self.state.workers.find(id)?;
        Some(self.describe(worker))
    }

    /// The attempts that a worker has, also those that lie ready and those that are being stopped. In no order.
    pub fn attempts(&self, id: WorkerId) -> Vec<AttemptId> {
        let worker = self.state.workers.find(id);
        worker.map_or_else(Vec::new, |worker| {
            worker.attempts.iter().map(|held| held.attempt).collect()
        })
    }

    /// Whether without this worker none would be there, now or after waiting, for some kind that it serves.
    pub fn is_last(&self, id: WorkerId) -> bool {
        let Some(worker) = self.state.workers.find(id) else {
            return false;
        };
        let present = |px: &Px| self.state.pools.get(*px).map_or(0, |pool| pool.present);
        let own = usize::from(worker.standing.is_present());
        let routes = self.state.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
        let pools = routes
            .iter()
            .filter_map(|rx| self.state.queues.routes.get(*rx))
            .map(|route| &route.pools);
        own == 1
            && pools
                .map(|pools| pools.iter().map(present).sum::<usize>())
                .any(|present| present == own)
    }

    /// Every worker that ever joined, in the order of joining.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.state.workers.iter().map(|worker| self.describe(worker))
    }

    fn describe(&self, worker: &Worker) -> WorkerView {
        let tally = worker.tally;
        WorkerView {
            worker: worker.id,
            pool: self.state.pools.get(worker.px).map_or(PoolId(0), |pool| pool.id),
            slots: worker.concurrency.slots(),
            width: worker.concurrency.width(),
            in_flight: worker.load(),
            health: worker.standing.health(),
            ok: tally.ok,
            failed: tally.failed,
            lost: tally.lost,
            busy: tally.busy,
            faults: tally.faults,
            outvoted: tally.outvoted,
            quarantines: tally.quarantines,
            score: worker.health.log.score(),
            mean: worker.took.get(),
        }
    }

    /// From which score on a worker is quarantined for failing now. It rises with each verdict of the run, since each
    /// is one more occasion for an accident.
    pub fn quarantine_score(&self) -> f64 {
        self.state.quarantine_score()
    }
}
