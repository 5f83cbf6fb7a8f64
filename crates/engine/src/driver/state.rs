//! The state of a run. Its methods are in the files beside this one, by subject.

use std::{collections::VecDeque, sync::Arc};

use disperse_protocol::{
    inbox::Notice,
    limits::{Budget, Charge, OpenActions},
    logger::Line,
};
use disperse_scheduler::{Command, Moment, PolicyError, Scheduler, WorkerId};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver};

use super::{
    actions::Actions,
    attempts::OpenAttempts,
    checkpoint_state::Checkpoints,
    clock::Clock,
    effects::Effects,
    evidence::Evidence,
    halt::HaltWatch,
    journal::{History, Journal},
    quotas::Quotas,
    registry::Registry,
    rehearsal_state::Stage,
    replay_state::Replays,
    routes::Routes,
    setup::Setup,
    shortage::Shortages,
    tally::Tally,
    tasks::Tasks,
    votes::QuorumVotes,
};
use crate::{
    operation::Operation,
    sink::{LiveCounts, Reporter},
    transport::Transport,
};

/// The loop's state.
pub struct Driver<'a> {
    pub(super) scheduler: Scheduler,
    pub(super) commands: Vec<Command>,
    pub(super) clock: Clock,
    pub(super) now: Moment,
    pub(super) inbox: UnboundedReceiver<Notice>,
    /// What came while the report was full, in order.
    pub(super) late: VecDeque<Notice>,
    /// What guests and the host have to say.
    pub(super) lines: Receiver<Line>,
    pub(super) operation: Box<dyn Operation>,
    pub(super) transport: Box<dyn Transport>,
    pub(super) journal: Box<dyn Journal>,
    /// What the run did before, until that is replayed.
    pub(super) history: Option<Box<dyn History>>,
    pub(super) checkpoints: Checkpoints,
    /// When the run was resumed; the start if it was not.
    pub(super) resumed: Moment,
    /// How many bytes of the output that is made again are at their target.
    pub(super) unwritten: u64,
    /// How many bytes of the output were at their target before the run was started or resumed.
    pub(super) written_before: u64,
    /// How many are recorded to be.
    pub(super) written: u64,
    /// Whether the beginning of the planner's last call is recorded, and comes again.
    pub(super) is_finish_recorded: bool,
    /// The tasks that are being replayed.
    pub(super) replays: Replays,
    pub(super) effects: Effects,
    /// Workers that orders did not reach.
    pub(super) vanished: Vec<WorkerId>,
    pub(super) routes: Routes,
    pub(super) actions: Actions,
    pub(super) attempts: OpenAttempts,
    pub(super) tasks: Tasks,
    pub(super) registry: Registry,
    pub(super) tally: Tally,
    pub(super) quotas: Quotas,
    pub(super) evidence: Evidence,
    pub(super) quorum: QuorumVotes,
    pub(super) shortages: Shortages,
    pub(super) tasks_each: (usize, usize),
    pub(super) report: &'a mut Reporter,
    pub(super) budget: Arc<Budget>,
    pub(super) halt: HaltWatch,
    pub(super) draining: bool,
    /// Once draining has left no attempt running: when the run ends whatever tasks and planner are at.
    pub(super) settled_by: Option<Moment>,
    /// Until when it waits for the rest of the input to be counted, as the run is being stopped.
    pub(super) counted_by: Option<Moment>,
    pub(super) counts: Arc<LiveCounts>,
    /// Whether it waits for a reader of the report before it begins more tasks.
    pub(super) unread: bool,
    /// Stopped at once, without waiting for attempts that still run.
    pub(super) cancelled: bool,
    /// What of the parked bytes the budget has been told.
    pub(super) charged: Charge,
    /// What of the open actions it has been told.
    pub(super) open: OpenActions,
    /// Of a rehearsal.
    pub(super) stage: Option<Box<Stage>>,
}

impl<'a> Driver<'a> {
    /// Sets everything up; nothing runs yet but the workers, which wait for orders.
    ///
    /// # Errors
    /// The policy is invalid.
    pub fn new(
        setup: Setup,
        operation: Box<dyn Operation>,
        inbox: UnboundedReceiver<Notice>,
        lines: Receiver<Line>,
        report: &'a mut Reporter,
        budget: &Arc<Budget>,
    ) -> Result<Self, PolicyError> {
        let mut driver = Self {
            scheduler: Scheduler::new(setup.policy, setup.seed)?,
            commands: Vec::new(),
            clock: setup.clock,
            now: Moment::START,
            inbox,
            late: VecDeque::new(),
            lines,
            operation,
            transport: setup.transport,
            journal: setup.journal,
            history: setup.history,
            checkpoints: Checkpoints::default(),
            resumed: Moment::START,
            unwritten: setup.written,
            written_before: setup.written,
            written: setup.written,
            is_finish_recorded: false,
            replays: Replays::default(),
            effects: Effects::default(),
            vanished: Vec::new(),
            routes: Routes::new(setup.pools.iter().map(|pool| pool.kinds.as_slice())),
            actions: Actions::default(),
            attempts: OpenAttempts::default(),
            tasks: Tasks::new(setup.tasks_max, setup.ordered),
            registry: Registry::default(),
            tally: Tally::default(),
            quotas: Quotas::default(),
            evidence: Evidence::new(setup.id),
            quorum: QuorumVotes::default(),
            shortages: Shortages::default(),
            tasks_each: setup.tasks_each,
            report,
            budget: budget.clone(),
            halt: HaltWatch {
                limit: setup.halt,
                ..HaltWatch::default()
            },
            draining: false,
            settled_by: None,
            counted_by: None,
            counts: setup.counts,
            unread: false,
            cancelled: false,
            charged: Charge::new(budget, 0),
            open: OpenActions::new(budget),
            stage: None,
        };
        for (event, name) in driver.routes.definitions() {
            driver.tally.add_kind(name);
            driver.tell(event);
        }
        for setup in setup.buckets {
            driver.define_bucket(&setup);
        }
        for setup in setup.pools {
            let pool = driver.registry.add_pool(&setup.name, setup.limits, setup.recruiter);
            for worker in setup.workers {
                driver.join(pool, worker);
            }
        }
        Ok(driver)
    }
}
