//! Which bucket is whose, by name.

use std::sync::Arc;

use disperse_scheduler::{AttemptId, BucketId, Event, Moment, Quota, QuotaView, Report, WorkerId};

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

/// All of them.
#[derive(Default)]
pub(super) struct Quotas {
    names: Vec<(Option<Arc<str>>, String)>,
}

impl Quotas {
    pub(super) fn add_bucket(&mut self, setup: &BucketSetup) -> BucketId {
        let id = BucketId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let name = is_reported(&setup.name, setup.quota).then(|| setup.name.clone());
        self.names.push((name, setup.label.clone()));
        id
    }

    /// For people: whose a bucket is.
    pub(super) fn label(&self, bucket: BucketId) -> &str {
        self.names.get(bucket.0 as usize).map_or("", |(_, label)| label)
    }

    /// Whether there is any.
    pub(super) fn are_there(&self) -> bool {
        !self.names.is_empty()
    }

    /// The scheduler's event for a report of a worker with these buckets. None: it has no such bucket.
    pub(super) fn event(
        &self,
        (worker, own): (WorkerId, &[BucketId]),
        attempt: AttemptId,
        reported: &Reported,
    ) -> Option<Event> {
        let is_meant = |bucket: &&BucketId| {
            let name = self.names.get(bucket.0 as usize).map(|(name, _)| name);
            name.is_some_and(|name| name.as_ref() == Some(&reported.bucket))
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
