//! The loop: takes notices in turns until the run is over, and waits in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use disperse_protocol::{
    control::Archive,
    inbox::{Control, Held, HostNotice, Notice, Progress, RunEvent, RunSummary},
};
use disperse_scheduler::{BucketId, Event, KindId, Moment, PoolId};
use tokio::time::Interval;

use super::{quotas::BucketSetup, setup::PoolWorker, state::Driver};
use crate::operation::COUNTING;

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

impl Driver<'_> {
    /// Makes a bucket known, whose number is the next one.
    pub(super) fn define_bucket(&mut self, setup: &BucketSetup) -> BucketId {
        let bucket = self.quotas.add_bucket(setup);
        let costs = setup.costs.iter().map(|(kind, cost)| (self.kind(kind).0, *cost));
        let costs = costs.collect();
        self.tell(Event::BucketDefined {
            bucket,
            quota: setup.quota,
            costs,
        });
        self.restore_bucket(bucket);
        bucket
    }

    /// Sets a worker to work, whose number is the next one.
    pub(super) fn join(&mut self, pool: PoolId, joining: PoolWorker) {
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
        self.restore_worker(id);
    }

    /// Runs to the end. Returns how it went, and if it is to be kept what can be asked of it from now on.
    pub async fn run(mut self, keep: bool) -> (RunSummary, Option<Archive>) {
        self.resume(self.clock.now()).await;
        let mut batch = Vec::with_capacity(TURN_MAX);
        let mut progress = tokio::time::interval(PROGRESS);
        progress.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while !self.turn(self.clock.now(), &mut batch) {
            self.wait(&mut batch, &mut progress).await;
        }
        while self.effects.are_waiting() && self.journal.failure().is_none() {
            self.journal.advanced().await;
            self.release_durable();
        }
        self.end_with_journal();
        let kept = keep.then(|| self.kept());
        (self.summary(), kept)
    }

    /// Takes a turn: all that has come by now, what the scheduler makes of it, and what follows for others. Returns whether the
    /// run is over.
    pub(super) fn turn(&mut self, now: Moment, batch: &mut Vec<Notice>) -> bool {
        self.now = self.now.max(now);
        self.submit_durable();
        self.take_all(batch);
        if self.late.is_empty() {
            self.wake();
        }
        self.steer();
        self.end_with_journal();
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
        let awaits_journal = self.effects.are_waiting() || self.effects.actions_held() > 0 || self.journal.is_behind();
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
    pub(super) fn held(&self) -> Option<Held> {
        self.operation.held()?.beside(self.tasks.in_flight() as u64)
    }

    /// How many workers wait for a quota, and how long all that is open will take. None: no worker waits.
    pub(super) fn waiting_for_quota(&self) -> Option<(usize, Option<Duration>)> {
        match self.scheduler.waiting_for_quota() {
            0 => None,
            workers => Some((workers, self.scheduler.eta())),
        }
    }

    /// The kind of this name, made known if it was not, and the name as it is shared.
    pub(super) fn kind(&mut self, name: &str) -> (KindId, Arc<str>) {
        let found = self.routes.find(name);
        if let Some((event, label)) = found.new {
            self.tally.add_kind(label);
            self.tell(event);
        }
        (found.kind, found.name)
    }

    /// Tells the scheduler what happened and carries out what it says.
    pub(super) fn tell(&mut self, event: Event) {
        let mut commands = std::mem::take(&mut self.commands);
        self.scheduler.handle(self.now, event, &mut commands);
        for command in commands.drain(..) {
            self.carry_out(command);
        }
        self.commands = commands;
        self.record_workers();
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
        self.open
            .set((self.scheduler.open() + self.effects.actions_held()) as u64);
        let short = self.budget.is_over() || self.scheduler.is_full();
        self.unread = self.report.is_behind();
        let hold = self.draining || self.unread || self.journal.is_behind() || (short && self.tasks.in_flight() > 0);
        self.tasks.steer(&mut self.effects, hold);
        let undone = self.tasks.undone(self.operation.tasks_read());
        self.counts.set(self.tasks.counts(), undone);
    }

    pub(super) fn control(&mut self, control: Control) {
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
    pub(super) fn failing_pools(&self) -> Vec<String> {
        let failing = self.registry.pools().filter(|pool| pool.is_systemic);
        failing.map(|pool| pool.name.to_string()).collect()
    }

    /// Ends the run at once if nothing more can be recorded: nothing more may leave it.
    fn end_with_journal(&mut self) {
        if let Some(why) = self.journal.failure() {
            self.end_for_shortage(format!("the journal cannot be written: {why}"));
            self.cancelled = true;
        }
    }

    /// Starts no more attempts; those that run go on to their end.
    pub(super) fn drain(&mut self) {
        if !self.draining {
            self.draining = true;
            self.counted_by = self.operation.stop().then(|| self.now + COUNTING);
            self.tell(Event::DrainBegun);
        }
    }

    /// Stops the run if too many tasks have failed, now that one more has ended.
    pub(super) fn halt_if_due(&mut self, has_failed: bool) {
        if !self.draining && self.halt.task_ended(has_failed) {
            let (failed, ended) = (self.halt.failed, self.halt.ended);
            self.emit(RunEvent::Notice(HostNotice::Halted { failed, ended }));
            self.drain();
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

    pub(super) fn summary(mut self) -> RunSummary {
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
            halted: self.halt.is_due,
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

pub(super) async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
