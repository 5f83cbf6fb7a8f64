//! The entry: each event is given to its rules, and what follows is carried out until nothing is left.

use std::time::Duration;

use crate::{
    command::Command,
    event::Event,
    ids::{AttemptId, Ax, WorkerId, Wx},
    model::{
        action::AttemptContext,
        health::{Rest, Standing, Trust},
        worker::InFlight,
    },
    moment::Moment,
    outcome::{Class, End, Outcome, Reason},
    policy::{Policy, PolicyError},
    rules::{
        annul, busy, dispatch, hedge, judge, listing, outage, place,
        resolve::{self, Next},
        restore, settle, skill, spending, standing, submit, topology, verdict,
    },
    state::{FollowUp, State},
    timers::Timer,
};

/// Decides which worker tries which action, and judges workers by what becomes of the actions.
///
/// Rules for the caller:
/// - `now` never goes back. If it does, the last one counts.
/// - What is not known (an id that was never given, an attempt that has ended, an event that is sent twice) is ignored; no
///   event can break anything or panic.
/// - The event comes first, then the timers that are due: a result that is there when its deadline is noticed counts.
/// - Memory is given back when an action is settled; a worker is remembered for good. Nothing else grows.
/// - When [`is_full`](Self::is_full), stop reading requests. A submission beyond that is accepted all the same, so that
///   nothing is lost.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) state: State,
}

impl Scheduler {
    /// A scheduler without workers and actions. `seed` decides all jitter.
    ///
    /// # Errors
    /// A number of the policy is invalid.
    pub fn new(policy: Policy, seed: u64) -> Result<Self, PolicyError> {
        policy.check()?;
        let state = State::new(policy, seed);
        Ok(Self { state })
    }

    /// Handles an event and appends what is to be done to `out`, in order. What is in `out` already stays.
    pub fn handle(&mut self, now: Moment, event: Event, out: &mut Vec<Command>) {
        let state = &mut self.state;
        std::mem::swap(&mut state.commands, out);
        state.now = state.now.max(now);
        match event {
            Event::KindDefined { kind, pools } => topology::define(state, kind, &pools),
            Event::BucketDefined { bucket, quota, costs } => topology::define_bucket(state, bucket, quota, costs),
            Event::WorkerJoined {
                worker,
                pool,
                slots,
                buckets,
                owner,
            } => {
                if let Some(wx) = topology::join(state, worker, pool, slots, &buckets, owner) {
                    self.joined(wx);
                }
            }
            Event::QuotaReported {
                worker,
                attempt,
                bucket,
                report,
            } => spending::reported(state, worker, attempt, bucket, report),
            Event::WorkerLeft { worker } => self.left(worker),
            Event::WorkerDrained { worker } => self.drained(worker),
            Event::WorkerReadmitted { worker } => self.readmitted(worker),
            Event::Submitted { action, spec } => submit::submit(state, action, spec),
            Event::Resubmitted { action, spec, failed } => restore::resubmit(state, action, spec, &failed),
            Event::QuotaRestored { bucket, history } => restore::restore_bucket(state, bucket, &history),
            Event::WorkerRestored { worker, before } => restore::restore_worker(state, worker, &before),
            Event::Cancelled { action } => submit::cancel(state, action),
            Event::AttemptEnded {
                attempt,
                worker,
                end,
                took,
            } => self.ended(attempt, worker, end, took),
            Event::DrainBegun => state.draining = true,
            Event::Tick => {}
        }
        self.drain();
        self.dispatch_dirty();
        self.fire();
        std::mem::swap(&mut self.state.commands, out);
    }

    /// When to send an [`Event::Tick`] if nothing else happens before. None: time alone changes nothing.
    pub fn next_wakeup(&self) -> Option<Moment> {
        self.state.timers.next()
    }

    /// Carries out what the last step has queued, and what follows from that, until nothing is left. No rule calls
    /// this: the settlement of one action may condemn a worker, which gives another action an attempt back, and so on,
    /// and none of them runs inside another.
    #[inline]
    fn drain(&mut self) {
        if !self.state.follow_ups.is_empty() {
            self.carry_out();
        }
    }

    #[inline(never)]
    fn carry_out(&mut self) {
        let state = &mut self.state;
        state.follow_ups.reverse();
        while let Some(next) = state.follow_ups.pop() {
            let earlier = state.follow_ups.len();
            match next {
                FollowUp::Settle { ax, outcome, by } => settle::settle(state, ax, outcome, by),
                FollowUp::Convict {
                    closed,
                    accused,
                    shares,
                } => verdict::convict_one(state, closed, accused, shares),
                FollowUp::CloseOpen {
                    closed,
                    accused,
                    failed_by,
                } => verdict::close_open(state, closed, accused, failed_by),
                FollowUp::WeighOpen { closed, wx, failed_by } => {
                    verdict::weigh_open_one(state, closed, wx, failed_by);
                }
                FollowUp::Annul(wx) => annul::annul(state, wx),
                FollowUp::FailUnroutable(px) => settle::fail_unroutable(state, px),
                FollowUp::PlaceStuck(px) => place::place_stuck(state, px),
                FollowUp::UpdateListing(wx) => listing::update_listing(state, wx),
            }
            if let Some(new) = state.follow_ups.get_mut(earlier..) {
                new.reverse();
            }
        }
    }

    /// Gives work to the workers that may have room now.
    fn dispatch_dirty(&mut self) {
        while !self.state.dirty_workers.is_empty() || listing::wake_more(&mut self.state) {
            let mut dirty_workers = std::mem::take(&mut self.state.dirty_workers);
            // All of them are listed first: the one that pulls may not be the best of them for an action.
            for wx in &dirty_workers {
                listing::update_listing(&mut self.state, *wx);
            }
            for wx in &dirty_workers {
                self.pull(*wx);
            }
            if self.state.dirty_workers.is_empty() {
                dirty_workers.clear();
                self.state.dirty_workers = dirty_workers;
            }
        }
    }

    fn pull(&mut self, wx: Wx) {
        dispatch::pull(&mut self.state, wx);
        self.drain();
    }

    /// Carries out the timers that are due.
    fn fire(&mut self) {
        while let Some(timer) = self.state.timers.pop(self.state.now) {
            let state = &mut self.state;
            match timer {
                Timer::Worker(wx) => self.wake_worker(wx),
                Timer::Barred(wx, kx) => skill::readmit(state, wx, kx),
                Timer::Deadline(ax) => state.fail(ax, Reason::Deadline),
                Timer::Rested(ax) => place::rested(state, ax),
                Timer::Patience(ax) => place::end_patience(state, ax),
                Timer::Probe(px) => outage::probe(state, px),
                Timer::Bucket(bx) => listing::refilled(state, bx),
                Timer::Slow(kx) => hedge::slowed_down(state, kx),
            }
            self.drain();
            self.dispatch_dirty();
        }
    }

    fn ended(&mut self, attempt: AttemptId, worker: WorkerId, end: End, took: Duration) {
        let state = &mut self.state;
        let Some(wx) = state.workers.slot(worker) else {
            return;
        };
        let sent = !matches!(end, End::Faulty | End::Unstartable | End::Host { begun: false });
        let seq = resolve::release(state, wx, attempt, sent);
        let said = end;
        let end = match seq {
            Some(_) => busy::effective_end(state, wx, attempt.action, end),
            None => end,
        };
        let ax = state.actions.slot(attempt.action);
        let current = ax.filter(|ax| state.is_current(*ax, attempt, wx));
        if let Some(seq) = seq {
            let kx = ax.and_then(|ax| state.actions.get(ax)).map(|action| action.kx);
            // The worker first: where the action can go depends on its standing.
            let of = AttemptContext {
                action: attempt.action,
                kx,
                current: current.is_some(),
            };
            judge::judge(state, wx, of, end, took);
            self.drain();
            if let (End::Busy { wait }, End::Transient) = (said, end) {
                busy::rest_busy(&mut self.state, wx, attempt.action, wait);
            }
            busy::finish_busy_trial(&mut self.state, wx, attempt.action, seq, said);
        }
        match (current, ax) {
            (Some(ax), _) => self.resolve(ax, wx, attempt, end),
            (None, Some(ax)) if end.class() == Class::Ok && resolve::is_stale(&self.state, ax, attempt) => {
                // A result counts even if its attempt was thought lost.
                resolve::resolve_late(&mut self.state, ax, wx, attempt, end);
                self.drain();
            }
            _ => {}
        }
        if seq.is_some() {
            listing::update_listing(&mut self.state, wx);
            self.pull(wx);
        }
    }

    fn resolve(&mut self, ax: Ax, wx: Wx, attempt: AttemptId, end: End) {
        let next = resolve::resolve(&mut self.state, ax, wx, attempt, end);
        // What becomes of the worker comes before the action's next state.
        self.drain();
        let state = &mut self.state;
        match next {
            Next::Wait => {}
            Next::Settle(outcome) => settle::settle(state, ax, outcome, Some(wx)),
            Next::Fail(reason) => settle::settle(state, ax, Outcome::Failed(reason), None),
            Next::Place => place::place(state, ax, None),
            Next::GoOn => resolve::go_on(state, ax, wx, attempt, end),
        }
        self.drain();
    }

    fn joined(&mut self, wx: Wx) {
        let Some(worker) = self.state.workers.get(wx) else {
            return;
        };
        let (px, ox) = (worker.px, worker.ox);
        place::place_stuck(&mut self.state, px);
        self.drain();
        if let Some(ox) = ox {
            place::owner_joined(&mut self.state, px, ox);
            self.drain();
        }
        listing::update_listing(&mut self.state, wx);
        self.pull(wx);
    }

    /// A worker's quarantine, busy time or damping is over.
    fn wake_worker(&mut self, wx: Wx) {
        let Some(worker) = self.state.workers.get(wx) else {
            return;
        };
        let trust = match worker.standing {
            Standing::Usable { trust, .. } => trust,
            Standing::Quarantined { round, .. } => Trust::Probation { round, passed: 0 },
            Standing::Draining | Standing::Evicted(_) | Standing::Gone => return,
        };
        let rest = Rest::None;
        standing::set_standing(&mut self.state, wx, Standing::Usable { trust, rest });
        self.drain();
        self.pull(wx);
    }

    fn drained(&mut self, id: WorkerId) {
        let Some(wx) = self.state.workers.slot(id) else {
            return;
        };
        let worker = self.state.workers.get(wx);
        if worker.is_some_and(|worker| worker.standing.is_present()) {
            standing::set_standing(&mut self.state, wx, Standing::Draining);
        }
    }

    fn readmitted(&mut self, id: WorkerId) {
        let state = &mut self.state;
        let Some(wx) = state.workers.slot(id) else {
            return;
        };
        if state
            .workers
            .get(wx)
            .is_none_or(|worker| worker.standing == Standing::Gone)
        {
            return;
        }
        standing::set_consecutive_failures(state, wx, 0);
        if let Some(worker) = state.workers.get_mut(wx) {
            worker.reset();
        }
        standing::set_standing(state, wx, Standing::FRESH);
        self.drain();
        place::end_shunning(&mut self.state, wx);
        skill::forget_skills(&mut self.state, wx);
        self.drain();
        listing::update_listing(&mut self.state, wx);
        self.pull(wx);
    }

    /// A worker is gone, and what it was doing with it.
    fn left(&mut self, id: WorkerId) {
        let state = &mut self.state;
        let Some(wx) = state.workers.slot(id) else {
            return;
        };
        let Some(worker) = state.workers.get_mut(wx) else {
            return;
        };
        let attempts = std::mem::take(&mut worker.attempts);
        worker.tally.lost += attempts.len() as u64;
        state.in_flight = state.in_flight.saturating_sub(attempts.len());
        standing::set_standing(state, wx, Standing::Gone);
        self.drain();
        for held in &attempts {
            spending::finish_payment(&mut self.state, wx, held.seq, true);
        }
        for InFlight { attempt, .. } in attempts {
            let ax = self.state.actions.slot(attempt.action);
            if let Some(ax) = ax.filter(|ax| self.state.is_current(*ax, attempt, wx)) {
                self.resolve(ax, wx, attempt, End::Lost);
            }
        }
    }
}
