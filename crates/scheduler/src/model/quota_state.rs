//! A bucket, and the workers that draw from it and wait for it.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    bucket::{Bucket, BucketCheckpoint, BucketHistory, BucketView},
    ids::{BucketId, IdMap, KindId, WorkerId, Wx},
    moment::Moment,
    quota::{Quota, Report},
};

/// By how much the expiry of a shared quota may be off in the lists of pools: each report moves it a little, and the
/// lists need not follow each time. Arbitrary: windows are mostly a minute or longer.
const EXPIRY_OFF_MAX: Duration = Duration::from_secs(1);

/// A bucket, and the workers that draw from it and wait for it.
#[derive(Debug)]
pub(crate) struct QuotaState {
    id: BucketId,
    bucket: Bucket,
    /// The costs of kinds that do not cost 1.
    costs: IdMap<KindId, u32>,
    /// The workers that draw from it.
    workers: Vec<Wx>,
    /// The workers that were short of something, each with its place in line.
    waiting: BTreeSet<(u64, Wx)>,
    /// The workers that are on their pool's list.
    listed: BTreeSet<Wx>,
    /// The expiry that the lists of pools have if several workers draw from it: nearly the bucket's.
    expiry: Moment,
    /// The least that a worker waits for.
    min_waiting_cost: Option<u32>,
    /// When there is so much; [`Moment::NEVER`] while that is unknown.
    wakes: Moment,
    /// Attempts that drew from it.
    attempts: u64,
}

/// What became of a bucket so far, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaView {
    /// Which.
    pub bucket: BucketId,
    /// The workers that draw from it.
    pub workers: Vec<WorkerId>,
    /// How much of it.
    pub is: BucketView,
}

impl QuotaState {
    pub(crate) fn new(id: BucketId, quota: Quota, costs: Vec<(KindId, u32)>) -> Self {
        Self {
            id,
            bucket: Bucket::new(quota),
            costs: costs.into_iter().collect(),
            workers: Vec::new(),
            waiting: BTreeSet::new(),
            listed: BTreeSet::new(),
            expiry: Moment::NEVER,
            min_waiting_cost: None,
            wakes: Moment::NEVER,
            attempts: 0,
        }
    }

    pub(crate) fn id(&self) -> BucketId {
        self.id
    }

    /// What an action of this kind costs; the least that anything costs if no kind is given.
    #[inline]
    pub(crate) fn cost(&self, kind: Option<KindId>) -> u32 {
        kind.and_then(|kind| self.costs.get(&kind).copied()).unwrap_or(1)
    }

    pub(crate) fn add_worker(&mut self, wx: Wx) {
        self.workers.push(wx);
    }

    /// The workers that draw from it, in the order of joining.
    pub(crate) fn workers(&self) -> &[Wx] {
        &self.workers
    }

    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.workers.len() > 1
    }

    #[inline]
    pub(crate) fn is_empty(&self, now: Moment) -> bool {
        self.bucket.available(now) == 0
    }

    /// Whether it has too little for this cost, or for all there can be at once if the cost is more.
    #[inline]
    pub(crate) fn is_short(&self, now: Moment, cost: u32) -> bool {
        self.bucket.available(now) < self.bucket.most(cost)
    }

    /// Whether it has too little for this cost, and more only if nothing is spent.
    pub(crate) fn is_saved_for(&self, now: Moment, cost: u32) -> bool {
        let cost = self.bucket.most(cost);
        self.bucket.available(now) < cost && !self.bucket.waits_for_reset(now, cost)
    }

    /// When there will be so much; [`Moment::NEVER`] while that is unknown.
    pub(crate) fn ready_at(&self, now: Moment, cost: u32) -> Moment {
        self.bucket.when(now, cost).unwrap_or(Moment::NEVER)
    }

    /// When what is left expires, as the lists of pools are to have it.
    pub(crate) fn listed_expiry(&self, now: Moment) -> Moment {
        match self.is_shared() {
            true => self.expiry,
            false => self.bucket.expires(now),
        }
    }

    /// Follows the expiry of a shared bucket if it has moved far. Whether it has.
    pub(crate) fn follow_expiry(&mut self, now: Moment) -> bool {
        if !self.is_shared() {
            return false;
        }
        let (before, expiry) = (self.expiry, self.bucket.expires(now));
        let has_moved = before.max(expiry).since(before.min(expiry)) > EXPIRY_OFF_MAX;
        if has_moved {
            self.expiry = expiry;
        }
        has_moved
    }

    /// A worker is on its pool's list now, or is not.
    pub(crate) fn set_listed(&mut self, wx: Wx, is_listed: bool) {
        match is_listed {
            true => self.listed.insert(wx),
            false => self.listed.remove(&wx),
        };
    }

    /// The workers that are on their pool's list.
    pub(crate) fn listed(&self) -> &BTreeSet<Wx> {
        &self.listed
    }

    /// Puts a worker in line.
    pub(crate) fn push_waiting(&mut self, place: u64, wx: Wx) {
        self.waiting.insert((place, wx));
    }

    /// Takes a worker out of line.
    pub(crate) fn remove_waiting(&mut self, place: u64, wx: Wx) {
        self.waiting.remove(&(place, wx));
    }

    /// Takes as many of the workers that wait, up to this place in line, as there are units.
    pub(crate) fn pop_waiting(&mut self, now: Moment, place: u64) -> Vec<Wx> {
        let units = self.bucket.available(now);
        let mut popped = Vec::new();
        while popped.len() < units as usize && self.has_waiting(place) {
            popped.extend(self.waiting.pop_first().map(|(_, wx)| wx));
        }
        popped
    }

    /// Whether a worker waits up to this place in line.
    pub(crate) fn has_waiting(&self, place: u64) -> bool {
        self.waiting.first().is_some_and(|(at, _)| *at <= place)
    }

    /// A worker waits for so many units. Whether that changes when the first worker is to be woken.
    pub(crate) fn request(&mut self, units: u32) -> bool {
        let least = self.min_waiting_cost.map_or(units, |least| least.min(units));
        let is_new = self.min_waiting_cost != Some(least) || self.wakes == Moment::NEVER;
        if is_new {
            self.min_waiting_cost = Some(least);
        }
        is_new
    }

    /// Computes again when the first waiting worker is to be woken: what was to be so far, and what is. None: no worker
    /// waits.
    pub(crate) fn reschedule(&mut self, now: Moment) -> Option<(Moment, Moment)> {
        let wakes = self.ready_at(now, self.min_waiting_cost?);
        Some((std::mem::replace(&mut self.wakes, wakes), wakes))
    }

    /// There is as much as a worker waits for.
    pub(crate) fn end_wait(&mut self) {
        self.min_waiting_cost = None;
        self.wakes = Moment::NEVER;
    }

    /// An attempt of this kind is paid for. `seq`: its number among all dispatches.
    pub(crate) fn pay(&mut self, now: Moment, seq: u64, kind: Option<KindId>) {
        let cost = self.cost(kind);
        self.bucket.debit(now, seq, cost);
        self.attempts += 1;
    }

    /// An attempt is over. `sent`: whether the service may have seen it.
    pub(crate) fn end_attempt(&mut self, now: Moment, seq: u64, sent: bool) {
        self.bucket.ended(now, seq, sent);
    }

    /// What the service reported with an attempt.
    pub(crate) fn report(&mut self, now: Moment, seq: u64, report: Report) {
        self.bucket.report(now, seq, report);
    }

    /// One of several workers was told to wait until then: the others would be told the same. Whether it was closed.
    pub(crate) fn close_if_shared(&mut self, until: Moment) -> bool {
        let closes = self.is_shared() && self.bucket.is_windowed();
        if closes {
            self.bucket.close(until);
        }
        closes
    }

    /// That was not about this quota. Whether it was closed until then and is open now.
    pub(crate) fn reopen(&mut self, now: Moment, until: Moment) -> bool {
        self.bucket.reopen(now, until)
    }

    /// A worker was busy though there was room.
    pub(crate) fn contradict(&mut self, now: Moment) {
        self.bucket.contradicted(now);
    }

    pub(crate) fn view(&self, now: Moment) -> BucketView {
        self.bucket.view(now)
    }

    /// What has to survive a crash.
    pub(crate) fn checkpoint(&self) -> BucketCheckpoint {
        self.bucket.checkpoint()
    }

    /// Goes on from what became of it before the run was resumed.
    pub(crate) fn restore(&mut self, now: Moment, history: &BucketHistory) {
        self.bucket.restore(now, history);
    }

    /// How many attempts of the usual cost it offers until then.
    pub(crate) fn attempts_until(&self, now: Moment, until: Moment) -> u64 {
        let units = self.bucket.offers_until(now, until);
        let used = self.bucket.view(now).used;
        match used > self.attempts {
            true => (units as f64 * self.attempts as f64 / used as f64) as u64,
            false => units,
        }
    }
}
