//! One account: its holdings and its waiting requests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use super::{Entry, NoRoom, Request, Shares, Signals};

/// One account: a pool, a planner, or the tasks of an operation.
#[derive(Debug)]
pub struct Account {
    pub(super) shares: Arc<Shares>,
    pub(super) id: u64,
    pub(super) signals: Arc<Signals>,
    /// The number of reservations.
    pub(super) holders: AtomicU64,
    /// How many wait for any release of this account.
    pub(super) watchers: AtomicU64,
}

impl Shares {
    /// Adds an account, until it is dropped, with a share of at most `cap`. `idle` is notified when its idle instances
    /// are in the way of others.
    pub fn account(self: &Arc<Self>, cap: u64, idle: Arc<Notify>) -> Arc<Account> {
        let signals = Arc::new(Signals {
            share: AtomicU64::new(0),
            wanted: AtomicBool::new(false),
            called: AtomicBool::new(false),
            idle,
        });
        let mut ledger = self.ledger();
        let id = ledger.next_account;
        ledger.next_account += 1;
        ledger.accounts.insert(
            id,
            Entry {
                held: 0,
                queue: BTreeMap::new(),
                cap,
                signals: signals.clone(),
            },
        );
        self.divide(&mut ledger);
        drop(ledger);
        Arc::new(Account {
            shares: self.clone(),
            id,
            signals,
            holders: AtomicU64::new(0),
            watchers: AtomicU64::new(0),
        })
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let mut ledger = self.shares.ledger();
        // Nothing is held: every reservation keeps its account.
        ledger.accounts.remove(&self.id);
        self.shares.divide(&mut ledger);
        drop(ledger);
        self.shares.tell_watchers();
    }
}

impl Account {
    pub fn limit(&self) -> u64 {
        self.shares.limit
    }

    /// The count of those who wait for any release of it, for [`Shares::until`].
    pub(crate) fn watchers(&self) -> &AtomicU64 {
        &self.watchers
    }

    /// The most that this account can ever hold.
    pub fn most(&self) -> u64 {
        let share = self.signals.share.load(Ordering::Relaxed);
        share.saturating_add(self.shares.spare.load(Ordering::Relaxed))
    }

    /// Whether idle instances of this account hold what others wait for.
    pub fn is_in_the_way(&self) -> bool {
        self.signals.wanted.load(Ordering::SeqCst)
    }

    /// Acknowledges the notification of an idle instance, which then calls [`Account::is_in_the_way`].
    pub fn answer(&self) {
        self.signals.called.store(false, Ordering::SeqCst);
    }

    /// A reservation of nothing.
    pub fn empty(self: &Arc<Self>) -> Reservation {
        self.holders.fetch_add(1, Ordering::SeqCst);
        Reservation {
            account: self.clone(),
            amount: 0,
            unused: 0,
        }
    }

    /// A reservation of an amount that was added before.
    fn reservation(self: &Arc<Self>, amount: u64) -> Reservation {
        self.shares.unused.fetch_add(amount, Ordering::Relaxed);
        let mut reservation = self.empty();
        (reservation.amount, reservation.unused) = (amount, amount);
        reservation
    }

    /// Reserves an amount if it is available at once.
    pub fn try_take(self: &Arc<Self>, amount: u64) -> Option<Reservation> {
        (amount == 0 || self.add(amount, false)).then(|| self.reservation(amount))
    }

    /// Reserves an amount; waits, in order, until it is available.
    ///
    /// # Errors
    /// It is more than one account can ever hold.
    ///
    /// Cancel safe: a dropped wait holds nothing.
    pub async fn take(self: &Arc<Self>, amount: u64) -> Result<Reservation, NoRoom> {
        if amount > 0 && !self.add(amount, true) {
            let ticket = self.request(amount, false)?;
            ticket.granted().await.map_err(|()| NoRoom::Never(self.most()))?;
        }
        // No holder while it waited.
        Ok(self.reservation(amount))
    }

    /// Adds an amount if it is available at once. `in_turn`: not before older requests of the same account.
    pub(super) fn add(&self, amount: u64, in_turn: bool) -> bool {
        let shares = &*self.shares;
        let mut ledger = shares.ledger();
        let waiting = shares.waiting.load(Ordering::Relaxed) > 0;
        let Some(entry) = ledger.accounts.get(&self.id) else {
            return false;
        };
        let needs_spare = entry.needs(amount) > 0;
        let is_behind =
            waiting && (in_turn && !entry.queue.is_empty() || needs_spare && shares.spare_is_wanted(&ledger));
        if is_behind || !shares.fits(entry, amount) {
            return false;
        }
        let Some(entry) = ledger.accounts.get_mut(&self.id) else {
            return false;
        };
        let held = entry.held.saturating_add(amount);
        shares.set_held(entry, held);
        true
    }

    /// Queues a request for an amount.
    fn request(&self, amount: u64, grows: bool) -> Result<Ticket<'_>, NoRoom> {
        let (granted, receiver) = oneshot::channel();
        let mut ledger = self.shares.ledger();
        let most = self.most();
        if amount > most {
            return Err(NoRoom::Never(most));
        }
        let number = ledger.next_ticket;
        ledger.next_ticket += 1;
        let request = Request { amount, grows, granted };
        Shares::enqueue(&mut ledger, number, self.id, request);
        self.shares.waiting.fetch_add(1, Ordering::SeqCst);
        self.shares.settle(&mut ledger);
        Ok(Ticket {
            account: self,
            number,
            amount,
            receiver: Some(receiver),
        })
    }

    /// Whether all holders of this account wait for more but one, which is about to, and no other account can end that.
    fn is_stuck(&self) -> bool {
        let shares = &*self.shares;
        let ledger = shares.ledger();
        let own = ledger.accounts.get(&self.id);
        let grows = own.map_or(0, |entry| entry.queue.values().filter(|request| request.grows).count());
        let large = ledger
            .large
            .values()
            .filter(|(id, request)| *id == self.id && request.grows);
        let all_wait = (grows + large.count()) as u64 + 1 >= self.holders.load(Ordering::SeqCst);
        let others = own.map_or(0, |entry| entry.beyond(entry.held));
        let others = shares.taken.load(Ordering::Relaxed).saturating_sub(others);
        all_wait && others == 0 && shares.forced.load(Ordering::SeqCst) == 0
    }

    /// Gives an amount back.
    pub(super) fn give(&self, amount: u64) {
        if amount == 0 {
            return;
        }
        let shares = &*self.shares;
        let mut ledger = shares.ledger();
        let before = shares.taken.load(Ordering::Relaxed);
        if let Some(entry) = ledger.accounts.get_mut(&self.id) {
            let held = entry.held.saturating_sub(amount);
            shares.set_held(entry, held);
        }
        let is_of_spare = shares.taken.load(Ordering::Relaxed) < before;
        if shares.waiting.load(Ordering::Relaxed) > 0 || ledger.reclaim_requested {
            shares.settle(&mut ledger);
        }
        drop(ledger);
        if is_of_spare || self.watchers.load(Ordering::SeqCst) > 0 {
            shares.tell_watchers();
        }
    }
}

/// A queued request. Dropped before it is granted, it is removed; dropped after, the amount is given back.
struct Ticket<'a> {
    account: &'a Account,
    number: u64,
    amount: u64,
    /// None once the grant was taken.
    receiver: Option<oneshot::Receiver<()>>,
}

impl Ticket<'_> {
    async fn granted(mut self) -> Result<(), ()> {
        let Some(receiver) = &mut self.receiver else {
            return Err(());
        };
        let granted = receiver.await.map_err(drop);
        self.receiver = None;
        granted
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let Some(mut receiver) = self.receiver.take() else {
            return;
        };
        let shares = &*self.account.shares;
        let mut ledger = shares.ledger();
        let queued = ledger.accounts.get_mut(&self.account.id);
        let queued = queued.and_then(|entry| entry.queue.remove(&self.number));
        if queued.is_some() || ledger.large.remove(&self.number).is_some() {
            shares.waiting.fetch_sub(1, Ordering::SeqCst);
            shares.settle(&mut ledger);
            return;
        }
        drop(ledger);
        if receiver.try_recv().is_ok() {
            self.account.give(self.amount);
        }
    }
}

/// An amount held of an account until this is dropped.
#[derive(Debug)]
pub struct Reservation {
    account: Arc<Account>,
    amount: u64,
    /// How much of it is not in use.
    unused: u64,
}

impl Reservation {
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Records how much of it is in use now.
    pub fn note_used(&mut self, used: u64) {
        let unused = self.amount.saturating_sub(used);
        let shares = &self.account.shares;
        // Wraps around for a decrease, which gives the right sum.
        shares
            .unused
            .fetch_add(unused.wrapping_sub(self.unused), Ordering::Relaxed);
        self.unused = unused;
        shares.note_peak();
    }

    /// Splits an amount off it, or as much as there is, as a reservation of its own.
    pub fn split(&mut self, amount: u64) -> Self {
        let (amount, mut part) = (amount.min(self.amount), self.account.empty());
        self.amount -= amount;
        part.amount = amount;
        part.unused = self.unused.min(amount);
        self.unused -= part.unused;
        part
    }

    /// Reserves more, for use now, if it is available at once. It goes before older requests of the same account:
    /// started work must end before other work can start.
    pub fn try_grow(&mut self, more: u64) -> bool {
        let grown = more == 0 || self.account.add(more, false);
        if grown {
            self.amount += more;
            self.account.shares.note_peak();
        }
        grown
    }

    /// Reserves more, for use now; waits while it can become available, at most `patience`.
    ///
    /// # Errors
    /// All holders of this account wait for more and this is the last of them, while no other account holds more than
    /// its share; or the wait took too long.
    ///
    /// Cancel safe.
    pub async fn grow(&mut self, more: u64, patience: Duration) -> Result<(), NoRoom> {
        if self.try_grow(more) {
            return Ok(());
        }
        let most = self.account.most();
        if self.amount.saturating_add(more) > most {
            return Err(NoRoom::Never(most));
        }
        if self.account.is_stuck() {
            return Err(NoRoom::Stuck);
        }
        let ticket = self.account.request(more, true)?;
        match tokio::time::timeout(patience, ticket.granted()).await {
            Ok(Ok(())) => {
                self.amount += more;
                self.account.shares.note_peak();
                Ok(())
            }
            Ok(Err(())) => Err(NoRoom::Never(self.account.most())),
            Err(_) => Err(NoRoom::Stuck),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.holders.fetch_sub(1, Ordering::SeqCst);
        self.account.give(self.amount);
        self.account.shares.unused.fetch_sub(self.unused, Ordering::Relaxed);
    }
}
