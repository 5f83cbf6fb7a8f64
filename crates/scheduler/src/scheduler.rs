//! The desk itself: what the dispatcher remembers, and where each note goes.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    action::Action,
    command::Command,
    event::Event,
    flake::Flake,
    hedge::Lag,
    ids::{ActionId, Ax, BucketId, Bx, IdMap, KindId, Kx, OwnerId, Ox, PoolId, Px, Rx, WorkerId, Wx},
    luck::Luck,
    mean::Mean,
    moment::Moment,
    outcome::{Health, Reason},
    policy::{Policy, PolicyError},
    queue::Queues,
    quota::Well,
    slab::Slab,
    timers::{Timer, Timers},
    view::Tallies,
    worker::{Entry, Pool, Room, Standing, Worker},
};

/// Which worker tries which action, and what to think of whom.
///
/// Rules for the caller:
/// - `now` never goes back. If it does, the last one counts.
/// - What is not known (an id that was never given, an attempt that was already ended, a thing said twice) is ignored;
///   no event can break anything or panic.
/// - The event comes first, then the timers that are due: a result which is there when its deadline is noticed counts.
/// - Memory is given back when an action is settled; a worker is remembered for good. Nothing else grows.
/// - When [`is_full`](Self::is_full), stop reading requests. A submission beyond that is accepted all the same, so that
///   nothing is lost.
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) policy: Policy,
    pub(crate) luck: Luck,
    pub(crate) now: Moment,
    pub(crate) draining: bool,
    pub(crate) actions: Slab<Ax, Action>,
    pub(crate) action_ids: IdMap<ActionId, Ax>,
    pub(crate) workers: Slab<Wx, Worker>,
    pub(crate) worker_ids: IdMap<WorkerId, Wx>,
    pub(crate) pools: Slab<Px, Pool>,
    pub(crate) pool_ids: IdMap<PoolId, Px>,
    pub(crate) kinds: Slab<Kx, Kind>,
    pub(crate) kind_ids: IdMap<KindId, Kx>,
    pub(crate) wells: Slab<Bx, Well>,
    /// The workers of each owner, in the order of joining.
    pub(crate) owners: Slab<Ox, Vec<Wx>>,
    pub(crate) owner_ids: IdMap<OwnerId, Ox>,
    pub(crate) bucket_ids: IdMap<BucketId, Bx>,
    pub(crate) queues: Queues,
    pub(crate) timers: Timers,
    pub(crate) tallies: Tallies,
    /// How many retries may go before fresh work.
    pub(crate) retries: f64,
    /// Workers that may have room since something else than their own attempt ended.
    pub(crate) stirred: Vec<Wx>,
    /// Buckets of several workers that have more in them again, and up to which place in line workers may look for work.
    pub(crate) refilling: Vec<(Bx, u64)>,
    /// How many failures had a verdict that speaks against a worker.
    pub(crate) verdicts: u64,
    /// How many times a worker began to wait for a bucket.
    pub(crate) waited: u64,
    /// How many assignments there were.
    pub(crate) assigned: u64,
    /// How many attempts are with workers, also those that were told to stop.
    pub(crate) held: usize,
    #[cfg(test)]
    pub(crate) plant: Option<Plant>,
}

/// One sort of action.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: KindId,
    pub(crate) rx: Rx,
    pub(crate) flake: Flake,
    pub(crate) lag: Lag,
    /// Workers that are given nothing of it: rising, each once.
    pub(crate) barred: Vec<Wx>,
    /// What its attempts take that have a result.
    pub(crate) took: Mean,
    /// How many times in a row a worker that was busy with it was busy with other work as well.
    pub(crate) refuted: u32,
}

/// Defects that a test plants, to see that the simulation would find them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// Forgets where an action failed.
    SameWorker,
    /// Settles an action that is done a second time.
    SettleTwice,
    /// Does not take an attempt off a worker's list when it ends.
    KeepSlot,
    /// Quarantines without asking whether anybody is left.
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
    /// Believes the first who says something, whoever that is.
    BelieveAll,
    /// Asks workers of the same owner again.
    SameOwner,
    /// Gives what may not run twice a second attempt.
    HedgeAll,
    /// Leaves the other attempt going when one of two has a result.
    KeepSecond,
}

impl Scheduler {
    /// A scheduler that knows nobody and has nothing to do. `seed` decides all jitter.
    ///
    /// # Errors
    /// A number of the policy cannot be meant.
    pub fn new(policy: Policy, seed: u64) -> Result<Self, PolicyError> {
        policy.check()?;
        let retries = f64::from(policy.retries);
        Ok(Self {
            policy,
            luck: Luck::new(seed),
            now: Moment::START,
            draining: false,
            actions: Slab::default(),
            action_ids: IdMap::default(),
            workers: Slab::default(),
            worker_ids: IdMap::default(),
            pools: Slab::default(),
            pool_ids: IdMap::default(),
            kinds: Slab::default(),
            kind_ids: IdMap::default(),
            wells: Slab::default(),
            owners: Slab::default(),
            owner_ids: IdMap::default(),
            bucket_ids: IdMap::default(),
            queues: Queues::default(),
            timers: Timers::default(),
            tallies: Tallies::default(),
            retries,
            stirred: Vec::new(),
            refilling: Vec::new(),
            verdicts: 0,
            waited: 0,
            assigned: 0,
            held: 0,
            #[cfg(test)]
            plant: None,
        })
    }

    /// Takes note of an event and appends what is to be done to `out`, in order. What is in `out` already stays.
    pub fn handle(&mut self, now: Moment, event: Event, out: &mut Vec<Command>) {
        self.now = self.now.max(now);
        match event {
            Event::KindDefined { kind, pools } => self.define(kind, &pools),
            Event::BucketDefined { bucket, quota, costs } => self.define_bucket(bucket, quota, costs),
            Event::WorkerJoined {
                worker,
                pool,
                slots,
                buckets,
                owner,
            } => self.join(worker, pool, slots, &buckets, owner, out),
            Event::QuotaReported {
                worker,
                attempt,
                bucket,
                report,
            } => self.reported(worker, attempt, bucket, report),
            Event::WorkerLeft { worker } => self.left(worker, out),
            Event::WorkerDrained { worker } => self.drained(worker, out),
            Event::WorkerReadmitted { worker } => self.readmitted(worker, out),
            Event::Submitted { action, spec } => self.submitted(action, spec, out),
            Event::Cancelled { action } => self.cancelled(action, out),
            Event::AttemptEnded {
                attempt,
                worker,
                end,
                took,
            } => self.ended(attempt, worker, end, took, out),
            Event::DrainBegun => self.draining = true,
            Event::Tick => {}
        }
        self.stir(out);
        self.fire(out);
    }

    /// Gives those something who may have room now.
    fn stir(&mut self, out: &mut Vec<Command>) {
        while !self.stirred.is_empty() || self.wake_more() {
            let mut stirred = std::mem::take(&mut self.stirred);
            // All of them first: whoever is given something may not be the best of them for it.
            for wx in &stirred {
                self.relist(*wx);
            }
            for wx in &stirred {
                self.pull(*wx, out);
            }
            if self.stirred.is_empty() {
                stirred.clear();
                self.stirred = stirred;
            }
        }
    }

    /// When to send an [`Event::Tick`] if nothing else happens before. None: time alone changes nothing.
    pub fn next_wakeup(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// What was set for a moment that has come.
    fn fire(&mut self, out: &mut Vec<Command>) {
        while let Some(timer) = self.timers.pop(self.now) {
            match timer {
                Timer::Worker(wx) => self.woke(wx, out),
                Timer::Barred(wx, kx) => self.unbar(wx, kx, out),
                Timer::Deadline(ax) => self.give_up(ax, Reason::Deadline, out),
                Timer::Rested(ax) => self.rested(ax, out),
                Timer::Patience(ax) => self.impatient(ax, out),
                Timer::Probe(px) => self.probe(px),
                Timer::Bucket(bx) => self.refilled(bx),
                Timer::Slow(kx) => self.slowed_down(kx, out),
            }
            self.stir(out);
        }
    }

    fn define(&mut self, kind: KindId, pools: &[PoolId]) {
        if self.kind_ids.contains_key(&kind) {
            return;
        }
        let mut places: Vec<Px> = pools.iter().map(|pool| self.pool(*pool)).collect();
        places.sort_unstable();
        places.dedup();
        let rx = self.route_of(&places, None);
        let kx = self.kinds.insert(Kind {
            id: kind,
            rx,
            flake: Flake::default(),
            lag: Lag::default(),
            barred: Vec::new(),
            took: Mean::default(),
            refuted: 0,
        });
        self.kind_ids.insert(kind, kx);
        if self.wells.iter().any(|well| well.cost(Some(kind)) > 1) {
            self.stand_apart(kx);
        }
    }

    /// The route of these pools, which they are part of from now on. `costly`: of this kind alone.
    fn route_of(&mut self, places: &[Px], costly: Option<Kx>) -> Rx {
        let (rx, new) = self.queues.route(places, costly);
        if new {
            let (mut free, mut prefetch) = (BTreeSet::new(), BTreeSet::new());
            for px in places {
                if let Some(pool) = self.pools.get_mut(*px) {
                    pool.routes.push(rx);
                    free.extend(pool.free.first().map(|entry| (*entry, *px)));
                    prefetch.extend(pool.prefetch.first().map(|entry| (*entry, *px)));
                }
            }
            if let Some(route) = self.queues.routes.get_mut(rx).filter(|route| route.is_wide()) {
                (route.free, route.prefetch) = (free, prefetch);
            }
        }
        rx
    }

    /// A kind takes more of some quota than usual: what is submitted from now on has a route of its own.
    pub(crate) fn stand_apart(&mut self, kx: Kx) {
        let rx = self.kinds.get(kx).map(|kind| kind.rx);
        let route = rx.and_then(|rx| self.queues.routes.get(rx));
        let Some(places) = route.map(|route| route.pools.to_vec()) else {
            return;
        };
        let rx = self.route_of(&places, Some(kx));
        if let Some(kind) = self.kinds.get_mut(kx) {
            kind.rx = rx;
        }
    }

    /// The pool of this id; an empty one if nobody spoke of it before.
    fn pool(&mut self, id: PoolId) -> Px {
        if let Some(px) = self.pool_ids.get(&id) {
            return *px;
        }
        let px = self.pools.insert(Pool::new(id));
        self.pool_ids.insert(id, px);
        px
    }

    fn join(
        &mut self,
        id: WorkerId,
        pool: PoolId,
        slots: u32,
        buckets: &[BucketId],
        owner: Option<OwnerId>,
        out: &mut Vec<Command>,
    ) {
        if self.worker_ids.contains_key(&id) {
            return;
        }
        let px = self.pool(pool);
        let wx = self.workers.insert(Worker::new(id, px, slots));
        self.worker_ids.insert(id, wx);
        self.bind(wx, buckets);
        let ox = owner.map(|owner| self.owned(wx, owner));
        if let Some(pool) = self.pools.get_mut(px) {
            pool.joined = true;
        }
        self.counted(px, None, Some(Standing::FRESH));
        self.unstick(px, out);
        if let Some(ox) = ox {
            let routes = self.pools.get(px).map_or_else(Vec::new, |pool| pool.routes.clone());
            for rx in routes {
                self.bar(rx, ox, out);
            }
        }
        self.relist(wx);
        self.pull(wx, out);
    }

    fn owned(&mut self, wx: Wx, owner: OwnerId) -> Ox {
        let ox = match self.owner_ids.get(&owner) {
            Some(ox) => *ox,
            None => {
                let ox = self.owners.insert(Vec::new());
                self.owner_ids.insert(owner, ox);
                ox
            }
        };
        if let Some(workers) = self.owners.get_mut(ox) {
            workers.push(wx);
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.ox = Some(ox);
        }
        ox
    }

    /// Changes what is thought of a worker, and everything that follows for those who wait. Gives it no work: the
    /// caller pulls when it is done.
    pub(crate) fn stand(&mut self, wx: Wx, next: Standing, out: &mut Vec<Command>) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let before = worker.standing;
        if before == next {
            return;
        }
        worker.standing = next;
        let (id, px) = (worker.id, worker.px);
        self.timers.clear(before.until(), Timer::Worker(wx));
        self.timers.set(next.until(), Timer::Worker(wx));
        let is_blemished = worker.record.straight > 0;
        self.counted(px, Some(before), Some(next));
        if is_blemished {
            self.blemished(px, before.is_usable(), next.is_usable());
        }
        if !next.is_usable() {
            self.relist(wx);
        }
        let (was, health): (Health, Health) = (before.health(), next.health());
        if was != health {
            out.push(Command::HealthChanged { worker: id, health });
        }
        if before.is_present() && !next.is_present() {
            self.strand(px, out);
        }
        if before.is_usable() != next.is_usable() {
            self.unstick(px, out);
        }
        // A worker that is usable again is listed only now: what was stuck stands in line first, and the order of the
        // line, not of this function, says who gets it.
        self.relist(wx);
    }

    /// Keeps a pool's counts when one of its workers changes.
    fn counted(&mut self, px: Px, before: Option<Standing>, next: Option<Standing>) {
        let Some(pool) = self.pools.get_mut(px) else { return };
        let shift = |count: &mut usize, holds: fn(Standing) -> bool| {
            *count += usize::from(next.is_some_and(holds));
            *count = count.saturating_sub(usize::from(before.is_some_and(holds)));
        };
        shift(&mut pool.members, Standing::is_member);
        shift(&mut pool.present, Standing::is_present);
        shift(&mut pool.usable, Standing::is_usable);
        shift(&mut pool.judged, Standing::is_judged);
    }

    /// Keeps the count of a pool's usable workers that have failed since their last success: one of them was such a worker, or is
    /// one now.
    pub(crate) fn blemished(&mut self, px: Px, was: bool, is: bool) {
        if let Some(pool) = self.pools.get_mut(px) {
            pool.blemished += usize::from(is);
            pool.blemished = pool.blemished.saturating_sub(usize::from(was));
        }
    }

    /// Puts a worker where its pool's lists should have it now.
    pub(crate) fn relist(&mut self, wx: Wx) {
        let full_probation = self.planted(Plant::FullProbation);
        let Some(worker) = self.workers.get(wx) else { return };
        let (mut room, has_quota) = (worker.room(&self.policy), !worker.buckets.is_empty());
        if full_probation
            && matches!(worker.standing.health(), Health::Probation { .. })
            && worker.load() < worker.slots
        {
            room = Room::Slot;
        }
        let mut expires = Moment::NEVER;
        if has_quota {
            expires = self.expires(wx);
            if room != Room::None && !self.can_pay(wx, None) {
                room = Room::None;
            }
        }
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let entry = Entry {
            expires,
            load: worker.load(),
            last_assigned: worker.last_assigned,
            wx,
        };
        let listed = (room, entry);
        if worker.listed == listed {
            return;
        }
        let before = std::mem::replace(&mut worker.listed, listed);
        let Some(pool) = self.pools.get_mut(worker.px) else {
            return;
        };
        let heads = pool.heads();
        match before {
            (Room::Slot, entry) => pool.free.remove(&entry),
            (Room::Prefetch, entry) => pool.prefetch.remove(&entry),
            (Room::None, _) => false,
        };
        match listed {
            (Room::Slot, entry) => pool.free.insert(entry),
            (Room::Prefetch, entry) => pool.prefetch.insert(entry),
            (Room::None, _) => false,
        };
        let next = pool.heads();
        if heads != next {
            let px = worker.px;
            for rx in &pool.routes {
                if let Some(route) = self.queues.routes.get_mut(*rx).filter(|route| route.is_wide()) {
                    let [free, prefetch] = heads;
                    free.map(|entry| route.free.remove(&(entry, px)));
                    prefetch.map(|entry| route.prefetch.remove(&(entry, px)));
                    let [free, prefetch] = next;
                    free.map(|entry| route.free.insert((entry, px)));
                    prefetch.map(|entry| route.prefetch.insert((entry, px)));
                }
            }
        }
        if has_quota && (before.0 == Room::None) != (listed.0 == Room::None) {
            self.note_listed(wx, listed.0 != Room::None);
        }
    }

    /// How many workers of a route are usable, busy ones included.
    pub(crate) fn usable(&self, rx: Rx) -> usize {
        self.over_pools(rx, |pool| pool.usable)
    }

    /// Whether nobody is left who could ever take an action of this route. While the run is being drained nobody is
    /// ever missing: workers go away then, and what waits is for the next run.
    pub(crate) fn is_unroutable(&self, rx: Rx) -> bool {
        let pools = self.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
        let any = |holds: fn(&Pool) -> bool| pools.iter().any(|px| self.pools.get(*px).is_some_and(holds));
        !self.draining && !any(|pool| pool.present > 0) && (pools.is_empty() || any(|pool| pool.joined))
    }

    /// One of the routes that a pool is part of, by its place among them.
    pub(crate) fn route(&self, px: Px, index: usize) -> Option<Rx> {
        self.pools.get(px)?.routes.get(index).copied()
    }

    pub(crate) fn over_pools(&self, rx: Rx, count: impl Fn(&Pool) -> usize) -> usize {
        self.over_route(rx).map(count).sum()
    }

    /// The pools of a route.
    pub(crate) fn over_route(&self, rx: Rx) -> impl Iterator<Item = &Pool> {
        let pools = self.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
        pools.iter().filter_map(|px| self.pools.get(*px))
    }

    pub(crate) fn is_usable(&self, wx: Wx) -> bool {
        self.workers.get(wx).is_some_and(|worker| worker.standing.is_usable())
    }

    /// Whether a test planted this defect.
    #[cfg(test)]
    pub(crate) fn planted(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Nobody plants defects outside tests.
    #[cfg(not(test))]
    pub(crate) const fn planted(&self, _: Plant) -> bool {
        false
    }

    /// Sets a timer `after` from now and says when that is.
    pub(crate) fn later(&self, after: Duration) -> Moment {
        self.now + after
    }
}
