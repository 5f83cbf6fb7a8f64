//! Division of a scarce amount, bytes of memory or slots of an engine, between accounts.
//!
//! Each account has a guaranteed share, capped for accounts that never need more. The amount beyond all shares, the
//! *spare*, goes to any account, in the order of the requests. The invariant is that the sum of `max(share, held)` over
//! all accounts is never above the limit: an account gets its share whatever the others hold, and all of them together
//! never hold more than the limit.

mod account;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, oneshot};

pub use self::account::{Account, Reservation};

/// The amount and its accounts.
#[derive(Debug)]
pub struct Shares {
    limit: u64,
    /// The guaranteed part of the limit, as a divisor.
    part: u64,
    /// The share of an account that is not capped, and of forced amounts.
    share: AtomicU64,
    /// The amount beyond all shares.
    spare: AtomicU64,
    /// How much of the spare the accounts hold, without `forced`.
    taken: AtomicU64,
    /// The sum that all accounts hold, without `forced`.
    held: AtomicU64,
    /// The amount that was taken without asking. It has a share too, if `has_forced`.
    forced: AtomicU64,
    has_forced: bool,
    /// The reserved amount that is not in use.
    unused: AtomicU64,
    /// The most that was in use at once, forced amounts included.
    peak: AtomicU64,
    /// How many requests wait. Written under the lock.
    waiting: AtomicU64,
    ledger: Mutex<Ledger>,
    /// Notified of releases while `watchers` is above zero.
    released: Notify,
    watchers: AtomicU64,
}

#[derive(Debug, Default)]
struct Ledger {
    next_account: u64,
    next_ticket: u64,
    accounts: BTreeMap<u64, Entry>,
    /// Requests that are larger than a share, with their accounts. They do not delay smaller requests of their account.
    large: BTreeMap<u64, (u64, Request)>,
    /// Whether idle instances of some account were notified.
    reclaim_requested: bool,
}

#[derive(Debug)]
struct Entry {
    held: u64,
    queue: BTreeMap<u64, Request>,
    /// The most that is guaranteed to it.
    cap: u64,
    signals: Arc<Signals>,
}

impl Entry {
    fn share(&self) -> u64 {
        self.signals.share.load(Ordering::Relaxed)
    }

    /// The part of this amount that is beyond its share.
    fn beyond(&self, held: u64) -> u64 {
        held.saturating_sub(self.share())
    }

    /// How much of the spare it needs for this much more.
    fn needs(&self, amount: u64) -> u64 {
        self.beyond(self.held.saturating_add(amount)) - self.beyond(self.held)
    }
}

#[derive(Debug)]
struct Request {
    amount: u64,
    /// Whether the wait is for what an instance in this account already holds a part of.
    grows: bool,
    granted: oneshot::Sender<()>,
}

/// The parts of an account's state that are read without the lock.
#[derive(Debug)]
struct Signals {
    /// Its share.
    share: AtomicU64,
    /// Whether idle instances of it hold what others wait for.
    wanted: AtomicBool,
    /// Whether one was notified and has not answered. One at a time, or more would go than are in the way.
    called: AtomicBool,
    idle: Arc<Notify>,
}

/// Why no more is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// Larger than the most that an account can have, which is this.
    Never(u64),
    /// Every holder in the account waits for more, or the wait took too long.
    Stuck,
}

impl Shares {
    /// One `part`th of the limit is guaranteed to accounts. `has_forced`: whether [`Shares::force`] is used, which then
    /// has a share of its own.
    pub fn new(limit: u64, part: u64, has_forced: bool) -> Arc<Self> {
        let shares = Self {
            limit,
            part: part.max(1),
            share: AtomicU64::new(0),
            spare: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            held: AtomicU64::new(0),
            forced: AtomicU64::new(0),
            has_forced,
            unused: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            ledger: Mutex::default(),
            released: Notify::new(),
            watchers: AtomicU64::new(0),
        };
        shares.divide(&mut shares.ledger());
        Arc::new(shares)
    }

    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The most that was in use at once, forced amounts included.
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Takes an amount without asking, available or not. Neither waits nor locks.
    pub fn force(&self, amount: u64) {
        self.forced.fetch_add(amount, Ordering::SeqCst);
        self.note_peak();
    }

    /// Gives a forced amount back.
    pub fn unforce(&self, amount: u64) {
        self.forced.fetch_sub(amount, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.settle(&mut self.ledger());
        }
        self.tell_watchers();
    }

    /// Whether more is forced than its share.
    pub fn is_over(&self) -> bool {
        let beyond = self.beyond(self.forced.load(Ordering::Relaxed));
        beyond > 0 && beyond.saturating_add(self.taken.load(Ordering::Relaxed)) > self.spare.load(Ordering::Relaxed)
    }

    /// Waits until `is_ready` returns true, which is called after each release of a part of the spare, of forced
    /// amounts, and of amounts of an account, whose watchers are given.
    ///
    /// Cancel safe.
    pub async fn until(&self, account: Option<&AtomicU64>, mut is_ready: impl FnMut() -> bool) {
        if is_ready() {
            return;
        }
        let _watching = Watching::new(&self.watchers);
        let _own = account.map(Watching::new);
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // Registered before the next call, so that a release in between is not missed.
            released.as_mut().enable();
            if is_ready() {
                return;
            }
            released.await;
        }
    }

    /// Makes all waits in [`Shares::until`] check again.
    pub fn tell_watchers(&self) {
        if self.watchers.load(Ordering::SeqCst) > 0 {
            self.released.notify_waiters();
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing in here panics between two changes that belong together.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_peak(&self) {
        let held = self.held.load(Ordering::Relaxed);
        let used = held.saturating_sub(self.unused.load(Ordering::Relaxed));
        let all = self.forced.load(Ordering::Relaxed).saturating_add(used);
        self.peak.fetch_max(all, Ordering::Relaxed);
    }

    /// The part of the forced amount that is beyond its share.
    fn beyond(&self, forced: u64) -> u64 {
        forced.saturating_sub(self.share.load(Ordering::Relaxed))
    }

    /// Divides the guaranteed part of the limit equally among accounts, up to their caps; the rest is spare.
    fn divide(&self, ledger: &mut Ledger) {
        let accounts = (ledger.accounts.len() as u64 + u64::from(self.has_forced)).max(1);
        // At least one, while there are enough.
        let share = (self.limit / self.part / accounts).max(u64::from(accounts <= self.limit));
        self.share.store(share, Ordering::SeqCst);
        let (mut guaranteed, mut taken) = (if self.has_forced { share } else { 0 }, 0);
        for entry in ledger.accounts.values() {
            entry.signals.share.store(share.min(entry.cap), Ordering::SeqCst);
            guaranteed += entry.share();
            taken += entry.beyond(entry.held);
        }
        self.spare
            .store(self.limit.saturating_sub(guaranteed), Ordering::SeqCst);
        self.taken.store(taken, Ordering::SeqCst);
        // A request that is too large now fails: its sender is dropped.
        let spare = self.spare.load(Ordering::Relaxed);
        let queued = ledger.accounts.iter_mut().flat_map(|(id, entry)| {
            let moved = std::mem::take(&mut entry.queue);
            moved.into_iter().map(|(ticket, request)| (ticket, (*id, request)))
        });
        let mut requests: BTreeMap<_, _> = queued.collect();
        requests.append(&mut ledger.large);
        requests.retain(|_, (id, request)| {
            let entry = ledger.accounts.get(id);
            entry.is_some_and(|entry| request.amount <= entry.share().saturating_add(spare))
        });
        self.waiting.store(requests.len() as u64, Ordering::SeqCst);
        for (ticket, (id, request)) in requests {
            Self::enqueue(ledger, ticket, id, request);
        }
        self.settle(ledger);
    }

    fn enqueue(ledger: &mut Ledger, ticket: u64, id: u64, request: Request) {
        let Some(entry) = ledger.accounts.get_mut(&id) else {
            return;
        };
        if request.amount > entry.share() {
            ledger.large.insert(ticket, (id, request));
        } else {
            entry.queue.insert(ticket, request);
        }
    }

    fn fits(&self, entry: &Entry, amount: u64) -> bool {
        let forced = self.forced.load(Ordering::SeqCst);
        let needs = entry.needs(amount);
        let taken = self.taken.load(Ordering::Relaxed).saturating_add(self.beyond(forced));
        let all = self
            .held
            .load(Ordering::Relaxed)
            .saturating_add(forced)
            .saturating_add(amount);
        all <= self.limit && (needs == 0 || taken.saturating_add(needs) <= self.spare.load(Ordering::Relaxed))
    }

    /// Changes what an account holds. Under the lock.
    fn set_held(&self, entry: &mut Entry, held: u64) {
        let (before, after) = (entry.beyond(entry.held), entry.beyond(held));
        let taken = self.taken.load(Ordering::Relaxed) + after - before;
        self.taken.store(taken, Ordering::SeqCst);
        let all = self.held.load(Ordering::Relaxed) + held - entry.held;
        self.held.store(all, Ordering::SeqCst);
        entry.held = held;
    }

    /// Whether an older request waits for a part of the spare.
    fn spare_is_wanted(&self, ledger: &Ledger) -> bool {
        let fronts = ledger.accounts.values().filter_map(|entry| {
            let (_, request) = entry.queue.first_key_value()?;
            Some(entry.needs(request.amount))
        });
        !ledger.large.is_empty() || fronts.into_iter().any(|needs| needs > 0)
    }

    /// The oldest request that can be granted: in order within its account, and among all that need the spare.
    fn next(&self, ledger: &Ledger) -> Option<(u64, u64)> {
        let queued = ledger.accounts.iter().filter_map(|(id, entry)| {
            let (ticket, request) = entry.queue.first_key_value()?;
            Some((*ticket, *id, request.amount))
        });
        let large = ledger.large.first_key_value();
        let large = large.map(|(ticket, (id, request))| (*ticket, *id, request.amount));
        let mut fronts: Vec<_> = queued.chain(large).collect();
        fronts.sort_unstable();
        let mut spare_is_open = true;
        fronts.into_iter().find_map(|(ticket, id, amount)| {
            let entry = ledger.accounts.get(&id)?;
            let needs_spare = entry.needs(amount) > 0;
            let fits = (spare_is_open || !needs_spare) && self.fits(entry, amount);
            spare_is_open &= !needs_spare;
            fits.then_some((ticket, id))
        })
    }

    /// Grants all requests that can be granted, and notifies idle instances that block the others. Under the lock.
    fn settle(&self, ledger: &mut Ledger) {
        while self.waiting.load(Ordering::Relaxed) > 0
            && let Some((ticket, id)) = self.next(ledger)
        {
            let large = ledger.large.remove(&ticket).map(|(_, request)| request);
            let Some(entry) = ledger.accounts.get_mut(&id) else {
                break;
            };
            let Some(request) = large.or_else(|| entry.queue.remove(&ticket)) else {
                break;
            };
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            // Under the lock, so that a dropped request sees whether it was granted.
            if request.granted.send(()).is_ok() {
                let held = entry.held.saturating_add(request.amount);
                self.set_held(entry, held);
            }
        }
        self.press(ledger);
    }

    /// Idle instances are in the way of requests of their own account, and of all if their account is beyond its share.
    fn press(&self, ledger: &mut Ledger) {
        let waiting = self.waiting.load(Ordering::Relaxed) > 0;
        if !waiting && !ledger.reclaim_requested {
            return;
        }
        ledger.reclaim_requested = waiting;
        let Ledger { accounts, large, .. } = ledger;
        for (id, entry) in accounts {
            let own = || !entry.queue.is_empty() || large.values().any(|(of, _)| of == id);
            let wanted = waiting && entry.held > 0 && (entry.beyond(entry.held) > 0 || own());
            entry.signals.wanted.store(wanted, Ordering::SeqCst);
            if wanted && !entry.signals.called.swap(true, Ordering::SeqCst) {
                // The one that was used last: where more take turns than there may be, the others are used before it.
                entry.signals.idle.notify_last();
            }
        }
    }
}

/// Counts a watcher while it waits.
struct Watching<'a>(&'a AtomicU64);

impl<'a> Watching<'a> {
    fn new(watchers: &'a AtomicU64) -> Self {
        watchers.fetch_add(1, Ordering::SeqCst);
        Self(watchers)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
