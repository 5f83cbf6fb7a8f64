//! How much all guests may use together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::Notify;

/// From how many bytes on what is on its way between guests counts toward the host's memory. A task may have 1,024 smaller
/// answers, which is a megabyte.
const COUNTED_MIN: u64 = 1 << 10;

/// What a task that runs is thought to take, in bytes, beside what it is known to. Chosen freely: more than most do, and so
/// little that a thousand of them, which is how many instances there may be, fit into half of a small machine.
const EXPECTED: u64 = 4 << 20;

/// The memory that all guests and everything kept for them may take: instances, parked payloads, answers that nobody has
/// read. It is kept by slowing down, never by failing: over it idle instances are dropped, `submit` waits and `next` is
/// not called.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
    /// How many actions are open, in all runs. While it is zero nothing can give memory back, so nobody waits for it.
    open: AtomicU64,
    /// How many tasks have begun and are not collected.
    begun: AtomicU64,
    /// How many of them have not ended.
    running: AtomicU64,
    freed: Notify,
    /// How many guests wait to be started because all instances that there may be are there.
    crowd: AtomicU64,
    /// Tells workers that have nothing to do to let their instances go.
    pressed: Notify,
}

impl Budget {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            open: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            running: AtomicU64::new(0),
            freed: Notify::new(),
            crowd: AtomicU64::new(0),
            pressed: Notify::new(),
        })
    }

    pub(crate) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// Whether more is used than allowed.
    pub(crate) fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }

    pub(crate) fn charge(&self, bytes: u64) {
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak.fetch_max(used, Ordering::Relaxed);
        if used > self.limit && used - bytes <= self.limit {
            self.pressed.notify_waiters();
        }
    }

    /// Gives back what was charged.
    pub(crate) fn release(&self, bytes: u64) {
        let before = self.used.fetch_sub(bytes, Ordering::Relaxed);
        if before > self.limit {
            self.freed.notify_waiters();
        }
    }

    /// Somebody waits for an instance, until what this gives back is dropped.
    pub(crate) fn crowd(&self) -> Crowd<'_> {
        self.crowd.fetch_add(1, Ordering::Relaxed);
        self.pressed.notify_one();
        Crowd(self)
    }

    /// Waits until an instance that has nothing to do is in the way of others. Whoever was told and has let it go says so
    /// with [`Budget::let_go`].
    ///
    /// Cancel safe.
    pub(crate) async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// An instance was let go. If somebody still waits, it is the next one's turn.
    pub(crate) fn let_go(&self) {
        if self.crowd.load(Ordering::Relaxed) > 0 {
            self.pressed.notify_one();
        }
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
        self.room_from(&self.open, || self.is_over()).await;
    }

    /// Has a task wait for room as long as others are between their beginning and being collected, which makes room. What one
    /// that runs will take is not known yet: it is thought to be [`EXPECTED`], or all that wait would begin before the first of
    /// them has taken anything.
    ///
    /// Cancel safe.
    pub(crate) async fn begin(self: &Arc<Self>) -> Begun {
        let is_over = || {
            let expected = self.running.load(Ordering::Relaxed).saturating_mul(EXPECTED);
            self.used.load(Ordering::Relaxed).saturating_add(expected) > self.limit
        };
        self.room_from(&self.begun, is_over).await;
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Begun {
            budget: self.clone(),
            runs: true,
        }
    }

    /// Waits until there is room again, or nothing left of what could make room.
    async fn room_from(&self, going_on: &AtomicU64, is_over: impl Fn() -> bool) {
        let waits = || is_over() && going_on.load(Ordering::Relaxed) > 0;
        while waits() {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before the second look, so that a release in between is not missed.
            freed.as_mut().enable();
            if !waits() {
                return;
            }
            freed.await;
        }
    }
}

/// Somebody who waits for an instance.
#[derive(Debug)]
pub(crate) struct Crowd<'a>(&'a Budget);

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.0.crowd.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A task that has begun, until this is dropped, which is when it is collected.
#[derive(Debug)]
pub(crate) struct Begun {
    budget: Arc<Budget>,
    runs: bool,
}

impl Begun {
    /// It has ended: what it takes from now on is known.
    pub(crate) fn ended(mut self) -> Self {
        self.end();
        self
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.runs) {
            self.budget.running.fetch_sub(1, Ordering::Relaxed);
            self.budget.freed.notify_waiters();
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.end();
        if self.budget.begun.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.budget.freed.notify_waiters();
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
            self.budget.freed.notify_waiters();
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

    pub(crate) fn grow(&mut self, bytes: u64) {
        self.budget.charge(bytes);
        self.bytes += bytes;
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
    async fn tasks_begin_as_there_is_room_for_what_they_may_take() {
        let budget = Budget::new(2 * EXPECTED);
        let first = budget.begin().await;
        let second = budget.begin().await;
        let third = budget.begin().await;
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.begin().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        // What it left behind is counted by others.
        let first = first.ended();
        let fourth = waiting.await.unwrap();
        drop((first, second, third));
        budget.charge(100 * EXPECTED);
        drop(fourth);
        // Nobody is left who could make room.
        drop(budget.begin().await);
        assert_eq!(budget.running.load(Ordering::Relaxed), 0);
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
