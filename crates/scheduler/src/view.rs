//! What can be asked without changing anything: for the driver, progress lines and reports.

use std::time::Duration;

use crate::{
    action::{Action, State},
    ids::{ActionId, AttemptId, KindId, PoolId, Px, TaskId, WorkerId},
    moment::Moment,
    outcome::Health,
    policy::Policy,
    retry::Trials,
    scheduler::Scheduler,
    worker::Worker,
};

/// How many actions are where. Kept by the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tallies {
    pub(crate) waiting: usize,
    pub(crate) running: usize,
    /// Actions that run twice.
    pub(crate) second: usize,
    pub(crate) backing_off: usize,
    pub(crate) done: u64,
    pub(crate) refused: u64,
}

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
    pub refused: u64,
    /// Attempts that nobody needs any more but whose end is still expected.
    pub stopping: usize,
    /// Workers that are neither evicted nor gone.
    pub workers: usize,
    /// Workers among them in quarantine.
    pub quarantined: usize,
}

/// What is known of an open action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionView {
    /// Who asked.
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
        /// When it avoids fewer of the workers that failed it; [`Moment::NEVER`]: it avoids nobody.
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
        /// Who.
        worker: WorkerId,
        /// Who has a second attempt beside it, because the first one is slow.
        second: Option<WorkerId>,
    },
}

/// What is known of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerView {
    /// Who.
    pub worker: WorkerId,
    /// The pool that it belongs to.
    pub pool: PoolId,
    /// How many attempts it makes at once.
    pub slots: u32,
    /// How many of these are used now: fewer after it was busy again and again though it had something to spend.
    pub width: u32,
    /// How many it has now, also those that lie ready and those that are being stopped.
    pub holds: u32,
    /// What is thought of it.
    pub health: Health,
    /// Its attempts with a result.
    pub ok: u64,
    /// Its attempts that failed, transients and traps.
    pub failed: u64,
    /// Its attempts that got lost.
    pub lost: u64,
    /// Times that it said it was busy.
    pub busy: u64,
    /// Its explicit faults.
    pub faults: u64,
    /// Its results that others have contradicted, of a worker with an owner.
    pub outvoted: u64,
    /// Times that it was quarantined.
    pub quarantines: u32,
    /// How much likelier it is a bad one than one as flaky as everybody, as a logarithm, by the verdicts so far.
    pub score: f64,
    /// The running mean of what its attempts with a result took; zero if there was none.
    pub mean: Duration,
}

impl Scheduler {
    /// How many actions were submitted and are not settled.
    pub fn open(&self) -> usize {
        self.actions.len()
    }

    /// The numbers that it goes by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether [`Policy::open_max`](crate::Policy::open_max) actions are open: read no more requests until some are
    /// settled.
    pub fn is_full(&self) -> bool {
        self.open() >= self.policy.open_max
    }

    /// Whether nothing is open and no worker has anything, not even something that is being stopped.
    pub fn is_idle(&self) -> bool {
        self.open() == 0 && self.held == 0
    }

    /// How many attempts are with workers, also those that are being stopped. After
    /// [`DrainBegun`](crate::Event::DrainBegun) the run can end when it is zero.
    pub fn held(&self) -> usize {
        self.held
    }

    /// How many of what. Costs a step for each pool.
    pub fn counts(&self) -> Counts {
        let (workers, quarantined) = self.pools.iter().fold((0, 0), |(workers, quarantined), pool| {
            (workers + pool.members, quarantined + pool.present - pool.usable)
        });
        Counts {
            waiting: self.tallies.waiting,
            running: self.tallies.running,
            backing_off: self.tallies.backing_off,
            done: self.tallies.done,
            refused: self.tallies.refused,
            stopping: self.held.saturating_sub(self.tallies.running + self.tallies.second),
            workers,
            quarantined,
        }
    }

    /// An open action. None: it is settled or was never submitted.
    pub fn action(&self, id: ActionId) -> Option<ActionView> {
        let action = self.actions.get(*self.action_ids.get(&id)?)?;
        Some(ActionView {
            task: action.task,
            kind: self.kinds.get(action.kx)?.id,
            state: self.state(action)?,
            attempts: action.number,
            failed: action.failed,
            failed_max: self.attempts_max(action),
            lost: action.losses,
        })
    }

    fn state(&self, action: &Action) -> Option<ActionState> {
        let trials = action.trials.as_deref();
        Some(match action.state {
            State::Between => return None,
            State::Waiting { patience, .. } => ActionState::Waiting {
                // One that only stands behind fresh work avoids no worker.
                patience: match trials.is_some_and(Trials::avoids_none) {
                    true => Moment::NEVER,
                    false => patience,
                },
            },
            State::Resting { until } => ActionState::BackingOff {
                until,
                busy: trials.is_some_and(|trials| trials.busies.rests()),
            },
            State::Running { first, second } => ActionState::Running {
                worker: self.workers.get(first.wx)?.id,
                second: second.and_then(|run| Some(self.workers.get(run.wx)?.id)),
            },
        })
    }

    /// A worker that joined once. None: it never did.
    pub fn worker(&self, id: WorkerId) -> Option<WorkerView> {
        let worker = self.workers.get(*self.worker_ids.get(&id)?)?;
        Some(self.describe(worker))
    }

    /// The attempts that a worker has, also those that lie ready and those that are being stopped. In no order.
    pub fn attempts(&self, id: WorkerId) -> Vec<AttemptId> {
        let worker = self.worker_ids.get(&id).and_then(|wx| self.workers.get(*wx));
        worker.map_or_else(Vec::new, |worker| {
            worker.attempts.iter().map(|held| held.attempt).collect()
        })
    }

    /// Whether without this worker nobody would be there, now or after waiting, for some kind that it serves.
    pub fn is_last(&self, id: WorkerId) -> bool {
        let Some(worker) = self.worker_ids.get(&id).and_then(|wx| self.workers.get(*wx)) else {
            return false;
        };
        let present = |px: &Px| self.pools.get(*px).map_or(0, |pool| pool.present);
        let own = usize::from(worker.standing.is_present());
        let routes = self.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
        let pools = routes
            .iter()
            .filter_map(|rx| self.queues.routes.get(*rx))
            .map(|route| &route.pools);
        own == 1
            && pools
                .map(|pools| pools.iter().map(present).sum::<usize>())
                .any(|present| present == own)
    }

    /// Every worker that ever joined, in the order of joining.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(|worker| self.describe(worker))
    }

    fn describe(&self, worker: &Worker) -> WorkerView {
        let tally = worker.tally;
        WorkerView {
            worker: worker.id,
            pool: self.pools.get(worker.px).map_or(PoolId(0), |pool| pool.id),
            slots: worker.slots,
            width: worker.width,
            holds: worker.load(),
            health: worker.standing.health(),
            ok: tally.ok,
            failed: tally.failed,
            lost: tally.lost,
            busy: tally.busy,
            faults: tally.faults,
            outvoted: tally.outvoted,
            quarantines: tally.quarantines,
            score: worker.record.score,
            mean: worker.took.get(),
        }
    }
}
