//! Which bucket is whose, by name, and what is recorded of it.

use std::sync::Arc;

use disperse_scheduler::{
    AttemptId, Block, BucketCheckpoint, BucketHistory, BucketId, Event, Moment, Quota, QuotaView, Report, Reservation,
    WorkerId,
};

use super::journal::TurnNumber;
use disperse_protocol::{
    inbox::is_reported,
    inbox::{QuotaSummary, Reported},
};

/// A moment that may never come, in ms.
fn at_ms(moment: Moment) -> Option<u64> {
    (moment != Moment::NEVER).then(|| moment.as_millis())
}

/// One bucket, as the driver is given it. Its number is its place in the list.
pub struct BucketSetup {
    /// What workers call it.
    pub name: Arc<str>,
    /// For people: whose it is.
    pub label: String,
    pub quota: Quota,
    /// By the names of kinds.
    pub costs: Vec<(String, u32)>,
}

/// One bucket.
struct Bucket {
    /// What workers call it in reports. None: it is not reported on.
    name: Option<Arc<str>>,
    label: String,
    /// What it is called in the journal, the same when the run is resumed: its label, with a number if others have the same.
    key: Arc<str>,
    quota: Quota,
    /// None: nothing of it needs to be recorded.
    reservation: Option<Reservation>,
    /// The turn that recorded the last units that were reserved. 0: none were.
    reserved_in: TurnNumber,
}

/// All of them.
#[derive(Default)]
pub(super) struct Quotas {
    buckets: Vec<Bucket>,
}

impl Quotas {
    pub(super) fn add_bucket(&mut self, setup: &BucketSetup) -> BucketId {
        let id = self.next();
        let label = &setup.label;
        let key = match self.buckets.iter().filter(|other| other.label == *label).count() {
            0 => label.as_str().into(),
            others => format!("{label}#{}", others + 1).into(),
        };
        self.buckets.push(Bucket {
            name: is_reported(&setup.name, setup.quota).then(|| setup.name.clone()),
            label: label.clone(),
            key,
            quota: setup.quota,
            reservation: Reservation::of(setup.quota, 0),
            reserved_in: 0,
        });
        id
    }

    fn next(&self) -> BucketId {
        BucketId(u32::try_from(self.buckets.len()).unwrap_or(u32::MAX))
    }

    fn get(&self, bucket: BucketId) -> Option<&Bucket> {
        self.buckets.get(bucket.0 as usize)
    }

    /// All buckets.
    pub(super) fn ids(&self) -> impl Iterator<Item = BucketId> + use<> {
        (0..self.next().0).map(BucketId)
    }

    /// What a bucket is called in the journal.
    pub(super) fn key(&self, bucket: BucketId) -> Option<Arc<str>> {
        self.get(bucket).map(|bucket| bucket.key.clone())
    }

    /// What is to be recorded of a bucket in this turn, if anything is, and what it is called there.
    pub(super) fn follow(
        &mut self,
        bucket: BucketId,
        now: &BucketCheckpoint,
        turn: TurnNumber,
    ) -> Option<(Arc<str>, Block)> {
        let bucket = self.buckets.get_mut(bucket.0 as usize)?;
        let block = bucket.reservation.as_mut()?.follow(now)?;
        if block.units > 0 {
            bucket.reserved_in = turn;
        }
        Some((bucket.key.clone(), block))
    }

    /// The turn that recorded the last units of a bucket that were reserved. 0: none were.
    pub(super) fn reserved_in(&self, bucket: BucketId) -> TurnNumber {
        self.get(bucket).map_or(0, |bucket| bucket.reserved_in)
    }

    /// What a bucket goes on from when the run is resumed; `before`: what was recorded of it. None: it is as new.
    pub(super) fn resume(&mut self, bucket: BucketId, before: Option<BucketHistory>) -> Option<BucketHistory> {
        let bucket = self.buckets.get_mut(bucket.0 as usize)?;
        if bucket.reservation.is_none() {
            return Some(BucketHistory::spent(bucket.quota));
        }
        let unanswered = before.as_ref().map_or(0, |before| before.unanswered);
        bucket.reservation = Reservation::of(bucket.quota, unanswered);
        before
    }

    /// For people: whose a bucket is.
    pub(super) fn label(&self, bucket: BucketId) -> &str {
        self.get(bucket).map_or("", |bucket| &bucket.label)
    }

    /// Whether there is any.
    pub(super) fn are_there(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// The scheduler's event for a report of a worker with these buckets. None: it has no such bucket.
    pub(super) fn event(
        &self,
        (worker, own): (WorkerId, &[BucketId]),
        attempt: AttemptId,
        reported: &Reported,
    ) -> Option<Event> {
        let is_meant = |bucket: &&BucketId| {
            let name = self.get(**bucket).and_then(|bucket| bucket.name.as_ref());
            name == Some(&reported.bucket)
        };
        let bucket = match own {
            [only] if reported.bucket.is_empty() => *only,
            own => *own.iter().find(is_meant)?,
        };
        let report = Report {
            remaining: reported.remaining,
            resets_in: reported.resets,
        };
        Some(Event::QuotaReported {
            worker,
            attempt,
            bucket,
            report,
        })
    }

    /// For the report at the end.
    pub(super) fn summary<'a>(
        &self,
        views: impl Iterator<Item = &'a QuotaView>,
        name: impl Fn(WorkerId) -> Arc<str>,
    ) -> Vec<QuotaSummary> {
        views
            .map(|view| {
                let is = view.is;
                QuotaSummary {
                    quota: self.label(view.bucket).to_owned(),
                    workers: view.workers.iter().map(|worker| name(*worker).to_string()).collect(),
                    terms: is.quota.into(),
                    used: is.used,
                    capacity: is.capacity,
                    wasted: is.wasted,
                    wasted_last: is.wasted_last,
                    resets: is.resets,
                    resets_at_ms: at_ms(is.resets_at),
                    refills_at_ms: at_ms(is.refills_at),
                }
            })
            .collect()
    }
}
