//! Records what of quotas and workers has to survive a crash, and goes on from that when the run is resumed.

use std::io;

use disperse_scheduler::{BucketId, Event, Moment, WorkerId};

use super::{
    checkpoint_state::{Checkpoints, is_news},
    journal::{History, QuotaReserved, Record, TurnNumber, WorkerChanged},
    state::Driver,
};

impl Driver<'_> {
    /// Records what has to be known of a worker's buckets. Returns the turn that reserves what an attempt that it is given now spends:
    /// it may not leave before that is durable. None: it spends nothing that is recorded.
    pub(super) fn reserve(&mut self, worker: WorkerId) -> Option<TurnNumber> {
        let buckets = self.registry.buckets(worker);
        if buckets.is_empty() || !self.journal.is_on() {
            return None;
        }
        let mut after = 0;
        for bucket in buckets {
            let Some(checkpoint) = self.scheduler.bucket_checkpoint(*bucket) else {
                continue;
            };
            if let Some((key, block)) = self.quotas.follow(*bucket, &checkpoint, self.effects.turn()) {
                self.effects.records.push(Record::QuotaReserved(QuotaReserved {
                    bucket: key,
                    block,
                    now_ms: self.now.as_millis(),
                }));
            }
            after = after.max(self.quotas.reserved_in(*bucket));
        }
        Some(after)
    }

    /// Records the workers that have changed since that was last recorded.
    pub(super) fn record_workers(&mut self) {
        if !self.checkpoints.changed.is_empty() && !self.journal.is_on() {
            self.checkpoints.changed.clear();
        }
        while let Some(worker) = self.checkpoints.changed.pop() {
            let Some(checkpoint) = self.scheduler.worker_checkpoint(worker) else {
                continue;
            };
            let now = self.now;
            let Some(name) = self
                .registry
                .follow(worker, |before| is_news(before, &checkpoint, now).then_some(checkpoint))
            else {
                continue;
            };
            self.record(|| {
                Record::WorkerChanged(WorkerChanged {
                    worker: name,
                    checkpoint,
                    now_ms: now.as_millis(),
                })
            });
        }
    }

    /// Goes on with the quotas and workers of before the run was resumed.
    pub(super) fn restore(&mut self, history: &mut dyn History) -> io::Result<()> {
        let quotas = history.quotas()?;
        self.checkpoints = Checkpoints {
            is_resumed: true,
            workers: history
                .workers()?
                .into_iter()
                .map(|one| (one.worker, one.checkpoint))
                .collect(),
            ..Checkpoints::default()
        };
        for QuotaReserved { bucket, block, now_ms } in quotas {
            let before = self.checkpoints.buckets.entry(bucket).or_default();
            // It was recorded within this millisecond.
            before.add(Moment::from_millis(now_ms.saturating_add(1)), &block);
        }
        for bucket in self.quotas.ids() {
            self.restore_bucket(bucket);
        }
        for worker in (0..self.registry.next_worker().0).map(WorkerId) {
            self.restore_worker(worker);
        }
        Ok(())
    }

    /// Has a bucket go on from before the run was resumed, if it was.
    pub(super) fn restore_bucket(&mut self, bucket: BucketId) {
        if !self.checkpoints.is_resumed {
            return;
        }
        let before = self
            .quotas
            .key(bucket)
            .and_then(|key| self.checkpoints.buckets.remove(&key));
        if let Some(history) = self.quotas.resume(bucket, before) {
            let history = Box::new(history);
            self.tell(Event::QuotaRestored { bucket, history });
        }
    }

    /// Has a worker go on from before the run was resumed, if it was.
    pub(super) fn restore_worker(&mut self, worker: WorkerId) {
        if !self.checkpoints.is_resumed {
            return;
        }
        let name = self.registry.name(worker);
        if let Some(checkpoint) = self.checkpoints.workers.remove(&name) {
            self.registry.follow(worker, |_| Some(checkpoint));
            let before = Box::new(checkpoint);
            self.tell(Event::WorkerRestored { worker, before });
        }
        self.reserve(worker);
    }
}
