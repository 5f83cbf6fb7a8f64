//! The loop: one writer, which owns everything that changes.
//!
//! Others send it notices. It drains its inbox in batches, tells the scheduler what happened, carries out what the
//! scheduler says, and reports. It never waits for anything but the next notice or the next moment that matters.

mod actions;
mod clock;
mod effects;
mod evidence;
mod explain;
mod journal;
mod quotas;
mod registry;
mod rehearsal;
mod routes;
mod shortage;
mod tally;
mod tasks;
#[cfg(test)]
mod tests;
mod turn;
mod votes;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use disperse_scheduler::{BucketId, Command, Event, KindId, Moment, Policy, PolicyError, PoolId, Scheduler, WorkerId};
use tokio::{
    sync::mpsc::{Receiver, UnboundedReceiver},
    time::Interval,
};

use self::{
    actions::Actions, effects::Effects, evidence::Evidence, quotas::Quotas, registry::Registry, rehearsal::Stage,
    routes::Routes, shortage::Shortages, tally::Tally, tasks::Tasks, votes::QuorumVotes,
};
pub use self::{
    clock::Clock,
    journal::{Journal, NoJournal, Record, TurnNumber},
    quotas::BucketSetup,
};
use crate::{
    operation::{COUNTING, Operation},
    sink::{LiveCounts, Reporter},
    transport::{NewWorker, Transport},
};
use disperse_protocol::{
    control::{Archive, RunId},
    inbox::{Control, Held, HostNotice, Notice, Progress, RunEvent, RunSummary},
    limits::{Budget, Charge, Limits, OpenActions},
    logger::Line,
};

pub use self::rehearsal::Rehearsed;

/// How many notices are taken out of the inbox in one turn.
const TURN_MAX: usize = 512;

/// How long a run that is being stopped waits for what tasks and planner make of results that are there. Arbitrary: more
/// than nearly every `collect` takes, and not too long for an operator after Ctrl-C.
const SETTLING: Duration = Duration::from_secs(2);

/// How long a run that is ended at once waits for the rest of its input to be counted. Arbitrary: enough for some GB, and less than
/// the process has left.
const COUNTING_AT_ONCE: Duration = Duration::from_millis(250);

/// How often progress is looked at.
const PROGRESS: Duration = Duration::from_millis(200);

/// One pool, as the driver is given it.
pub struct PoolSetup {
    pub name: String,
    /// Empty: it serves every kind that no pool lists.
    pub kinds: Vec<String>,
    pub limits: Limits,
    pub workers: Vec<PoolWorker>,
    /// What makes more of them while the run goes on. None: nothing does.
    pub recruiter: Option<Box<dyn Recruiter>>,
}

/// One worker of a pool, and the buckets that it draws from.
pub struct PoolWorker {
    pub worker: NewWorker,
    pub buckets: Vec<BucketId>,
}

/// Makes workers of a pool while a run goes on.
pub trait Recruiter: Send {
    /// One more worker, of this number. None: every worker of the pool was given something of its own, so that none can be made
    /// without being told of that.
    fn one_more(&mut self, id: WorkerId) -> Option<Joining>;
}

/// A worker that joins while a run goes on.
pub struct Joining {
    pub worker: NewWorker,
    /// What it draws from, and no other worker.
    pub buckets: Vec<BucketSetup>,
}

/// What the driver is started with.
pub struct Setup {
    pub id: RunId,
    pub policy: Policy,
    pub seed: u64,
    pub pools: Vec<PoolSetup>,
    pub buckets: Vec<BucketSetup>,
    /// The way to the workers.
    pub transport: Box<dyn Transport>,
    /// What keeps the records of the run.
    pub journal: Box<dyn Journal>,
    /// Its beginning is that of the run.
    pub clock: Clock,
    /// How many tasks may be in flight, from 1.
    pub tasks_max: usize,
    /// How many more may be in flight for each worker that joins later, at least, and for each of its slots.
    pub tasks_each: (usize, usize),
    /// Whether the ends of tasks are collected in the order in which the tasks were handed out.
    pub ordered: bool,
    /// Where it is kept how far the run is.
    pub counts: Arc<LiveCounts>,
}

/// The loop's state.
pub struct Driver<'a> {
    scheduler: Scheduler,
    commands: Vec<Command>,
    clock: Clock,
    now: Moment,
    inbox: UnboundedReceiver<Notice>,
    /// What came while the report was full, in order.
    late: VecDeque<Notice>,
    /// What guests and the host have to say.
    lines: Receiver<Line>,
    operation: Box<dyn Operation>,
    transport: Box<dyn Transport>,
    journal: Box<dyn Journal>,
    effects: Effects,
    /// Workers that orders did not reach.
    vanished: Vec<WorkerId>,
    routes: Routes,
    actions: Actions,
    tasks: Tasks,
    registry: Registry,
    tally: Tally,
    quotas: Quotas,
    evidence: Evidence,
    quorum: QuorumVotes,
    shortages: Shortages,
    tasks_each: (usize, usize),
    report: &'a mut Reporter,
    budget: Arc<Budget>,
    draining: bool,
    /// Once draining has left no attempt running: when the run ends whatever tasks and planner are at.
    settled_by: Option<Moment>,
    /// Until when it waits for the rest of the input to be counted, as the run is being stopped.
    counted_by: Option<Moment>,
    counts: Arc<LiveCounts>,
    /// Whether it waits for a reader of the report before it begins more tasks.
    unread: bool,
    /// Stopped at once, without waiting for attempts that still run.
    cancelled: bool,
    /// What of the parked bytes the budget has been told.
    charged: Charge,
    /// What of the open actions it has been told.
    open: OpenActions,
    /// Of a rehearsal.
    stage: Option<Box<Stage>>,
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
            effects: Effects::default(),
            vanished: Vec::new(),
            routes: Routes::new(setup.pools.iter().map(|pool| pool.kinds.as_slice())),
            actions: Actions::default(),
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

    /// Makes a bucket known, whose number is the next one.
    fn define_bucket(&mut self, setup: &BucketSetup) -> BucketId {
        let bucket = self.quotas.add_bucket(setup);
        let costs = setup.costs.iter().map(|(kind, cost)| (self.kind(kind).0, *cost));
        let costs = costs.collect();
        self.tell(Event::BucketDefined {
            bucket,
            quota: setup.quota,
            costs,
        });
        bucket
    }

    /// Sets a worker to work, whose number is the next one.
    fn join(&mut self, pool: PoolId, joining: PoolWorker) {
        let PoolWorker { worker, buckets } = joining;
        let (slots, owner) = (worker.slots, worker.owner);
        let joined = self
            .registry
            .join(pool, worker.name.clone(), owner.is_some(), buckets.clone());
        let Some(id) = joined else { return };
        self.transport.join(id, worker);
        self.tell(Event::WorkerJoined {
            worker: id,
            pool,
            slots,
            buckets,
            owner,
        });
    }

    /// Runs to the end. Returns how it went, and if it is to be kept what can be asked of it from now on.
    pub async fn run(mut self, keep: bool) -> (RunSummary, Option<Archive>) {
        let mut batch = Vec::with_capacity(TURN_MAX);
        let mut progress = tokio::time::interval(PROGRESS);
        progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while !self.turn(self.clock.now(), &mut batch) {
            self.wait(&mut batch, &mut progress).await;
        }
        while self.effects.are_waiting() {
            self.journal.advanced().await;
            self.release_durable();
        }
        let kept = keep.then(|| self.kept());
        (self.summary(), kept)
    }

    /// Takes a turn: all that has come by now, what the scheduler makes of it, and what follows for others. Returns whether the
    /// run is over.
    fn turn(&mut self, now: Moment, batch: &mut Vec<Notice>) -> bool {
        self.now = self.now.max(now);
        self.take_all(batch);
        if self.late.is_empty() {
            self.wake();
        }
        self.steer();
        let is_over = self.is_over();
        self.end_turn();
        while let Some(worker) = self.vanished.pop() {
            self.take(Notice::WorkerLeft { worker });
            if self.vanished.is_empty() {
                self.end_turn();
            }
        }
        // A reader that is gone is no longer waited for.
        if self.report.is_output_lost() {
            self.drain();
            return true;
        }
        is_over
    }

    /// Takes notices; while the report is full, only those of the operator. The others wait, and so do their senders, which have a
    /// bound for each. So a slow reader of the report slows the run, and what is to be reported does not pile up.
    fn take_all(&mut self, batch: &mut Vec<Notice>) {
        while !self.report.is_full()
            && let Some(notice) = self.late.pop_front()
        {
            self.take(notice);
            self.release_effects();
        }
        for notice in batch.drain(..) {
            let is_late = !self.late.is_empty() || self.report.is_full();
            match notice {
                Notice::Control(control) => self.control(control),
                notice if is_late => self.late.push_back(notice),
                notice => self.take(notice),
            }
            self.release_effects();
        }
    }

    /// Waits for notices, or until a moment that the scheduler or a sleeping task waits for; while the report is full, until it
    /// is no longer.
    async fn wait(&mut self, batch: &mut Vec<Notice>, progress: &mut Interval) {
        let is_full = !self.late.is_empty();
        let moments = [self.scheduler.next_wakeup(), self.tasks.next_wakeup()];
        let moments = moments.into_iter().flatten().filter(|_| !is_full);
        let counted_by = self.counted_by.filter(|by| *by > self.now);
        let next = moments.chain(self.settled_by).chain(counted_by).min();
        let awaits_journal = self.effects.are_waiting();
        loop {
            if self.inbox.is_empty() {
                self.report.flush();
            }
            let until = next.map(|moment| self.clock.instant(moment));
            tokio::select! {
                biased;
                _ = self.inbox.recv_many(batch, TURN_MAX) => return,
                () = sleep_until(until) => return,
                // Called only where it is awaited: it takes memory.
                () = async { self.journal.advanced().await }, if awaits_journal => return,
                () = self.report.caught_up(), if self.unread || is_full => return,
                // What cannot be shown as fast as it is said stays where a flood is dropped.
                Some(line) = self.lines.recv(), if !self.report.is_behind() => self.report.event(self.now, (&line).into()),
                _ = progress.tick() => {
                    self.transport.look();
                    self.operation.look();
                    self.tell_progress();
                }
            }
        }
    }

    fn tell_progress(&mut self) {
        let elapsed = self.clock.elapsed();
        // What it takes to know how long quotas will take is not for nothing.
        if self.report.wants_progress(elapsed) {
            let progress = Progress {
                tasks: self.tasks.counts(),
                total: self.tasks.total(),
                actions: self.scheduler.counts().into(),
                retries: self.tally.retries(),
                quota: self.waiting_for_quota().map(|(workers, eta)| (workers as u64, eta)),
                held: self.held(),
                elapsed,
            };
            self.report.event(self.now, RunEvent::Progress(Box::new(progress)));
        }
    }

    /// The results that wait for an earlier one, if they are so many that something holds them up.
    fn held(&self) -> Option<Held> {
        self.operation.held()?.beside(self.tasks.in_flight() as u64)
    }

    /// How many workers wait for a quota, and how long all that is open will take. None: no worker waits.
    fn waiting_for_quota(&self) -> Option<(usize, Option<Duration>)> {
        match self.scheduler.waiting_for_quota() {
            0 => None,
            workers => Some((workers, self.scheduler.eta())),
        }
    }

    /// The kind of this name, made known if it was not, and the name as it is shared.
    fn kind(&mut self, name: &str) -> (KindId, Arc<str>) {
        let found = self.routes.find(name);
        if let Some((event, label)) = found.new {
            self.tally.add_kind(label);
            self.tell(event);
        }
        (found.kind, found.name)
    }

    /// Tells the scheduler what happened and carries out what it says.
    fn tell(&mut self, event: Event) {
        let mut commands = std::mem::take(&mut self.commands);
        self.scheduler.handle(self.now, event, &mut commands);
        for command in commands.drain(..) {
            self.carry_out(command);
        }
        self.commands = commands;
    }

    /// Lets due sleepers and due decisions of the scheduler have their turn.
    fn wake(&mut self) {
        self.tasks.wake(&mut self.effects, self.now);
        if self.scheduler.next_wakeup().is_some_and(|moment| moment <= self.now) {
            self.tell(Event::Tick);
        }
    }

    /// Asks the planner for more, or for the end.
    fn steer(&mut self) {
        self.charged.follow(self.actions.size() + self.report.waiting());
        self.open.set(self.scheduler.open() as u64);
        let short = self.budget.is_over() || self.scheduler.is_full();
        self.unread = self.report.is_behind();
        let hold = self.draining || self.unread || (short && self.tasks.in_flight() > 0);
        self.tasks.steer(&mut self.effects, hold);
        let undone = self.tasks.undone(self.operation.tasks_read());
        self.counts.set(self.tasks.counts(), undone);
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Drain => self.drain(),
            Control::Cancel => {
                self.drain();
                self.cancelled = true;
                self.counted_by = self.counted_by.map(|by| by.min(self.now + COUNTING_AT_ONCE));
            }
            Control::Query(query, reply) => {
                // The client may have gone.
                let _ = reply.send(Box::new(self.answer(&query)));
            }
        }
    }

    /// The pools in which every attempt fails.
    fn failing_pools(&self) -> Vec<String> {
        let failing = self.registry.pools().filter(|pool| pool.is_systemic);
        failing.map(|pool| pool.name.to_string()).collect()
    }

    /// Starts no more attempts; those that run go on to their end.
    fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.counted_by = self.operation.stop().then(|| self.now + COUNTING);
            self.tell(Event::DrainBegun);
        }
    }

    /// Whether the run is over and, if it was stopped, the rest of its input is counted.
    fn is_over(&mut self) -> bool {
        let is_counting = self.counted_by.is_some_and(|by| self.now < by) && self.tasks.total().is_none();
        self.is_at_end() && (!is_counting || self.tasks.is_over())
    }

    /// Whether all is done; or, if the run is being stopped, whether no attempt runs and the results of those that ran
    /// are in the output.
    fn is_at_end(&mut self) -> bool {
        if self.cancelled || self.tasks.is_over() {
            return true;
        }
        if !self.draining || self.scheduler.in_flight() > 0 {
            return false;
        }
        if self.tasks.are_at_rest() && !self.tasks.write_held(self.operation.as_ref(), &mut self.effects) {
            return true;
        }
        let until = *self.settled_by.get_or_insert(self.now + SETTLING);
        if self.now >= until && (self.report.has_unread() || self.operation.held().is_some()) {
            // It waits for a reader, or for much that is still to be written.
            self.settled_by = Some(self.now + SETTLING);
            return false;
        }
        self.now >= until
    }

    fn summary(mut self) -> RunSummary {
        while let Ok(line) = self.lines.try_recv() {
            self.report.event(self.now, (&line).into());
        }
        if let Some(Held { results, line }) = self.operation.held() {
            let notice = HostNotice::ResultsUnwritten { results, line };
            self.report.event(self.now, RunEvent::Notice(notice));
        }
        let quotas: Vec<_> = self.scheduler.quotas().collect();
        RunSummary {
            interrupted: self.draining && !self.tasks.is_over(),
            undone: self.tasks.undone(self.operation.tasks_read()),
            shortage: self.shortages.take_fatal(),
            wall: self.clock.elapsed(),
            tasks: self.tasks.counts(),
            failure: self.tasks.take_failure(),
            peak_host_memory: self.budget.peak(),
            kinds: self.tally.kinds(|kind| self.scheduler.hedges(kind).unwrap_or_default()),
            workers: self.registry.summaries(self.scheduler.workers()),
            unroutable: self.tally.unroutable(),
            systemic: self.failing_pools(),
            quotas: self.quotas.summary(quotas.iter(), |worker| self.registry.name(worker)),
        }
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
