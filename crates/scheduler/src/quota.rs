//! Workers and their quotas: who can spend what, who waits for it, and for whom a window is open again.
//!
//! What a bucket allows is its own business (`bucket.rs`). Here is who draws from it. A worker that cannot afford anything is
//! not on its pool's list, and the bucket remembers that somebody is thirsty and for how much; one timer for each such bucket
//! goes off when there is so much in it, not sooner, and nothing looks before. So waiting costs nothing.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    bucket::{Bucket, BucketView, Quota, Report},
    ids::{AttemptId, Ax, BucketId, Bx, IdMap, KindId, Kx, Rx, WorkerId, Wx},
    moment::Moment,
    queue::Key,
    scheduler::Scheduler,
    timers::Timer,
    worker::Pool,
};

/// How long ahead an estimate looks at most.
const AHEAD: Duration = Duration::from_secs(366 * 24 * 3600);

/// By how much the moment at which the quota of several workers goes to waste may be off in the lists of pools: each report moves
/// it a little, and the lists need not follow each time. Arbitrary: windows are mostly a minute or longer.
const EXPIRES_OFF: Duration = Duration::from_secs(1);

/// A bucket and those who draw from it.
#[derive(Debug)]
pub(crate) struct Well {
    pub(crate) id: BucketId,
    pub(crate) bucket: Bucket,
    /// What kinds cost that do not cost 1.
    costs: IdMap<KindId, u32>,
    /// Who draws from it.
    workers: Vec<Wx>,
    /// Those who were short of something, each with its place in line.
    waiting: BTreeSet<(u64, Wx)>,
    /// Those that are on their pool's list.
    listed: BTreeSet<Wx>,
    /// When what is left goes to waste, as the lists of pools have it if several draw from it: nearly.
    expires: Moment,
    /// The least that somebody waits for.
    thirst: Option<u32>,
    /// When there is so much; [`Moment::NEVER`] while that is not known.
    wakes: Moment,
    /// Attempts that drew from it.
    draws: u64,
}

/// What became of a bucket so far, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaView {
    /// Which.
    pub bucket: BucketId,
    /// Who draws from it.
    pub workers: Vec<WorkerId>,
    /// How much of it.
    pub is: BucketView,
}

impl Scheduler {
    pub(crate) fn define_bucket(&mut self, id: BucketId, quota: Quota, costs: Vec<(KindId, u32)>) {
        if self.bucket_ids.contains_key(&id) || quota.check().is_err() {
            return;
        }
        for (kind, _) in costs.iter().filter(|(_, cost)| *cost > 1) {
            if let Some(kx) = self.kind_ids.get(kind) {
                self.stand_apart(*kx);
            }
        }
        let bx = self.wells.insert(Well {
            id,
            bucket: Bucket::new(quota),
            costs: costs.into_iter().collect(),
            workers: Vec::new(),
            waiting: BTreeSet::new(),
            listed: BTreeSet::new(),
            expires: Moment::NEVER,
            thirst: None,
            wakes: Moment::NEVER,
            draws: 0,
        });
        self.bucket_ids.insert(id, bx);
    }

    /// Has a worker draw from these buckets. What was never defined does not count.
    pub(crate) fn bind(&mut self, wx: Wx, buckets: &[BucketId]) {
        let mut own: Vec<Bx> = buckets
            .iter()
            .filter_map(|id| self.bucket_ids.get(id).copied())
            .collect();
        own.sort_unstable();
        own.dedup();
        for bx in &own {
            if let Some(well) = self.wells.get_mut(*bx) {
                well.workers.push(wx);
            }
        }
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.buckets = own.into_boxed_slice();
        }
    }

    /// What a worker draws from.
    fn wells(&self, wx: Wx) -> impl Iterator<Item = (Bx, &Well)> {
        let buckets = self.workers.get(wx).map_or(&[][..], |worker| &worker.buckets);
        buckets.iter().filter_map(|bx| Some((*bx, self.wells.get(*bx)?)))
    }

    /// The first bucket from which a worker cannot pay for an action of this kind (none: for the cheapest there is), and what
    /// it would take.
    fn short(&self, wx: Wx, kx: Option<Kx>) -> Option<(Bx, u32)> {
        let kind = || self.kinds.get(kx?).map(|kind| kind.id);
        self.wells(wx).find_map(|(bx, well)| {
            let cost = well.cost(kind());
            (well.bucket.available(self.now) < well.bucket.most(cost)).then_some((bx, cost))
        })
    }

    /// Whether an action of this kind can be paid for, or if none is given anything at all. If not, the worker stands in the
    /// bucket's line.
    pub(crate) fn can_pay(&mut self, wx: Wx, kx: Option<Kx>) -> bool {
        match self.short(wx, kx) {
            Some((bx, cost)) => {
                self.want(bx, cost);
                self.wait_at(wx, bx);
                false
            }
            None => true,
        }
    }

    /// As [`Scheduler::can_pay`], without anybody waiting for it.
    pub(crate) fn could_pay(&self, wx: Wx, kx: Kx) -> bool {
        self.short(wx, Some(kx)).is_none()
    }

    /// Puts a worker that is short of something into the line of that bucket: when there is so much in it, it looks for work.
    fn wait_at(&mut self, wx: Wx, bx: Bx) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let Some(well) = self.wells.get_mut(bx) else { return };
        if worker.waits.iter().any(|(at, _)| *at == bx) {
            return;
        }
        self.waited += 1;
        worker.waits.push((bx, self.waited));
        well.waiting.insert((self.waited, wx));
    }

    /// Takes a worker out of the line of a bucket.
    fn wait_no_more(&mut self, wx: Wx, bx: Bx) {
        let Some(worker) = self.workers.get_mut(wx) else { return };
        let at = worker.waits.iter().position(|(at, _)| *at == bx);
        if let Some((_, place)) = at.map(|at| worker.waits.swap_remove(at))
            && let Some(well) = self.wells.get_mut(bx)
        {
            well.waiting.remove(&(place, wx));
        }
    }

    /// Takes note that a worker is on its pool's list now, or is not.
    pub(crate) fn note_listed(&mut self, wx: Wx, is_listed: bool) {
        let Some(worker) = self.workers.get(wx) else { return };
        for bx in &worker.buckets {
            if let Some(well) = self.wells.get_mut(*bx) {
                match is_listed {
                    true => well.listed.insert(wx),
                    false => well.listed.remove(&wx),
                };
            }
        }
    }

    /// Has as many of those who wait for a bucket look for work as it has units, if they came before `place`.
    fn wake_some(&mut self, bx: Bx, place: u64) {
        let now = self.now;
        let Some(well) = self.wells.get_mut(bx) else { return };
        let units = well.bucket.available(now);
        for _ in 0..units {
            let Some((_, wx)) = well.waiting.first().filter(|(at, _)| *at <= place).copied() else {
                break;
            };
            well.waiting.pop_first();
            if let Some(worker) = self.workers.get_mut(wx) {
                worker.waits.retain(|(at, _)| *at != bx);
            }
            self.stirred.push(wx);
        }
        if !well.waiting.is_empty() {
            self.refilling.push((bx, place));
        }
    }

    /// The workers that were woken for a bucket that was refilled may have left units for others. True: another worker is woken and
    /// has to look for work.
    pub(crate) fn wake_more(&mut self) -> bool {
        while let Some((bx, place)) = self.refilling.pop() {
            let now = self.now;
            let Some(well) = self.wells.get(bx) else { continue };
            let has_more = well.waiting.first().is_some_and(|(at, _)| *at <= place);
            if has_more && well.bucket.available(now) > 0 {
                self.wake_some(bx, place);
                return true;
            }
            // Whoever had its turn and waits again has said for how much.
            if has_more {
                self.want(bx, 1);
            }
        }
        !self.stirred.is_empty()
    }

    /// When what a worker could spend goes to waste.
    pub(crate) fn expires(&self, wx: Wx) -> Moment {
        let expire = self.wells(wx).map(|(_, well)| match well.workers.len() {
            0 | 1 => well.bucket.expires(self.now),
            _ => well.expires,
        });
        expire.min().unwrap_or(Moment::NEVER)
    }

    /// Somebody waits until there are so many units.
    fn want(&mut self, bx: Bx, units: u32) {
        let Some(well) = self.wells.get_mut(bx) else { return };
        let least = well.thirst.map_or(units, |thirst| thirst.min(units));
        if well.thirst != Some(least) || well.wakes == Moment::NEVER {
            well.thirst = Some(least);
            self.look_again(bx);
        }
    }

    /// Something changed in a bucket, or in what somebody waits for.
    fn look_again(&mut self, bx: Bx) {
        let now = self.now;
        let Some(well) = self.wells.get_mut(bx) else { return };
        let Some(thirst) = well.thirst else { return };
        let wakes = well.bucket.when(now, thirst).unwrap_or(Moment::NEVER);
        let before = std::mem::replace(&mut well.wakes, wakes);
        self.timers.clear(before, Timer::Bucket(bx));
        if wakes <= now {
            self.refilled(bx);
        } else {
            self.timers.set(wakes, Timer::Bucket(bx));
        }
    }

    /// There is as much in a bucket as somebody waits for.
    pub(crate) fn refilled(&mut self, bx: Bx) {
        let Some(well) = self.wells.get_mut(bx) else { return };
        well.thirst = None;
        well.wakes = Moment::NEVER;
        self.follow_expiry(bx);
        self.wake_some(bx, self.waited);
    }

    /// Has the lists of pools follow the moment at which a bucket's units go to waste, if it has moved far.
    fn follow_expiry(&mut self, bx: Bx) {
        let now = self.now;
        let Some(well) = self.wells.get_mut(bx).filter(|well| well.workers.len() > 1) else {
            return;
        };
        let (before, expires) = (well.expires, well.bucket.expires(now));
        let moved = before.max(expires).since(before.min(expires));
        if before != expires && moved > EXPIRES_OFF {
            well.expires = expires;
            self.relist_listed(bx);
        }
    }

    /// Something changed for all who are listed and draw from this bucket.
    fn relist_listed(&mut self, bx: Bx) {
        let listed = self.wells.get(bx).map(|well| well.listed.iter().copied().collect());
        let listed: Vec<Wx> = listed.unwrap_or_default();
        for wx in listed {
            self.relist(wx);
        }
    }

    /// An attempt is given to a worker: it is paid for.
    pub(crate) fn pay(&mut self, wx: Wx, kx: Kx, seq: u64) {
        let Some(worker) = self.workers.get(wx) else { return };
        if worker.buckets.is_empty() {
            return;
        }
        let kind = self.kinds.get(kx).map(|kind| kind.id);
        let mut emptied: Vec<Wx> = Vec::new();
        for bx in &worker.buckets {
            let Some(well) = self.wells.get_mut(*bx) else { continue };
            let cost = well.cost(kind);
            well.bucket.debit(self.now, seq, cost);
            well.draws += 1;
            if well.workers.len() > 1 && well.bucket.available(self.now) == 0 {
                emptied.extend(&well.listed);
            }
        }
        for other in emptied {
            if other != wx {
                self.relist(other);
            }
        }
    }

    /// An attempt is over. `sent`: whether the service may have seen it.
    pub(crate) fn paid(&mut self, wx: Wx, seq: u64, sent: bool) {
        let buckets = self.workers.get(wx).map_or(0, |worker| worker.buckets.len());
        for index in 0..buckets {
            let Some(bx) = self.bucket_of(wx, index) else { continue };
            if let Some(well) = self.wells.get_mut(bx) {
                well.bucket.ended(self.now, seq, sent);
            }
            self.look_again(bx);
        }
    }

    fn bucket_of(&self, wx: Wx, index: usize) -> Option<Bx> {
        self.workers.get(wx)?.buckets.get(index).copied()
    }

    /// What a service said, by way of an attempt that is going on.
    pub(crate) fn reported(&mut self, id: WorkerId, attempt: AttemptId, bucket: BucketId, report: Report) {
        let (Some(wx), Some(bx)) = (self.worker_ids.get(&id).copied(), self.bucket_ids.get(&bucket).copied()) else {
            return;
        };
        let Some(worker) = self.workers.get(wx).filter(|worker| worker.buckets.contains(&bx)) else {
            return;
        };
        let Some(seq) = worker
            .attempts
            .iter()
            .find(|held| held.attempt == attempt)
            .map(|held| held.seq)
        else {
            return;
        };
        let Some(well) = self.wells.get_mut(bx) else { return };
        // One that says nothing new may still tell what was counted before.
        well.bucket.report(self.now, seq, report);
        self.changed(bx);
    }

    /// A worker was told to wait, and others draw from the same buckets: they would be told so too.
    pub(crate) fn close_shared(&mut self, wx: Wx, until: Moment) {
        let buckets = self.workers.get(wx).map_or(0, |worker| worker.buckets.len());
        for index in 0..buckets {
            let Some(bx) = self.bucket_of(wx, index) else { continue };
            let Some(well) = self.wells.get_mut(bx).filter(|well| well.workers.len() > 1) else {
                continue;
            };
            if well.bucket.is_windowed() {
                well.bucket.close(until);
                self.changed(bx);
            }
        }
    }

    /// A worker was told to wait until then, and that was not about its quota: buckets that were closed for it are open.
    pub(crate) fn reopen_shared(&mut self, wx: Wx, until: Moment) {
        let now = self.now;
        let buckets = self.workers.get(wx).map_or(0, |worker| worker.buckets.len());
        for index in 0..buckets {
            let Some(bx) = self.bucket_of(wx, index) else { continue };
            if let Some(well) = self.wells.get_mut(bx)
                && well.bucket.reopen(now, until)
            {
                self.changed(bx);
            }
        }
    }

    /// A worker was busy though each of its buckets had room.
    pub(crate) fn contradicted(&mut self, wx: Wx) {
        let buckets = self.workers.get(wx).map_or(0, |worker| worker.buckets.len());
        for index in 0..buckets {
            if let Some(well) = self.bucket_of(wx, index).and_then(|bx| self.wells.get_mut(bx)) {
                well.bucket.contradicted(self.now);
            }
        }
    }

    /// More or less is in a bucket than before.
    fn changed(&mut self, bx: Bx) {
        self.look_again(bx);
        let now = self.now;
        let Some(well) = self.wells.get(bx) else { return };
        match well.workers.as_slice() {
            [] => {}
            [only] => self.relist(*only),
            _ if well.bucket.available(now) == 0 => self.relist_listed(bx),
            _ => self.follow_expiry(bx),
        }
    }

    /// Nobody who has room can pay for this action: whoever can do so first saves for it, and is given nothing cheaper.
    pub(crate) fn save_for(&mut self, rx: Rx, kx: Kx, avoid: &[Wx]) {
        if self.wells.len() == 0 || self.draining {
            return;
        }
        let pools = self.queues.routes.get(rx).map_or(&[][..], |route| &route.pools);
        let free = pools
            .iter()
            .filter_map(|px| self.pools.get(*px))
            .flat_map(|pool: &Pool| &pool.free)
            .map(|entry| entry.wx)
            .filter(|wx| avoid.binary_search(wx).is_err());
        let free: Vec<Wx> = free.collect();
        let mut anybody_pays = false;
        for wx in &free {
            // Whoever can pay for it the soonest looks again then.
            anybody_pays |= self.can_pay(*wx, Some(kx));
        }
        if anybody_pays {
            return;
        }
        let kind = self.kinds.get(kx).map(|kind| kind.id);
        let ready = |wx: &Wx| {
            let wells = self.wells(*wx);
            let ready = wells.map(|(_, well)| well.bucket.when(self.now, well.cost(kind)).unwrap_or(Moment::NEVER));
            ready.max()
        };
        if let Some(wx) = free.into_iter().min_by_key(ready)
            && self.saving_helps(wx, kx)
        {
            self.save(wx, kx);
        }
    }

    /// A worker is given nothing until it can pay for what it was found to be short of.
    fn save(&mut self, wx: Wx, kx: Kx) {
        if let Some(worker) = self.workers.get_mut(wx) {
            worker.saving = true;
        }
        self.relist(wx);
        if let Some((bx, _)) = self.short(wx, Some(kx)) {
            self.wait_no_more(wx, bx);
            self.wait_at(wx, bx);
        }
    }

    /// What became of each bucket so far, in the order in which they were defined.
    pub fn quotas(&self) -> impl Iterator<Item = QuotaView> {
        self.wells.iter().map(|well| QuotaView {
            bucket: well.id,
            workers: well
                .workers
                .iter()
                .filter_map(|wx| Some(self.workers.get(*wx)?.id))
                .collect(),
            is: well.bucket.view(self.now),
        })
    }

    /// How many workers that could be given something wait for their quota.
    pub fn waiting_for_quota(&self) -> usize {
        let waits = |well: &Well| well.bucket.available(self.now) == 0;
        let workers = self.workers.iter().filter(|worker| worker.standing.is_usable());
        workers
            .filter(|worker| worker.buckets.iter().any(|bx| self.wells.get(*bx).is_some_and(waits)))
            .count()
    }

    /// How long the open actions will take, by how long attempts took so far and by what quotas allow. None: nobody knows,
    /// because nobody is usable or nothing was ever done. It looks at every worker, so it is for a display.
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
        let until = self.now + ahead;
        let mut all = 0_u64;
        let mut shared: std::collections::BTreeMap<Bx, u64> = std::collections::BTreeMap::new();
        for worker in self.workers.iter().filter(|worker| worker.standing.is_usable()) {
            let from = worker.standing.until().since(self.now);
            let mean = worker.took.get().max(Duration::from_millis(1));
            let time = ahead.saturating_sub(match worker.standing.until() {
                Moment::NEVER => Duration::ZERO,
                _ => from,
            });
            let turns = u64::try_from(time.as_micros() / mean.as_micros().max(1)).unwrap_or(u64::MAX);
            let mut can = turns.saturating_mul(u64::from(worker.width));
            let mut common = None;
            for bx in &worker.buckets {
                let Some(well) = self.wells.get(*bx) else { continue };
                if well.workers.len() > 1 {
                    common = Some(*bx);
                } else {
                    can = can.min(well.attempts_until(self.now, until));
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
                .wells
                .get(bx)
                .map_or(0, |well| well.attempts_until(self.now, until));
            all = all.saturating_add(can.min(offers));
        }
        all
    }

    /// Whether a worker can pay for this action; if it cannot and that helps, it saves for it.
    pub(crate) fn pays_for(&mut self, wx: Wx, ax: Ax) -> bool {
        let Some(kx) = self.actions.get(ax).map(|action| action.kx) else {
            return false;
        };
        let pays = self.can_pay(wx, Some(kx));
        if !pays && self.saving_helps(wx, kx) {
            self.save(wx, kx);
        }
        pays
    }

    /// The first action in line that a worker can pay for; those before it, `first` among them, have to wait for a reset
    /// whatever is spent until then.
    pub(crate) fn affordable(&mut self, wx: Wx, first: Key) -> Option<Key> {
        let mut key = first;
        loop {
            if self.pays_for(wx, key.ax) {
                return Some(key);
            }
            let worker = self.workers.get(wx).filter(|worker| !worker.saving)?;
            let routes = self.pools.get(worker.px).map_or(&[][..], |pool| &pool.routes);
            key = self.queues.next_for(routes, wx, key)?;
        }
    }

    /// Whether what a worker does not spend now is there when it can pay for an action of this kind. Not if it is short only
    /// of what a reset brings anyway.
    fn saving_helps(&self, wx: Wx, kx: Kx) -> bool {
        let kind = self.kinds.get(kx).map(|kind| kind.id);
        self.wells(wx).any(|(_, well)| {
            let cost = well.bucket.most(well.cost(kind));
            well.bucket.available(self.now) < cost && !well.bucket.waits_for_reset(self.now, cost)
        })
    }

    /// A worker may be given something again, whatever it saved for.
    pub(crate) fn stop_saving(&mut self, wx: Wx) {
        if let Some(worker) = self.workers.get_mut(wx)
            && std::mem::take(&mut worker.saving)
        {
            self.relist(wx);
        }
    }

    /// Whether one of a worker's buckets is empty.
    pub(crate) fn is_dry(&self, wx: Wx) -> bool {
        self.wells(wx).any(|(_, well)| well.bucket.available(self.now) == 0)
    }
}

impl Well {
    /// What an action of this kind takes; the least that anything takes if no kind is given.
    pub(crate) fn cost(&self, kind: Option<KindId>) -> u32 {
        kind.and_then(|kind| self.costs.get(&kind).copied()).unwrap_or(1)
    }

    /// How many attempts of the usual cost it offers until then.
    fn attempts_until(&self, now: Moment, until: Moment) -> u64 {
        let units = self.bucket.offers_until(now, until);
        let used = self.bucket.view(now).used;
        match used > self.draws {
            true => (units as f64 * self.draws as f64 / used as f64) as u64,
            false => units,
        }
    }
}
