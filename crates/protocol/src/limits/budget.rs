//! The memory that all guests share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::shares::{Account, Reservation, Shares};

/// The smallest message between guests, in bytes, that counts toward the host's memory. A task may have 1,024 smaller
/// answers, which is a megabyte.
const COUNTED_MIN: u64 = 1 << 10;

/// The bytes reserved for a task when it begins, if others leave so much; more is reserved as it grows. Arbitrary: more
/// than most tasks take, and so little that a thousand of them, the most instances there may be, fit into half of a
/// small machine.
const EXPECTED: u64 = 4 << 20;

/// Half of the memory is guaranteed to accounts. Arbitrary: enough for a pool to go on beside others that take all they
/// can, and little enough that a pool which is alone does not miss it.
const GUARANTEED_PART: u64 = 2;

/// The memory of all guests and of all data held for them: instances, waiting payloads, unread answers.
///
/// An instance reserves its memory in an [`Account`] before it gets it. Data held for guests is charged afterwards, and
/// bounded by slowing down: over its share `submit` waits and `next` is not called.
#[derive(Debug)]
pub struct Budget {
    memory: Arc<Shares>,
    /// The open actions of all runs. At zero no data can be released, so nothing waits for it.
    open: AtomicU64,
    /// The tasks that have begun and are not collected.
    begun: AtomicU64,
}

impl Budget {
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: Shares::new(limit, GUARANTEED_PART, true),
            open: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        })
    }

    /// The shares in which each pool, planner, and operation's tasks have an account.
    pub fn memory(&self) -> &Arc<Shares> {
        &self.memory
    }

    /// Bytes.
    pub fn limit(&self) -> u64 {
        self.memory.limit()
    }

    /// Bytes.
    pub fn peak(&self) -> u64 {
        self.memory.peak()
    }

    /// Whether more data is held for guests than its share.
    pub fn is_over(&self) -> bool {
        self.memory.is_over()
    }

    pub fn charge(&self, bytes: u64) {
        self.memory.force(bytes);
    }

    /// Releases a charge.
    pub fn release(&self, bytes: u64) {
        self.memory.unforce(bytes);
    }

    /// Changes a charge from `charged` to `used`, the true amount.
    pub fn follow(&self, charged: &mut u64, used: u64) {
        match used.checked_sub(*charged) {
            Some(0) => {}
            Some(more) => self.charge(more),
            None => self.release(*charged - used),
        }
        *charged = used;
    }

    /// Waits until the charges are below the share, or until nothing runs that could lower them.
    ///
    /// Cancel safe.
    pub async fn room(&self) {
        let is_idle = || self.open.load(Ordering::Relaxed) == 0;
        self.memory.until(None, || !self.is_over() || is_idle()).await;
    }

    /// Waits until `expected` bytes, or the usual amount, are reserved for a task, while other tasks run or are not yet
    /// collected, which frees memory. Without such others the task begins with nothing reserved.
    ///
    /// Cancel safe.
    pub async fn begin(self: &Arc<Self>, account: &Arc<Account>, expected: u64) -> Begun {
        let expected = expected.max(EXPECTED).min(account.most());
        let mut reservation = None;
        let is_ready = || {
            if !self.is_over() {
                reservation = account.try_take(expected);
            }
            reservation.is_some() || self.begun.load(Ordering::SeqCst) == 0
        };
        self.memory.until(Some(account.watchers()), is_ready).await;
        self.begun.fetch_add(1, Ordering::SeqCst);
        Begun {
            budget: self.clone(),
            reservation: Some(reservation.unwrap_or_else(|| account.empty())),
        }
    }
}

/// A task that has begun, until it is collected, which drops this.
#[derive(Debug)]
pub struct Begun {
    budget: Arc<Budget>,
    reservation: Option<Reservation>,
}

impl Begun {
    /// The reservation for its instance. None: it was taken before.
    pub fn reservation(&mut self) -> Option<Reservation> {
        self.reservation.take()
    }

    /// The task has ended: its memory is known from now on.
    pub fn ended(mut self) -> Self {
        self.reservation = None;
        self
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.budget.begun.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.budget.memory.tell_watchers();
        }
    }
}

/// The open actions of one run. None once this is dropped.
#[derive(Debug)]
pub struct OpenActions {
    budget: Arc<Budget>,
    count: u64,
}

impl OpenActions {
    /// With no action.
    pub fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: budget.clone(),
            count: 0,
        }
    }

    /// Sets the current number.
    pub fn set(&mut self, count: u64) {
        if count == self.count {
            return;
        }
        // Wraps around for a decrease, which gives the right sum.
        let change = count.wrapping_sub(self.count);
        let all = self
            .budget
            .open
            .fetch_add(change, Ordering::Relaxed)
            .wrapping_add(change);
        self.count = count;
        if all == 0 {
            self.budget.memory.tell_watchers();
        }
    }
}

impl Drop for OpenActions {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// Charged bytes, until this is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// The charge of a message of this size. None: it is small, and the number of small ones is bounded.
    pub fn of(budget: &Arc<Budget>, bytes: usize) -> Option<Self> {
        let bytes = bytes as u64;
        (bytes >= COUNTED_MIN).then(|| Self::new(budget, bytes))
    }

    pub fn new(budget: &Arc<Budget>, bytes: u64) -> Self {
        budget.charge(bytes);
        Self {
            budget: budget.clone(),
            bytes,
        }
    }

    /// Changes the charge to this amount.
    pub fn follow(&mut self, bytes: u64) {
        self.budget.follow(&mut self.bytes, bytes);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.release(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An account of a budget in which data has a fourth and this account another one.
    fn account(budget: &Budget) -> Arc<Account> {
        budget.memory().account(u64::MAX, Arc::default())
    }

    #[tokio::test]
    async fn waiting_ends_when_memory_is_released_or_nothing_runs() {
        let budget = Budget::new(10);
        let mut open = OpenActions::new(&budget);
        open.set(1);
        budget.charge(11);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        budget.release(5);
        waiting.await.unwrap();

        budget.charge(100);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.room().await }
        });
        tokio::task::yield_now().await;
        open.set(0);
        waiting.await.unwrap();
        assert_eq!(budget.peak(), 106);
    }

    #[tokio::test]
    async fn held_data_has_its_share_beside_instances() {
        let budget = Budget::new(100);
        let pool = account(&budget);
        let _all = pool.try_take(75).unwrap();
        assert!(pool.try_take(1).is_none());
        budget.charge(25);
        assert!(!budget.is_over());
        budget.charge(1);
        assert!(budget.is_over());
    }

    #[tokio::test]
    async fn tasks_begin_when_their_memory_is_available() {
        let budget = Budget::new(4 * EXPECTED);
        let account = account(&budget);
        let first = budget.begin(&account, 0).await;
        let second = budget.begin(&account, 0).await;
        let third = budget.begin(&account, 0).await;
        let waiting = tokio::spawn({
            let (budget, account) = (budget.clone(), account.clone());
            async move { budget.begin(&account, 0).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // What it left behind is charged to others.
        let first = first.ended();
        let fourth = waiting.await.unwrap();
        drop((first, second, third));
        budget.charge(100 * EXPECTED);
        drop(fourth);
        // Nothing is left that could free memory.
        let mut last = budget.begin(&account, 0).await;
        assert_eq!(last.reservation().unwrap().amount(), 0);
    }

    #[test]
    fn open_actions_of_runs_are_summed() {
        let budget = Budget::new(10);
        let mut one = OpenActions::new(&budget);
        let mut other = OpenActions::new(&budget);
        one.set(5);
        other.set(3);
        one.set(1);
        assert_eq!(budget.open.load(Ordering::Relaxed), 4);
        drop(other);
        assert_eq!(budget.open.load(Ordering::Relaxed), 1);
        one.set(0);
        assert_eq!(budget.open.load(Ordering::Relaxed), 0);
    }
}
