//! The memory that all guests may use together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::shares::{Account, Reservation, Shares};

/// From how many bytes on what is on its way between guests counts toward the host's memory. A task may have 1,024 smaller
/// answers, which is a megabyte.
const COUNTED_MIN: u64 = 1 << 10;

/// What is reserved for a task when it begins, in bytes, if others have not taken more; more is reserved as it grows. Arbitrary:
/// more than most take, and so little that a thousand of them, which is how many instances there may be, fit into half of a
/// small machine.
const EXPECTED: u64 = 4 << 20;

/// Half of the memory is guaranteed to accounts. Arbitrary: as much as a pool may need to go on beside others that take all they
/// can, and not so much that one which is alone misses it.
const GUARANTEED_PART: u64 = 2;

/// The memory that all guests and everything kept for them may take: instances, parked payloads, answers that were not read.
///
/// Instances reserve what they take of an [`Account`] before they have it. What is kept for them is counted afterwards, and
/// kept down by slowing down: over its share `submit` waits and `next` is not called.
#[derive(Debug)]
pub(crate) struct Budget {
    memory: Arc<Shares>,
    /// How many actions are open, in all runs. While it is zero nothing that is kept can be given back, so nothing waits for it.
    open: AtomicU64,
    /// How many tasks have begun and are not collected.
    begun: AtomicU64,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            memory: Shares::new(limit, GUARANTEED_PART, true),
            open: AtomicU64::new(0),
            begun: AtomicU64::new(0),
        })
    }

    /// Where the instances of a pool, a planner, or the tasks of an operation have an account each.
    pub(crate) fn memory(&self) -> &Arc<Shares> {
        &self.memory
    }

    /// Bytes.
    pub(crate) fn limit(&self) -> u64 {
        self.memory.limit()
    }

    /// Bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.memory.peak()
    }

    /// Whether more is kept for guests than there is room for.
    pub(crate) fn is_over(&self) -> bool {
        self.memory.is_over()
    }

    pub(crate) fn charge(&self, bytes: u64) {
        self.memory.force(bytes);
    }

    /// Gives back what was charged.
    pub(crate) fn release(&self, bytes: u64) {
        self.memory.unforce(bytes);
    }

    /// Has `charged`, which was counted, follow `used`, which is true now.
    pub(crate) fn follow(&self, charged: &mut u64, used: u64) {
        match used.checked_sub(*charged) {
            Some(0) => {}
            Some(more) => self.charge(more),
            None => self.release(*charged - used),
        }
        *charged = used;
    }

    /// Waits until there is room again, or until nothing is going on that could make room.
    ///
    /// Cancel safe.
    pub(crate) async fn room(&self) {
        let is_idle = || self.open.load(Ordering::Relaxed) == 0;
        self.memory.until(None, || !self.is_over() || is_idle()).await;
    }

    /// Has a task wait until what it is expected to take, so many bytes or what most take, is reserved for it, as long as others
    /// are between their beginning and being collected, which makes room. Without such others it begins with nothing reserved.
    ///
    /// Cancel safe.
    pub(crate) async fn begin(self: &Arc<Self>, account: &Arc<Account>, expected: u64) -> Begun {
        let expected = expected.max(EXPECTED).min(account.most());
        let mut reservation = None;
        let is_ready = || {
            if !self.is_over() {
                reservation = account.try_take(expected);
            }
            reservation.is_some() || self.begun.load(Ordering::SeqCst) == 0
        };
        self.memory.until(Some(account), is_ready).await;
        self.begun.fetch_add(1, Ordering::SeqCst);
        Begun {
            budget: self.clone(),
            reservation: Some(reservation.unwrap_or_else(|| account.empty())),
        }
    }
}

/// A task that has begun, until this is dropped, which is when it is collected.
#[derive(Debug)]
pub(crate) struct Begun {
    budget: Arc<Budget>,
    reservation: Option<Reservation>,
}

impl Begun {
    /// What is reserved for its instance. None: it was taken before.
    pub(crate) fn reservation(&mut self) -> Option<Reservation> {
        self.reservation.take()
    }

    /// It has ended: what it takes from now on is known.
    pub(crate) fn ended(mut self) -> Self {
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

/// The actions of one run that are open. None once this is dropped.
#[derive(Debug)]
pub(crate) struct OpenActions {
    budget: Arc<Budget>,
    count: u64,
}

impl OpenActions {
    /// None so far.
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: budget.clone(),
            count: 0,
        }
    }

    /// Says how many there are now.
    pub(crate) fn set(&mut self, count: u64) {
        if count == self.count {
            return;
        }
        // Wraps around where there are fewer than before, and comes out right.
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

/// Bytes that count until this is dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Of something as large as this. None: it is small, and there is a bound for how many of it there are.
    pub(crate) fn of(budget: &Arc<Budget>, bytes: usize) -> Option<Self> {
        let bytes = bytes as u64;
        (bytes >= COUNTED_MIN).then(|| Self::new(budget, bytes))
    }

    pub(crate) fn new(budget: &Arc<Budget>, bytes: u64) -> Self {
        budget.charge(bytes);
        Self {
            budget: budget.clone(),
            bytes,
        }
    }

    /// Counts as many as there are now.
    pub(crate) fn follow(&mut self, bytes: u64) {
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

    /// An account, of a budget in which what is kept has a fourth and this account another one.
    fn account(budget: &Budget) -> Arc<Account> {
        budget.memory().account(u64::MAX, Arc::default())
    }

    #[tokio::test]
    async fn room_is_made_by_giving_back_or_by_running_dry() {
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
    async fn what_is_kept_has_its_share_whatever_instances_hold() {
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
    async fn tasks_begin_as_there_is_room_for_what_they_may_take() {
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
        // What it left behind is counted by others.
        let first = first.ended();
        let fourth = waiting.await.unwrap();
        drop((first, second, third));
        budget.charge(100 * EXPECTED);
        drop(fourth);
        // Nothing is left that could make room.
        let mut last = budget.begin(&account, 0).await;
        assert_eq!(last.reservation().unwrap().amount(), 0);
    }

    #[test]
    fn what_runs_have_open_is_added_up_and_taken_back() {
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
