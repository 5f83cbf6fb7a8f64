use crate::bucket::{Bucket, BucketView};
use crate::ids::{BucketId, IdMap, KindId, WorkerId, Wx};
use crate::moment::Moment;
use std::collections::BTreeSet;

/// A bucket and those who draw from it.
#[derive(Debug)]
pub(crate) struct QuotaState {
    pub(crate) id: BucketId,
    pub(crate) bucket: Bucket,
    /// What kinds cost that do not cost 1.
    pub(crate) costs: IdMap<KindId, u32>,
    /// Who draws from it.
    pub(crate) workers: Vec<Wx>,
    /// Those who were short of something, each with its place in line.
    pub(crate) waiting: BTreeSet<(u64, Wx)>,
    /// Those that are on their pool's list.
    pub(crate) listed: BTreeSet<Wx>,
    /// When what is left goes to waste, as the lists of pools have it if several draw from it: nearly.
    pub(crate) expires: Moment,
    /// The least that somebody waits for.
    pub(crate) min_waiting_cost: Option<u32>,
    /// When there is so much; [`Moment::NEVER`] while that is not known.
    pub(crate) wakes: Moment,
    /// Attempts that drew from it.
    pub(crate) attempts: u64,
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

impl QuotaState {
    /// What an action of this kind takes; the least that anything takes if no kind is given.
    pub(crate) fn cost(&self, kind: Option<KindId>) -> u32 {
        kind.and_then(|kind| self.costs.get(&kind).copied()).unwrap_or(1)
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
